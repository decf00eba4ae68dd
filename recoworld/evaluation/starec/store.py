"""What a benchmark leaves in its folder: the ranks of every finished run, and training that was cut off."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.datasets.cache import read_arrays, write_arrays
from recoworld.errors import ConfigError
from recoworld.policies.sequential.learner import Arrays
from recoworld.types import Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One method under one seed."""

    method: str
    """The name by which it was asked for."""
    run: int
    ranks: Ints
    """Of the item sought, from 1 ``[n]``."""
    fit_seconds: float
    rank_seconds: float
    epochs: int
    """Of training; 0 where the method is not trained in epochs."""


class Runs:
    """The files ``results/METHOD-RUN.npz`` and ``unfinished/METHOD-RUN.npz`` of a folder; written whole or not at all."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """settings: what all runs depend on; files of other settings are as if they were not there."""
        self._folder, self._settings = folder, json.dumps(settings, sort_keys=True)

    def read(self, method: str, run: int) -> Run | None:
        """A finished run, None where there is none, or a damaged file."""
        arrays = read_arrays(self._path("results", method, run), self._key(method, run))
        if arrays is None:
            return None
        return Run(method=method, run=run, ranks=arrays["ranks"], **json.loads(str(arrays["facts"])))

    def keep(self, run: Run) -> None:
        """Write a finished run, and forget its training. Raises ConfigError for a folder that cannot be written."""
        facts = {name: getattr(run, name) for name in ("fit_seconds", "rank_seconds", "epochs")}
        self._write("results", run.method, run.run, {"ranks": run.ranks, "facts": np.array(json.dumps(facts))})
        self.forget(run.method, run.run)

    def forget(self, method: str, run: int) -> None:
        """Remove what is kept of a run's training."""
        with suppress(OSError):
            self._path("unfinished", method, run).unlink(missing_ok=True)

    def memory(self, method: str, run: int) -> Unfinished:
        """Where a run's training is kept as long as it lasts."""
        return Unfinished(
            read=lambda: read_arrays(self._path("unfinished", method, run), self._key(method, run)),
            write=lambda arrays: self._write("unfinished", method, run, arrays),
        )

    def _write(self, kind: str, method: str, run: int, arrays: Arrays) -> None:
        path = self._path(kind, method, run)
        try:
            write_arrays(path, self._key(method, run), arrays)
        except OSError as error:
            raise ConfigError(f"cannot write {path} ({error.strerror or error}); choose another folder, or free the disk") from error

    def _path(self, kind: str, method: str, run: int) -> Path:
        return self._folder / kind / f"{re.sub(r'[^A-Za-z0-9._+-]+', '-', method)[:100]}-{run}.npz"

    def _key(self, method: str, run: int) -> str:
        return f"starec {method} {run} {self._settings}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Unfinished:
    """A `recoworld.policies.sequential.learner.Memory` in a file."""

    read: Callable[[], Arrays | None]
    write: Callable[[Arrays], None]

    def load(self) -> Arrays | None:
        """What was kept, None where there is nothing."""
        return self.read()

    def save(self, arrays: Arrays) -> None:
        """Keep it."""
        self.write(arrays)
