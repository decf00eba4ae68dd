"""Perception: one row of observations in words. Whatever is not in the observation, nobody hears of here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import NO_GENRE
from recoworld.instructions import FORMS, sentence
from recoworld.llm.items import ItemWords
from recoworld.llm.words import NAME
from recoworld.policies.instruct import instructions_of
from recoworld.text import clean, quoted
from recoworld.types import Act, Ints, Kind, Observations
from recoworld.users import Dataset, Split

GOOD = (Act.RATED, Act.CLICKED, Act.LIKED, Act.COMMENTED, Act.SHARED)
"""Acts that speak for an item."""
_DID = {
    Act.DISLIKED: "disliked",
    Act.RATED: "liked",
    Act.UNSEEN: "not looked at",
    Act.SKIPPED: "passed over",
    Act.CLICKED: "clicked",
    Act.LIKED: "liked",
    Act.COMMENTED: "commented on",
    Act.SHARED: "shared",
}


@dataclass(frozen=True, kw_only=True)
class Met:
    """An item that a user has met, and what became of it."""

    item: int
    act: Act

    @property
    def good(self) -> bool:
        """Whether it speaks for the item."""
        return self.act in GOOD


@dataclass(frozen=True, kw_only=True)
class View:
    """What an agent may know of one user."""

    about: str
    """Demographics in words, "" where nothing is known."""
    past: tuple[Met, ...]
    """Before the session, oldest first."""
    turns: tuple[tuple[Met, ...], ...]
    """The slates of this session, oldest first, each in the order in which it was shown."""
    asked: str
    """The instruction in force as a quoted sentence, "" for none."""
    row: Mapping[str, NDArray[Any]] = field(default_factory=dict, compare=False)
    """The row of observations itself, for tools."""

    @property
    def met(self) -> tuple[Met, ...]:
        """All that was met and looked at, oldest first."""
        return self.past + tuple(one for turn in self.turns for one in turn if one.act != Act.UNSEEN)


class Perception:
    """How a data set's items, people and instructions are called. Popularity counts the visible logs alone."""

    def __init__(self, dataset: Dataset, split: Split) -> None:
        self.dataset, self.split = dataset.known(split)
        self.catalog = self.dataset.catalog
        self.items = ItemWords(self.catalog)
        users = dataset.users
        self._abouts: dict[bytes, str] = {}
        for row, about in zip(users.features, users.descriptions.tolist(), strict=True):
            self._abouts.setdefault(row.tobytes(), clean(about, 100))

    def views(self, observations: Observations) -> list[View]:
        """One a row."""
        k = observations["slate"].shape[1]
        code = observations["instruction_code"]
        rows = zip(
            observations["profile"].astype(np.float32), observations["history"].tolist(), observations["history_acts"].tolist(), strict=True
        )
        return [
            View(
                about=self._abouts.get(profile.tobytes(), ""),
                asked=self._sentence(code, row),
                row={name: value[row] for name, value in observations.items()},
                **_history(items, acts, k),
            )
            for row, (profile, items, acts) in enumerate(rows)
        ]

    def told(self, met: Met, *, genres: bool = False) -> str:
        """An item of a history: ``"Heat", liked``, or with its genres ``"Heat", liked (Crime)``."""
        kinds = self.items.genres(met.item) if genres else ""
        return f"{self.items.title(met.item)}, {_DID[met.act]}" + (f" ({kinds})" if kinds else "")

    def tastes(self, view: View, most: int = 3) -> str:
        """The genres that the user liked most often, "" for none."""
        names = self.catalog.genre_names
        counts = Counter(int(genre) for met in view.met if met.good for genre in np.flatnonzero(self.catalog.genres[met.item]))
        order = sorted((genre for genre in counts if names[genre] != NO_GENRE), key=lambda genre: (-counts[genre], genre))
        return ", ".join(clean(names[genre], NAME) for genre in order[:most])

    def _sentence(self, code: NDArray[np.int32], row: int) -> str:
        kind, aspect = code[row, :2].tolist()
        if not kind or (kind, aspect) not in FORMS:
            return ""
        return quoted(sentence(instructions_of(code[row : row + 1]), 0, self.catalog), 160)


def ranked_observations(histories: NDArray[Any], candidates: Ints, d: int, profiles: NDArray[Any] | None) -> Observations:
    """The observations of users of whom nothing is known but what they liked; histories hold index + 1, padded with 0 ``[n, h]``."""
    n, m = candidates.shape
    return {
        "profile": np.full((n, 1), np.nan, np.float32) if profiles is None else profiles,
        "history": histories,
        "history_acts": np.where(histories > 0, Act.RATED, Act.NONE).astype(np.int8),
        "slate": np.zeros((n, m), np.int32),
        "feedback": np.zeros((n, m, 6), np.float32),
        "instruction": np.zeros((n, len(Kind) - 1 + d + 2), np.float32),
        "instruction_code": np.zeros((n, 4), np.int32),
        "turn": np.zeros((n, 1), np.float32),
    }


def _history(items: list[int], acts: list[int], k: int) -> dict[str, Any]:
    """Past and turns: what happened in this session has acts of its own, and each of its slates had `k` slots."""
    met = [Met(item=item - 1, act=Act(act)) for item, act in zip(items, acts, strict=True) if item]
    past = tuple(one for one in met if one.act < Act.UNSEEN)
    shown = [one for one in met if one.act >= Act.UNSEEN]
    return {"past": past, "turns": tuple(tuple(shown[start : start + k]) for start in range(0, len(shown), k))}


