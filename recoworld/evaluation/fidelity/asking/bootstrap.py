"""Intervals for what is no ratio of sums, such as a rank correlation: the cluster bootstrap over any function of the clusters drawn.

For ratios of sums `recoworld.evaluation.intervals.resample` is faster.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.types import Ints

Doubles = NDArray[np.float64]

RESAMPLES = 500


def bootstrap(statistic: Callable[[Ints], Doubles], n_clusters: int, *, resamples: int = RESAMPLES, seed: int) -> Doubles:
    """Figures of the sample and of resamples of its clusters ``[1 + resamples, m]``; the sample comes first.

    statistic: What `m` figures a choice of clusters has: from their indices, int64 ``[n_clusters]`` in which some occur repeatedly and
    others not at all, to float64 ``[m]``, NaN where a figure is undefined. The same seed draws the same clusters, so figures of two
    statistics may be compared in pairs. One cluster alone tells nothing of the spread: then the resamples are NaN. Raises ConfigError
    without clusters or resamples.
    """
    if n_clusters < 1 or resamples < 1:
        raise ConfigError(f"bootstrap: got {n_clusters} clusters and {resamples} resamples; expected at least one of each")
    sample = np.asarray(statistic(np.arange(n_clusters)), np.float64)
    out = np.full((1 + resamples, len(sample)), np.nan)
    out[0] = sample
    generator = np.random.Generator(np.random.PCG64(seed))
    for row in range(1, 1 + resamples if n_clusters > 1 else 1):
        out[row] = statistic(generator.integers(n_clusters, size=n_clusters))
    return out
