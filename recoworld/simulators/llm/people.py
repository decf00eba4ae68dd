"""Who the user is: a person of the data set, in words that a prompt can hold.

A person knows all of its own log, the part that is hidden from policies too, as the behavioural user's taste does
(`recoworld.simulators.taste`); a comparison with held-out behaviour wants `Dataset.known`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import NO_GENRE
from recoworld.llm.items import ItemWords
from recoworld.llm.words import NAME
from recoworld.simulators.taste import traits
from recoworld.text import clean
from recoworld.types import Floats
from recoworld.users import Dataset

_SHRINK = 10  # interactions of the crowd's that a taste is shrunk by
_TRAITS = (
    ("impatient", "fairly patient", "very patient"),
    ("seldom tell others what you want", "say what you want when it matters", "are quick to say what you want"),
    ("keep to what you know", "are open to something new now and then", "are curious and like to be surprised"),
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """What a template may say of a person; every text is cleaned, every title quoted."""

    about: str
    """Demographics, "" where nothing is known."""
    patience: str
    talk: str
    openness: str
    met: int
    """Items in its log."""
    liked: int
    """Per cent of them."""
    genres: str
    """What it likes most often."""
    more: str
    """What it takes more often than others do."""
    seldom: str
    eras: str
    loved: tuple[str, ...]
    disliked: tuple[str, ...]
    lately: tuple[str, ...]
    """Of the latest items those that are named nowhere else."""


class People:
    """The persons of a data set, each described when first met."""

    def __init__(self, dataset: Dataset, items: ItemWords, *, history_items: int, seed: int) -> None:
        self.dataset, self.items, self.history_items = dataset, items, history_items
        x, log = dataset.catalog.features, dataset.interactions
        counts = np.bincount(log.items, minlength=len(x))
        self._crowd = (counts @ x / max(len(log), 1)).astype(np.float32)
        self._traits = np.clip((traits(len(dataset.users), seed)[:, :3] + 1.5).astype(np.int64), 0, 2)  # thirds: below -1/2, above 1/2
        self._people: dict[int, Person] = {}
        self._homes: dict[int, Floats] = {}

    def __getitem__(self, user: int) -> Person:
        if user not in self._people:
            self._people[user] = self._described(user)
        return self._people[user]

    def home(self, user: int) -> Floats:
        """What the user's log has more of than the crowd's: content features ``[d]``, as `recoworld.simulators.taste.Taste.home`."""
        if user not in self._homes:
            log = self.dataset.interactions
            items = log.items[log.indptr[user] : log.indptr[user + 1]]
            x = self.dataset.catalog.features[items].astype(np.float64)
            self._homes[user] = ((x.sum(axis=0) - len(items) * self._crowd) / (len(items) + _SHRINK)).astype(np.float32)
        return self._homes[user]

    def _described(self, user: int) -> Person:
        data, title, few = self.dataset, self.items.title, self.history_items
        log, start, end = data.interactions, data.interactions.indptr[user], data.interactions.indptr[user + 1]
        items, ratings, liked = log.items[start:end], log.ratings[start:end], data.liked[start:end]
        late = np.arange(len(items))
        best = np.flatnonzero(liked)[np.lexsort((-late[liked], -ratings[liked]))][:few]
        worst = np.flatnonzero(~liked)[np.lexsort((-late[~liked], ratings[~liked]))][: few // 2]
        last = [row for row in late[::-1][: few // 2] if row not in best and row not in worst]
        home = self.home(user)[: len(data.catalog.genre_names)]
        order = np.argsort(-home, kind="stable")
        patience, talk, openness = (ways[place] for ways, place in zip(_TRAITS, self._traits[user].tolist(), strict=True))
        decades = data.catalog.decades[items[liked]]
        return Person(
            about=clean(data.users.descriptions[user], 100),
            patience=patience,
            talk=talk,
            openness=openness,
            met=len(items),
            liked=round(100 * float(liked.mean())) if len(items) else 0,
            genres=self._named(_most(data.catalog.genres[items[liked]].sum(axis=0), 3)),
            more=self._named(order[:2][home[order[:2]] > 0]),
            seldom=self._named(order[::-1][:2][home[order[::-1][:2]] < 0]),
            eras=", ".join(f"{decade}s" for decade in data.catalog.eras[_most((decades[:, None] == data.catalog.eras).sum(axis=0), 2)]),
            loved=tuple(title(int(item)) for item in items[best]),
            disliked=tuple(title(int(item)) for item in items[worst]),
            lately=tuple(title(int(items[row])) + (", liked" if liked[row] else ", disliked") * data.explicit for row in last),
        )

    def _named(self, genres: NDArray[np.int64]) -> str:
        names = (self.dataset.catalog.genre_names[genre] for genre in genres.tolist())
        return ", ".join(clean(name, NAME) for name in names if name != NO_GENRE)


def _most(counts: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """The places of the largest counts above 0, largest first."""
    order = np.argsort(-counts, kind="stable")[:number]
    return order[counts[order] > 0]
