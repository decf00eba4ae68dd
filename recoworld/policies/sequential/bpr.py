"""BPR: matrix factorisation by pairwise comparison."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError, MissingExtra
from recoworld.policies.logs import tie_break
from recoworld.policies.params import real, whole
from recoworld.policies.scoring import Scorer, history_weights
from recoworld.policies.sequential.learner import Judge, Memory, Told
from recoworld.policies.sequential.sequences import Sequences
from recoworld.types import Floats, Ints, Observations
from recoworld.users import Dataset, Split


class BPR(Scorer):
    """Bayesian personalised ranking from implicit feedback (Rendle et al. 2009, arXiv 1205.2618), by matrix factorisation.

    score = u . y_i, learned so that what a user liked scores more than an item drawn uniformly. Whoever was not trained on gets a vector
    out of its likes: ``u = W m``, m the mean of their factors and W the ridge regression that does best for the training users.
    Departures: Adam instead of plain stochastic gradients, and no bias of items.
    """

    name = "bpr"

    def __init__(
        self,
        *,
        factors: int = 64,
        rate: float = 0.001,
        reg: float = 0.0,
        batch: int = 2048,
        epochs: int = 40,
        patience: int = 5,
        seed: int = 0,
    ) -> None:
        """factors: dimensions. rate: Adam's. reg: weight of the squared length of each pair's vectors. batch: pairs. epochs: at most.

        patience: epochs without progress, where a judge says so. Raises ConfigError, and MissingExtra where torch is not installed.
        """
        if find_spec("torch") is None:
            raise MissingExtra("torch", "llm", "policy 'bpr'")
        self.factors: Final = whole("factors", factors, 1, 4096)
        self.rate: Final = real("rate", rate, 1e-9, 10.0)
        self.reg: Final = real("reg", reg, 0.0)
        self.batch: Final = whole("batch", batch, 1)
        self.epochs: Final = whole("epochs", epochs, 1)
        self.patience: Final = whole("patience", patience, 1)
        self.seed: Final = whole("seed", seed, 0, 2**31 - 1)

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Train for all epochs."""
        self.learn(dataset, split)

    def learn(
        self, dataset: Dataset, split: Split, *, judge: Judge | None = None, memory: Memory | None = None, told: Told | None = None
    ) -> None:
        """Train; see `recoworld.policies.sequential.learner`."""
        from recoworld.policies.sequential.networks.factors import Factors, Pairs
        from recoworld.policies.sequential.networks.training import Recipe, train

        def use(network: Factors) -> None:
            self._users, self._items = network.vectors()

        liked = Sequences.of(dataset, split.train)
        self._row = {int(user): row for row, user in enumerate(split.train)}
        self._tie_break = tie_break(dataset, split)
        self._learned(dataset.catalog)
        n, n_items = len(split.train), len(dataset.catalog)
        recipe = Recipe(rate=self.rate, epochs=self.epochs, patience=self.patience, seed=self.seed)
        use(
            train(
                lambda: Factors(n, n_items, width=self.factors, reg=self.reg),
                Pairs(liked, n_items, batch=self.batch),
                recipe,
                judge=judge,
                use=use,
                memory=memory,
                told=told,
            )
        )
        self._fold = _fold(liked, self._users, self._items)

    def scores(self, observations: Observations) -> Floats:
        """Products of folded-in users and items ``[n, n_items]``; without likes, next to nothing by popularity."""
        liked = history_weights(observations, len(self.catalog)).astype(np.float64)
        means = np.stack([_mean(self._items[np.flatnonzero(row)]) for row in liked]) if len(liked) else np.zeros((0, self.factors))
        scores = np.asarray(means @ self._fold @ self._items.T, np.float32)
        scores += self._tie_break
        return scores

    def user_scores(self, users: Ints) -> Floats:
        """Products of the vectors learned of these training users, indices into the data set, and items ``[n, n_items]``.

        Raises ConfigError for others.
        """
        if strangers := [int(user) for user in users if int(user) not in self._row]:
            raise ConfigError(f"policy 'bpr': got user {strangers[0]}; expected one that it was fitted on, or use scores()")
        rows = np.array([self._row[int(user)] for user in users], np.int64)
        return (self._users[rows] @ self._items.T).astype(np.float32)


def _mean(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])


def _fold(liked: Sequences, users: NDArray[np.float64], items: NDArray[np.float64]) -> NDArray[np.float64]:
    """W' ``[d, d]`` of ``u = W m``, with a ridge of one user's worth of squared length."""
    counts = np.diff(liked.indptr)
    sums = np.zeros_like(users)
    np.add.at(sums, liked.owners, items[liked.items])
    some = counts > 0
    means = sums[some] / counts[some, None]
    d = items.shape[1]
    ridge = max(float(np.square(means).sum()) / max(len(means), 1) / d, 1e-12)
    return np.asarray(np.linalg.solve(means.T @ means + ridge * np.eye(d), means.T @ users[some]))
