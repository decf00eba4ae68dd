"""What the models of this room share: sequences in, training, scores out."""

from __future__ import annotations

from abc import abstractmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import MissingExtra
from recoworld.policies.logs import tie_break
from recoworld.policies.params import real, whole
from recoworld.policies.scoring import Scorer
from recoworld.policies.sequential.learner import Judge, Memory, Told
from recoworld.policies.sequential.sequences import Sequences, latest
from recoworld.types import Floats, Observations
from recoworld.users import Dataset, Split

if TYPE_CHECKING:
    from recoworld.policies.sequential.networks.windows import WindowNetwork

CHUNK = 256


class NextItem(Scorer):
    """A network that reads the last liked items and says which is next: score = state . embedding of the item.

    It is trained on pieces of the training users' likes, every item sought from those before it, by cross-entropy over that item and
    others drawn uniformly for the batch (Jean et al. 2015; Klenitskiy & Vasilev 2023, arXiv 2309.07602: many negatives matter more than
    the architecture). Training ends when the judge sees no progress for `patience` epochs; the best epoch's weights are kept. Scores
    are computed in double precision, whose rounding no ranking notices.
    """

    def __init__(
        self, *, width: int, dropout: float, length: int, negatives: int, rate: float, batch: int, epochs: int, patience: int, seed: int
    ) -> None:
        if find_spec("torch") is None:
            raise MissingExtra("torch", "llm", f"policy {self.name!r}")
        self.width: Final = whole("width", width, 1, 4096)
        self.dropout: Final = real("dropout", dropout, 0.0, 0.95)
        self.length: Final = whole("length", length, 1, 10_000)
        self.negatives: Final = whole("negatives", negatives, 1)
        self.rate: Final = real("rate", rate, 1e-9, 10.0)
        self.batch: Final = whole("batch", batch, 1)
        self.epochs: Final = whole("epochs", epochs, 1)
        self.patience: Final = whole("patience", patience, 1)
        self.seed: Final = whole("seed", seed, 0, 2**31 - 1)

    @abstractmethod
    def network(self, n_items: int) -> WindowNetwork:
        """A new network; torch's generator is seeded by the caller."""

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Train; the judge is the rank of each validation user's last visible like, given those before it, among all items."""
        self.learn(dataset, split)

    def learn(
        self, dataset: Dataset, split: Split, *, judge: Judge | None = None, memory: Memory | None = None, told: Told | None = None
    ) -> None:
        """Train; see `recoworld.policies.sequential.learner`. Without a judge and without validation users all epochs are run."""
        from recoworld.policies.sequential.networks.training import Recipe, train
        from recoworld.policies.sequential.networks.windows import Windows

        def use(network: WindowNetwork) -> None:
            self._network, self._items = network, network.item_vectors()

        sequences = Sequences.of(dataset, split.train)
        self._tie_break = tie_break(dataset, split)
        self._learned(dataset.catalog)
        work = Windows(sequences, len(dataset.catalog), length=self.length, batch=self.batch, negatives=self.negatives)
        recipe = Recipe(rate=self.rate, epochs=self.epochs, patience=self.patience, seed=self.seed)
        judge = judge or self._own_judge(dataset, split)
        use(train(lambda: self.network(len(dataset.catalog)), work, recipe, judge=judge, use=use, memory=memory, told=told).double())

    def scores(self, observations: Observations) -> Floats:
        """Products of state and items ``[n, n_items]``; without likes, next to nothing by popularity."""
        windows = latest(observations, self.length)
        scores = np.zeros((len(windows), len(self.catalog)), np.float32)
        some = np.flatnonzero(windows[:, -1])
        for start in range(0, len(some), CHUNK):
            rows = some[start : start + CHUNK]
            scores[rows] = self._states(windows[rows]) @ self._items.T
        scores += self._tie_break
        return scores

    def _states(self, windows: NDArray[np.int64]) -> NDArray[Any]:
        return self._network.last_states(windows)

    def _own_judge(self, dataset: Dataset, split: Split) -> Judge | None:
        """NDCG@10 of the last visible likes of validation users among all items."""
        seen = Sequences.of(dataset, split.validation, split.visible_end[split.validation])
        ends = seen.indptr[1:][np.diff(seen.indptr) > 1]
        if not len(ends):
            return None
        starts = seen.indptr[:-1][np.diff(seen.indptr) > 1]
        windows = np.zeros((len(ends), self.length), np.int64)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            part = seen.items[max(start, end - 1 - self.length) : end - 1]
            windows[row, self.length - len(part) :] = part + 1
        sought = seen.items[ends - 1]

        def judge() -> float:
            total = 0.0
            for first in range(0, len(windows), CHUNK):
                rows = slice(first, first + CHUNK)
                scores = self._states(windows[rows]) @ self._items.T
                rank = (scores > np.take_along_axis(scores, sought[rows, None], axis=1)).sum(axis=1)
                total += float((1 / np.log2(rank[rank < 10] + 2.0)).sum())
            return total / len(windows)

        return judge
