"""What a reflective instruction means: which items fit it, how well a slate follows it, and how it is said in English."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.text import plain
from recoworld.types import Aspect, Bools, Floats, Instruction, Kind

WELL_KNOWN = 0.8
"""`Catalog.popularity_rank` from which on an item is well known."""
RELATED = (0.2, 0.8)
"""Cosine of content vectors within which an item is "different but related"; above it, it is "like" the other."""

# compliance by kind: what a slate without a match is worth, and what a share of matches adds
_AT_NONE = np.array([0, 0, 1, 1, 0, 0, 0], np.float32)
_PER_SHARE = np.array([0, 1 / 0.5, -1 / 0.5, -1 / 0.2, 1 / 1.0, 1 / 0.5, 1 / 0.5], np.float32)
_ZERO, _ONE = np.array(0, np.float32), np.array(1, np.float32)
_DIFFERENT = np.array(Kind.DIFFERENT, np.int8)


def matches(instruction: Instruction, catalog: Catalog, items: NDArray[Any] | None = None) -> Bools:
    """Which items have what the instruction is about, bool ``[n, m]``.

    `items` are indices ``[n, m]``, or None for the whole catalogue (``m = n_items``). For MORE and ONLY, DIFFERENT and SURPRISE a
    match is an item that is asked for; for LESS and AVOID one that is not wanted. Rows without an instruction match nothing.
    """
    n = len(instruction.kind)
    among = np.arange(len(catalog))[None, :] if items is None else items
    aspects = set(instruction.aspect.tolist())
    if len(aspects) == 1 and Aspect.NONE not in aspects:
        return _having(aspects.pop(), instruction.kind, instruction.value, catalog, among)
    out = np.zeros((n, among.shape[1]), dtype=np.bool_)
    for aspect in aspects - {Aspect.NONE}:
        rows = (instruction.aspect == aspect).nonzero()[0]
        out[rows] = _having(aspect, instruction.kind[rows], instruction.value[rows], catalog, among if items is None else among[rows])
    return out


def _having(aspect: int, kind: NDArray[np.int8], value: NDArray[np.int32], catalog: Catalog, items: NDArray[Any]) -> Bools:
    """`matches` for instructions about one aspect; items ``[n, m]`` or ``[1, m]``."""
    if aspect == Aspect.GENRE:
        return catalog.genres[items, value[:, None]] != (kind == _DIFFERENT)[:, None]
    if aspect == Aspect.ERA:
        return catalog.decades[items] == value[:, None]
    if aspect == Aspect.POPULARITY:
        return (catalog.popularity_rank[items] >= WELL_KNOWN) == (value > 0)[:, None]
    if aspect == Aspect.PERSON:
        return (catalog.people[items] == value[:, None, None]).any(axis=2)
    cosine = np.matmul(catalog.features[items], catalog.features[value][:, :, None])[:, :, 0]
    return np.where((kind == _DIFFERENT)[:, None], (cosine >= RELATED[0]) & (cosine < RELATED[1]), cosine >= RELATED[1])


def compliance(instruction: Instruction, catalog: Catalog, slates: NDArray[Any]) -> Floats:
    """How well slates ``[n, k]`` follow the instructions, float32 ``[n]`` in [0, 1]; 0 where there is none.

    With `s` the share of slots that match: ``min(1, s / wanted)`` for MORE, DIFFERENT and SURPRISE (wanted 1/2) and ONLY (wanted 1),
    ``max(0, 1 - s / tolerated)`` for LESS (tolerated 1/2) and AVOID (tolerated 1/5).
    """
    n = len(instruction.kind)
    out = np.zeros(n, dtype=np.float32)
    if instruction is Instruction.none(n):
        return out
    rows = instruction.kind.nonzero()[0]
    if rows.size:
        said = instruction if rows.size == n else instruction.take(rows)
        fit = matches(said, catalog, slates if rows.size == n else slates[rows])
        share = np.add.reduce(fit, axis=1, dtype=np.float32) / np.float32(slates.shape[1])
        out[rows] = np.minimum(np.maximum(_AT_NONE.take(said.kind) + _PER_SHARE.take(said.kind) * share, _ZERO), _ONE)
    return out


def sentence(instruction: Instruction, row: int, catalog: Catalog) -> str:
    """The instruction of one row in English, "" where there is none."""
    if not instruction.kind[row]:
        return ""
    if instruction.texts is not None and instruction.texts[row]:
        return plain(instruction.texts[row], 400)
    kind, aspect, value = int(instruction.kind[row]), int(instruction.aspect[row]), int(instruction.value[row])
    return _said(catalog, kind, aspect, value, int(instruction.phrasing[row]) % len(_WAYS[kind, aspect]))  # type: ignore[index]


def sentences(instruction: Instruction, rows: NDArray[np.int64], catalog: Catalog) -> list[str]:
    """`sentence` of several rows that all have an instruction."""
    if instruction.texts is not None:
        return [sentence(instruction, row, catalog) for row in rows.tolist()]
    ways = _N_WAYS[instruction.kind[rows], instruction.aspect[rows]]
    columns = (instruction.kind[rows], instruction.aspect[rows], instruction.value[rows], instruction.phrasing[rows] % ways)
    return [_said(catalog, *said) for said in zip(*(column.tolist() for column in columns), strict=True)]


@lru_cache(maxsize=65_536)
def _said(catalog: Catalog, kind: int, aspect: int, value: int, way: int) -> str:
    return _WAYS[Kind(kind), Aspect(aspect)][way].format(x=_named(Aspect(aspect), value, catalog))


def _named(aspect: Aspect, value: int, catalog: Catalog) -> str:
    match aspect:
        case Aspect.GENRE:
            return plain(catalog.genre_names[value], 40).lower()
        case Aspect.ERA:
            return f"{value}s"
        case Aspect.PERSON:
            return plain(catalog.people_names[value], 60)
        case Aspect.TITLE:
            return f"“{plain(catalog.titles[value], 80)}”"
        case _:
            return ""


_WAYS: dict[tuple[Kind, Aspect], tuple[str, ...]] = {
    (Kind.MORE, Aspect.GENRE): (
        "I'm in the mood for {x}. Could you show me more of that?",
        "The {x} one caught my eye; more along those lines, please.",
        "More {x}, please.",
        "You had one {x} title in there, and that was the one I wanted. Keep going in that direction.",
    ),
    (Kind.MORE, Aspect.ERA): (
        "Do you have more from the {x}?",
        "The one from the {x} was right up my street. More from back then?",
        "Let's stay in the {x} for a while.",
        "I'd rather watch something from the {x}.",
    ),
    (Kind.MORE, Aspect.PERSON): (
        "Anything else with {x}?",
        "I liked seeing {x}. What else is there?",
        "More by or with {x}, please.",
        "Show me the rest of what {x} has done.",
    ),
    (Kind.MORE, Aspect.TITLE): (
        "{x} was a good call. More like that one, please.",
        "That one, {x}: what else is like it?",
        "More in the spirit of {x}, please.",
        "If I enjoyed {x}, what should I watch next?",
    ),
    (Kind.MORE, Aspect.POPULARITY): (
        "I've not heard of most of these. Something better known, please.",
        "Could you stick to films people know?",
        "These are a bit obscure for me. What does everybody watch?",
        "Show me the well-known ones.",
    ),
    (Kind.LESS, Aspect.GENRE): (
        "That's a lot of {x} at once. A bit less of it, please.",
        "Too much {x} for me in this list.",
        "I like {x} well enough, but not this much of it.",
        "Could we go easy on the {x}?",
    ),
    (Kind.LESS, Aspect.ERA): (
        "Everything here seems to be from the {x}. Mix it up a little?",
        "Less from the {x}, please.",
        "Too many {x} films in a row.",
        "I could do with fewer titles from the {x}.",
    ),
    (Kind.LESS, Aspect.POPULARITY): (
        "I know all of these already. Fewer blockbusters, please.",
        "These are the ones everybody has seen. Less of that.",
        "Too mainstream for me tonight.",
        "Fewer of the famous ones, please.",
    ),
    (Kind.AVOID, Aspect.GENRE): (
        "No {x}, please; it isn't for me.",
        "Please stop showing me {x}.",
        "I don't watch {x}. Leave it out.",
        "Anything but {x}.",
    ),
    (Kind.ONLY, Aspect.GENRE): (
        "I came here for {x}. Only that, please.",
        "Just {x} from now on.",
        "Let's keep it to {x}.",
        "Nothing but {x} tonight, please.",
    ),
    (Kind.ONLY, Aspect.ERA): (
        "Only films from the {x}, please.",
        "Keep it to the {x}.",
        "Tonight it has to be the {x}.",
        "Nothing but the {x}, please.",
    ),
    (Kind.DIFFERENT, Aspect.TITLE): (
        "Something different, but still in the neighbourhood of {x}.",
        "I liked the idea of {x}, but show me another take on it.",
        "Not the same again: related to {x}, but with a twist.",
        "Could you branch out a little from {x}?",
    ),
    (Kind.DIFFERENT, Aspect.GENRE): (
        "Enough {x} for now. Something else entirely?",
        "Let's leave {x} behind and try another direction.",
        "I'd like a change from all this {x}.",
        "What do you have that isn't {x}?",
    ),
    (Kind.SURPRISE, Aspect.POPULARITY): (
        "Surprise me with something I'd never have come across.",
        "I'm running out of ideas. Show me something less known.",
        "Got any hidden gems?",
        "Take a chance: something off the beaten track.",
    ),
}

_N_WAYS = np.zeros((len(Kind), len(Aspect)), np.uint32)
for (_kind, _aspect), _ways in _WAYS.items():
    _N_WAYS[_kind, _aspect] = len(_ways)

FORMS: tuple[tuple[Kind, Aspect], ...] = tuple(_WAYS)
"""The combinations of kind and aspect that can be said."""
