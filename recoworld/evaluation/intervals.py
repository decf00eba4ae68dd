"""How sure one may be of a mean: percentile bootstrap intervals that resample users, not sessions.

Sessions of one user resemble each other, so the user is what is drawn with replacement (the cluster bootstrap: Field & Welsh 2007,
"Bootstrapping clustered data"; the percentile interval: Efron & Tibshirani 1993, ch. 13). Every metric is a ratio of two sums over
sessions, ``sum(numerator) / sum(denominator)``: a mean has ones below, a rate such as clicks per slot has slots. The ratio is formed
anew in each resample, so a user with long sessions weighs as much as it does in the estimate itself.

The same seed draws the same users for every policy. The difference of two policies' resamples is therefore the paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError

Doubles = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95
_CELLS = 1 << 22  # numbers drawn at a time: 32 MiB


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and the bounds between which the true value is believed to lie; NaN where there is nothing to say."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the bounds."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Estimates of `m` metrics on one sample of users and on resamples of it."""

    users: NDArray[np.int64]
    """The different users, ascending ``[n_users]``."""
    seed: int
    estimates: Doubles
    """On the sample itself ``[m]``; NaN where the denominator is 0."""
    resampled: Doubles
    """``[resamples, m]``."""

    def __sub__(self, other: Draws) -> Draws:
        """Paired differences, user by user. Raises ConfigError where the users, the seed or the number of resamples differ."""
        same = np.array_equal(self.users, other.users) and self.seed == other.seed and self.resampled.shape == other.resampled.shape
        if not same:
            raise ConfigError("a paired difference needs two resamplings of the same users under the same seed, of equally many metrics")
        return Draws(
            users=self.users, seed=self.seed, estimates=self.estimates - other.estimates, resampled=self.resampled - other.resampled
        )

    def interval(self, metric: int = 0, *, level: float = LEVEL) -> Interval:
        """The estimate with its percentile interval. One user alone tells nothing of the spread: then the bounds are NaN."""
        mean, values = float(self.estimates[metric]), self.resampled[:, metric]
        values = values[np.isfinite(values)]  # a resample may hold none of the users with a denominator
        if np.isnan(mean) or len(self.users) < 2 or not len(values):
            return Interval(mean=mean, low=float("nan"), high=float("nan"))
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return Interval(mean=mean, low=float(low), high=float(high))


def resample(
    numerators: NDArray[Any],
    users: NDArray[np.int64],
    denominators: NDArray[Any] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Draws:
    """Resample the users of `s` sessions.

    Args:
        numerators: One column a metric ``[s, m]``, or ``[s]`` for a single one.
        users: Whose session each is ``[s]``.
        denominators: As numerators; None for means over sessions.
        resamples: How many.
        seed: Of the draws.

    Raises ConfigError for shapes that do not fit, and without sessions.
    """
    above = np.asarray(numerators, np.float64)
    below = np.ones_like(above) if denominators is None else np.asarray(denominators, np.float64)
    if above.shape != below.shape or not above.size or above.shape[:1] != users.shape or resamples < 1:
        raise ConfigError(
            f"resample: got numerators {above.shape}, denominators {below.shape}, users {users.shape} and {resamples} resamples; "
            "expected one row a session in each, at least one session and one resample"
        )
    above, below = above.reshape(len(users), -1), below.reshape(len(users), -1)
    drawn = ratio(*np.split(drawn_sums(np.concatenate([above, below], axis=1), users, resamples=resamples, seed=seed), 2, axis=1))
    return Draws(users=np.unique(users), seed=seed, estimates=drawn[0], resampled=drawn[1:])


def drawn_sums(values: NDArray[Any], users: NDArray[Any], *, resamples: int = RESAMPLES, seed: int = 0) -> Doubles:
    """Column sums of `values` ``[s, c]`` over the sample and over resamples of its users ``[1 + resamples, c]``; the sample comes first.

    users: whose row each is ``[s]``. The same seed draws the same users, so what is made of two such sums may be compared in pairs.
    """
    distinct, cluster = np.unique(users, return_inverse=True)
    sums = np.zeros((len(distinct), values.shape[1]))
    np.add.at(sums, cluster, values)
    out = np.empty((1 + resamples, sums.shape[1]))
    out[0], row = sums.sum(axis=0), 1
    for times in drawn_times(len(distinct), resamples=resamples, seed=seed):
        out[row : row + len(times)] = times @ sums
        row += len(times)
    return out


def drawn_times(n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Doubles]:
    """How often each of `n` users is drawn in each resample, some resamples at a time: ``[r, n]``, each row of sum `n`."""
    generator = np.random.Generator(np.random.PCG64(seed))
    block = max(1, _CELLS // max(n, 1))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        chosen = generator.integers(n, size=(size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(chosen.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def drawn_figures(statistic: Callable[[Doubles], Doubles], n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Doubles:
    """Figures that are no ratio of sums, such as a rank correlation, of the sample and of resamples ``[1 + resamples, m]``.

    statistic: From how often each of `n` users, or other clusters, is drawn, float64 ``[n]``, to `m` figures, NaN where undefined. One
    cluster alone tells nothing of the spread: then the resamples are NaN. Raises ConfigError without clusters or resamples.
    """
    if n < 1 or resamples < 1:
        raise ConfigError(f"bootstrap: got {n} clusters and {resamples} resamples; expected at least one of each")
    sample = np.asarray(statistic(np.ones(n)), np.float64)
    if n == 1:
        return np.concatenate([sample[None], np.full((resamples, len(sample)), np.nan)])
    return np.stack([sample, *(statistic(row) for times in drawn_times(n, resamples=resamples, seed=seed) for row in times)])


def ratio(above: Doubles, below: Doubles) -> Doubles:
    """NaN where there is nothing below the line."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)
