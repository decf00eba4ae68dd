"""Recommenders that know nothing of the user: the floor that every other has to clear."""

from __future__ import annotations

import numpy as np

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError
from recoworld.luck import Luck
from recoworld.policies.logs import counts
from recoworld.policies.scoring import Scorer, chunks, demote_met, empty_slates, top
from recoworld.types import Floats, Observations, Slates
from recoworld.users import Dataset, Split


class Random:
    """Items drawn uniformly without replacement from those the user has not met."""

    name = "random"

    def __init__(self) -> None:
        self._catalog: Catalog | None = None

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Note the catalogue."""
        self._catalog = dataset.catalog

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """The items with the highest of `n_items` independent uniform numbers ``[n, k]``. Raises ConfigError."""
        if self._catalog is None:
            raise ConfigError("policy 'random' does not know the catalogue yet; call fit(dataset, split) first")
        out = empty_slates(observations, self._catalog)
        for rows in chunks(len(out), len(self._catalog)):
            numbers = Luck(luck.keys[rows]).uniform(len(self._catalog))
            out[rows] = top(demote_met(numbers, observations["history"][rows]), out.shape[1])
        return out


class Popularity(Scorer):
    """The same chart for everybody: how many of the training users' interactions liked the item.

    Interactions below the data set's like threshold don't count; items that nobody liked come last, in order of their index.
    """

    name = "popularity"

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Count."""
        self._learned(dataset.catalog)
        self._counts = counts(dataset, split)

    def scores(self, observations: Observations) -> Floats:
        """The counts for every user ``[n, n_items]``."""
        return np.tile(self._counts[: len(self.catalog)], (len(observations["history"]), 1))
