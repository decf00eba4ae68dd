"""What a network is told of the items and of a user's past, out of the log: fitted once, before training.

Shapes: `n` users, `N` items, `d` content features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recoworld.policies.ease import EASE
from recoworld.policies.logs import positives
from recoworld.policies.scoring import history_weights
from recoworld.types import Floats, Observations

if TYPE_CHECKING:
    from recoworld.users import Dataset, Split

FACTORS = 64
_RIDGE = 10.0  # as ALS has it
_ROUNDS = 12


class ItemKnowledge:
    """Two views of collaborative taste, content and popularity.

    `past(history, acts)` scores every item by EASE (Steck 2019) and by a ridge-regularised truncated SVD (which is what ALS without weights
    fits), each divided by the user's largest score, and tells how the content of the past differs from the crowd's.
    """

    def __init__(self, dataset: Dataset, split: Split) -> None:
        """Fits both on the training users' likes: about 3 s for 4,000 items. Raises ConfigError for catalogues too large for EASE."""
        known, _ = dataset.known(split)
        self.catalog = known.catalog
        """With popularity as it is known, which instructions refer to."""
        self.features: Floats = dataset.catalog.features
        popularity = np.log1p(known.catalog.popularity.astype(np.float64))
        self.popularity: Floats = ((popularity - popularity.mean()) / max(float(popularity.std()), 1e-9)).astype(np.float32)
        """Logarithm of the number of known interactions, standardised ``[N]``."""
        self.crowd: Floats = self.features[known.interactions.items].mean(axis=0)
        """Mean content of all known interactions ``[d]``."""
        self._ease = EASE()
        self._ease.fit(dataset, split)
        self._vectors, self._shares = _spectrum(dataset, split)
        self.factors: Floats = self._vectors * np.sqrt(self._shares)
        """Item factors ``[N, r]`` whose products say how far liking one item speaks for another."""

    def past(self, history: NDArray[np.int32], acts: NDArray[np.int8]) -> tuple[Floats, Floats]:
        """Scores ``[n, 2, N]`` in [-1, 1], and the content of all items met less the crowd's ``[n, d]``, for pasts ``[n, h]``.

        User by user: the rounding of a matrix product depends on how many rows it has, and no user's numbers may depend on the others'.
        """
        n_items, d = self.features.shape
        scores, home = np.empty((len(history), 2, n_items), np.float32), np.empty((len(history), d), np.float32)
        for i in range(len(history)):
            scores[i], home[i] = self._past(history[i : i + 1], acts[i : i + 1])
        return scores, home

    def _past(self, history: NDArray[np.int32], acts: NDArray[np.int8]) -> tuple[Floats, Floats]:
        """Of one user."""
        seen: Observations = {"history": history, "history_acts": acts}
        liked = history_weights(seen, len(self.catalog))
        spectral = ((liked @ self._vectors) * self._shares) @ self._vectors.T
        scores = np.stack([self._ease.scores(seen), spectral], axis=1)
        scores /= np.maximum(scores.max(axis=2, keepdims=True), 1e-6)
        met = np.zeros((len(history), len(self.catalog)), np.float32)
        rows, columns = np.nonzero(history)
        np.add.at(met, (rows, history[rows, columns] - 1), 1.0)
        counts = met.sum(axis=1, keepdims=True)
        home = np.where(counts > 0, met @ self.features / np.maximum(counts, 1.0) - self.crowd, np.float32(0))
        return scores.clip(-1.0, 1.0).astype(np.float32), home.astype(np.float32)


def _spectrum(dataset: Dataset, split: Split) -> tuple[Floats, Floats]:
    """The leading right singular vectors ``[N, r]`` of the training users' likes, and the share of each that a ridge leaves ``[r]``.

    By subspace iteration on X'X (Halko, Martinsson & Tropp 2011) from a fixed start.
    """
    users, items = positives(dataset, split.train)
    likes = np.zeros((len(split.train), len(dataset.catalog)), np.float32)
    likes[users, items] = 1.0
    rank = min(FACTORS, *likes.shape)
    basis = np.random.Generator(np.random.PCG64(0)).standard_normal((likes.shape[1], rank)).astype(np.float32)
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(likes.T @ (likes @ basis))
    small = np.linalg.svd(likes @ basis, full_matrices=False)
    strength = np.square(small.S.astype(np.float64))
    return (basis @ small.Vh.T).astype(np.float32), (strength / (strength + _RIDGE)).astype(np.float32)
