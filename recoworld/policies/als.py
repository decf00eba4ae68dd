"""Matrix factorisation of implicit feedback, through the library `implicit` (extra `classic`)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Final

import numpy as np

from recoworld.errors import MissingExtra
from recoworld.policies.logs import positives, tie_break
from recoworld.policies.params import real, whole
from recoworld.policies.scoring import Scorer, chunks, fixed_point, history_weights, unit_rows
from recoworld.types import Floats, Observations
from recoworld.users import Dataset, Split


class ALS(Scorer):
    """Collaborative filtering for implicit feedback data sets (Hu, Koren & Volinsky 2008), by alternating least squares.

    A user, seen in training or not, is folded in from its history: u = (Y'Y + (alpha - 1) Y_h'Y_h + reg I)^-1 alpha Y_h'1 with Y the
    item factors and Y_h those of the liked items, which is what `implicit` solves for its own users. score = Y u, with u brought to
    length 1. At alpha = 1 liked and other items weigh the same: a ridge-regularised truncated SVD.
    """

    name = "als"

    def __init__(self, *, factors: int = 64, reg: float = 10.0, alpha: float = 1.0, iterations: int = 15, seed: int = 0) -> None:
        """factors: dimensions. reg: ridge. alpha: weight of a liked item, where one not liked has 1. seed: of the first factors.

        NDCG@10 of validation users' hidden likes, MovieLens-1M (split 0, all visible likes known) and `mini` (the last 100):
        0.137 and 0.192 at reg = 10, 0.146 and 0.125 at 20, 0.130 and - at 50: raise reg with the number of users.
        Raises ConfigError, and MissingExtra where `implicit` is not installed.
        """
        if find_spec("implicit") is None:
            raise MissingExtra("implicit", "classic", "policy 'als'")
        self.factors: Final = whole("factors", factors, 1, 4096)
        self.reg: Final = real("reg", reg, 1e-6)
        self.alpha: Final = real("alpha", alpha, 1.0)
        self.iterations: Final = whole("iterations", iterations, 1)
        self.seed: Final = whole("seed", seed, 0, 2**31 - 1)

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Factorise the training users' likes. Raises MissingExtra."""
        try:
            als, sparse, threads = (import_module(name) for name in ("implicit.als", "scipy.sparse", "threadpoolctl"))
        except ImportError as error:
            raise MissingExtra("implicit", "classic", "policy 'als'") from error
        users, items = positives(dataset, split.train)
        likes = sparse.csr_matrix((np.ones(len(items), np.float32), (users, items)), shape=(len(split.train), len(dataset.catalog)))
        likes.data[:] = 1.0  # an item taken twice was summed to 2
        with threads.threadpool_limits(1, user_api="blas"):  # implicit runs its own threads, and BLAS inside each would fight for the cores
            model = als.AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.reg,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
                use_gpu=False,
            )
            model.fit(likes, show_progress=False)
        factors = np.asarray(model.item_factors, np.float64)
        longest = max(float(np.sqrt(np.square(factors).sum(axis=1)).max()), 1e-30)
        self._items = fixed_point(factors / longest, 12)  # the ranking of a user's items does not depend on their common scale
        self._factors = self._items.astype(np.float64)  # 12 bits: float64 holds the sums of their products exactly
        self._gram = self._factors.T @ self._factors + np.eye(self.factors) * (self.reg / longest**2)
        self._tie_break = tie_break(dataset, split)
        self._learned(dataset.catalog)

    def scores(self, observations: Observations) -> Floats:
        """Products of user and item factors ``[n, n_items]``, scaled to users of length 1."""
        scores = np.empty((len(observations["history"]), len(self.catalog)), np.float32)
        for rows in chunks(len(scores), len(self.catalog)):
            liked = history_weights({key: observations[key][rows] for key in ("history", "history_acts")}, len(self.catalog))
            users = np.zeros((len(liked), self.factors))
            for i, row in enumerate(liked):
                mine = self._factors[np.flatnonzero(row)]
                users[i] = np.linalg.solve(self._gram + (self.alpha - 1.0) * (mine.T @ mine), self.alpha * mine.sum(axis=0))
            np.matmul(fixed_point(unit_rows(users), 11), self._items.T, out=scores[rows])
        scores += self._tie_break
        return scores
