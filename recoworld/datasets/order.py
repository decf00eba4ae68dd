"""The order of a log without times: that of its rows, unless they stand in an order that says nothing of time.

What a user did last is held out. In a database dump, sorted by user and item, that would be the items of the highest ids in every user's
log, and whatever is fitted to it learns the numbering.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.luck import combine

DRAWN = "no times, and rows sorted by item: each user's order is drawn at random"
_FEWEST = 5
"""Different items of a user; fewer stand in order by chance too often."""
_SEED = 0x0DE5

IntArray = NDArray[np.int64]


def drawn(users: NDArray[Any]) -> IntArray:
    """All rows, user after user, each user's in an order that a hash of user and place draws ``[n]``; `users` are indices ``[n]``."""
    rows = np.argsort(users, kind="stable")
    theirs = users[rows]
    places = np.arange(len(rows)) - np.searchsorted(theirs, theirs)
    return rows[np.lexsort((combine(_SEED, theirs, places), theirs))]


def rows_in_time(users: NDArray[Any], items: NDArray[Any], ids: Sequence[str]) -> IntArray:
    """The rows ``[n]`` of a log without times in the order that stands for time, and a warning where it had to be drawn.

    users, items: indices ``[n]``. ids: of all items, by index.
    """
    if not sorted_by_item(users, items, ids):
        return np.arange(len(users))
    warnings.warn(DRAWN, stacklevel=4)
    return drawn(users)


def sorted_by_item(users: NDArray[Any], items: NDArray[Any], ids: Sequence[str]) -> bool:
    """Whether most users with five or more items have them in the order of their ids, as numbers or as text, up or down."""
    order = np.argsort(users, kind="stable")
    who, what = users[order], items[order]
    n = int(users.max(initial=-1)) + 1
    different = np.unique(who.astype(np.int64) * len(ids) + what) // max(len(ids), 1)
    asked = np.bincount(different, minlength=n) >= _FEWEST
    same = who[1:] == who[:-1]
    for ranks in _ranks(ids):
        steps = np.diff(ranks[what])
        for back in (steps < 0, steps > 0):
            odd = np.bincount(who[1:][same & back], minlength=n) > 0
            if 2 * np.count_nonzero(asked & ~odd) > np.count_nonzero(asked):
                return True
    return False


def _ranks(ids: Sequence[str]) -> list[IntArray]:
    """Each item's place ``[n_items]`` in the orders in which databases have ids: numbers, text, and text without regard to case."""
    texts = np.array(ids, dtype=np.str_)
    keys: list[NDArray[Any]] = [texts, np.char.lower(texts)]
    with suppress(ValueError):
        keys.append(texts.astype(np.float64))
    return [np.unique(key, return_inverse=True)[1].astype(np.int64) for key in keys]
