"""A recommender made worse by a known dose."""

from __future__ import annotations

import numpy as np

from recoworld.luck import Luck
from recoworld.policies.params import real
from recoworld.policies.scoring import Scorer, chunks, demote_met, top
from recoworld.types import Ints, Observations, Slates
from recoworld.users import Dataset, Split

_PLACES, _ROUNDING, _ITEMS = 7, 8, 9  # streams of luck that no policy draws from
_LAST = np.finfo(np.float32).min


class Diluted:
    """Another recommender's slates, a share of whose slots hold random items that the user has not met.

    Doses are nested: under the same luck a slot that is replaced at one dose is replaced at every higher one, by the same item as long
    as the catalogue has enough that neither slate nor history holds. Where ``share * k`` is not whole it is rounded up for some users
    and down for others, so that the share is met on average.
    """

    def __init__(self, base: Scorer, share: float) -> None:
        """share: of the slots, in [0, 1]. Raises ConfigError."""
        self.base, self.share = base, real("share", share, 0.0, 1.0)
        self.name = f"{base.name}, {self.share:.0%} random"

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Fit the base."""
        self.base.fit(dataset, split)

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """Slates int64 ``[n, k]`` of distinct items. Raises ConfigError as the base does."""
        slates, n_items = self.base.recommend(observations, luck), len(self.base.catalog)
        out, k = slates.copy(), slates.shape[1]
        for rows in chunks(len(out), n_items):
            mine = Luck(luck.keys[rows])
            nth = _order(mine, k)
            gone = nth < np.floor(self.share * k + mine.uniform(1, _ROUNDING).astype(np.float64))
            if not gone.any():
                continue
            numbers = demote_met(mine.uniform(n_items, _ITEMS), observations["history"][rows])
            # what stays must not stand there twice; what goes comes back only where all else is used up
            np.put_along_axis(numbers, slates[rows], np.where(gone, _LAST, np.float32(-np.inf)), axis=1)
            out[rows] = np.where(gone, np.take_along_axis(top(numbers, k), nth, axis=1), slates[rows])
        return out


def _order(luck: Luck, k: int) -> Ints:
    """Each slot's place in a random order ``[n, k]``."""
    return np.asarray(np.argsort(np.argsort(luck.uniform(k, _PLACES), axis=1), axis=1))
