"""Sessions in full, for reading and replay."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from recoworld.session_io import write_jsonl
from recoworld.session_log import SessionLog
from recoworld.world import World


class Saved:
    """The first so many sessions of a rollout, taken down while it plays them."""

    def __init__(self, number: int, *, policy: str) -> None:
        """policy: the name that the sessions bear."""
        self._left, self._policy = number, policy
        self._logs: list[SessionLog] = []

    def opened(self, world: World, seeds: NDArray[Any]) -> SessionLog | None:
        """The log for a chunk of the rollout's sessions, which stands open under these seeds ``[n]``; None where no more are wanted."""
        first = min(self._left, len(seeds))
        if not first:
            return None
        self._left -= first
        self._logs.append(SessionLog(world, seeds, policy=self._policy, first=first))
        return self._logs[-1]

    def write(self, path: Path) -> None:
        """As JSON lines. Raises ConfigError for no session, CacheUnwritable."""
        write_jsonl(path, chain.from_iterable(self._logs))


def stored(path: Path) -> int:
    """How many sessions a file of them holds, 0 where there is none."""
    return sum(1 for line in path.read_bytes().splitlines() if line.strip()) if path.exists() else 0
