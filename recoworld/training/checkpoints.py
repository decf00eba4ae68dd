"""Checkpoints of a run: there whole or not at all, the newest few kept."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recoworld.errors import ConfigError
from recoworld.training.leftout import left_out, put_back

CHECKPOINTS = "checkpoints"
_NAME = re.compile(r"iter-(\d{5,})")
_FACTS, _REST = "recoworld.json", "left_out.pkl"


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far a run is."""

    iteration: int = 0
    env_steps: int = 0
    seconds: float = 0.0
    """Wall clock of training, its evaluations counted."""


class Checkpoints:
    """The folder ``checkpoints/`` of a run. RLlib's files hold pickles: go on only with runs of your own."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self._keep = folder, keep

    def newest(self) -> Path | None:
        """The last whole one."""
        return max(self._all(), key=_iteration, default=None)

    def reached(self) -> Reached:
        """How far the newest is; nowhere where there is none."""
        path = self.newest()
        return Reached() if path is None else Reached(**json.loads((path / _FACTS).read_text(encoding="utf-8")))

    def save(self, algorithm: Any, reached: Reached) -> None:
        """Write one, then drop the oldest beyond `keep`. Raises ConfigError where the folder cannot be written."""
        part = (self.folder / f".iter-{reached.iteration:05d}.part").absolute()
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            algorithm.save_to_path(str(part))
            with (part / _REST).open("wb") as file:
                pickle.dump(left_out(algorithm), file, protocol=pickle.HIGHEST_PROTOCOL)
            (part / _FACTS).write_text(json.dumps(asdict(reached)), encoding="utf-8")
            os.rename(part, self.folder / f"iter-{reached.iteration:05d}")
        except OSError as error:
            raise ConfigError(f"cannot write to {self.folder} ({error.strerror or error}); free the disk, then run again") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for old in sorted(self._all(), key=_iteration)[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)

    def restore(self, algorithm: Any) -> Reached:
        """Put the newest back; nothing reached where there is none. Raises ConfigError for one that cannot be read."""
        path = self.newest()
        for part in self.folder.glob(".iter-*.part"):  # of a run that was killed
            shutil.rmtree(part, ignore_errors=True)
        if path is None:
            return Reached()
        try:
            reached = self.reached()
            _await_runners(algorithm)
            algorithm.restore_from_path(str(path.absolute()))
            with (path / _REST).open("rb") as file:
                put_back(algorithm, pickle.load(file))
        except Exception as error:
            raise ConfigError(
                f"cannot go on from {path}: {type(error).__name__}: {error}; remove it to go on from the one before, or --fresh"
            ) from error
        return reached

    def _all(self) -> list[Path]:
        return [path for path in self.folder.glob("iter-*") if _NAME.fullmatch(path.name)]


def _await_runners(algorithm: Any) -> None:
    """RLlib drops weights that it sends while earlier ones are under way: runners that are starting would sample with untrained ones."""
    group = algorithm.env_runner_group
    if group is not None:
        group.foreach_env_runner(_here, local_env_runner=False)


def _here(runner: Any) -> bool:
    return True


def _iteration(path: Path) -> int:
    return int(path.name.partition("-")[2])
