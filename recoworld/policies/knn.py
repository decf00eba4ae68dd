"""Neighbourhood model: items that the same people liked."""

from __future__ import annotations

from typing import Final

import numpy as np

from recoworld.policies.logs import check_memory, co_occurrence, tie_break
from recoworld.policies.params import real, whole
from recoworld.policies.scoring import Scorer, chunks, history_weights, top
from recoworld.types import Floats, Observations
from recoworld.users import Dataset, Split


class ItemKNN(Scorer):
    """Item-based top-N recommendation (Deshpande & Karypis 2004, "Item-based top-N recommendation algorithms", ACM TOIS 22).

    cosine_ij = users who liked both / (sqrt(users who liked i * users who liked j) + shrinkage)

    score_j = sum of cosine_ij over the liked items i that have j among their `neighbors` nearest. Departure from the paper:
    similarities are shrunk towards 0 where few users speak for them (Bell & Koren 2007) instead of being normalised by column.
    """

    name = "item-knn"

    def __init__(self, *, neighbors: int = 200, shrinkage: float = 20.0, memory_limit: float = 4.0) -> None:
        """neighbors: kept for each item. shrinkage: in users. memory_limit: GiB that fitting may take. Raises ConfigError."""
        self.neighbors: Final = whole("neighbors", neighbors, 1)
        self.shrinkage: Final = real("shrinkage", shrinkage, 0.0)
        self.memory_limit: Final = real("memory_limit", memory_limit, 0.0)

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Find every item's nearest neighbours. Raises ConfigError for catalogues too large for a matrix of pairs."""
        n_items = len(dataset.catalog)
        check_memory(self.name, n_items, 8, self.memory_limit)
        both = co_occurrence(dataset, split)
        users = np.sqrt(both.diagonal())
        np.fill_diagonal(both, 0.0)
        kept = min(self.neighbors, n_items)
        self._neighbors = np.empty((n_items, kept), np.int64)
        self._cosines = np.empty((n_items, kept), np.float64)  # what bincount sums in
        for rows in chunks(n_items, n_items):
            scale = users[rows, None] * users + np.float32(self.shrinkage)
            cosine = np.divide(both[rows], scale, out=np.zeros_like(scale), where=scale > 0)
            self._neighbors[rows] = top(cosine, kept)
            self._cosines[rows] = np.take_along_axis(cosine, self._neighbors[rows], axis=1)
        self._tie_break = tie_break(dataset, split)
        self._learned(dataset.catalog)

    def scores(self, observations: Observations) -> Floats:
        """Sums of cosines ``[n, n_items]``."""
        n_items = len(self.catalog)
        scores = history_weights(observations, n_items)
        for row in scores:  # each row of weights gives way to its scores
            liked = np.flatnonzero(row)
            row[:] = np.bincount(self._neighbors[liked].ravel(), self._cosines[liked].ravel(), n_items)
        scores += self._tie_break
        return scores
