"""Rates by place, of people and of the simulated on the same slates: sums by user, and what can be made of them.

A tally is float64 ``[1 + resamples, 4, n]``: at each of `n` places people's cells and deeds, then the simulated users' cells and deeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, drawn_sums, figure, ratio
from recoworld.types import Bools, Ints

Pair = tuple[Bools, Bools]
"""Of people, and of the simulated ``[m, k]`` each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """Counts by user of cells ``[m, k]``."""

    users: Ints
    """A number from 0 for each row ``[m]``, none left out."""
    seed: int

    @property
    def count(self) -> int:
        """Users."""
        return int(self.users.max()) + 1

    @property
    def half(self) -> Bools:
        """Whose rows belong to a fair half of the users ``[m, 1]``."""
        fair = np.random.Generator(np.random.PCG64([self.seed, 5])).permutation(self.count)
        return np.isin(self.users, fair[::2])[:, None]

    def of(self, place: NDArray[Any], n: int, cells: Pair, done: Pair) -> Doubles:
        """The tally of what was done in the cells; places ``[m, k]`` from `n` on do not count."""
        counted = (cells[0], cells[0] & done[0], cells[1], cells[1] & done[1])
        sums = np.stack([self.histogram(place, n, on & (place < n)) for on in counted], axis=1)
        return self.drawn(sums.reshape(self.count, 4 * n)).reshape(-1, 4, n)

    def halves(self, place: NDArray[Any], n: int, cells: Pair, done: Pair) -> Doubles:
        """People in both roles: one half of them held against the other."""
        return self.of(place, n, (cells[0] & ~self.half, cells[0] & self.half), (done[0], done[0]))

    def histogram(self, place: NDArray[Any], n: int, on: Bools) -> Doubles:
        """How many of the cells that are on are at each place, by user ``[users, n]``."""
        flat = (self.users[:, None] * n + place)[on]
        return np.bincount(flat, minlength=self.count * n).reshape(self.count, n).astype(np.float64)

    def drawn(self, sums: Doubles) -> Doubles:
        """Over resamples of the users ``[1 + resamples, c]``, of sums by user ``[users, c]``."""
        return drawn_sums(sums, np.arange(self.count), seed=self.seed)


def compared(value: Doubles, human: Doubles) -> Json:
    """The figure, people's, and the paired difference."""
    return figure(value) | {"human": figure(human), "difference": figure(value - human)}


def rates(sums: Doubles) -> tuple[Doubles, Doubles]:
    """The simulated users' rates at each place, and people's ``[1 + resamples, n]``."""
    return ratio(sums[:, 3], sums[:, 2]), ratio(sums[:, 1], sums[:, 0])


def standardised(sums: Doubles) -> tuple[Doubles, Doubles]:
    """Both rates over all places, these weighted by people's cells where the simulated have some ``[1 + resamples]``."""
    weight = np.where(sums[:, 2] > 0, sums[:, 0], 0)
    simulated, human = ((np.nan_to_num(rate) * weight).sum(axis=1) for rate in rates(sums))
    return ratio(simulated, weight.sum(axis=1)), ratio(human, weight.sum(axis=1))


def curve(sums: Doubles, key: str) -> list[Json]:
    """The rates at each place where people have been."""
    simulated, human = rates(sums)
    there = np.flatnonzero(sums[0, 0]).tolist()
    return [{key: at, "cases": int(sums[0, 0, at])} | figure(simulated[:, at]) | {"human": figure(human[:, at])} for at in there]


def error(sums: Doubles) -> Doubles:
    """Mean distance of the rates, weighted by people's cells; places where either side has none do not count."""
    simulated, human = rates(sums)
    apart = np.abs(simulated - human)
    weight = np.where(np.isfinite(apart), sums[:, 0], 0)
    return ratio((np.nan_to_num(apart) * weight).sum(axis=1), weight.sum(axis=1))


def constant(sums: Doubles, rate: float) -> Doubles:
    """The tally with one rate everywhere in the simulated users' stead."""
    return np.stack([sums[:, 0], sums[:, 1], sums[:, 0], rate * sums[:, 0]], axis=1)


def length(hazard: Doubles) -> Doubles:
    """Expected turns, at most all of them, under rates of leaving ``[r, n]``; unknown ones are taken for 0."""
    return 1 + np.cumprod(1 - np.nan_to_num(hazard[:, :-1]), axis=1).sum(axis=1)


def auc(scores: NDArray[Any], event: Bools) -> float:
    """Chance that one with the event scores above one without, ties counting half; NaN where all or none have it."""
    yes, no = int(event.sum()), int((~event).sum())
    if not yes or not no:
        return float("nan")
    _, place, held = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(held) - (held - 1) / 2)[place.reshape(-1)]
    return float((rank[event].sum() - yes * (yes + 1) / 2) / (yes * no))
