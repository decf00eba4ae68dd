"""The space of slates: `k` different items out of `n_items`."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from recoworld.slates import repeated


class SlateSpace(spaces.MultiDiscrete):
    """``MultiDiscrete([n_items] * k)`` whose samples hold no item twice, for one user ``[k]`` or for `n` of them ``[n, k]``."""

    def __init__(self, n_items: int, k: int, *, n: int | None = None, seed: int | np.random.Generator | None = None) -> None:
        self.n_items, self.k = n_items, k
        super().__init__(np.full((k,) if n is None else (n, k), n_items, np.int64), seed=seed)

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[np.int64]:
        """Random slates of different items; masks are those of MultiDiscrete and may repeat items."""
        if mask is not None or probability is not None:
            return super().sample(mask, probability).astype(np.int64)
        slates = self.np_random.integers(0, self.n_items, (int(np.prod(self.shape[:-1])), self.k))
        for row in np.flatnonzero(repeated(slates).any(axis=1)):
            slates[row] = self.np_random.choice(self.n_items, self.k, replace=False)
        return slates.reshape(self.shape)

    def contains(self, x: Any) -> bool:
        """Whether this is a slate: right shape and range, no item twice."""
        return super().contains(x) and not bool(repeated(np.atleast_2d(x)).any())


@batch_space.register(SlateSpace)
def _batched(space: SlateSpace, n: int = 1) -> SlateSpace:
    return SlateSpace(space.n_items, space.k, n=n)
