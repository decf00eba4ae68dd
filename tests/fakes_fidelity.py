"""Simulated users with one known fault each, which the fidelity report has to find."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recoworld.luck import Luck
from recoworld.types import Bools, Feedback, Floats, History, Instruction, Ints, Mindset, Slates
from recoworld.users import Dataset, Split


class Fake:
    """Looks at every slot and takes what `takes` says; never speaks, and leaves at random."""

    def __init__(self, dataset: Dataset, split: Split, settings: dict[str, Any], *, cached: Any = None) -> None:
        self.catalog = dataset.catalog

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        n = len(users)
        return Mindset(
            levels=np.full((n, 5), 0.5, np.float32),
            interest=np.zeros((n, self.catalog.features.shape[1]), np.float32),
            intent=np.full(n, -1, np.int16),
        )

    def takes(self, users: Ints, slates: Slates, luck: Luck) -> Bools:
        """``[n, k]``."""
        raise NotImplementedError

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        clicked = self.takes(history.users, slates, luck)
        nothing = np.zeros_like(clicked)
        return Feedback(
            examined=np.ones_like(clicked),
            clicked=clicked,
            liked=clicked,
            commented=nothing,
            shared=nothing,
            watch=(clicked * self.catalog.durations[slates]).astype(np.float32),
            left=luck.uniform(1, 7)[:, 0] < 0.1,
            followed=np.zeros(len(slates), np.float32),
            instruction=Instruction.none(len(slates)),
        ), mindset


class Choosing(Fake):
    """Knows its chances."""

    def chances(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        return self.likely(history.users, slates)

    def likely(self, users: Ints, slates: Slates) -> Floats:
        raise NotImplementedError

    def takes(self, users: Ints, slates: Slates, luck: Luck) -> Bools:
        return np.asarray(luck.uniform(slates.shape[1], 6) < self.likely(users, slates))


class AlwaysLikes(Choosing):
    """Says yes to everything, and five stars."""

    def likely(self, users: Ints, slates: Slates) -> Floats:
        return np.full(slates.shape, 0.97, np.float32)

    def stars(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        return np.tile(np.array([0, 0, 0, 0, 1], np.float32), (*slates.shape, 1))


class CopiesPopularity(Choosing):
    """Takes what many took."""

    def likely(self, users: Ints, slates: Slates) -> Floats:
        return np.clip(self.catalog.popularity_rank[slates], 0.01, 0.99).astype(np.float32)


class TakesTheFirst(Fake):
    """Reads the answer off the place in the slate, or would: the right one may stand anywhere."""

    def takes(self, users: Ints, slates: Slates, luck: Luck) -> Bools:
        return np.broadcast_to(np.arange(slates.shape[1]) == 0, slates.shape).copy()


class OnePerson(Choosing):
    """A taste in genres, the same for everybody."""

    def likely(self, users: Ints, slates: Slates) -> Floats:
        wish = np.random.Generator(np.random.PCG64(5)).normal(size=self.catalog.genres.shape[1])
        return (1 / (1 + np.exp(-2 * (self.catalog.genres[slates] @ wish)))).astype(np.float32)


class Spoilt(OnePerson):
    """Does what its settings say with what it would have said: functions by method; "build" with nothing."""

    def __init__(self, dataset: Dataset, split: Split, settings: dict[str, Any], *, cached: Any = None) -> None:
        super().__init__(dataset, split, settings, cached=cached)
        self.settings = settings
        self.spoil("build", None)

    def spoil(self, method: str, said: Any) -> Any:
        return self.settings.get(method, lambda answer: answer)(said)

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        return self.spoil("begin", super().begin(users, luck))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        return self.spoil("respond", super().respond(mindset, history, slates, luck))

    def chances(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        return self.spoil("chances", super().chances(mindset, history, slates, luck))

    def stars(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        return self.spoil("stars", np.full((*slates.shape, 5), 0.2, np.float32))

    def satisfaction(self, dialogues: Any) -> Any:
        return self.spoil("satisfaction", np.full(len(dialogues), 0.5))


class SpoiltActs(Spoilt):
    """Only acts."""

    chances = stars = None  # type: ignore[assignment]


class Interrupting(Choosing):
    """Counts what it is asked, and its tokens; presses Ctrl-C at a chosen call."""

    asked: ClassVar[list[bytes]] = []
    stop_at: ClassVar[int | None] = None

    def __init__(self, dataset: Dataset, split: Split, settings: dict[str, Any], *, cached: Any = None) -> None:
        super().__init__(dataset, split, settings, cached=cached)
        self.usage = {"prompt_tokens": 0, "completion_tokens": 0}

    def chances(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        if type(self).stop_at is not None and len(self.asked) + 1 >= type(self).stop_at:
            raise KeyboardInterrupt
        self.asked.append(history.users.tobytes() + slates.tobytes() + luck.keys.tobytes())
        self.usage["prompt_tokens"] += 100 * len(slates)
        self.usage["completion_tokens"] += 7 * len(slates)
        return self.likely(history.users, slates)

    def likely(self, users: Ints, slates: Slates) -> Floats:
        return (((users[:, None] * 7919 + slates * 104729) % 997 + 1) / 999).astype(np.float32)
