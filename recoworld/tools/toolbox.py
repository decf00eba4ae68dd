"""The tools themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np

from recoworld.errors import ConfigError
from recoworld.instructions import WELL_KNOWN
from recoworld.luck import Luck
from recoworld.text import clean
from recoworld.tools.arguments import Mistake, checked, meant, shown
from recoworld.tools.lines import BAD, GOOD, NAME, View, acts_of, item_card, item_line
from recoworld.tools.names import Names
from recoworld.tools.schemas import tool_schemas
from recoworld.tools.search import BM25, Numbers, document_of, words_of
from recoworld.types import Act, Floats, Recommender
from recoworld.users import Dataset, Split

Embedder = Callable[[list[str]], Floats]
ANSWER = 8000
"""Characters of an answer, at most."""
_SEEDS, _ENOUGH = 5, 64  # best lexical hits whose mean stands for a query; items that a ranker is asked for


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a tool tells the model."""

    text: str
    good: bool = True
    """Whether the call was as expected; if not, the text says what was wrong."""


@dataclass(frozen=True, kw_only=True)
class Picked:
    """What a call of `recommend` comes to."""

    items: tuple[int, ...] = ()
    """Item indices, one a slot; none where there is a problem."""
    message: str = ""
    """To the user, on one line."""
    problem: str = ""
    """What is wrong, in words for the model."""


class Toolbox:
    """The tools over one data set; see `recoworld.tools`. It holds nothing of any user, and answers the same to the same."""

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        *,
        rankers: Mapping[str, Recommender] | None = None,
        embeddings: Floats | None = None,
        embed: Embedder | None = None,
    ) -> None:
        """rankers: fitted policies by the names under which a model asks for them. embeddings: item vectors ``[n_items, e]``.
        embed: sentences -> vectors in their space ``[n, e]``; without it the best lexical hits stand for a query.

        Raises ConfigError for vectors of another shape.
        """
        self.catalog, self.dataset, self.split, self.rankers = dataset.catalog, dataset, split, dict(rankers or {})
        vectors = self.catalog.features if embeddings is None else np.asarray(embeddings, np.float32)
        if vectors.ndim != 2 or len(vectors) != len(self.catalog) or not np.isfinite(vectors).all():
            raise ConfigError(f"embeddings: got shape {vectors.shape}; expected finite numbers ({len(self.catalog)}, e), one row an item")
        if embed is not None and embeddings is None:
            raise ConfigError("embed: got a function without embeddings; expected item vectors in the same space")
        self._vectors, self._embed = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), embed
        self.names = Names(self.catalog)
        self.schemas = tool_schemas(self.catalog, self.rankers)
        """OpenAI's description of the tools."""
        self._rules = {tool["function"]["name"]: tool["function"]["parameters"] for tool in self.schemas}

    def call(self, name: object, arguments: object, view: View) -> str:
        """What a tool says to the model: at most `ANSWER` characters. Whatever is asked, nothing is raised and nobody's time goes on."""
        return self.answer(name, arguments, view).text

    def answer(self, name: object, arguments: object, view: View) -> Answer:
        """`call`, and whether it was as expected."""
        try:
            if not isinstance(name, str) or name not in self._rules:
                raise Mistake(f"there is no tool {shown(name)}; {meant(name, self._rules)}")
            text: str = getattr(self, f"_{name}")(view, **checked(name, self._rules[name], arguments))
        except Mistake as mistake:
            return Answer(text=f"Error: {mistake}"[:ANSWER], good=False)
        return Answer(text=text if len(text) <= ANSWER else text[: ANSWER - 1] + "…")

    def picked(self, arguments: object, view: View) -> Picked:
        """The slate that a call of `recommend` asks for; items beyond the last slot are left out."""
        slots = len(view["slate"])
        try:
            given = checked("recommend", self._rules["recommend"], arguments)
            found: dict[int, object] = {}
            for name in given["items"]:
                item = self.names.index(name)
                if item in found:
                    raise Mistake(f"{shown(name)} and {shown(found[item])} are the same item; expected {slots} different ones")
                found[item] = name
            if len(found) < slots:
                raise Mistake(f"got {len(found)} items; expected {slots}, one for each slot of the slate")
        except Mistake as mistake:
            return Picked(problem=f"recommend: {str(mistake).removeprefix('recommend: ')}")
        return Picked(items=tuple(found)[:slots], message=clean(given["message"] or "", 500))

    # the tools

    def _search(self, view: View, query: str, by: str, limit: int) -> str:
        lexical = self._bm25.scores(words_of(query))
        hits = int((lexical > 0).sum())
        if by == "words" or (self._embed is None and not hits):
            order = [item for item in self._best(lexical, limit) if lexical[item] > 0]
            if not order:
                near = self.names.near(query)
                hint = self._lines(near, view) if near else "try other words, or `top`"
                return f"search {shown(query)}: nothing has these words. " + (f"Near titles:\n{hint}" if near else hint)
            return f"search {shown(query)}: {hits} items have these words; the best:\n{self._lines(order, view)}"
        if self._embed is not None:
            centre = np.asarray(self._embed([clean(query, 200)]), np.float64)[0]
        else:
            seeds = [item for item in self._best(lexical, _SEEDS) if lexical[item] > 0]
            centre = lexical[seeds] @ self._vectors[seeds].astype(np.float64)
        order = self._best(self._vectors @ centre, limit)
        return f"search {shown(query)} by meaning; the nearest:\n{self._lines(order, view)}"

    def _similar(self, view: View, item: object, limit: int) -> str:
        index = self.names.index(item)
        likeness = self._vectors @ self._vectors[index].astype(np.float64)
        likeness[index] = -np.inf
        return f"like {item_line(self.catalog, index)}:\n{self._lines(self._best(likeness, min(limit, len(self.catalog) - 1)), view)}"

    def _lookup(self, view: View, items: list[object]) -> str:
        met = acts_of(view)
        return "\n".join(item_card(self.catalog, item, met) for item in dict.fromkeys(map(self.names.index, items)))

    def _top(self, view: View, genre: str | None, era: str | None, popularity: str, limit: int) -> str:
        catalog, met = self.catalog, acts_of(view)
        fits = np.ones(len(catalog), np.bool_)
        fits[list(met)] = False
        what = []
        if genre is not None:
            names = {clean(name, 30).casefold(): place for place, name in enumerate(catalog.genre_names)}
            if clean(genre, 30).casefold() not in names:
                raise Mistake(f"top: genre: got {shown(genre)}; {meant(genre, catalog.genre_names)}")
            place = names[clean(genre, 30).casefold()]
            fits &= catalog.genres[:, place]
            what.append(clean(catalog.genre_names[place], 30))
        if era is not None:
            decade = re.fullmatch(r"\s*((?:1[5-9]|20)\d)\d('?s)?\s*", era)
            if decade is None:
                raise Mistake(f'top: era: got {shown(era)}; expected a decade such as "1990s"')
            fits &= catalog.decades == int(decade[1]) * 10
            what.append(f"the {decade[1]}0s")
        if popularity != "any":
            fits &= (catalog.popularity_rank >= WELL_KNOWN) == (popularity == "well known")
            what.append(popularity)
        order = [item for item in self._best(np.where(fits, catalog.popularity, -np.inf), limit) if fits[item]]
        among = f"top, {', '.join(what)}" if what else "top"
        found = f"{int(fits.sum())} unmet items" if order else "no unmet items"
        return f"{among}: {found}" + (f"; the best known:\n{self._lines(order, view)}" if order else "")

    def _user_history(self, view: View, which: str, limit: int) -> str:
        met = acts_of(view)
        kept = {"liked": GOOD, "disliked": BAD, "session": tuple(act for act in Act if act > Act.RATED), "all": tuple(Act)}[which]
        found = [item for item in reversed(met) if met[item] in kept]
        listed = "\n".join(item_line(self.catalog, item, met) for item in found[:limit])
        return f"history, {which}: {len(found)} items, latest first" + (f":\n{listed}" if found else "")

    def _rank(self, view: View, by: str, items: list[object] | None, limit: int) -> str:
        asked = None if items is None else list(dict.fromkeys(map(self.names.index, items)))
        order = self.ranked(by, view, asked)
        return f"rank by {clean(by, NAME)}, best first:\n{self._lines(order[: limit if asked is None else len(order)], view)}"

    def _recommend(self, view: View, **arguments: Any) -> str:
        picked = self.picked(arguments, view)
        if picked.problem:
            raise Mistake(picked.problem)
        return f"the slate, not shown to anybody yet:\n{self._lines(list(picked.items), view)}"

    # what they share

    def ranked(self, by: str, view: View, items: list[int] | None = None) -> list[int]:
        """The catalogue, or these items, as a ranker orders them; of the catalogue the first, a slate at least."""
        size = len(self.catalog) if items is not None else min(max(_ENOUGH, len(view["slate"])), len(self.catalog))
        seen = {key: value[None] for key, value in view.items()} | {"slate": np.zeros((1, size), np.int32)}
        luck = Luck(np.frombuffer(blake2b(view["history"].tobytes(), digest_size=8).digest(), "<u8").astype(np.uint64))
        order: list[int] = self.rankers[by].recommend(seen, luck)[0].tolist()
        wanted = None if items is None else set(items)
        return order if wanted is None else [item for item in order if item in wanted]

    def popular(self, view: View) -> tuple[int, ...]:
        """The best known items that the user has not met, one a slot; the longest ago met where there are no others."""
        met, slots = acts_of(view), len(view["slate"])
        unmet = islice((item for item in self._chart if item not in met), slots)
        return tuple([*unmet, *met][:slots])

    @cached_property
    def _chart(self) -> list[int]:
        """The items, best known first."""
        order: list[int] = np.argsort(-self.catalog.popularity, kind="stable").tolist()
        return order

    @cached_property
    def _bm25(self) -> BM25:
        return BM25([document_of(self.catalog, item) for item in range(len(self.catalog))])

    def _best(self, scores: Numbers | Floats, limit: int) -> list[int]:
        """The items of the highest scores, best first; of equal ones the best known first."""
        order = np.lexsort((-self.catalog.popularity, -np.round(scores, 6)))[:limit]
        return order.tolist()

    def _lines(self, items: list[int], view: View) -> str:
        met = acts_of(view)
        return "\n".join(item_line(self.catalog, item, met) for item in items)
