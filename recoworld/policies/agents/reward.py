"""STARec's ranking reward: what a ranking is worth by the place of the item that the user then took.

| rank of the positive | 1 | 2 to 5 | 6 to 10 | 11 to 20 | beyond, or not ranked |
|---|---|---|---|---|---|
| reward | +1 | +0.5 | 0 | -0.5 | -1 |

C. Wu et al., "STARec: An Efficient Agent Framework for Recommender Systems via Autonomous Deliberate Reasoning", CIKM 2025,
arXiv 2508.18812: the reward of its anchored reinforcement training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recoworld.errors import ConfigError
from recoworld.types import Floats

_LAST = np.array([1, 5, 10, 20])
_WORTH = np.array([1.0, 0.5, 0.0, -0.5, -1.0], np.float32)


def ranking_reward(ranks: ArrayLike) -> Floats:
    """The reward of each rank, float32 of the same shape; ranks count from 1, 0 says that the positive was not ranked.

    Raises ConfigError for what is no rank.
    """
    array = np.asarray(ranks)
    if array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise ConfigError(f"ranks: got {array.dtype} from {array.min() if array.size else 'nothing'}; expected integers from 0 on")
    return np.where(array == 0, _WORTH[-1], _WORTH[np.searchsorted(_LAST, array)])


def rank_of(orders: NDArray[Any], positives: NDArray[Any]) -> NDArray[np.int64]:
    """At which place, from 1, each row of item indices ``[n, m]`` has the user's positive ``[n]``; 0 where it has it not."""
    hits = orders == np.asarray(positives)[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0).astype(np.int64)
