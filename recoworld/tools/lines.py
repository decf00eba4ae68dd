"""Items as a model reads them: one line each, untrusted texts cleaned and in quotation marks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from recoworld.catalog import NO_GENRE, Catalog
from recoworld.instructions import WELL_KNOWN
from recoworld.text import clean, quoted
from recoworld.types import Act

View = Mapping[str, NDArray[Any]]
"""One row of `recoworld.envs.codec.observe`."""
TITLE, NAME, TEXT = 80, 40, 240
"""Characters of a title, of a name or id, and of a description, at most."""
_HIT = 0.97  # popularity rank beside WELL_KNOWN
ACTS = {
    Act.DISLIKED: "disliked",
    Act.RATED: "liked",
    Act.UNSEEN: "shown, not looked at",
    Act.SKIPPED: "passed over",
    Act.CLICKED: "watched",
    Act.LIKED: "liked in this session",
    Act.COMMENTED: "commented on",
    Act.SHARED: "shared",
}
GOOD = (Act.RATED, Act.LIKED, Act.COMMENTED, Act.SHARED, Act.CLICKED)
"""Acts that speak for an item."""
BAD = (Act.DISLIKED, Act.SKIPPED)


def item_line(catalog: Catalog, item: int, met: Mapping[int, int] | None = None) -> str:
    """``[260] "Star Wars" (1977): Action, Adventure; a hit; liked``; met: `Act` of items that the user met, see `acts_of`."""
    head, facts = _facts(catalog, int(item))
    tail = "; ".join([*facts, *([ACTS[Act(met[item])]] if met and item in met else [])])
    return f"{head}: {tail}" if tail else head


@lru_cache(maxsize=65_536)
def _facts(catalog: Catalog, item: int) -> tuple[str, tuple[str, ...]]:
    """What is the same for everybody: id, title and year; genres and fame."""
    year, rank = int(catalog.years[item]), float(catalog.popularity_rank[item])
    genres = ", ".join(clean(name, 30) for name in catalog.genres_of(item)[:5] if name != NO_GENRE)
    known = "a hit" if rank >= _HIT else "well known" if rank >= WELL_KNOWN else ""
    head = f"[{clean(catalog.ids[item], NAME)}] {quoted(catalog.titles[item], TITLE)}" + (f" ({year})" if year else "")
    return head, tuple(fact for fact in (genres, known) if fact)


def item_card(catalog: Catalog, item: int, met: Mapping[int, int]) -> str:
    """All that the catalogue knows of an item, in one line."""
    people = ", ".join(clean(name, NAME) for name in catalog.people_of(item)[:6])
    about = f"; about: {quoted(catalog.texts[item], TEXT)}" if catalog.texts[item] else ""
    rank = f"; better known than {float(catalog.popularity_rank[item]):.0%} of the items"
    return item_line(catalog, item, met) + rank + (f"; with {people}" if people else "") + about


def acts_of(view: View) -> dict[int, int]:
    """Item -> the last `Act` that it met with, in the order in which items were last met."""
    out: dict[int, int] = {}
    for item, act in zip(view["history"].tolist(), view["history_acts"].tolist(), strict=True):
        if item:
            out.pop(item - 1, None)
            out[item - 1] = act
    return out
