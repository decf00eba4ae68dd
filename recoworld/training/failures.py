"""What goes wrong in a runner is said on the driver: RLlib drops a runner's exception, and training would go on without it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import ray
import torch
from ray.experimental import internal_kv
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from recoworld.errors import TrainingFailed

_SPACE = b"recoworld"


class Loud:
    """Mixin of env runners, first among the bases: an exception in a remote runner is left where the driver finds it (`heard`).

    RLlib lets such a runner die, replaces it, and tells nobody why. That is right for a process that was killed, which says nothing
    here, and wrong for one that raises. The word goes through the cluster's key-value store, as the actor is gone when it is asked for.
    """

    def __init__(self, **kwargs: Any) -> None:
        try:
            super().__init__(**kwargs)
        except Exception as error:
            if kwargs.get("worker_index"):
                _leave_word(kwargs["worker_index"], error)
            raise

    def apply(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """RLlib's way to every remote call."""

        def told(runner: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return func(runner, *args, **kwargs)
            except Exception as error:
                _leave_word(runner.worker_index, error)
                raise

        return super().apply(told, *args, **kwargs)  # type: ignore[misc]  # the runner's

    def _log_episode_metrics(self, length: int, ret: float, sec: float) -> None:
        """RLlib's hook at the end of a session; its own means pass over NaN."""
        if not np.isfinite(ret):
            raise TrainingFailed(f"a session of {length} turns returned {ret}; expected finite rewards: look at the simulator and `reward`")
        super()._log_episode_metrics(length, ret, sec)  # type: ignore[misc]  # the runner's


class LoudRunner(Loud, SingleAgentEnvRunner):  # type: ignore[misc]  # Ray has no types
    """RLlib's env runner, heard."""


def heard() -> str | None:
    """What a runner of this job said before it died, and forget it: one line, then its traceback. None if none did."""
    word = internal_kv._internal_kv_get(_key(), namespace=_SPACE)
    if word is None:
        return None
    internal_kv._internal_kv_del(_key(), namespace=_SPACE)
    return str(word, "utf-8")


def said(error: BaseException) -> str:
    """The cause of an error in one line, with its place: RLlib wraps an environment's in a RuntimeError without words."""
    while error.__cause__ is not None:
        error = error.__cause__
    place = traceback.extract_tb(error.__traceback__)[-1:]
    return f"{type(error).__name__}: {error}" + "".join(f" (in {frame.name}, {frame.filename}:{frame.lineno})" for frame in place)


def check_weights(group: Any) -> None:
    """Raises TrainingFailed if a weight of RLlib's learner group is not finite. Losses would not tell: their means pass over NaN."""
    for result in group.foreach_learner(_not_finite):
        bad = result.get()
        if isinstance(bad, Exception):
            raise TrainingFailed(f"a learner failed: {said(bad)}") from bad
        if bad:
            raise TrainingFailed(f"weights are no longer finite numbers: {', '.join(bad[:3])}; try a lower settings.lr, or clip gradients")


def _not_finite(learner: Any) -> list[str]:
    return [
        name
        for _, module in learner.module.items()
        if isinstance(module, torch.nn.Module)
        for name, value in module.named_parameters()
        if not torch.isfinite(value).all()
    ]


def _leave_word(index: int, error: Exception) -> None:
    text = f"env runner {index}: {said(error)}\n{''.join(traceback.format_exception(error))}"
    internal_kv._internal_kv_put(_key(), text.encode(), overwrite=False, namespace=_SPACE)


def _key() -> bytes:
    return f"failure of {ray.get_runtime_context().get_job_id()}".encode()
