"""Do two judges rank alike? Kendall's tau-b, for one pair of rankings and for many resamples of it at once.

Over all pairs of the `p` things judged, a pair is concordant where both judges put the same one first, discordant where they disagree,
and says nothing where one of them has it level::

    tau_b = (concordant - discordant) / sqrt((pairs not level for a) (pairs not level for b))

(Kendall 1945, "The treatment of ties in ranking problems".) 1: the same order; -1: the reverse; about 0: unrelated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recoworld.errors import ConfigError
from recoworld.evaluation.intervals import Doubles, Interval

_CELLS = 1 << 22  # signs held at a time: 32 MiB


def kendall_tau(a: ArrayLike, b: ArrayLike) -> float:
    """Tau-b of two scorings ``[p]`` of the same things, in [-1, 1]; higher scores rank higher, equal ones are level.

    NaN where a score is NaN, and where a judge has all things level, as with fewer than two. Raises ConfigError for shapes that differ.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ConfigError(f"kendall_tau: got scores {first.shape} and {second.shape}; expected one a thing judged, equally many from both")
    return float(kendall_tau_rows(first[None], second[None])[0])


def kendall_tau_rows(a: ArrayLike, b: ArrayLike) -> Doubles:
    """`kendall_tau` of each row of scorings ``[r, p]`` with the same row of the other ``[r]``, as for `r` resamples. Raises ConfigError."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 2 or first.shape != second.shape:
        raise ConfigError(f"kendall_tau_rows: got scores {first.shape} and {second.shape}; expected [r, p] twice")
    r, p = first.shape
    one, other = np.triu_indices(p, 1)
    out = np.full(r, np.nan)
    block = max(1, _CELLS // max(len(one), 1))
    for start in range(0, r, block):
        rows = slice(start, start + block)
        # compared, not subtracted: infinite scores may be level
        x, y = (_signs(scores[rows], one, other) for scores in (first, second))
        above, below = (x * y).sum(axis=1), np.sqrt(np.abs(x).sum(axis=1) * np.abs(y).sum(axis=1))
        np.divide(above, below, out=out[rows], where=below > 0)  # NaN where nothing is ranked
    out[np.isnan(first).any(axis=1) | np.isnan(second).any(axis=1)] = np.nan
    return out


def tau_interval(tau: float, resampled: Doubles) -> Interval:
    """A tau with its interval of 95 %: 1.96 standard deviations of the resampled taus ``[r]`` to either side, within [-1, 1].

    Not the resamples' own percentiles: resampling adds the sample's noise a second time, noise pulls a tau to 0, and so they lie too low,
    sometimes without the estimate among them (the standard bootstrap interval: Efron & Tibshirani 1993, ch. 13.2). The estimate itself is
    pulled to 0 by the sample's own noise, which no interval mends: where two judges agree in truth, it lies below 1 all the same.
    """
    known = resampled[np.isfinite(resampled)]
    if not np.isfinite(tau) or len(known) < 2:
        return Interval(mean=tau, low=float("nan"), high=float("nan"))
    reach = 1.96 * float(known.std(ddof=1))
    return Interval(mean=tau, low=max(-1.0, tau - reach), high=min(1.0, tau + reach))


def _signs(scores: Doubles, one: NDArray[np.int64], other: NDArray[np.int64]) -> Doubles:
    """Whether each pair's first is above (1), level with (0) or below (-1) its second ``[r, pairs]``."""
    left, right = scores[:, one], scores[:, other]
    return (left > right).astype(np.float64) - (left < right)
