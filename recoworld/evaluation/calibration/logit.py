"""The conditional logit (McFadden 1974, "Conditional logit analysis of qualitative choice behavior"): which of several was taken?

Item i of a question is taken with probability ``pi_i = exp(l_i) / sum_j exp(l_j)``; the log-odds l depend on weights w. Fisher scoring on
the likelihood: with the slopes ``d_i = dl_i / dw`` and their mean ``d = sum_i pi_i d_i``, the gradient is ``sum (d_taken - d)`` and the
information ``sum sum_i pi_i (d_i - d) (d_i - d)'``, exact where l is linear in w.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recoworld.evaluation.fidelity.asking.sums import Doubles
from recoworld.types import Bools

LogOdds = Callable[[Doubles], tuple[Doubles, Doubles]]
"""Weights ``[f]`` -> log-odds ``[m, c]`` and their slopes in each weight ``[f, m, c]``."""
_ROUNDS, _HALVINGS = 100, 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """Weights of the greatest likelihood."""

    weights: Doubles
    """``[f]``."""
    errors: Doubles
    """Standard errors, of the information ``[f]``; questions of one user count as independent, so they are somewhat too small."""
    log_loss: float
    """Mean over the questions, in nats."""


def fitted(log_odds: LogOdds, taken: Bools, start: Doubles, least: Doubles) -> Fitted:
    """Maximise the likelihood of `taken` ``[m, c]``, one a row, over weights from `least` on ``[f]``."""
    at, low = np.maximum(start, least).astype(np.float64), np.asarray(least, np.float64)
    odds, slopes = log_odds(at)
    loss = _loss(odds, taken)
    for _ in range(_ROUNDS):
        gradient, information = _derivatives(odds, slopes, taken)
        free = (at > low) | (gradient > 0)
        step = np.zeros(len(at))
        step[free] = np.linalg.solve(information[np.ix_(free, free)], gradient[free])
        for _ in range(_HALVINGS):  # where l is not linear a whole step may be too long
            tried = np.maximum(at + step, low)
            odds, slopes = log_odds(tried)
            if (new := _loss(odds, taken)) <= loss + 1e-12:
                break
            step /= 2
        else:
            odds, slopes = log_odds(at)
            break
        moved, at, loss = np.abs(tried - at).max(), tried, new
        if moved < 1e-7:
            break
    return Fitted(weights=at, errors=np.sqrt(np.linalg.inv(_derivatives(odds, slopes, taken)[1]).diagonal()), log_loss=loss)


def softmax(log_odds: Doubles) -> Doubles:
    """``pi`` of the module's docstring ``[m, c]``."""
    raised = np.exp(log_odds - log_odds.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _loss(odds: Doubles, taken: Bools) -> float:
    return float(-np.log(np.maximum(softmax(odds)[taken], 1e-300)).mean())


def _derivatives(odds: Doubles, slopes: Doubles, taken: Bools) -> tuple[Doubles, Doubles]:
    """Gradient ``[f]`` and information ``[f, f]``."""
    pi = softmax(odds)
    centred = slopes - (slopes * pi).sum(axis=2, keepdims=True)
    information = np.einsum("imc,jmc,mc->ij", centred, centred, pi)
    return centred[:, taken].sum(axis=1), information + 1e-9 * np.eye(len(slopes))
