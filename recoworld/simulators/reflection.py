"""What a user who is about to disengage says: the reflective instruction, chosen from its mindset and from what it was just shown.

Each thing that could be said has an urgency, linear in a few signals of the state that would make a person say it (`_URGENCY`); after
Gumbel noise the most urgent is said.
"""

from __future__ import annotations

import numpy as np

from recoworld.catalog import Catalog
from recoworld.instructions import FORMS, WELL_KNOWN
from recoworld.luck import gumbel
from recoworld.types import Aspect, Bools, Floats, Instruction, Kind, Mindset, Slates

_NEVER = -1e6
_SIGNALS = (
    *("one", "bored", "glad", "want", "surfeit", "dislike", "famous", "joy", "clickless", "aimless", "nameless"),
    *("era_want", "era_surfeit", "timeless"),
)
"""1; boredom; satisfaction; how much the most wanted genre is wanted beyond what was shown; how much there was of the most overdone
genre, and how little that one interests; share of well-known items; stars above 3.5 of the best click; 1 if nothing was clicked, if no
genre was in mind, if the best click has no people; wanted and overdone eras; 1 if the catalogue has no years."""

_URGENCY: dict[tuple[Kind, Aspect], dict[str, float]] = {
    (Kind.MORE, Aspect.GENRE): {"one": 0.6, "want": 1.3},
    (Kind.LESS, Aspect.GENRE): {"one": -0.4, "surfeit": 2.0, "bored": 1.0},
    (Kind.AVOID, Aspect.GENRE): {"one": -0.6, "surfeit": 1.5, "dislike": 3.0},
    (Kind.ONLY, Aspect.GENRE): {"one": 1.2, "glad": -1.0, "aimless": _NEVER},
    (Kind.DIFFERENT, Aspect.GENRE): {"one": -0.6, "bored": 1.5, "surfeit": 1.0},
    (Kind.MORE, Aspect.TITLE): {"one": 0.2, "joy": 0.3, "clickless": _NEVER},
    (Kind.DIFFERENT, Aspect.TITLE): {"one": -0.2, "bored": 1.2, "clickless": _NEVER},
    (Kind.MORE, Aspect.PERSON): {"joy": 0.3, "clickless": _NEVER, "nameless": _NEVER},
    (Kind.SURPRISE, Aspect.POPULARITY): {"one": -1.2, "bored": 1.5, "famous": 1.0},
    (Kind.LESS, Aspect.POPULARITY): {"one": -1.2, "bored": 1.0, "famous": 0.8},
    (Kind.MORE, Aspect.POPULARITY): {"one": 1.0, "famous": -2.0, "glad": -1.0},
    (Kind.MORE, Aspect.ERA): {"era_want": 3.0, "timeless": _NEVER},
    (Kind.ONLY, Aspect.ERA): {"one": -0.4, "era_want": 3.0, "timeless": _NEVER},
    (Kind.LESS, Aspect.ERA): {"one": -0.8, "era_surfeit": 1.0, "bored": 1.0, "timeless": _NEVER},
}
_VALUES = ("wish", "surfeit", "intent", "loved", "person", "unknown", "known", "era", "old_era")
_VALUE_OF = {
    (Kind.LESS, Aspect.GENRE): "surfeit",
    (Kind.AVOID, Aspect.GENRE): "surfeit",
    (Kind.DIFFERENT, Aspect.GENRE): "surfeit",
    (Kind.ONLY, Aspect.GENRE): "intent",
    (Kind.MORE, Aspect.TITLE): "loved",
    (Kind.DIFFERENT, Aspect.TITLE): "loved",
    (Kind.MORE, Aspect.PERSON): "person",
    (Kind.SURPRISE, Aspect.POPULARITY): "unknown",
    (Kind.LESS, Aspect.POPULARITY): "known",
    (Kind.MORE, Aspect.POPULARITY): "known",
    (Kind.MORE, Aspect.ERA): "era",
    (Kind.ONLY, Aspect.ERA): "era",
    (Kind.LESS, Aspect.ERA): "old_era",
}
"""What each instruction is about; the wish where nothing else is named."""

_CHANCE = np.float32(0.6)  # scale of the Gumbel noise: how much chance there is in what is said
_HALF, _LOW = np.float32(0.5), np.float32(-1e6)
_WEIGHTS = np.array([[_URGENCY[form].get(signal, 0.0) for form in FORMS] for signal in _SIGNALS], np.float32)
_SOURCE = np.array([_VALUES.index(_VALUE_OF.get(form, "wish")) for form in FORMS])
_KINDS = np.array([kind for kind, _ in FORMS], np.int8)
_ASPECTS = np.array([aspect for _, aspect in FORMS], np.int8)


def reflect(catalog: Catalog, mindset: Mindset, slates: Slates, examined: Bools, clicked: Bools, felt: Floats, u: Floats) -> Instruction:
    """The instructions of users who all have something to say.

    slates, examined, clicked, felt (stars above 3.5): ``[m, k]``; u: uniform numbers ``[m, len(FORMS)]``. Returns ``[m]``, all given.
    """
    m, genres = len(slates), len(catalog.genre_names)
    row = np.arange(m)
    looks = examined.astype(np.float32)
    shown = np.matmul(looks[:, None, :], catalog.features.take(slates, axis=0))[:, 0] / np.add.reduce(looks, axis=1)[:, None]
    lack = mindset.interest - _HALF * shown
    excess = np.where(shown > 0, shown - mindset.interest, _LOW)  # only what was there can have been too much
    best = np.where(clicked, felt, _LOW).argmax(axis=1)
    happy = clicked[row, best]
    values, signals = np.zeros((m, len(_VALUES)), np.int64), np.ones((m, len(_SIGNALS)), np.float32)
    values[:, 0], values[:, 1] = wish, surfeit = lack[:, :genres].argmax(axis=1), excess[:, :genres].argmax(axis=1)
    values[:, 2], values[:, 3], values[:, 6] = mindset.intent, slates[row, best], 1
    signals[:, 1], signals[:, 2] = mindset.levels[:, 1], mindset.levels[:, 0]
    signals[:, 3], signals[:, 4], signals[:, 5] = lack[row, wish], shown[row, surfeit], -mindset.interest[row, surfeit]
    known = catalog.popularity_rank.take(slates) >= WELL_KNOWN
    signals[:, 6] = np.add.reduce(known, axis=1, dtype=np.float32) / np.float32(slates.shape[1])
    signals[:, 7], signals[:, 8], signals[:, 9] = felt[row, best] * happy, ~happy, values[:, 2] < 0
    if catalog.people.shape[1]:
        values[:, 4] = catalog.people[values[:, 3], 0]
        signals[:, 10] = values[:, 4] < 0
    if len(catalog.eras):
        era, old = lack[:, genres:].argmax(axis=1), shown[:, genres:].argmax(axis=1)
        values[:, 7], values[:, 8] = catalog.eras.take(era), catalog.eras.take(old)
        signals[:, 11], signals[:, 12], signals[:, 13] = lack[row, genres + era], shown[row, genres + old], 0

    urgency = np.matmul(signals[:, None, :], _WEIGHTS)[:, 0] + _CHANCE * gumbel(u)  # batched: a row's sum does not depend on m
    said = urgency.argmax(axis=1)
    return Instruction(
        kind=_KINDS.take(said),
        aspect=_ASPECTS.take(said),
        value=values[row, _SOURCE.take(said)].astype(np.int32),
        phrasing=(u[row, said] * np.float32(2**24)).astype(np.uint32),
    )
