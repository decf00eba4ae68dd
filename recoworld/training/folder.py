"""Whose run a folder holds."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.files import replacing
from recoworld.training.launch import whole

CONFIG = "config.yaml"
OURS = (
    "metrics.jsonl",
    "curve.jsonl",
    "tensorboard",
    "checkpoints",
    "policy",
    "leaderboard.json",
    "leaderboard.csv",
    "results",
    "final.json",
    "log.parquet",
)


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Within, no other process trains in this folder. The lock ends with the process, however that ends. Raises ConfigError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise ConfigError(f"cannot write to {out} ({error.strerror}); choose another folder, or free the disk") from None
    with lock:
        try:
            with suppress(PermissionError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another process is training in {out}; wait for its end, or choose another folder") from None
        yield


def claim(out: Path, config: TrainConfig, *, resume: bool = False, fresh: bool = False) -> None:
    """Make the folder, which is there, a run's of this config, or find it so.

    config.yaml holds all settings, and all are compared: a default that has changed since is a difference.
    Raises ConfigError for another's, and where `fresh` would delete what no run has made; MissingExtra.
    """
    if resume and fresh:
        raise ConfigError("resume and fresh: one goes on with the run that is there, the other deletes it; expected at most one of them")
    config, there = whole(config), [name for name in OURS if (out / name).exists()]
    strange = f"{out} holds {there[0] if there else CONFIG} of something else; choose another folder, or delete that yourself"
    if fresh:
        if not _is_run(out) and (there or (out / CONFIG).exists()):
            raise ConfigError(strange)
        for name in there:  # before config.yaml, by which the rest would be told if this was interrupted
            path = out / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif (out / CONFIG).is_file():
        other = config.differences(_stored(out))
        if other:
            raise ConfigError(
                f"{out} holds a run of other settings ({'; '.join(other)}); choose another folder, or delete that run: --fresh"
            )
    elif resume:
        raise ConfigError(f"{out} holds no run to go on with; expected {CONFIG} in it (leave out --resume to start one)")
    elif there:
        raise ConfigError(strange)
    with replacing(out / CONFIG) as part:
        part.write_text(config.yaml(), encoding="utf-8")
        part.chmod(0o644)


def _stored(out: Path) -> TrainConfig:
    try:
        return whole(TrainConfig.of(out / CONFIG))
    except ConfigError as error:
        way = "--fresh starts anew" if _is_run(out) else "choose another folder"
        raise ConfigError(f"{out / CONFIG} is no config of a run that this version can go on with ({error}); {way}") from None


def _is_run(out: Path) -> bool:
    """Whether config.yaml is a run's, of whatever version."""
    try:
        content = yaml.safe_load((out / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and {"algorithm", "world", "settings", "env_runners"} <= content.keys()
