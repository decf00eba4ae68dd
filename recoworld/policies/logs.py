"""What models learn from: the training users' positive interactions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.policies.scoring import TIE_BREAK
from recoworld.types import Floats
from recoworld.users import Dataset, Split

Ints = NDArray[np.int64]


def positives(dataset: Dataset, users: Ints) -> tuple[Ints, NDArray[np.int32]]:
    """Who liked what: positions in `users` and item indices, one pair an interaction at or above the like threshold."""
    log = dataset.interactions
    starts, ends = log.indptr[users], log.indptr[users + 1]
    where = log.rows(starts, ends)
    liked = dataset.liked[where]
    return np.repeat(np.arange(len(users)), ends - starts)[liked], log.items[where][liked]


def counts(dataset: Dataset, split: Split) -> Floats:
    """How many training users' interactions liked each item, float32 ``[n_items]``."""
    _, items = positives(dataset, split.train)
    return np.bincount(items, minlength=len(dataset.catalog)).astype(np.float32)


def tie_break(dataset: Dataset, split: Split) -> Floats:
    """Next to nothing, by popularity ``[n_items]``: decides where a model is silent, as for a user without history."""
    popular = counts(dataset, split)
    share: Floats = popular / max(popular.max(), np.float32(1))
    return share * np.float32(TIE_BREAK)


def co_occurrence(dataset: Dataset, split: Split) -> Floats:
    """How many training users liked both items, float32 ``[n_items, n_items]``; the diagonal counts who liked the one."""
    n_items = len(dataset.catalog)
    gram = np.zeros((n_items, n_items), np.float32)
    for start in range(0, len(split.train), 1024):
        users = split.train[start : start + 1024]
        liked = np.zeros((len(users), n_items), np.float32)
        liked[positives(dataset, users)] = 1.0
        gram += liked.T @ liked
    return gram


def check_memory(policy: str, n_items: int, bytes_a_pair: int, limit: float) -> None:
    """Raises ConfigError where a dense matrix of item pairs takes more than `limit` GiB."""
    need = n_items * n_items * bytes_a_pair / 2**30
    if need > limit:
        raise ConfigError(
            f"policy {policy!r} needs about {need:,.1f} GiB for the pairs of {n_items:,} items; its limit is {limit:g} GiB: "
            "use 'als', whose memory grows with the items alone, or raise memory_limit"
        )
