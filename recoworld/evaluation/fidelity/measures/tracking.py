"""Does a guess follow what people say? Rank correlation, and four figures of a table of guessed against true levels.

All take weights, how often each case was drawn, which makes a resample cheap: nothing is sorted twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.evaluation.intervals import Doubles
from recoworld.types import Ints

LEVELS = 5
DISSATISFIED = 3
"""Levels below this one are dissatisfied: 1 "very dissatisfied", 2 "dissatisfied", 3 "normal" in USS."""
RESAMPLES = 500
"""Half of what ratios of sums have: here each resample is computed by itself."""
AGREEMENT = ("balanced_accuracy", "f1", "uar", "kappa")


def spearman(a: NDArray[Any], b: NDArray[Any], weights: Doubles | None = None) -> float:
    """Spearman's rho of two scorings ``[n]`` of the same cases, in [-1, 1]; NaN where one of them is the same throughout.

    Equal scores share the mean of their ranks. weights: How often each case occurs ``[n]``; None for once.
    """
    return spearman_codes(codes(a), codes(b), np.ones(len(a)) if weights is None else weights)


def codes(scores: NDArray[Any]) -> Ints:
    """Scores ``[n]`` as 0, 1, 2, ...: equal where they are equal, and in the same order."""
    return np.unique(scores, return_inverse=True)[1].reshape(-1)


def spearman_codes(a: Ints, b: Ints, weights: Doubles) -> float:
    """`spearman` of `codes`."""
    x, y = _centred_ranks(a, weights), _centred_ranks(b, weights)
    spread = float((weights * x * x).sum()) * float((weights * y * y).sum())
    return float((weights * x * y).sum() / np.sqrt(spread)) if spread > 0 else float("nan")


def _centred_ranks(ordered: Ints, weights: Doubles) -> Doubles:
    held = np.bincount(ordered, weights)  # at each score
    return (np.cumsum(held) - held / 2 - held.sum() / 2)[ordered]


def agreement(guessed: Ints, true: Ints, weights: Doubles | None = None) -> Doubles:
    """The four `AGREEMENT` figures of levels 1 to 5 ``[n]``, guessed and true; NaN where one is undefined.

    | figure | is | undefined |
    |---|---|---|
    | balanced_accuracy | mean of the shares of the dissatisfied and of the others that are recognised | without one of the two |
    | f1 | harmonic mean of precision and recall of "dissatisfied" | where nobody is dissatisfied |
    | uar | unweighted average recall of the levels that occur (USS counts the others as 0) | without cases |
    | kappa | Cohen's kappa (1960) of the five levels, unweighted | where both sides use one level alone, the same |
    """
    flat = np.bincount((true - 1) * LEVELS + guessed - 1, weights, minlength=LEVELS * LEVELS)
    table = flat.reshape(LEVELS, LEVELS).astype(np.float64)  # true level down, guessed level across
    total, of_true, of_guess = table.sum(), table.sum(axis=1), table.sum(axis=0)
    low = DISSATISFIED - 1
    hits, rejections = table[:low, :low].sum(), table[low:, low:].sum()
    dissatisfied = of_true[:low].sum()
    occur = of_true > 0
    chance = _ratio((of_true * of_guess).sum(), total**2)
    return np.array(
        [
            (_ratio(hits, dissatisfied) + _ratio(rejections, total - dissatisfied)) / 2,
            _ratio(2 * hits, dissatisfied + of_guess[:low].sum()) if dissatisfied else np.nan,
            _ratio((table.diagonal()[occur] / of_true[occur]).sum(), occur.sum()),
            _ratio(_ratio(table.diagonal().sum(), total) - chance, 1 - chance),
        ]
    )


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
