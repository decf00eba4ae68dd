"""Policies that score the whole catalogue and show its best unmet items.

Shapes: `n` users, `h` history, `k` slots. A row's result never depends on the other rows, to the last bit: matrix products, whose
rounding depends on the shape of the batch, run over numbers short enough for float32 to sum exactly (`fixed_point`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError
from recoworld.luck import Luck
from recoworld.types import Act, Floats, Observations, Slates

if TYPE_CHECKING:
    from recoworld.users import Dataset, Split

MET = np.float32(-(2.0**100))
"""Scores from here down belong to items already met."""
TIE_BREAK = 1e-6
"""Score of the most popular item among items (and for users) about which a model knows nothing."""
_POSITIVE = np.isin(np.arange(len(Act)), [Act.RATED, Act.CLICKED, Act.LIKED, Act.COMMENTED, Act.SHARED])
_CELLS = 1 << 20  # scores held at a time: 4 MiB stay in the cache


class Scorer(ABC):
    """A recommender that gives every item a number.

    A subclass sets `name`, implements `fit`, which must call `_learned`, and `scores`. Ties go to the lower item index.
    """

    name: str
    _catalog: Catalog | None = None

    @abstractmethod
    def fit(self, dataset: Dataset, split: Split) -> None:
        """Learn from the training users' logs."""

    @abstractmethod
    def scores(self, observations: Observations) -> Floats:
        """How good each item is for each user, float32 ``[n, n_items]``: a fresh array, which the caller may write into."""

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """The `k` best items ``[n, k]``, best first; items in the history only when all others are shown, the longest ago met first.

        Raises ConfigError before `fit` and for slates larger than the catalogue.
        """
        out = empty_slates(observations, self.catalog)
        for rows in chunks(len(out), len(self.catalog)):
            part = {key: value[rows] for key, value in observations.items()}
            out[rows] = self.best(demote_met(self.scores(part), part["history"]), out.shape[1])
        return out

    def best(self, scores: Floats, k: int) -> Slates:
        """The slates ``[n, k]`` out of scores ``[n, n_items]``: the highest, unless a subclass spreads them."""
        return top(scores, k)

    @property
    def catalog(self) -> Catalog:
        """The items it was fitted on. Raises ConfigError before `fit`."""
        if self._catalog is None:
            raise ConfigError(f"policy {self.name!r} has learned nothing yet; call fit(dataset, split) first")
        return self._catalog

    def _learned(self, catalog: Catalog) -> None:
        self._catalog = catalog


def empty_slates(observations: Observations, catalog: Catalog) -> Slates:
    """Room for the slates that are asked for, int64 ``[n, k]``. Raises ConfigError for what the catalogue cannot fill."""
    n, k = observations["slate"].shape
    history = observations["history"]
    if k > len(catalog):
        raise ConfigError(f"slates: got {k} slots; expected at most {len(catalog)}, the items of {catalog.name!r}: make slates smaller")
    if history.size and (history.max() > len(catalog) or history.min() < 0):
        raise ConfigError(
            f"histories hold numbers from {history.min()} to {history.max()}; expected 0 to {len(catalog)}: "
            f"fit the policy on the data set that it is run on (it knows {catalog.name!r})"
        )
    return np.empty((n, k), np.int64)


def chunks(n: int, n_items: int) -> Iterator[slice]:
    """Slices of at most `n` rows whose scores stay in the cache."""
    size = max(1, _CELLS // n_items)
    return (slice(start, start + size) for start in range(0, n, size))


def history_weights(observations: Observations, n_items: int) -> Floats:
    """What each user's history says for each item, float32 ``[n, n_items]``.

    1 for an item that was ever rated at or above the like threshold, clicked, liked, commented on or shared; 0 for all others, those
    disliked, skipped or not looked at among them.
    """
    history = observations["history"]
    rows, columns = np.nonzero(_POSITIVE[observations["history_acts"]] & (history > 0))
    weights = np.zeros((len(history), n_items), np.float32)
    weights[rows, history[rows, columns] - 1] = 1.0
    return weights


def demote_met(scores: Floats, history: NDArray[Any]) -> Floats:
    """The scores ``[n, n_items]``, changed in place: items in the history ``[n, h]`` go below all others, the last met lowest."""
    rows, columns = np.nonzero(history)
    # of an item met twice the later assignment stays, and columns ascend with time
    scores[rows, history[rows, columns] - 1] = MET * (columns + 1).astype(np.float32)
    return scores


def top(scores: Floats, k: int) -> Slates:
    """The columns of the `k` highest scores of each row ``[n, k]``, best first, ties in order of the column. Raises ConfigError for NaN."""
    n, n_items = scores.shape
    least = np.partition(scores, n_items - k, axis=1)[:, n_items - k, None]
    chosen = scores >= least
    counts = np.count_nonzero(chosen, axis=1)
    if (counts < k).any():
        raise ConfigError("scores hold NaN; expected a number for every item")
    crowded = np.flatnonzero(counts > k)
    if crowded.size:
        above, level = scores[crowded] > least[crowded], scores[crowded] == least[crowded]
        room = k - np.count_nonzero(above, axis=1)
        chosen[crowded] = above | (level & (level.cumsum(axis=1) <= room[:, None]))
    items = np.nonzero(chosen)[1].reshape(n, k)
    order = np.argsort(-np.take_along_axis(scores, items, axis=1), axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1)


def fixed_point(values: NDArray[Any], bits: int) -> Floats:
    """The values rounded to multiples of ``2**-bits``, float32.

    Products of 11 and 12 bits are multiples of ``2**-23``: as long as partial sums stay below 2, as for vectors of length 1, float32 holds
    each of them exactly, and the order in which a BLAS adds them cannot matter.
    """
    return (np.rint(np.asarray(values, np.float64) * 2.0**bits) * 2.0**-bits).astype(np.float32)


def unit_rows(vectors: NDArray[Any]) -> NDArray[Any]:
    """Each row divided by its length ``[n, d]``; rows of zeros stay."""
    lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    out: NDArray[Any] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return out
