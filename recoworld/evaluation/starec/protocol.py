"""STARec's protocol: who is asked, what is known, and among which items the next one is sought.

C. Wu et al., "STARec: An Efficient Agent Framework for Recommender Systems via Autonomous Deliberate Reasoning", CIKM 2025,
arXiv 2508.18812. What the issue and the paper's abstract leave open is decided here:

1. positive are ratings above the middle of the scale (3 of 1..5); without ratings every interaction is; of an item met twice the first;
2. users and items with fewer than 10 positives are left out, again and again until none is left (a 10-core);
3. each user's last positive is the test item, the one before it the validation item, all others are for training;
4. the history is what came before the item sought, of it the latest 40;
5. the candidates are that item and 19 others, drawn uniformly from the items that the user never met, whatever the rating, in random order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.policies.params import whole
from recoworld.types import Ints
from recoworld.users import Dataset, Interactions, Split

_CELLS = 1 << 22  # random numbers drawn at a time: 32 MiB
_TEST, _VALIDATION, _USERS = 1, 2, 3  # streams of random numbers


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The numbers of the protocol; the defaults are the paper's."""

    minimum: int = 10
    """Positives that a user and an item must have."""
    length: int = 40
    """Items of a history, the latest."""
    negatives: int = 19
    """Candidates beside the one sought."""
    sample: int | None = None
    """Users drawn from the data set before all else, by the seed; None for all. The paper may have done so (docs/starec.md)."""

    def __post_init__(self) -> None:
        whole("minimum", self.minimum, 3)  # one to train on, one to validate on, one to test on
        whole("length", self.length, 1, 10_000)
        whole("negatives", self.negatives, 1, 10_000)
        whole("sample", 1 if self.sample is None else self.sample, 1, 2**31)


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """What rankers are asked: one row a user."""

    users: Ints
    """Indices into the benchmark's data set ``[n]``."""
    history: NDArray[np.int32]
    """The latest positives as index + 1, oldest first, padded with 0 in front ``[n, length]``."""
    candidates: Ints
    """Different item indices in random order ``[n, 1 + negatives]``."""

    def __len__(self) -> int:
        return len(self.users)

    def rows(self, rows: slice) -> Questions:
        """Some of them."""
        return Questions(users=self.users[rows], history=self.history[rows], candidates=self.candidates[rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """A data set as the protocol leaves it. Made by `recoworld.evaluation.starec.prepare.prepare`."""

    protocol: Protocol
    training: Dataset
    """The items and users that are left, and the positives for training; `popularity` counts these alone."""
    split: Split
    """All users, and all of `training`, are to learn from."""
    validation_items: Ints
    """``[n_users]``."""
    test_items: Ints
    """``[n_users]``."""
    met: Interactions
    """All that the users ever met of the items that are left, whatever the rating; candidates are drawn from the others."""

    @property
    def facts(self) -> dict[str, Any]:
        """Sizes, for the record."""
        log = self.training.interactions
        return {
            "name": self.training.name,
            "users": len(self.training.users),
            "items": len(self.training.catalog),
            "positives": len(log) + 2 * len(self.training.users),
            "training": len(log),
            "protocol": asdict(self.protocol),
        }

    def drawn_users(self, users: int | None, seed: int) -> Ints:
        """Who is asked: `users` of them, drawn by the seed, ascending; None for all."""
        n = len(self.training.users)
        if users is None or users >= n:
            return np.arange(n)
        return np.sort(np.random.Generator(np.random.PCG64([seed, _USERS])).permutation(n)[: whole("users", users, 1)])

    def test(self, users: Ints, seed: int) -> tuple[Questions, Ints]:
        """The questions of a run, and in which column each answer stands ``[n]``; the validation item is the history's last."""
        return self._asked(users, self.test_items, seed, _TEST, self.validation_items)

    def validation(self, users: Ints, seed: int) -> tuple[Questions, Ints]:
        """The same for the items before the last ones: to stop training by."""
        return self._asked(users, self.validation_items, seed, _VALIDATION, None)

    def _asked(self, users: Ints, sought: Ints, seed: int, stream: int, last: Ints | None) -> tuple[Questions, Ints]:
        generator = np.random.Generator(np.random.PCG64([seed, stream]))
        n_items, width = len(self.training.catalog), 1 + self.protocol.negatives
        drawn = np.empty((len(users), width - 1), np.int64)
        places = generator.integers(width, size=len(users))
        size = max(1, _CELLS // n_items)
        for start in range(0, len(users), size):
            group = users[start : start + size]
            numbers = generator.random((len(group), n_items))
            starts, ends = self.met.indptr[group], self.met.indptr[group + 1]
            numbers[np.repeat(np.arange(len(group)), ends - starts), self.met.items[self.met.rows(starts, ends)]] = 2.0  # above all others
            drawn[start : start + size] = np.argsort(numbers, axis=1)[:, : width - 1]
        columns, place = np.arange(width), places[:, None]
        negatives = np.take_along_axis(drawn, np.minimum(columns - (columns > place), width - 2), axis=1)
        candidates = np.where(columns == place, sought[users][:, None], negatives)
        return Questions(users=users, history=self._history(users, last), candidates=candidates), places

    def _history(self, users: Ints, last: Ints | None) -> NDArray[np.int32]:
        log, length = self.training.interactions, self.protocol.length
        more = 0 if last is None else 1
        out = np.zeros((len(users), length), np.int32)
        for i, user in enumerate(users):
            latest = log.items[max(log.indptr[user], log.indptr[user + 1] - length + more) : log.indptr[user + 1]]
            out[i, length - more - len(latest) : length - more] = latest + 1
        if last is not None:
            out[:, -1] = last[users] + 1
        return out
