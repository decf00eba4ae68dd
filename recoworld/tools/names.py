"""Which item is meant: by id, by title, or by something near a title."""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property

import numpy as np

from recoworld.catalog import Catalog
from recoworld.text import clean, quoted
from recoworld.tools.arguments import Mistake, shown
from recoworld.tools.lines import NAME, TITLE
from recoworld.tools.search import Postings

_MARKED = re.compile(r"^\s*(?:id\s*[:=#]\s*|#\s*|\[\s*(?:id\s*[:=#]?\s*)?)([^\]\s]{1,40})\]?", re.IGNORECASE)
_YEAR = re.compile(r"\s*[\[(]((?:18|19|20)\d\d)[\])]\s*$")
_TAIL = re.compile(r"\s+[-–—|]\s+|:\s+|\s*[\[(](?!(?:18|19|20)\d\d[\])])|;\s")  # what follows a title is a remark
_ARTICLE = re.compile(r"^(.*),\s*(the|an|a|les|le|la|el|il|der|die|das)$")
_ARTICLES = re.compile(r"^(?:the|an?) (?=.)")
_NEAR = 0.3  # share of common trigrams from which a title is near


class Names:
    """The ways in which the items of a catalogue may be named."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def index(self, name: object) -> int:
        """The item that is meant by an id or a title, with or without its year. Raises Mistake, which says what is near."""
        said = str(name).strip()
        if said in self._ids:
            return self._ids[said]
        if isinstance(name, int):
            raise Mistake(f"there is no item with the id {shown(name)}; expected an id that a tool has shown, or a title")
        found = self._titled(said)
        marked = _MARKED.match(said)
        if not found and marked and marked[1] in self._ids:
            return self._ids[marked[1]]
        found = found or self._titled(_head(said))
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f"[{clean(self.catalog.ids[item], NAME)}] ({self.catalog.years[item] or 'no year'})" for item in found[:6])
            raise Mistake(f"{shown(said)} is the title of {len(found)} items: {listed}; expected one of these ids")
        near = self.near(said)
        hint = f"did you mean {' or '.join(self._named(item) for item in near)}?" if near else "search finds items by their words"
        raise Mistake(f"there is no item {shown(said)}; {hint}")

    def near(self, title: str, limit: int = 3) -> list[int]:
        """The items whose titles have most letters in common with this one (Dice's coefficient of trigrams), best first."""
        codes = sorted(set(_trigrams(_normal(title[:100]))))
        common = self._trigrams.counts(codes)
        dice = 2 * common / np.maximum(self._trigrams.lengths + len(codes), 1)
        best = np.lexsort((-self.catalog.popularity, -dice))[:limit]
        return [int(item) for item in best if dice[item] >= _NEAR]

    def _titled(self, title: str) -> list[int]:
        """The items of this title: as it stands, without its year, without its article."""
        year, normal = _YEAR.search(title), _normal(title)
        bare = normal if year is None else _normal(title[: year.start()])
        for titles, form in ((self._titles, normal), (self._titles, bare), (self._loose, _ARTICLES.sub("", bare))):
            found = titles.get(form, [])
            if year is not None and len(found) > 1:
                found = [item for item in found if int(self.catalog.years[item]) == int(year[1])] or found
            if found:
                return found
        return []

    def _named(self, item: int) -> str:
        return f"[{clean(self.catalog.ids[item], NAME)}] {quoted(self.catalog.titles[item], TITLE)}"

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Ids as they are, and as they are shown."""
        ids = self.catalog.ids.tolist()
        return {clean(item_id, NAME): item for item, item_id in enumerate(ids)} | {str(item_id): item for item, item_id in enumerate(ids)}

    @cached_property
    def _titles(self) -> dict[str, list[int]]:
        titles: dict[str, list[int]] = {}
        for item, title in enumerate(self.catalog.titles.tolist()):
            forms = (title, clean(title, TITLE), _YEAR.sub("", title), title.split(" (")[0])
            for form in dict.fromkeys(map(_normal, forms)):
                if form:
                    titles.setdefault(form, []).append(item)
        return titles

    @cached_property
    def _loose(self) -> dict[str, list[int]]:
        loose: dict[str, list[int]] = {}
        for form, items in self._titles.items():
            loose.setdefault(_ARTICLES.sub("", form), []).extend(items)
        return {form: list(dict.fromkeys(items)) for form, items in loose.items()}

    @cached_property
    def _trigrams(self) -> Postings:
        return Postings([_trigrams(_normal(title[:100])) for title in self.catalog.titles.tolist()], distinct=True)


def _head(said: str) -> str:
    """What stands before a remark: ``"Heat" (1995) - tense`` -> ``Heat (1995)``."""
    said = re.sub(r"^\d{1,3}[.)]\s+", "", said)
    said = _MARKED.sub("", said, count=1) if said[:1] in "[#" else said
    quotes = re.match(r"\s*[\"“*_]+([^\"”*_]{1,150})[\"”*_]+\s*(\((?:18|19|20)\d\d\))?", said)
    if quotes:
        return f"{quotes[1]} {quotes[2] or ''}".strip()
    return _TAIL.split(said.strip(), maxsplit=1)[0].strip()


def _normal(title: str) -> str:
    """Letters and digits in lower case without accents, words parted by single spaces, an article that was put last first."""
    folded = unicodedata.normalize("NFKD", title[:300].casefold())
    behind = _ARTICLE.match(folded)
    folded = f"{behind[2]} {behind[1]}" if behind else folded
    return " ".join("".join(c if c.isalnum() else "" if unicodedata.combining(c) or c in "'’" else " " for c in folded).split())


def _trigrams(words: str) -> list[str]:
    padded = f" {words} "
    return [padded[i : i + 3] for i in range(len(padded) - 2)]
