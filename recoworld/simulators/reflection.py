"""What a user who is about to disengage says: the reflective instruction, chosen from its mindset and from what it was just shown."""

from __future__ import annotations

import numpy as np

from recoworld.catalog import Catalog
from recoworld.instructions import FORMS, WELL_KNOWN
from recoworld.luck import Luck
from recoworld.types import Aspect, Bools, Floats, Instruction, Kind, Mindset, Slates

_SPEECH, _PHRASE = 5, 6  # streams of luck
_CHANCE = np.float32(0.6)  # how much chance there is in what is said: scale of the Gumbel noise
_NEVER, _HALF = np.float32(-1e6), np.float32(0.5)
_COLUMN = {form: column for column, form in enumerate(FORMS)}
_KINDS = np.array([kind for kind, _ in FORMS], np.int8)
_ASPECTS = np.array([aspect for _, aspect in FORMS], np.int8)


def reflect(
    catalog: Catalog, mindset: Mindset, slates: Slates, examined: Bools, clicked: Bools, felt: Floats, luck: Luck
) -> Instruction:
    """The instructions of users who all have something to say.

    Each thing that could be said gets an urgency from the state that would make a person say it; the most urgent is said, after
    Gumbel noise. slates, examined, clicked, felt (stars above 3.5): ``[m, k]``. Returns ``[m]`` rows, all given.
    """
    m, genres = len(slates), len(catalog.genre_names)
    row = np.arange(m)
    looks = examined.astype(np.float32)
    shown = np.matmul(looks[:, None, :], catalog.features.take(slates, axis=0))[:, 0, :] / np.add.reduce(looks, axis=1)[:, None]
    lack = mindset.interest - _HALF * shown  # what is wanted and was not there
    wish, surfeit = lack[:, :genres].argmax(axis=1), (shown - mindset.interest)[:, :genres].argmax(axis=1)
    want, too_much = lack[row, wish], shown[row, surfeit]
    famous = np.add.reduce(catalog.popularity_rank.take(slates) >= WELL_KNOWN, axis=1, dtype=np.float32) / np.float32(slates.shape[1])
    best = np.where(clicked, felt, _NEVER).argmax(axis=1)
    loved, joy = slates[row, best], np.where(clicked[row, best], felt[row, best], _NEVER)  # stars of the best click
    bored, glad = mindset.levels[:, 1], mindset.levels[:, 0]
    intent = mindset.intent.astype(np.int64)

    urgency, values = np.full((m, len(FORMS)), _NEVER), np.zeros((m, len(FORMS)), np.int64)

    def option(kind: Kind, aspect: Aspect, value: object, strength: object) -> None:
        column = _COLUMN[kind, aspect]
        urgency[:, column], values[:, column] = strength, value

    option(Kind.MORE, Aspect.GENRE, wish, 0.6 + 2.0 * want)
    option(Kind.LESS, Aspect.GENRE, surfeit, 2.0 * too_much + bored - 0.4)
    option(Kind.AVOID, Aspect.GENRE, surfeit, 1.5 * too_much - 3.0 * mindset.interest[row, surfeit] - 0.6)
    option(Kind.ONLY, Aspect.GENRE, np.maximum(intent, 0), np.where(intent >= 0, 1.2 - glad, _NEVER))
    option(Kind.DIFFERENT, Aspect.GENRE, surfeit, 1.5 * bored + too_much - 0.6)
    option(Kind.MORE, Aspect.TITLE, loved, 0.2 + 0.3 * joy)
    option(Kind.DIFFERENT, Aspect.TITLE, loved, np.where(joy > _NEVER, 1.2 * bored - 0.2, _NEVER))
    option(Kind.SURPRISE, Aspect.POPULARITY, 0, 1.5 * bored + famous - 1.2)
    option(Kind.LESS, Aspect.POPULARITY, 1, 0.8 * famous + bored - 1.2)
    option(Kind.MORE, Aspect.POPULARITY, 1, 1.0 - 2.0 * famous - glad)
    if len(catalog.eras):
        era, old = lack[:, genres:].argmax(axis=1), shown[:, genres:].argmax(axis=1)
        missed = 3.0 * lack[row, genres + era]
        option(Kind.MORE, Aspect.ERA, catalog.eras[era], missed)
        option(Kind.ONLY, Aspect.ERA, catalog.eras[era], missed - 0.4)
        option(Kind.LESS, Aspect.ERA, catalog.eras[old], shown[row, genres + old] + bored - 0.8)
    if catalog.people.shape[1]:
        person = catalog.people[loved, 0]
        option(Kind.MORE, Aspect.PERSON, np.maximum(person, 0), np.where(person >= 0, 0.3 * joy, _NEVER))

    said = (urgency - _CHANCE * np.log(luck.exponential(len(FORMS), _SPEECH))).argmax(axis=1)
    return Instruction(
        kind=_KINDS[said],
        aspect=_ASPECTS[said],
        value=values[row, said].astype(np.int32),
        phrasing=(luck.bits(1, _PHRASE)[:, 0] >> np.uint64(33)).astype(np.uint32),
    )
