"""The distilled user: small networks fitted on the logged decisions of any simulator, for use where that one is too slow.

    student = distil(dataset, split, sessions, seed=0)        # sessions as `recoworld.session` logs them, of a language-model user, say
    student.save("student")
    make_world(dataset="ml-1m", simulator="distilled", simulator_config={"from": "student"})

Seven networks (`students.py`) go by what `signals.py` makes of the mindset and the slate; all noise is `Luck`'s:

- **looking on**: having looked at a slot, whether the next one is looked at too; the first one is in any case.
- **click** on a slot that is looked at; after it **watching** (a share of the duration, with the residual's spread as noise) and
  **reactions** (like, comment, share).
- **mood**: the five levels after the turn.
- **speaking**: whether the user says something, and if not, **leaving**: whether it goes. What it says is the behavioural user's choice
  (`recoworld.simulators.reflection`), for sessions are short of instructions to learn it from.

Sessions open with the levels of a logged opening, drawn at random, and as often with a genre in mind; which one, a user's own taste
decides. What nobody can see in a log (a person's own log-odds, a change of mind) is averaged over.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError, UnknownName
from recoworld.instructions import FORMS, compliance
from recoworld.luck import Luck, gumbel, logistic
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.distilled.signals import StudentMindset, after, slot_signals, turn_signals
from recoworld.simulators.distilled.students import Student, distil, load_student
from recoworld.simulators.reflection import reflect
from recoworld.simulators.taste import ArrayCache, Taste, fit_taste
from recoworld.types import Bools, Feedback, Floats, History, Instruction, Ints, Mindset, Slates
from recoworld.users import Dataset, Split

__all__ = ["DistilledSimulator", "Student", "build", "distil", "load_student"]

_BEGIN, _RESPOND = 1, 2  # streams of luck
_UNIT = np.float32(np.sqrt(3) / np.pi)  # scales logistic noise to a standard deviation of 1
_TEN = np.float32(10)
_STARS = np.float32(0.2)  # share watched that a star is worth, as in `BehavioralConfig.watch_stars`


class DistilledSimulator:
    """People of one data set, as a student has learnt them. See the module's docstring."""

    name = "distilled"

    def __init__(self, catalog: Catalog, taste: Taste, student: Student) -> None:
        self.catalog, self.taste, self.student = catalog, taste, student

    def begin(self, users: Ints, luck: Luck) -> StudentMindset:
        """Open a session as one that was logged."""
        student, genres = self.student, len(self.catalog.genre_names)
        u = luck.uniform(1 + genres, _BEGIN)
        home = self.taste.home.take(users, axis=0)
        wish = (_TEN * home[:, :genres] + gumbel(u[:, 1:])).argmax(axis=1)
        return StudentMindset(
            levels=student.openings.take(luck.integers(len(student.openings), 1, _BEGIN + 2)[:, 0], axis=0),
            interest=home,
            intent=np.where(u[:, 0] < np.float32(student.focus), wish, -1).astype(np.int16),
            satiation=np.zeros(home.shape, np.float32),
        )

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, StudentMindset]:
        """One slate ``[n, k]`` to each user."""
        if not isinstance(mindset, StudentMindset):
            raise TypeError(f"got a {type(mindset).__name__}; expected the StudentMindset that begin() returned")
        n, k = slates.shape
        nets, u = self.student.nets, luck.uniform(6 * k + 2 + len(FORMS), _RESPOND)
        noise = logistic(u[:, : 6 * k]).reshape(n, 6, k)
        slots = slot_signals(self.catalog, self.taste, mindset, history, slates)
        on = nets["looking"](slots)[:, :-1, 0] > noise[:, 0, 1:]
        examined = np.concatenate([np.ones((n, 1), np.bool_), np.logical_and.accumulate(on, axis=1)], axis=1)
        clicked = (nets["click"](slots)[..., 0] > noise[:, 1]) & examined
        share = nets["watching"](slots)[..., 0] + np.float32(self.student.spread) * _UNIT * noise[:, 2]
        share = np.clip(share, 0, 1) * clicked
        reacted = (nets["reactions"](slots) > noise[:, 3:].transpose(0, 2, 1)) & clicked[..., None]  # [n, k, 3]
        feedback = Feedback(
            examined=examined,
            clicked=clicked,
            liked=reacted[..., 0],
            commented=reacted[..., 1],
            shared=reacted[..., 2],
            watch=share * self.catalog.durations.take(slates),
            left=np.zeros(n, np.bool_),
            followed=compliance(history.standing, self.catalog, slates),
            instruction=Instruction.none(n),
        )
        turn = turn_signals(self.catalog, mindset, history, slates, feedback, slots)
        levels = np.clip(nets["mood"](turn)[:, 0], 0, 1)
        now = after(self.catalog, self.taste, mindset, levels, history, slates, feedback)
        ending = turn_signals(self.catalog, now, history, slates, feedback, slots)
        odds = np.concatenate([nets[name](ending)[:, 0] for name in ("speaking", "leaving")], axis=1)
        speaks, goes = (odds > logistic(u[:, 6 * k : 6 * k + 2])).T
        instruction = self._spoken(now, slates, feedback, share, speaks, u[:, 6 * k + 2 :])
        return replace(feedback, left=goes & ~speaks, instruction=instruction), now

    def chances(self, mindset: StudentMindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """See `recoworld.types.Chooser`."""
        odds = self.student.nets["click"](slot_signals(self.catalog, self.taste, mindset, history, slates))[..., 0]
        return np.asarray(1 / (1 + np.exp(-np.clip(odds, -15, 15))), np.float32)

    def _spoken(
        self, mindset: StudentMindset, slates: Slates, feedback: Feedback, share: Floats, speaks: Bools, u: Floats
    ) -> Instruction:
        """What those who speak say ``[n]``; u: uniform numbers ``[n, len(FORMS)]``."""
        rows, n = np.flatnonzero(speaks), len(slates)
        if not rows.size:
            return Instruction.none(n)
        felt = (share[rows] - np.float32(0.5)) / _STARS  # stars above 3.5, by how long it was watched
        examined, clicked = feedback.examined[rows], feedback.clicked[rows]
        said = reflect(self.catalog, mindset.take(rows), slates[rows], examined, clicked, felt, u[rows])
        return Instruction.none(n).put(rows, said)


def build(
    dataset: Dataset, split: Split, config: dict[str, Any] | None = None, *, cached: ArrayCache | None = None
) -> DistilledSimulator:
    """The distilled user of a data set; ``config["from"]`` is the folder that `Student.save` wrote.

    Raises ConfigError, DataMissing, DataCorrupt.
    """
    settings = dict(config or {})
    for key in settings:
        if key != "from":
            raise ConfigError(str(UnknownName("setting of the distilled user", key, ["from"])))
    folder = settings.get("from")
    if not isinstance(folder, str | Path) or not str(folder):
        raise ConfigError(f"distilled user: from = {folder!r}; expected the folder that a student was saved to (`distil`)")
    student = load_student(folder)
    if student.dataset != dataset.name:
        raise ConfigError(f"distilled user: {str(folder)!r} was fitted on users of {student.dataset!r}; expected {dataset.name!r}")
    return DistilledSimulator(dataset.catalog, fit_taste(dataset, split, BehavioralConfig(), cached=cached), student)
