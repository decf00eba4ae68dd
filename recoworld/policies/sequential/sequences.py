"""Sequences of liked items as padded arrays: of a log, cut into windows for training, and of observations.

Shapes: `n` users, `h` history, `L` items of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoworld.types import Act, Ints, Observations
from recoworld.users import Dataset

_POSITIVE = np.isin(np.arange(len(Act)), [Act.RATED, Act.CLICKED, Act.LIKED, Act.COMMENTED, Act.SHARED])


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequences:
    """What users liked, in order, as compressed rows."""

    indptr: Ints
    """``[n + 1]``."""
    items: NDArray[np.int32]
    """Item indices ``[m]``."""

    @classmethod
    def of(cls, dataset: Dataset, users: Ints, ends: Ints | None = None) -> Sequences:
        """The likes of these users; ends: where each one's log ends for us ``[n]``, None for all of it."""
        log = dataset.interactions
        starts, stops = log.indptr[users], log.indptr[users + 1] if ends is None else ends
        rows = log.rows(starts, stops)
        liked = dataset.liked[rows]
        owners = np.repeat(np.arange(len(users)), stops - starts)[liked]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(users)))]).astype(np.int64)
        return cls(indptr=indptr, items=log.items[rows][liked])

    @property
    def owners(self) -> Ints:
        """The user of each like ``[m]``."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def windows(self, length: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Pieces of `length` + 1 items as index + 1, padded with 0 in front ``[w, length + 1]``; each next item is sought once.

        Where a user's log is cut the generator draws, so that an item has another past in every epoch. Pieces overlap by one.
        """
        counts = np.diff(self.indptr)
        pieces = (counts + length - 1 + length - 1) // length * (counts > 1)  # enough for every shift
        users = np.repeat(np.arange(len(counts)), pieces)
        number = np.arange(len(users)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        shift = generator.integers(length, size=len(counts))[users]
        last = counts[users] - 1 + shift - number * length  # where the piece would end, were there so many
        first = np.maximum(last - length, 0)
        last = np.minimum(last, counts[users] - 1)
        real = last > first
        users, first, last = users[real], first[real], last[real]
        at = last[:, None] - np.arange(length, -1, -1)
        inside = at >= first[:, None]
        return np.where(inside, self.items[np.where(inside, at + self.indptr[users][:, None], 0)].astype(np.int64) + 1, 0)


def latest(observations: Observations, length: int) -> NDArray[np.int64]:
    """The last liked items of histories as index + 1, oldest first, padded with 0 in front ``[n, length]``."""
    history = observations["history"]
    liked = _POSITIVE[observations["history_acts"]] & (history > 0)
    out = np.zeros((len(history), length), np.int64)
    rows, columns = np.nonzero(liked)
    behind = liked.sum(axis=1)[rows] - np.cumsum(liked, axis=1)[rows, columns]  # likes after this one
    kept = behind < length
    out[rows[kept], length - 1 - behind[kept]] = history[rows[kept], columns[kept]]
    return out
