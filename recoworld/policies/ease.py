"""A linear autoencoder in closed form: for its simplicity hard to beat on dense logs."""

from __future__ import annotations

from typing import Final

import numpy as np

from recoworld.policies.logs import check_memory, co_occurrence, tie_break
from recoworld.policies.params import real
from recoworld.policies.scoring import Scorer, history_weights
from recoworld.types import Floats, Observations
from recoworld.users import Dataset, Split


class EASE(Scorer):
    """Embarrassingly shallow autoencoders for sparse data (Steck 2019, arXiv 1905.03375).

    With X the training users' likes, P = (X'X + l2 I)^-1:   B_ij = -P_ij / P_jj,   B_jj = 0,   score = x B

    which minimises |X - XB|^2 + l2 |B|^2 without letting an item predict itself. No iterations, no random numbers.
    """

    name = "ease"

    def __init__(self, *, l2: float = 1000.0, memory_limit: float = 8.0) -> None:
        """l2: regularisation; on MovieLens-1M, NDCG@10 of validation users' hidden likes is flat from 700 to 2,000 and falls on
        both sides (0.128 at 50, 0.146 at 500, 0.150 at 1,000, 0.148 at 2,000). memory_limit: GiB that fitting may take.

        Raises ConfigError.
        """
        self.l2: Final = real("l2", l2, 1e-3)
        self.memory_limit: Final = real("memory_limit", memory_limit, 0.0)

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Invert the regularised Gram matrix. Raises ConfigError for catalogues too large for it."""
        check_memory(self.name, len(dataset.catalog), 32, self.memory_limit)  # four float64 copies while inverting
        gram = co_occurrence(dataset, split).astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.l2
        inverse = np.linalg.inv(gram)
        inverse /= -inverse.diagonal()
        np.fill_diagonal(inverse, 0.0)
        self._weights = inverse.astype(np.float32)
        self._tie_break = tie_break(dataset, split)
        self._learned(dataset.catalog)

    def scores(self, observations: Observations) -> Floats:
        """Sums of weights ``[n, n_items]``, row by row: histories are short, so this is faster than ``x @ B`` and adds in a fixed order."""
        scores = history_weights(observations, len(self.catalog))
        for row in scores:  # each row of weights gives way to its scores
            np.add.reduce(self._weights[np.flatnonzero(row)], axis=0, out=row)
        scores += self._tie_break
        return scores
