"""Content-based filtering: more of the genres and decades that the user liked."""

from __future__ import annotations

from typing import Final

import numpy as np

from recoworld.policies.diversity import diverse_top
from recoworld.policies.logs import counts
from recoworld.policies.params import real
from recoworld.policies.scoring import Scorer, fixed_point, history_weights, top, unit_rows
from recoworld.types import Floats, Observations, Slates
from recoworld.users import Dataset, Split


class GenreMatch(Scorer):
    """Cosine of the item with the sum of the liked items' content vectors, plus a popularity prior.

    score = cos(sum of features of the liked, features of i) + prior * popularity_i / max popularity

    The profile is Rocchio's centroid (Pazzani & Billsus 2007, "Content-based recommendation systems"). A user without history gets
    the popular items (those that training users liked). It can show items that nobody has taken yet.
    """

    name = "genre"

    def __init__(self, *, prior: float = 1.0, diversity: float = 0.3) -> None:
        """prior: what being the most popular item is worth, in units of cosine; 0 is content alone. diversity: weight in [0, 1) of variety
        against score (`recoworld.policies.diversity`): matching contents alone fills a slate with one genre. Raises ConfigError.
        """
        self.prior: Final = real("prior", prior, 0.0, 100.0)
        self.diversity: Final = real("diversity", diversity, 0.0, 0.99)

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Keep the catalogue's vectors; count the training users' likes."""
        catalog = dataset.catalog
        self._learned(catalog)
        self._features = fixed_point(catalog.features, 12)
        popular = counts(dataset, split)
        self._popular = np.float32(self.prior) * popular / max(popular.max(), np.float32(1))

    def best(self, scores: Floats, k: int) -> Slates:
        """Good items that are unlike each other ``[n, k]``."""
        return diverse_top(scores, self.catalog.features, k, self.diversity) if self.diversity else top(scores, k)

    def scores(self, observations: Observations) -> Floats:
        """Match and prior ``[n, n_items]``."""
        liked = history_weights(observations, len(self.catalog))
        profile = fixed_point(unit_rows(liked @ self._features), 11)
        scores: Floats = profile @ self._features.T
        scores += self._popular
        return scores
