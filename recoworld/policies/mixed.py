"""Two policies in one slate."""

from __future__ import annotations

from typing import Final

import numpy as np

from recoworld.luck import Luck
from recoworld.policies.params import real
from recoworld.types import Observations, Recommender, Slates
from recoworld.users import Dataset, Split

_WHICH, _OTHER = 11, 12  # streams of luck, away from those that policies draw from


class Mixed:
    """Shows the base's slate, but in each slot, with probability `share`, what another policy has there.

    With `Random` beside it this is epsilon-greedy, slot by slot (Sutton & Barto 2018, ch. 2). An item that the base shows anyway
    changes nothing.
    """

    def __init__(self, base: Recommender, other: Recommender, *, share: float = 0.1) -> None:
        """share: of slots that go to the other, in [0, 1]. Raises ConfigError."""
        self.base: Final = base
        self.other: Final = other
        self.share: Final = real("share", share, 0.0, 1.0)
        self.name = f"{base.name}+{other.name}"

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Fit both."""
        self.base.fit(dataset, split)
        self.other.fit(dataset, split)

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """Slates ``[n, k]``. Raises ConfigError as both do."""
        slates = self.base.recommend(observations, luck)
        others = self.other.recommend(observations, Luck(luck.stream(_OTHER)))
        fresh = ~(others[:, :, None] == slates[:, None, :]).any(axis=2)
        return np.where(fresh & (luck.uniform(slates.shape[1], _WHICH) < self.share), others, slates)
