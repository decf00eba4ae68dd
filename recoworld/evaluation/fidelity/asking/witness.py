"""A simulator under questioning: the same questions to every simulator, whatever it can answer by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from recoworld.datasets.cache import Arrays
from recoworld.dialogues import Corpus
from recoworld.evaluation.fidelity.asking.checked import checked
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.store import Answers
from recoworld.luck import Luck, combine
from recoworld.types import Chooser, Floats, Ints, Rater, UserSimulator
from recoworld.users import Dataset, Split
from recoworld.world import World

_CHUNK = 1024
_KEPT_CHUNK = 64  # of slow simulators: an interruption loses the answers of one chunk
_DEEDS = np.array([0.0, 0.3, 0.3, 0.3, 0.1, 0.0], np.float32)  # of History.response: what orders two items that were clicked as often


class Witness:
    """A simulator, and the opening of a session in which each question is put to its users.

    `chances` and `stars` are taken from the simulator where it has them (`recoworld.types.Chooser`, `Rater`); without the first the slate
    is shown and clicks are counted.

    The order of a slate changes neither mood nor luck: moods hang on the user, the luck of `chances` and `stars` on the user and the
    slate's lowest item. Where the slate is shown, luck is that of the user's opening, whatever the slate holds; which slot gets which
    number of it is the simulator's affair.

    What is no answer (NaN, a wrong shape) and what the simulator raises ends as `SimulatorFailed`: see `Checked`.
    """

    def __init__(
        self,
        name: str,
        simulator: UserSimulator,
        panel: Panel,
        *,
        moods: int = 4,
        answers: Answers | None = None,
        build: Callable[[Dataset, Split], UserSimulator] | None = None,
        told: Callable[[int], None] | None = None,
        corpus: Corpus | None = None,
    ) -> None:
        """moods: openings over which an answer is averaged: what the user came for, how rested it is. answers: kept ones.

        build: makes the same simulator of another data set, None where nobody knows how. told: called with how many slates have just
        been answered by a user each; what was kept is not told of. corpus: judged dialogues, for simulators that read.
        """
        self.corpus = corpus
        self.name, self.simulator, self.panel, self.moods, self.build = name, checked(name, simulator), panel, moods, build
        self.told = told or (lambda slates: None)
        self._answers = answers or Answers(None)
        self.chunk = _CHUNK if self._answers.folder is None else _KEPT_CHUNK
        """Users who are asked, or play sessions, side by side: what is kept at a time."""
        self._worlds: dict[int, World] = {}

    @property
    def rates(self) -> bool:
        """Whether it says how its users would rate."""
        return isinstance(self.simulator, Rater)

    def world(self, slate_size: int = 10, **settings: Any) -> World:
        """A world of these people, of whom only the visible part is known."""
        return World(self.panel.known, self.panel.split, self.simulator, slate_size=slate_size, **settings)

    def beside(self, name: str, simulator: UserSimulator, panel: Panel | None = None) -> Witness:
        """Another simulator, or other people, asked as this one is. name: what is other, by which the answers are told apart."""
        settings: Any = {"moods": self.moods, "answers": self._answers, "build": self.build, "told": self.told, "corpus": self.corpus}
        return Witness(f"{self.name}, {name}", simulator, panel or self.panel, **settings)

    def kept(self, question: tuple[Any, ...], ask: Callable[[], Arrays]) -> Arrays:
        """What `ask()` returns, or returned in an earlier run of the same report.

        question: all that it depends on beside simulator, data and seed: numbers, words and arrays.
        """
        return self._answers.kept((self.name, self.panel.seed, *question), ask)

    def chances(self, users: Ints, slates: Ints, *, moods: int | None = None, salt: int = 0) -> Floats:
        """How likely each item is to be taken if it is looked at, in (0, 1) ``[m, c]``. salt: other moods and luck."""
        return self._asked("chances", users, slates, moods or self.moods, salt)

    def stars(self, users: Ints, items: Ints, *, salt: int = 0) -> Floats:
        """Probability of each rating, 1 to 5 stars ``[m, c, 5]``."""
        return self._asked("stars", users, items, 1, salt)

    def _asked(self, what: str, users: Ints, slates: Ints, moods: int, salt: int) -> Floats:
        parts = []
        for start in range(0, len(users), self.chunk):
            who, shown = users[start : start + self.chunk], slates[start : start + self.chunk]
            asks = [partial(self._once, what, who, shown, combine(self.panel.seed, salt, mood)) for mood in range(moods)]
            parts.append(self._mean(what, [self.kept((what, who, shown, salt, mood), ask)["answer"] for mood, ask in enumerate(asks)]))
        return np.concatenate(parts)

    def _mean(self, what: str, answers: list[Any]) -> Floats:
        if what == "stars" or isinstance(self.simulator, Chooser):
            return np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32)
        looked, clicked, deeds = np.sum(answers, axis=0)
        return np.asarray((clicked + 0.25 + 0.01 * deeds) / (looked + 0.5), np.float32)

    def _once(self, what: str, users: Ints, slates: Ints, seed: Any) -> Arrays:
        answer = self._answer(what, users, slates, seed)
        self.told(len(users))
        return {"answer": answer}

    def _answer(self, what: str, users: Ints, slates: Ints, seed: Any) -> Any:
        size = slates.shape[1]
        if size not in self._worlds:
            self._worlds[size] = self.world(size, max_turns=1)
        world = self._worlds[size]
        world.reset(users, np.full(len(users), seed.astype(np.int64) & 0x7FFFFFFF))
        state = world.state
        luck = Luck(combine(state.keys, slates.min(axis=1), 0xA5))
        if what == "stars":
            assert isinstance(self.simulator, Rater)  # asked by the caller
            return self.simulator.stars(state.mindset, state.history, slates, luck)
        if isinstance(self.simulator, Chooser):
            return self.simulator.chances(state.mindset, state.history, slates, luck)
        turn = world.step(slates)
        response = world.state.history.response
        return np.stack([turn.feedback.examined, turn.feedback.clicked, response @ _DEEDS]).astype(np.float32)
