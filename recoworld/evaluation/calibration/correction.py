"""What can be mended of any simulator's choices without looking inside it: how sure they are, and how much they know of the crowd.

A language model that is asked how likely a person takes an item is often too sure of itself, and has read about famous items, not about
this crowd. So, with the odds o_i of the simulator's chances and what the crowd took of the visible log, ``n_i`` times item i::

    pi_i ~ o_i^(1 / temperature) (n_i + 1)^prior

temperature: Platt scaling for choices (Guo et al. 2017, arXiv 1706.04599). prior: the log-odds of a label shift where it follows
popularity. Both are weights of a conditional logit (`recoworld.evaluation.calibration.logit`), fitted by maximum likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recoworld.evaluation.calibration.logit import Fitted, fitted, softmax
from recoworld.evaluation.fidelity.asking.sums import Doubles
from recoworld.types import Bools, Floats

_COLDEST = 1e-3
"""The least weight of the simulator's own log-odds: beyond a temperature of a thousand it says nothing."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Of a simulator's choices; the one that changes nothing by default."""

    temperature: float = 1.0
    """Above 1: the simulator was too sure."""
    prior: float = 0.0
    """Above 0: it thought too little of what many take."""

    def shares(self, chances: Floats, popularity: Floats) -> Doubles:
        """Probability that each item is the one taken ``[m, c]``, of chances in (0, 1) and counts in the visible log ``[m, c]``."""
        own, crowd = _regressors(chances, popularity)
        return softmax(own / self.temperature + self.prior * crowd)


def fit_correction(chances: Floats, popularity: Floats, taken: Bools) -> tuple[Correction, Fitted]:
    """Of the greatest likelihood; the weights are 1 / temperature and prior. All ``[m, c]``, one taken a row."""
    slopes = np.stack(_regressors(chances, popularity))

    def log_odds(w: Doubles) -> tuple[Doubles, Doubles]:
        return np.asarray(np.tensordot(w, slopes, 1), np.float64), slopes

    found = fitted(log_odds, taken, np.array([1.0, 0.0]), np.array([_COLDEST, -np.inf]))
    return Correction(temperature=float(1 / found.weights[0]), prior=float(found.weights[1])), found


def _regressors(chances: Floats, popularity: Floats) -> tuple[Doubles, Doubles]:
    """Log-odds, and log counts ``[m, c]`` each."""
    p = np.clip(chances.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p)), np.log1p(popularity.astype(np.float64))
