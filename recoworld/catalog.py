"""The items: a struct of arrays that owns the translation between item ids and indices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError, UnknownName

NO_GENRE = "(no genre)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalog:
    """What can be recommended. Item `i` is row `i` of every array.

    Texts are untrusted: whoever prints or prompts with them cleans them first.
    """

    name: str
    ids: NDArray[np.str_]
    """External ids ``[n_items]``, unique."""
    titles: NDArray[np.str_]
    """``[n_items]``."""
    genres: NDArray[np.bool_]
    """Membership ``[n_items, n_genres]``; an item without any belongs to `NO_GENRE`, so that none escapes satiation."""
    genre_names: tuple[str, ...]
    years: NDArray[np.int16]
    """Year of release ``[n_items]``, 0 where unknown."""
    popularity: NDArray[np.float32]
    """Number of logged interactions of all users ``[n_items]``: a public fact about the item, as a chart is. It counts what
    is held out, too: policies fit on `Split` instead."""
    texts: NDArray[np.str_]
    """A line of description ``[n_items]``, "" where there is none."""
    people: NDArray[np.int32]
    """Indices into `people_names` ``[n_items, p]``, -1 where there are fewer than `p` people; `p` may be 0."""
    people_names: tuple[str, ...] = ()
    durations: NDArray[np.float32]
    """Seconds that watching the item as shown takes ``[n_items]``: a trailer or clip, not the whole film."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        if n == 0:
            raise ConfigError(f"catalogue {self.name!r} is empty; expected at least one item")
        for field in ("titles", "genres", "years", "popularity", "texts", "people", "durations"):
            if len(getattr(self, field)) != n:
                got = len(getattr(self, field))
                raise ConfigError(f"catalogue {self.name!r}: {field} has {got} rows, ids has {n}; expected one row an item")
        if self.genres.shape != (n, len(self.genre_names)) or not self.genres.any(axis=1).all():
            raise ConfigError(
                f"catalogue {self.name!r}: every item needs a genre of genre_names; give those without the genre {NO_GENRE!r}"
            )
        if len(self._index) != n:
            raise ConfigError(f"catalogue {self.name!r}: {n - len(self._index)} item ids occur twice; expected unique ids")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {str(item): i for i, item in enumerate(self.ids.tolist())}

    def index(self, item_id: str | int) -> int:
        """Index of an external item id. Raises UnknownName."""
        try:
            return self._index[str(item_id)]
        except KeyError:
            raise UnknownName(f"item of {self.name}", item_id, self._index) from None

    @cached_property
    def decades(self) -> NDArray[np.int16]:
        """Decade of release ``[n_items]``, e.g. 1990; 0 where unknown."""
        return (self.years // 10 * 10).astype(np.int16)

    @cached_property
    def eras(self) -> NDArray[np.int16]:
        """The decades that occur, ascending, unknown left out ``[n_eras]``."""
        return np.unique(self.decades[self.decades > 0])

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Content vectors float32 ``[n_items, n_genres + n_eras]``, non-negative, of length 1.

        Three quarters of an item's squared length lie in its genres, one quarter in its decade: the cosine of two items is
        1 for the same genres and decade, 0 for nothing in common.
        """
        genre = self.genres / np.sqrt(self.genres.sum(axis=1, keepdims=True))
        era = (self.decades[:, None] == self.eras[None, :]).astype(np.float64)
        both = np.concatenate([np.sqrt(0.75) * genre, np.sqrt(0.25) * era], axis=1)
        return (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float32)

    @cached_property
    def popularity_rank(self) -> NDArray[np.float32]:
        """Share of items that are less popular, ties at their middle ``[n_items]`` in [0, 1]: 0.99 is a blockbuster."""
        order = np.sort(self.popularity)
        low, high = np.searchsorted(order, self.popularity, "left"), np.searchsorted(order, self.popularity, "right")
        return ((low + high - 1) / (2 * max(len(self) - 1, 1))).astype(np.float32)

    @cached_property
    def person_features(self) -> NDArray[np.float32]:
        """Mean content vector of each person's items ``[n_people, n_features]``."""
        sums = np.zeros((len(self.people_names), self.features.shape[1]), np.float32)
        item, place = np.nonzero(self.people >= 0)
        np.add.at(sums, self.people[item, place], self.features[item])
        return sums / np.maximum(np.bincount(self.people[item, place], minlength=len(sums)), 1).astype(np.float32)[:, None]

    def label(self, item: int) -> str:
        """One line for a reader: title, year, genres."""
        title, year = str(self.titles[item]), int(self.years[item])
        year_part = f" ({year})" if year and not title.endswith(f"({year})") else ""
        return f"{title}{year_part} [{', '.join(self.genres_of(item))}]"

    def genres_of(self, item: int) -> tuple[str, ...]:
        """Names of the item's genres."""
        return tuple(self.genre_names[g] for g in np.flatnonzero(self.genres[item]))

    def people_of(self, item: int) -> tuple[str, ...]:
        """Names of the item's people."""
        return tuple(self.people_names[p] for p in self.people[item] if p >= 0)


def build_catalog(
    *,
    name: str,
    ids: list[str],
    titles: list[str],
    genres: list[tuple[str, ...]],
    years: list[int] | None = None,
    texts: list[str] | None = None,
    people: list[tuple[str, ...]] | None = None,
    popularity: NDArray[Any] | None = None,
    durations: NDArray[Any] | None = None,
    default_duration: float = 150.0,
) -> Catalog:
    """A catalogue from plain lists, one entry an item.

    Genre and person names are collected and sorted; items without a genre get `NO_GENRE`; `default_duration` is 150 s, the
    usual length of a film trailer.
    """
    n = len(ids)
    named = [tuple(dict.fromkeys(g for g in item if g)) or (NO_GENRE,) for item in genres]
    genre_names = tuple(sorted({g for item in named for g in item}))
    genre_index = {g: i for i, g in enumerate(genre_names)}
    membership = np.zeros((n, len(genre_names)), dtype=np.bool_)
    for i, item in enumerate(named):
        membership[i, [genre_index[g] for g in item]] = True
    cast = people or [()] * n
    people_names = tuple(sorted({p for item in cast for p in item}))
    person_index = {p: i for i, p in enumerate(people_names)}
    width = max((len(item) for item in cast), default=0)
    cast_array = np.full((n, width), -1, dtype=np.int32)
    for i, item in enumerate(cast):
        cast_array[i, : len(item)] = [person_index[p] for p in item]
    return Catalog(
        name=name,
        ids=np.array(ids, dtype=np.str_),
        titles=np.array(titles, dtype=np.str_),
        genres=membership,
        genre_names=genre_names,
        years=np.array(years if years is not None else [0] * n, dtype=np.int16),
        popularity=np.asarray(popularity if popularity is not None else np.zeros(n), dtype=np.float32),
        texts=np.array(texts if texts is not None else [""] * n, dtype=np.str_),
        people=cast_array,
        people_names=people_names,
        durations=np.asarray(durations if durations is not None else np.full(n, default_duration), dtype=np.float32),
    )
