"""Intervals for whatever is a function of sums over users: the cluster bootstrap, once for all sections of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.evaluation.intervals import LEVEL, Doubles, drawn_sums, ratio

__all__ = [
    "Doubles", "Json", "auc", "distance", "drawn_sums", "figure", "means", "moments", "pearson", "plain_figure", "ratio", "statistic",
]  # fmt: skip

Json = dict[str, Any]
_STEPS = 200  # of scores, for `auc`


def figure(drawn: Doubles) -> Json:
    """``{"value", "low", "high"}`` of a statistic on the sample and its resamples ``[1 + resamples]``; None where it is undefined."""
    value, rest = float(drawn[0]), drawn[1:][np.isfinite(drawn[1:])]
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if len(rest) < 2:
        return {"value": value, "low": None, "high": None}
    low, high = np.quantile(rest, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def means(columns: dict[str, NDArray[Any]], users: NDArray[Any], *, seed: int = 0) -> Json:
    """The figure of each column's mean ``[s]``; NaN entries do not count."""
    return {
        name: statistic(lambda s: ratio(s[:, 0], s[:, 1]), np.stack([np.nan_to_num(column), np.isfinite(column)], axis=1), users, seed=seed)
        for name, column in columns.items()
    }


def statistic(function: Callable[[Doubles], Doubles], values: NDArray[Any], users: NDArray[Any], *, seed: int = 0) -> Json:
    """The figure of ``function(sums [r, c]) -> [r]``."""
    return figure(function(drawn_sums(values, users, seed=seed)))


def plain_figure(value: float) -> Json:
    """A figure without an interval."""
    return {"value": float(value), "low": None, "high": None}


def distance(one: Doubles, other: Doubles) -> Doubles:
    """Kolmogorov-Smirnov distance of histograms ``[r, n]``; NaN where one is empty."""
    cumulated = [ratio(np.cumsum(counts, axis=1), counts.sum(axis=1, keepdims=True)) for counts in (one, other)]
    return np.asarray(np.abs(cumulated[0] - cumulated[1]).max(axis=1))


def moments(x: NDArray[Any], y: NDArray[Any]) -> Doubles:
    """Columns ``[s, 6]`` whose sums `pearson` takes; cells that are not finite on either side do not count."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    good = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(good, x, 0), np.where(good, y, 0)
    return np.stack([good, x, y, x * x, y * y, x * y], axis=-1)


def pearson(sums: Doubles) -> Doubles:
    """Pearson's correlation from sums of `moments` ``[r, 6]``; NaN where one side is constant."""
    n, x, y, xx, yy, xy = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (xx - x * x / n) * (yy - y * y / n)
        flat = (xx - x * x / n < 1e-9 * xx) | (yy - y * y / n < 1e-9 * yy)
        return np.asarray(np.where(flat, np.nan, (xy - x * y / n) / np.sqrt(np.where(spread > 0, spread, np.nan))))


def auc(scores: NDArray[Any], events: NDArray[Any], users: NDArray[Any], *, seed: int = 0) -> Doubles:
    """Chance that a case with the event scores above one without, ties counting half, for `figure` ``[1 + resamples]``.

    Scores beyond `_STEPS` different ones are brought to as many quantiles. scores, events and users are ``[s]``.
    """
    steps = np.unique(scores)
    if len(steps) > _STEPS:
        steps = np.unique(np.quantile(scores, np.arange(1, _STEPS) / _STEPS))
    place = np.searchsorted(steps, scores, "right")
    n = len(steps) + 1
    columns = np.zeros((len(scores), 2 * n))
    columns[np.arange(len(scores)), place + n * np.asarray(events, np.int64)] = 1
    without, with_ = np.split(drawn_sums(columns, users, seed=seed), 2, axis=1)
    won = (with_ * (np.cumsum(without, axis=1) - without / 2)).sum(axis=1)
    return ratio(won, with_.sum(axis=1) * without.sum(axis=1))
