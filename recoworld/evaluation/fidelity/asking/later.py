"""What users were shown after their visible part: the only impressions whose clicks a simulator built on `Dataset.known` cannot have read.

In logs of feeds and banners the interactions *are* the clicked impressions, so that most clicks of a user lie in its visible part.
"""

from __future__ import annotations

import numpy as np

from recoworld.impressions import Impressions
from recoworld.types import Bools, Ints
from recoworld.users import Dataset, Split


def later_impressions(truth: Dataset, split: Split) -> Impressions | None:
    """The impressions of all users that came after their visible part; None where none did, or none were logged.

    With times (`Impressions.times`), slates shown later than the user's last visible interaction, and of sessions only those that began
    later. Without, nobody knows when a slate was shown: those that hold a click that is in the visible part are left out. That takes away
    clicks alone, so what is left is clicked less often than people click.
    """
    log = truth.impressions
    if log is None:
        return None
    later: Bools = ~np.any(_known(log, truth, split), axis=1) if log.times is None else _after(log, truth, split)
    return log.take(later) if later.any() else None


def clicks_known(log: Impressions, known: Dataset) -> int:
    """How many clicks of these impressions are in a log: at that second, or at any time where the impressions have no times."""
    rows, slots = np.nonzero(log.clicked)
    seen, n_items = known.interactions, len(known.catalog)
    if log.times is None:
        return int(seen.holds(log.users[rows], log.slates[rows, slots]).sum())
    clicked, given = log.users[rows].astype(np.int64) * n_items + log.slates[rows, slots], seen.users * n_items + seen.items
    pair = np.unique(np.concatenate([given, clicked]), return_inverse=True)[1].reshape(-1)
    second = np.unique(np.concatenate([seen.times, log.times[rows]]), return_inverse=True)[1].reshape(-1)
    deeds = pair * (int(second.max(initial=0)) + 1) + second
    return int(np.isin(deeds[len(given) :], deeds[: len(given)]).sum())


def _after(log: Impressions, truth: Dataset, split: Split) -> Bools:
    """Whether a slate, and the whole session that it belongs to, was shown after the user's last visible interaction ``[m]``."""
    assert log.times is not None  # asked by the caller
    starts, ends = truth.interactions.indptr[:-1], split.visible_end
    last = np.full(len(ends), np.iinfo(np.int64).min)
    last[ends > starts] = truth.interactions.times[ends[ends > starts] - 1]
    later = log.times > last[log.users]
    if log.sessions is None:
        return np.asarray(later)
    session = named_sessions(log.users, log.sessions)
    begun = np.zeros(int(session.max()) + 1, np.bool_)
    begun[session[~later]] = True
    return ~begun[session]


def _known(log: Impressions, truth: Dataset, split: Split) -> Bools:
    """Whether each item was clicked, and is in the user's visible part ``[m, k]``."""
    return log.clicked & truth.known(split)[0].interactions.holds(log.users[:, None], log.slates)


def named_sessions(users: Ints, sessions: Ints) -> Ints:
    """A number from 0 for each session of each user ``[m]``: users may number theirs alike."""
    number = np.unique(sessions, return_inverse=True)[1].reshape(-1)
    keys = users.astype(np.int64) * (int(number.max(initial=0)) + 1) + number
    return np.asarray(np.unique(keys, return_inverse=True)[1].reshape(-1))
