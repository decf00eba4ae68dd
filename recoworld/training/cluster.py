"""Ray for the time of a run: joined or started, and quiet."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.training.launch import cores

_ENVIRONMENT = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "1", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
"""Ray reads these when it is imported; the first ends a FutureWarning in every process."""


@contextmanager
def cluster(config: TrainConfig) -> Iterator[None]:
    """Within, Ray is there; one that was there before is used and left alone. Raises ConfigError."""
    import ray

    with quiet():
        ours = not ray.is_initialized()
        if ours:
            wanted = config.cluster
            _check_answers(wanted.address)
            own = {} if wanted.address else {"num_cpus": wanted.cpus, "include_dashboard": False}
            folder = {"_temp_dir": wanted.temp_dir} if wanted.temp_dir and not wanted.address else {}
            try:
                # "local": without it Ray would join whatever cluster somebody has started on this machine, and end with it
                where = wanted.address or "local"
                ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **own, **folder)
            except Exception as error:  # Ray raises bare ones, too, e.g. where it has not come up in time
                raise ConfigError(_not_there(wanted.address, " ".join(str(error).split())[:300])) from error
        try:
            there = ray.cluster_resources().get("CPU", 0.0)
            if there < cores(config) and config.cluster.address is None:  # a cluster elsewhere may grow
                raise ConfigError(
                    f"env runners and learners reserve {cores(config):g} cores, this machine has {there:g}; Ray would wait for ever: "
                    "set env_runners.num=0, or less in env_runners.cpus, or join a cluster with cluster.address=auto"
                )
            yield
        finally:
            if ours:
                ray.shutdown()


def _not_there(address: str | None, why: str) -> str:
    if address:
        return f"cluster.address = {address!r}: Ray cannot join it ({why}); see with `ray status` that it runs, in this version of Ray"
    return f"Ray did not start on this machine ({why}); end what is left of other runs (`ray stop`), free memory and disk, and try again"


def _check_answers(address: str | None) -> None:
    """Ray tries an address for minutes, then ends the process."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cluster.address = {address!r}: nothing answers there ({error}); expected the head of a Ray cluster") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Errors of Ray are shown, its advice to its own developers is not."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    loggers = {logging.getLogger(name): logging.ERROR for name in ("ray", "ray.rllib", "ray.tune", "ray.train", "ray._common.deprecation")}
    loggers[logging.getLogger("ray.rllib.utils.actor_manager")] = logging.CRITICAL  # a runner's end is told by `run`, with its reason
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
        warnings.filterwarnings("ignore", module=r"(ray|gymnasium|torch)\b")
        try:
            yield
        finally:
            for logger, level in before.items():
                logger.setLevel(level)
