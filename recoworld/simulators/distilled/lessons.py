"""From sessions that somebody logged to what a distilled user learns from: they are played again, slate for slate, in a world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError
from recoworld.luck import Luck
from recoworld.session import ASPECTS, KINDS, Mind, Session
from recoworld.simulators.distilled.signals import StudentMindset, after, slot_signals, turn_signals
from recoworld.simulators.taste import Taste
from recoworld.types import LEVELS, Feedback, Floats, History, Instruction, Ints, Mindset, Slates
from recoworld.users import Dataset, Split
from recoworld.world import World

_DEEDS = ("examined", "clicked", "liked", "commented", "shared", "watch")


@dataclass(frozen=True, kw_only=True, eq=False)
class Lessons:
    """Signals and what became of them, one row a case: slots of all turns, and turns."""

    slots: Floats
    """`signals.SLOT` of every slot ``[r, k, f]``, a row a turn."""
    examined: NDArray[np.bool_]
    """``[r, k]``, as are the next four."""
    clicked: NDArray[np.bool_]
    liked: NDArray[np.bool_]
    commented: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    watched: Floats
    """Share of the duration ``[r, k]``."""
    before: Floats
    """`signals.TURN` with the levels before the turn ``[r, g]``."""
    ending: Floats
    """The same with the levels after it."""
    levels: Floats
    """After the turn ``[r, 5]``."""
    said: NDArray[np.bool_]
    """``[r]``, and who left."""
    left: NDArray[np.bool_]
    sessions: Ints
    """The session of each row ``[r]``."""


@dataclass(kw_only=True)
class _Actor:
    """Plays what was logged, and takes notes."""

    catalog: Catalog
    taste: Taste
    sessions: Sequence[Session]
    rows: Ints
    """The session of each user in the batch."""
    notes: list[dict[str, Any]] = field(default_factory=list)

    def begin(self, users: Ints, luck: Luck) -> StudentMindset:
        minds = [self.sessions[row].opening for row in self.rows.tolist()]
        home = self.taste.home.take(users, axis=0)
        levels = np.stack([_levels(mind, row, 0) for mind, row in zip(minds, self.rows.tolist(), strict=True)])
        return StudentMindset(levels=levels, interest=home, intent=_intents(self.catalog, minds), satiation=np.zeros_like(home))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, StudentMindset]:
        assert isinstance(mindset, StudentMindset)  # begin() returned it
        when = int(history.turn[0])
        turns = [self.sessions[row].turns[when] for row in self.rows.tolist()]
        deeds: dict[str, Any] = {name: np.array([getattr(turn, name) for turn in turns]) for name in _DEEDS}
        feedback = Feedback(
            **(deeds | {"watch": deeds["watch"].astype(np.float32)}),
            left=np.array([turn.left for turn in turns]),
            followed=np.array([turn.followed for turn in turns], np.float32),
            instruction=_instruction([turn.instruction for turn in turns]),
        )
        slots = slot_signals(self.catalog, self.taste, mindset, history, slates)
        minds = [turn.mindset for turn in turns]
        levels = np.stack([_levels(mind, row, when + 1) for mind, row in zip(minds, self.rows.tolist(), strict=True)])
        remembered = after(self.catalog, self.taste, mindset, levels, history, slates, feedback)
        now = replace(remembered, intent=_intents(self.catalog, minds))
        self.notes.append(
            {
                "slots": slots,
                **{name: getattr(feedback, name) for name in _DEEDS[:-1]},
                "watched": (feedback.watch / self.catalog.durations.take(slates)).astype(np.float32),
                "before": turn_signals(self.catalog, mindset, history, slates, feedback, slots)[:, 0],
                "ending": turn_signals(self.catalog, now, history, slates, feedback, slots)[:, 0],
                "levels": levels,
                "said": feedback.instruction.given.copy(),
                "left": feedback.left,
                "sessions": self.rows,
            }
        )
        return feedback, now


def lessons(dataset: Dataset, split: Split, taste: Taste, sessions: Sequence[Session]) -> Lessons:
    """Play the sessions again. Raises ConfigError for none, for slates of several lengths, for another data set, for unknown mindsets."""
    _check(dataset, sessions)
    order = np.array(sorted(range(len(sessions)), key=lambda place: -sessions[place].n_turns))
    longest = sessions[int(order[0])].n_turns
    actor = _Actor(catalog=dataset.catalog, taste=taste, sessions=sessions, rows=order)
    slots = len(sessions[0].turns[0].items)
    world = World(dataset, split, actor, slate_size=slots, max_turns=longest, history_length=0)
    users = np.array([sessions[place].user_index for place in order.tolist()])
    world.reset(users, np.arange(len(order)))
    for when in range(longest):
        here = np.array([sessions[place].n_turns > when for place in actor.rows.tolist()])
        if not here.all():
            world.keep(here)
            actor.rows = actor.rows[here]
        world.step(np.array([sessions[place].turns[when].items for place in actor.rows.tolist()]))
    return Lessons(**{name: np.concatenate([note[name] for note in actor.notes]) for name in actor.notes[0]})


def _check(dataset: Dataset, sessions: Sequence[Session]) -> None:
    if not sessions:
        raise ConfigError("lessons: got no sessions; expected at least one")
    for place, session in enumerate(sessions):
        if session.dataset != dataset.name or session.user_index >= len(dataset.users):
            got = f"session {place} is of user {session.user_index} of {session.dataset!r}"
            raise ConfigError(f"lessons: {got}; expected users of {dataset.name!r}, of whom there are {len(dataset.users)}")
        if {len(turn.items) for turn in session.turns} != {len(sessions[0].turns[0].items)}:
            raise ConfigError(f"lessons: session {place} has slates of another length than the first; expected all of one length")


def _levels(mind: Mind | None, session: int, when: int) -> Floats:
    if mind is None:
        raise ConfigError(f"lessons: nobody knows the mindset of session {session} after {when} turns; expected a simulator's sessions")
    return np.array([mind.levels[name] for name in LEVELS], np.float32).clip(0, 1)


def _intents(catalog: Catalog, minds: Sequence[Mind | None]) -> NDArray[np.int16]:
    places = {name: place for place, name in enumerate(catalog.genre_names)}
    return np.array([-1 if mind is None else places.get(mind.intent, -1) for mind in minds], np.int16)


def _instruction(said: Sequence[Any]) -> Instruction:
    if not any(said):
        return Instruction.none(len(said))
    return Instruction(
        kind=np.array([KINDS.index(one.kind) + 1 if one else 0 for one in said], np.int8),
        aspect=np.array([ASPECTS.index(one.aspect) if one else 0 for one in said], np.int8),
        value=np.array([one.value if one else 0 for one in said], np.int32),
        phrasing=np.array([one.phrasing if one else 0 for one in said], np.uint32),
    )
