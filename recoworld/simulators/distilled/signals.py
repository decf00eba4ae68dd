"""What a distilled user goes by: signals that any simulator has of a user, an item, a slot and a turn.

Taste comes from the user's log (`recoworld.simulators.taste`); interest and satiation are counted from what was clicked and looked at, as
the behavioural user's are but without its noise; the levels are those of the mindset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recoworld.catalog import Catalog
from recoworld.instructions import compliance, matches
from recoworld.simulators.taste import Taste
from recoworld.types import LEVELS, Feedback, Floats, History, Kind, Mindset, Slates

SLOT = (
    *("attraction", "stars", "interest", "worn", "popularity", "met", "met_ever", "slot", "of_intent", "with_intent", "fits", "told"),
    *LEVELS,
    "turn",
)
"""Of a slot: attraction and stars above 3.5 by the user's log; match with the interest; squared match with what was seen of late;
popularity rank; times met before (three at most), and whether; place on the slate in tenths; whether the item has the genre in mind, and
whether there is one; whether it fits the instruction in force (-1 where that wants none of it), and whether there is one; the levels; turns
so far in tenths."""
TURN = (*("examined", "clicked", "watched", "stale", "known", "followed", "told", "age", "with_intent"), *LEVELS, "turn")
"""Of a turn that is over: share of slots looked at, of these the share clicked, the mean share watched, the mean squared match with what
was seen of late and the share met before; how well the instruction was followed, whether there was one, slates since it in tenths; whether
a genre is in mind; the levels before or after; turns so far in tenths."""
_PULL, _CLICK, _MEMORY = np.float32(0.1), np.float32(0.08), np.float32(0.65)
_UNWANTED = (Kind.LESS, Kind.AVOID)


@dataclass(frozen=True, kw_only=True, eq=False)
class StudentMindset(Mindset):
    """A `Mindset` that also remembers what it has seen of late."""

    satiation: Floats
    """How much of each content feature was seen of late ``[n, d]``, in [0, 1]."""


def slot_signals(catalog: Catalog, taste: Taste, mindset: StudentMindset, history: History, slates: Slates) -> Floats:
    """`SLOT` of each slot ``[n, k, f]``."""
    n, k = slates.shape
    x = catalog.features.take(slates, axis=0)  # [n, k, d]
    attraction, stars = taste.at(history.users, slates)
    states = np.stack([mindset.interest, mindset.satiation], axis=1)
    match = np.matmul(states, x.transpose(0, 2, 1))  # [n, 2, k]
    met = np.take_along_axis(history.exposures, slates, axis=1)
    intent = mindset.intent.astype(np.int64)[:, None]
    sign = np.where(np.isin(history.standing.kind, _UNWANTED), -1, 1)[:, None]
    out = np.empty((n, k, len(SLOT)), np.float32)
    out[..., 0], out[..., 1], out[..., 2], out[..., 3] = attraction, stars - np.float32(3.5), match[:, 0], np.square(match[:, 1])
    out[..., 4], out[..., 5], out[..., 6] = catalog.popularity_rank.take(slates), np.minimum(met, 3), met > 0
    out[..., 7], out[..., 8], out[..., 9] = np.arange(k) / 10, catalog.genres[slates, intent] & (intent >= 0), intent >= 0
    out[..., 10], out[..., 11] = matches(history.standing, catalog, slates) * sign, history.standing.given[:, None]
    out[..., 12:17] = mindset.levels[:, None, :]
    out[..., 17] = history.turn[:, None] / 10
    return out


def turn_signals(catalog: Catalog, mindset: Mindset, history: History, slates: Slates, feedback: Feedback, slots: Floats) -> Floats:
    """`TURN` with the levels of `mindset` ``[n, 1, f]``; slots: `slot_signals` of the slates."""
    looks = feedback.examined.astype(np.float32)
    seen = np.maximum(looks.sum(axis=1), 1)
    watched = (feedback.watch / catalog.durations.take(slates)).astype(np.float32)
    out = np.empty((len(slates), 1, len(TURN)), np.float32)
    out[:, 0, 0], out[:, 0, 1] = seen / slates.shape[1], feedback.clicked.sum(axis=1) / seen
    out[:, 0, 2] = watched.sum(axis=1) / seen
    out[:, 0, 3], out[:, 0, 4] = (slots[..., 3] * looks).sum(axis=1) / seen, (slots[..., 6] * looks).sum(axis=1) / seen
    out[:, 0, 5], out[:, 0, 6] = compliance(history.standing, catalog, slates), history.standing.given
    out[:, 0, 7], out[:, 0, 8] = history.age / 10, mindset.intent >= 0
    out[:, 0, 9:14] = mindset.levels
    out[:, 0, 14] = history.turn / 10
    return out


def after(
    catalog: Catalog, taste: Taste, mindset: StudentMindset, levels: Floats, history: History, slates: Slates, feedback: Feedback
) -> StudentMindset:
    """What is remembered of a slate, beside the new levels ``[n, 5]``."""
    x = catalog.features.take(slates, axis=0)
    looks = np.stack([feedback.examined, feedback.clicked], axis=1).astype(np.float32)
    content = np.matmul(looks, x)  # of what was examined, and of what was clicked [n, 2, d]
    seen, hits = np.maximum(looks.sum(axis=2), 1)[:, 0, None], looks.sum(axis=2)[:, 1, None]
    home = taste.home.take(history.users, axis=0)
    pulled = content[:, 1] - hits * catalog.features.mean(axis=0)
    return StudentMindset(
        levels=levels,
        interest=mindset.interest + _PULL * (home - mindset.interest) + _CLICK * pulled,
        intent=mindset.intent,
        satiation=_MEMORY * mindset.satiation + (1 - _MEMORY) * content[:, 0] / seen,
    )
