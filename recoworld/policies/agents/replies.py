"""Rankings in words: what a model may say, and how it is read.

Numbers out of range and numbers said twice are left out, and what a ranking leaves out keeps its place behind it: a grammar can hold a
reply to integers, and not to a permutation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from recoworld.llm.asking import Unreadable
from recoworld.llm.model import Schema
from recoworld.llm.replies import object_in, record_of, words_of
from recoworld.llm.words import PLAIN

THOUGHT, WHY = 160, 40
"""Characters of a thought, and of the reason for an item."""
WANTS = "The user wants "
"""How a thought begins: a small model, left to itself, says the first title that it has read."""
_MOST = 1000  # entries of a ranking that are read


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A valid reply."""

    thought: str
    places: tuple[int, ...]
    """Places in the list that was shown, from 0, the best first, each once; at least one."""
    whys: tuple[str, ...]
    """The reason for each, "" where none was given."""
    bent: bool
    """Whether numbers had to be left out."""


@lru_cache(maxsize=64)
def ranking_schema(wanted: int, shown: int, *, reasons: bool = False) -> Schema:
    """The schema of the `wanted` best of `shown` numbered items; reasons: with a few words on each."""
    number = {"type": "integer", "minimum": 1, "maximum": shown}
    entry = record_of({"item": number, "why": words(WHY)}) if reasons else number
    ranking = {"type": "array", "items": entry, "minItems": wanted, "maxItems": wanted}
    return record_of({"thought": words(THOUGHT, begin=WANTS), "ranking": ranking})


def words(most: int, least: int = 1, *, begin: str = "") -> Schema:
    """The schema of a few words; begin: letters and spaces that they begin with, among the `most`."""
    return {"type": "string", "pattern": f"^{begin}{PLAIN}{{{least},{most - len(begin)}}}$"}


def read_ranking(text: str, wanted: int, shown: int) -> Ranking:
    """The ranking that a text holds. Raises Unreadable, of the kind "json" or "ranking"."""
    content = object_in(text)
    given = content.get("ranking")
    if not isinstance(given, list):
        raise Unreadable("ranking", '"ranking" is missing; expected a list of numbers')
    entries = [entry if isinstance(entry, dict) else {"item": entry} for entry in given[:_MOST]]
    first: dict[int, int] = {}  # number -> where it was said first
    for place, entry in enumerate(entries):
        number = entry.get("item")
        if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= shown:
            first.setdefault(number, place)
    order = list(first)[:wanted]
    if not order:
        raise Unreadable("ranking", f'"ranking" names none of the items; expected numbers from 1 to {shown}')
    return Ranking(
        thought=words_of(content, "thought", THOUGHT),
        places=tuple(number - 1 for number in order),
        whys=tuple(words_of(entries[first[number]], "why", WHY) for number in order),
        bent=len(order) < wanted,
    )


def completed(first: Iterable[int], rest: Iterable[int], k: int) -> list[int]:
    """`k` different items: those of `first`, then those of `rest`, in their order."""
    return list(dict.fromkeys([*first, *rest]))[:k]
