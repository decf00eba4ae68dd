"""Recommenders unlike each other that someone might run: those of the package, and some with other settings or simpler ideas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from recoworld.errors import ConfigError, MissingExtra
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.policies.als import ALS
from recoworld.policies.ease import EASE
from recoworld.policies.genre import GenreMatch
from recoworld.policies.knn import ItemKNN
from recoworld.policies.logs import counts
from recoworld.policies.scoring import Scorer
from recoworld.types import Floats, Observations, Recommender
from recoworld.users import Dataset, Split

REGISTERED = ("random", "popularity", "genre", "item-knn", "ease", "als")
_WARY = 20.0
"""Ratings at the crowd's mean that every item starts with."""
_SMALL = 1.0
"""GiB: about 5,800 items, beyond which fitting one more EASE takes minutes."""


class Chart(Scorer):
    """The same list for everybody, given by one number an item."""

    def __init__(self, name: str) -> None:
        """name: a key of `CHARTS`."""
        self.name = name

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Number the items."""
        self._learned(dataset.catalog)
        self._numbers = CHARTS[self.name](dataset, split)

    def scores(self, observations: Observations) -> Floats:
        """The numbers for every user ``[n, n_items]``."""
        return np.tile(self._numbers[: len(self.catalog)], (len(observations["history"]), 1))


def newest(dataset: Dataset, split: Split) -> Floats:
    """Year of release, the more popular first. Raises ConfigError where years are unknown."""
    if not dataset.catalog.years.any():
        raise ConfigError(f"data set {dataset.name!r} knows no years; nothing is new in it")
    liked = counts(dataset, split)
    return (dataset.catalog.years + liked / (liked.max() + 1)).astype(np.float32)


def best_rated(dataset: Dataset, split: Split) -> Floats:
    """Mean rating, drawn to the crowd's mean where few rated. Raises ConfigError without ratings."""
    if not dataset.explicit:
        raise ConfigError(f"data set {dataset.name!r} has no ratings; nothing is best rated in it")
    log = dataset.interactions
    rows = log.rows(log.indptr[split.train], log.indptr[split.train + 1])
    ratings, items, n_items = log.ratings[rows].astype(np.float64), log.items[rows], len(dataset.catalog)
    total = np.bincount(items, ratings, n_items) + _WARY * ratings.mean()
    return (total / (np.bincount(items, minlength=n_items) + _WARY)).astype(np.float32)


def long_tail(dataset: Dataset, split: Split) -> Floats:
    """The less popular half of what anybody liked, the more popular first: of a shop that fears to be obvious."""
    liked = counts(dataset, split)
    bar = np.median(liked[liked > 0]) if liked.any() else 0
    return np.where(liked <= bar, liked, 0).astype(np.float32)


CHARTS = {"newest": newest, "best rated": best_rated, "long tail": long_tail}
VARIANTS: dict[str, Callable[[], Recommender]] = {
    "genre, content alone": partial(GenreMatch, prior=0.0, diversity=0.0),
    "item-knn, 5 neighbours": partial(ItemKNN, neighbors=5),
    "ease, hardly regularised": partial(EASE, l2=1.0, memory_limit=_SMALL),
    "ease, heavily regularised": partial(EASE, l2=100_000.0, memory_limit=_SMALL),
    "als, 8 factors": partial(ALS, factors=8),
    **{name: partial(Chart, name) for name in CHARTS},
}
IMPERSONAL = ("random", "popularity", *CHARTS)
"""Those that show everybody the same, or anything: who is told from them alone has not been told from others by taste."""
SIZE = len(REGISTERED) + len(VARIANTS)
"""Recommenders at most."""


def roster(panel: Panel) -> Iterator[tuple[str, Recommender]]:
    """Fitted recommenders by name, one at a time; what the data set or this installation cannot have is left out."""
    for name in REGISTERED:
        try:
            yield name, panel.policy(name)
        except (MissingExtra, ConfigError):
            continue
    for name, make in VARIANTS.items():
        try:
            policy = make()
            policy.fit(panel.known, panel.split)
        except (MissingExtra, ConfigError):
            continue
        yield name, policy
