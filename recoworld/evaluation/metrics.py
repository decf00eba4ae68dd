"""The metrics of the leaderboard: each a ratio of two columns of a `SessionTable`, so that all get their intervals in one way.

| metric | is | unit |
|---|---|---|
| return | rewards / sessions | of the reward |
| turns | slates shown before the user left or the session was cut / sessions | slates |
| left | sessions that the user left / sessions | share |
| watch_minutes | minutes watched / sessions | min |
| ctr | clicks / slots shown, looked at or not | share |
| like_rate | likes / slots shown | share |
| instructions_per_turn | instructions / slates | share |
| instruction_following | compliance / slates shown while an instruction was in force; nothing where none was | 0..1 |
| diversity | intra-list diversity, 1 - mean cosine of two slots' contents (Ziegler et al. 2005) / slates | 0..1 |
| novelty | self-information / slots | bits |
| repeated | slots with an item that the user had met already / slots shown | share |

Of all sessions together, without interval (a resample of users shows fewer items than the sample, so its coverage is biased downwards):
`coverage`, the share of the catalogue that was shown at all, and `gini`, the inequality of how often.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recoworld.evaluation.table import Doubles, SessionTable

METRICS: dict[str, tuple[str, str | None]] = {
    "return": ("returned", None),
    "turns": ("turns", None),
    "left": ("left", None),
    "watch_minutes": ("watch", None),
    "ctr": ("clicks", "slots"),
    "like_rate": ("likes", "slots"),
    "instructions_per_turn": ("instructions", "turns"),
    "instruction_following": ("followed", "answered"),
    "diversity": ("diversity", "turns"),
    "novelty": ("novelty", "slots"),
    "repeated": ("repeats", "slots"),
}
"""Name -> column above and column below the line (None: one a session)."""
_UNIT = {"watch_minutes": 1 / 60}


def columns(table: SessionTable) -> tuple[Doubles, Doubles]:
    """Numerators and denominators of all `METRICS` ``[s, m]`` each."""
    above = [getattr(table, top) * _UNIT.get(name, 1.0) for name, (top, _) in METRICS.items()]
    below = [np.ones(len(table)) if bottom is None else getattr(table, bottom) for _, bottom in METRICS.values()]
    return np.stack(above, axis=1).astype(np.float64), np.stack(below, axis=1).astype(np.float64)


def self_information(popularity: NDArray[np.float32]) -> Doubles:
    """``-log2 p_i`` bits ``[n_items]``, p_i = (interactions with i + 1) / (all interactions + n_items).

    How surprised a random reader of the log would be to meet the item (Zhou et al. 2010, "Solving the apparent diversity-accuracy
    dilemma of recommender systems", PNAS 107); one is added so that items nobody took stay finite.
    """
    counts = popularity.astype(np.float64) + 1
    return np.asarray(-np.log2(counts / counts.sum()))


def intra_list_diversity(features: NDArray[np.float32], slates: NDArray[np.int64]) -> Doubles:
    """1 less the mean cosine of two different slots of each slate ``[n]``, for features of length 1 ``[n_items, d]``; 0 for one slot."""
    k = slates.shape[1]
    total = features[slates].sum(axis=1, dtype=np.float64)  # |sum x|^2 = k + the cosines of all ordered pairs
    return 1 - (np.square(total).sum(axis=1) - k) / (k * (k - 1)) if k > 1 else np.zeros(len(slates))


def coverage(shown: NDArray[np.int64]) -> float:
    """Share of the catalogue that was shown at least once."""
    return float((shown > 0).mean())


def gini(shown: NDArray[np.int64]) -> float:
    """Gini coefficient of how often items were shown: 0 all equally often, near 1 one item alone.

    With x ascending: ``sum_i (2 i - n - 1) x_i / (n sum x)``, i = 1..n.
    """
    x = np.sort(shown).astype(np.float64)
    n = len(x)
    return float(((2 * np.arange(1, n + 1) - n - 1) * x).sum() / (n * max(x.sum(), 1)))
