"""What a network is told of the items and of a user's past, out of the log: fitted once, before training.

Shapes: `n` users, `N` items, `d` content features, `r` factors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recoworld.policies.ials import IALS
from recoworld.types import Floats, Observations

if TYPE_CHECKING:
    from recoworld.users import Dataset, Split


class ItemKnowledge:
    """Collaborative taste by `IALS`, content and popularity.

    `past(history, acts)` scores every item, and tells how the content of the past differs from the crowd's.
    """

    def __init__(self, dataset: Dataset, split: Split) -> None:
        """Fits the factors on the training users: about 8 s for MovieLens-1M."""
        known, _ = dataset.known(split)
        self.catalog = known.catalog
        """With popularity as it is known, which instructions refer to."""
        self.features: Floats = dataset.catalog.features
        popularity = np.log1p(known.catalog.popularity.astype(np.float64))
        self.popularity: Floats = ((popularity - popularity.mean()) / max(float(popularity.std()), 1e-9)).astype(np.float32)
        """Logarithm of the number of known interactions, standardised ``[N]``."""
        self.crowd: Floats = self.features[known.interactions.items].mean(axis=0)
        """Mean content of all known interactions ``[d]``."""
        self._taste = IALS()
        self._taste.fit(dataset, split)
        self.factors: Floats = self._taste.item_factors.astype(np.float32)
        """Item factors ``[N, r]``, of length 1 at most."""

    def past(self, history: NDArray[np.int32], acts: NDArray[np.int8]) -> tuple[Floats, Floats]:
        """The root of each item's score, in [0, 2] ``[n, N]``: most items' scores are near 0, and the root spreads them; and the content
        of all items met less the crowd's ``[n, d]``; for pasts ``[n, h]``.

        User by user: the rounding of a matrix product depends on how many rows it has, and no user's numbers may depend on the others'.
        """
        n_items, d = self.features.shape
        scores, home = np.empty((len(history), n_items), np.float32), np.empty((len(history), d), np.float32)
        for i in range(len(history)):
            seen: Observations = {"history": history[i : i + 1], "history_acts": acts[i : i + 1]}
            scores[i] = np.sqrt(self._taste.scores(seen)[0].clip(0.0, 4.0))
            items = np.unique(history[i][history[i] > 0]) - 1
            home[i] = self.features[items].mean(axis=0) - self.crowd if len(items) else 0.0
        return scores, home
