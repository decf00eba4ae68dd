"""Whose run a folder holds."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.files import replacing

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
    """Make the folder, which is there, a run's of this config, or find it so. Raises ConfigError for another's."""
    if resume and fresh:
        raise ConfigError("resume and fresh: one goes on with the run that is there, the other deletes it; expected at most one of them")
    if fresh:
        for name in (CONFIG, *OURS):
            path = out / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    elif (out / CONFIG).is_file():
        other = config.differences(_stored(out / CONFIG))
        if other:
            raise ConfigError(
                f"{out} holds a run of other settings ({'; '.join(other)}); choose another folder, or delete that run: --fresh"
            )
    elif resume:
        raise ConfigError(f"{out} holds no run to go on with; expected {CONFIG} in it (leave out --resume to start one)")
    else:
        strange = [name for name in OURS if (out / name).exists()]
        if strange:
            raise ConfigError(f"{out} holds {strange[0]} of something else; choose another folder, or delete what is there: --fresh")
    with replacing(out / CONFIG) as part:
        part.write_text(config.yaml(), encoding="utf-8")
        part.chmod(0o644)


def _stored(path: Path) -> TrainConfig:
    try:
        return TrainConfig.of(path)
    except ConfigError as error:
        raise ConfigError(f"{path} is no config of a run that this version can go on with ({error}); --fresh starts anew") from None
