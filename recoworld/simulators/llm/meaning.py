"""From the words of replies to the arrays of a feedback: what was done, said and felt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recoworld.catalog import Catalog
from recoworld.parse import understood
from recoworld.simulators.llm.reply import DEEDS, Reply
from recoworld.types import Aspect, Bools, Floats, Instruction, Kind, Slates

_UNSEEN, _SKIP, _CLICK, _LIKE, _COMMENT, _SHARE = range(len(DEEDS))
_CODE = {deed: code for code, deed in enumerate(DEEDS)}
_DRIFT = np.float32(0.2)


@dataclass(frozen=True, kw_only=True)
class Acts:
    """What was done with slates ``[n, k]``."""

    examined: Bools
    clicked: Bools
    liked: Bools
    commented: Bools
    shared: Bools
    share: Floats
    """Of the duration watched, in [0, 1]."""
    bent: Bools
    """Whose words contradicted themselves ``[n]``."""


def acts(replies: Sequence[Reply]) -> Acts:
    """What the replies come to, by the rules of `recoworld.simulators.llm.simulator`."""
    code = np.array([[_CODE[deed] for deed in reply.deeds] for reply in replies], np.int8)  # [n, k]
    watch = np.array([reply.watch for reply in replies], np.float32) / np.float32(100)
    stops = code == _UNSEEN
    stops[:, 0] = False
    examined = ~np.logical_or.accumulate(stops, axis=1)
    clicked = examined & (code >= _CLICK)
    bent = (code[:, 0] == _UNSEEN) | (~examined & (code != _UNSEEN)).any(axis=1) | ((watch > 0) & ~clicked).any(axis=1)
    return Acts(
        examined=examined,
        clicked=clicked,
        liked=examined & (code == _LIKE),
        commented=examined & (code == _COMMENT),
        shared=examined & (code == _SHARE),
        share=watch * clicked,
        bent=bent,
    )


def heard_words(replies: Sequence[Reply], catalog: Catalog, slates: Slates) -> tuple[Instruction, list[str]]:
    """The instructions ``[n]``, and what was said that is none, "" for nothing ``[n]``.

    The instruction has `texts` in any case: whether a batch has them must not depend on who is in it.
    """
    n = len(replies)
    kind, aspect, value = np.zeros(n, np.int8), np.zeros(n, np.int8), np.zeros(n, np.int32)
    texts, lost = np.full(n, "", dtype=object), [""] * n
    for row, reply in enumerate(replies):
        found = understood(reply.say, catalog, slates[row].tolist()) if reply.say else None
        if found is not None:
            kind[row], aspect[row], value[row], texts[row] = found.kind[0], found.aspect[0], found.value[0], reply.say
        else:
            lost[row] = reply.say
    return Instruction(kind=kind, aspect=aspect, value=value, phrasing=np.zeros(n, np.uint32), texts=texts), lost


def named_genre(words: str, catalog: Catalog) -> int:
    """The genre that somebody is after who says so, -1 for none."""
    found = understood(words, catalog)
    if found is None or found.aspect[0] != Aspect.GENRE or found.kind[0] not in (Kind.MORE, Kind.ONLY):
        return -1
    return int(found.value[0])


def levels_after(levels: Floats, replies: Sequence[Reply], opening: Floats) -> Floats:
    """The five levels ``[n, 5]`` that the replies name; unknown ones drift a fifth of the way from ``levels`` to ``opening``."""
    named = np.array([[-1 if level is None else level for level in reply.levels] for reply in replies], np.float32)
    return np.where(named < 0, levels + _DRIFT * (opening - levels), named / np.float32(10))
