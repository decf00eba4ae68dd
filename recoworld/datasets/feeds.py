"""Logs of feeds, in which items are shown one at a time: what belongs together, and how often an item had been met."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recoworld.impressions import Impressions
from recoworld.types import Bools, Floats, Ints

GAP = 30 * 60 * 1000
"""Milliseconds from one item shown to the next that end a session: half an hour, as web analytics has it."""
UNTIMED = -1
"""The time of rows that have none."""


def shown_one_by_one(
    *,
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    times: Ints,
    clicked: Bools,
    watch: Floats,
    liked: Bools | None = None,
    commented: Bools | None = None,
    shared: Bools | None = None,
) -> Impressions:
    """Slates of one item each, sorted by user, then time, then position in the log; all arguments ``[m]``.

    times: milliseconds, or `UNTIMED`, which is kept as second 0. watch: seconds; what was watched without a click is left out.
    Sessions end with a gap of more than `GAP`, `left` is their last row; a row without a time is a session of its own that nobody was
    seen to leave, and comes before the user's others.
    """
    order = np.lexsort((times, users))
    users, items, times, clicked = users[order], items[order], times[order], clicked[order]
    sessions, left = into_sessions(users, times)
    return Impressions(
        users=users.astype(np.int64),
        slates=items.astype(np.int64)[:, None],
        clicked=clicked[:, None],
        liked=None if liked is None else liked[order][:, None],
        commented=None if commented is None else commented[order][:, None],
        shared=None if shared is None else shared[order][:, None],
        watch=np.where(clicked, watch[order], 0).astype(np.float32)[:, None],
        met=met_before(users, items)[:, None],
        left=left,
        sessions=sessions,
        times=np.maximum(times, 0) // 1000,
    )


def into_sessions(users: NDArray[np.int32], times: Ints, gap: int = GAP) -> tuple[Ints, Bools]:
    """Numbers of sessions, from 0, and whether a row is the last of its session, for rows sorted by user and time ``[m]``."""
    starts = np.ones(len(users), dtype=np.bool_)
    starts[1:] = (users[1:] != users[:-1]) | (times[1:] - times[:-1] > gap) | (times[:-1] == UNTIMED)
    ends = np.append(starts[1:], True)
    return np.cumsum(starts) - 1, ends & (times != UNTIMED)


def met_before(users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.uint8]:
    """How many rows above, of the same user, hold the same item, 255 at most ``[m]``."""
    order = np.lexsort((items, users))  # stable: the rows of a pair stay in order
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (users[order][1:] != users[order][:-1]) | (items[order][1:] != items[order][:-1])
    at = np.arange(len(order))
    met = np.empty(len(order), dtype=np.uint8)
    met[order] = np.minimum(at - np.maximum.accumulate(np.where(new, at, 0)), 255)
    return met


def distinct(users: NDArray[np.int32], items: NDArray[np.int32], times: Ints) -> Ints:
    """The first row of each user, item and time ``[<= m]``, sorted by user, time and item: published logs repeat rows."""
    order = np.lexsort((items, times, users))
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = np.any([column[order][1:] != column[order][:-1] for column in (users, items, times)], axis=0)
    return order[new]
