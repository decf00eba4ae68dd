"""Re-ranking for variety."""

from __future__ import annotations

import numpy as np

from recoworld.policies.scoring import MET, fixed_point, top
from recoworld.types import Floats, Slates

POOL = 4
"""Candidates for each slot."""


def diverse_top(scores: Floats, features: Floats, k: int, weight: float) -> Slates:
    """`k` items of each row of scores ``[n, n_items]`` that are good and unlike each other ``[n, k]``.

    Maximal marginal relevance (Carbonell & Goldstein 1998) among the best `POOL` * k: slot by slot the item with the highest
    ``(1 - weight) * relevance - weight * (greatest cosine with an item already in the slate)``, relevance falling evenly from 1 to 0
    over the pool, since scorers differ in scale. Items met or ruled out (score -inf) stay behind all others.
    """
    pool = top(scores, min(POOL * k, scores.shape[1]))
    n, size = pool.shape
    score = np.take_along_axis(scores, pool, axis=1)
    relevance = 1 - np.arange(size, dtype=np.float32) / np.float32(size)
    value = np.float32(1 - weight) * relevance - 2 * (score <= MET) - 2 * np.isneginf(score)
    vectors = fixed_point(features, 11)[pool]  # [n, size, d], exact in products
    nearest = np.zeros((n, size), np.float32)
    rows, picks = np.arange(n), np.empty((n, k), np.int64)
    for slot in range(k):
        picks[:, slot] = pick = np.argmax(value - np.float32(weight) * nearest, axis=1)
        value[rows, pick] = -np.inf
        np.maximum(nearest, np.einsum("nd,nmd->nm", vectors[rows, pick], vectors), out=nearest)
    return np.take_along_axis(pool, picks, axis=1)
