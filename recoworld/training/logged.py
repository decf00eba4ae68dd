"""Logged sessions (`recoworld.session`) as what a policy saw, what it showed, and what came of it.

A log holds no observations: they are rebuilt, bit for bit, by a world whose users reply what was recorded to the slates that were
recorded. Mindsets, which nobody knows of people, are not needed. Shapes: `s` sessions with `m` turns in all, `k` slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.envs.codec import observe
from recoworld.errors import ConfigError, UnknownName
from recoworld.luck import Luck
from recoworld.session import Session, SessionTurn
from recoworld.text import plain
from recoworld.training.views import SLATE, View, known_catalog
from recoworld.types import LEVELS, Aspect, Bools, Feedback, Floats, History, Instruction, Ints, Kind, Mindset, Observations, Slates
from recoworld.world import World

_CHUNK = 512  # sessions side by side


@dataclass(frozen=True, kw_only=True, eq=False)
class Transitions:
    """The turns of a log, session by session, each in order."""

    seen: Observations | Floats
    """What the view gives, ``[m + s, ...]``: for each session what was seen before each turn, and after its last one. Around 2.5 kB a
    turn where the view is "dict"."""
    before: Ints
    """Row of `seen` before each turn ``[m]``; the next row is what was seen after it."""
    session: Ints
    """Session of each turn, from 0, as in the log ``[m]``."""
    slates: Slates
    """Item indices ``[m, k]``."""
    clicked: Bools
    """``[m, k]``."""
    rewards: Floats
    """As they were logged ``[m]``."""
    left: Bools
    """Whether the user left after the turn ``[m]``. A session whose last turn it did not leave was cut, or is open still."""

    def __len__(self) -> int:
        return len(self.before)

    def look(self, rows: NDArray[Any], *, after: bool = False) -> Any:
        """What was seen before, or after, these turns ``[n, ...]``."""
        at = self.before[rows] + after
        return {key: value[at] for key, value in self.seen.items()} if isinstance(self.seen, dict) else self.seen[at]

    def returns(self, gamma: float) -> Floats:
        """Discounted sum of the rewards from each turn to the end of its session ``[m]``."""
        out = self.rewards.astype(np.float64)
        for row in range(len(out) - 2, -1, -1):
            if self.session[row] == self.session[row + 1]:
                out[row] += gamma * out[row + 1]
        return out.astype(np.float32)


def transitions(world: World, sessions: Sequence[Session], view: View = SLATE) -> Transitions:
    """Play a log again, as `view` shows it; the world gives data set, split and sizes, and is left as it is.

    Raises ConfigError for sessions that cannot have happened in such a world: of another data set, with unknown users or items, of
    other sizes.
    """
    if not sessions:
        raise ConfigError("the log holds no sessions; expected at least one")
    users = np.array([_checked(world, number, session) for number, session in enumerate(sessions)])
    seeds = np.array([session.seed for session in sessions], np.uint64)
    flat = list(chain.from_iterable(session.turns for session in sessions))
    lengths = np.array([session.n_turns for session in sessions])
    session = np.repeat(np.arange(len(sessions)), lengths)
    slates = _items(world, flat, session)
    replies = _replies(world, flat, slates, session)
    told = np.array([turn.told for turn in flat])
    starts = np.cumsum(lengths) - lengths
    before = np.arange(len(flat)) + session
    catalog, echo = known_catalog(world.dataset, world.split), _Echo()
    again = World(
        world.dataset,
        world.split,
        echo,
        reward=world.reward,
        slate_size=world.slate_size,
        max_turns=world.max_turns,
        history_length=world.history_length,
        instruction_turns=world.instruction_turns,
    )
    seen: Any = None
    for first in range(0, len(sessions), _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, len(sessions)))
        again.reset(users[rows], seeds[rows])
        seen = _kept(seen, starts[rows] + rows, view.encode(observe(again), catalog), len(flat) + len(sessions))
        turn = 0
        while rows.size:
            at = starts[rows] + turn
            wrong = told[at] != again.state.history.standing.given
            if wrong.any():
                row = rows[wrong.argmax()]
                raise _misfit(
                    int(row),
                    f"turn {turn}: an instruction was {'' if told[at][wrong.argmax()] else 'not '}in force",
                    f"otherwise with instruction_turns={world.instruction_turns}: set world.instruction_turns as it was when it was logged",
                )
            echo.reply = replies.take(at)
            again.step(slates[at])
            seen = _kept(seen, at + rows + 1, view.encode(observe(again), catalog), 0)
            turn += 1
            going = lengths[rows] > turn
            rows = rows[going]
            if rows.size and not going.all():
                again.keep(going)
    return Transitions(
        seen=seen,
        before=before,
        session=session,
        slates=slates,
        clicked=replies.clicked,
        rewards=np.array([turn.reward for turn in flat], np.float32),
        left=replies.left,
    )


class _Echo:
    """Users who say what they are told to."""

    reply: Feedback

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        n = len(users)
        return Mindset(
            levels=np.zeros((n, len(LEVELS)), np.float32), interest=np.zeros((n, 0), np.float32), intent=np.full(n, -1, np.int16)
        )

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        return self.reply, mindset


def _kept(out: Any, rows: Ints, seen: Any, total: int) -> Any:
    """`out` with what is seen in `rows`; made, with `total` rows, where it is not there yet."""
    if isinstance(seen, dict):
        out = out or dict.fromkeys(seen)
        return {key: _kept(out[key], rows, value, total) for key, value in seen.items()}
    if out is None:
        out = np.empty((total, *seen.shape[1:]), seen.dtype)
    out[rows] = seen
    return out


def _checked(world: World, number: int, session: Session) -> int:
    """The user's index. Raises ConfigError where the session does not fit the world."""
    if session.dataset != world.dataset.name:
        raise _misfit(number, f"of data set {plain(session.dataset, 40)!r}", f"{world.dataset.name!r}, which the world is made of")
    if session.n_turns > world.max_turns:
        raise _misfit(number, f"{session.n_turns} turns", f"at most {world.max_turns}: set world.max_turns as it was when it was logged")
    if any(turn.left for turn in session.turns[:-1]):
        raise _misfit(number, "a user who left before the last turn", "nothing to follow that")
    sizes = {len(turn.items) for turn in session.turns}
    if sizes != {world.slate_size}:
        raise _misfit(number, f"slates of {sorted(sizes)} items", f"{world.slate_size}: set world.slate_size as it was when it was logged")
    try:
        return world.dataset.users.index(session.user)
    except UnknownName as error:
        raise _misfit(number, plain(str(error), 200), f"users of {world.dataset.name!r}, by their ids") from None


def _items(world: World, turns: list[SessionTurn], session: Ints) -> Slates:
    """The slates as indices of this world's catalogue, by the items' ids ``[m, k]``."""
    catalog = world.catalog
    known = {str(item): index for index, item in enumerate(catalog.ids.tolist())}
    slates = np.array([[known.get(item, -1) for item in turn.slate] for turn in turns], np.int64)
    for row, slot in np.argwhere(slates < 0)[:1].tolist():
        raise _misfit(int(session[row]), f"unknown item {plain(turns[row].slate[slot], 40)!r}", f"ids of the catalogue {catalog.name!r}")
    for row in np.flatnonzero((np.diff(np.sort(slates, axis=1), axis=1) == 0).any(axis=1))[:1].tolist():
        raise _misfit(int(session[row]), "a slate with an item twice", f"{slates.shape[1]} different items")
    return slates


def _replies(world: World, turns: list[SessionTurn], slates: Slates, session: Ints) -> Feedback:
    """What was replied ``[m, ...]``."""

    def slots(name: str, dtype: type = np.bool_) -> NDArray[Any]:
        return np.array([getattr(turn, name) for turn in turns], dtype)

    examined, watch = slots("examined"), slots("watch", np.float32)
    deeds = {name: slots(name) for name in ("clicked", "liked", "commented", "shared")}
    durations = world.catalog.durations[slates]
    done = np.logical_or.reduce(list(deeds.values()))
    for wrong, what, expected in (
        (done & ~examined, "something done with a slot that was not looked at", "examined to be true there"),
        ((watch < 0) | (watch > durations * np.float32(1.001)), "seconds watched out of range", "0 to the item's duration"),
    ):
        for row in np.flatnonzero(wrong.any(axis=1))[:1].tolist():
            raise _misfit(int(session[row]), what, expected)
    return Feedback(
        examined=examined,
        **deeds,
        watch=np.minimum(watch, durations),
        left=np.array([turn.left for turn in turns]),
        followed=np.array([turn.followed for turn in turns], np.float32),
        instruction=_said(world, turns, session),
    )


def _said(world: World, turns: list[SessionTurn], session: Ints) -> Instruction:
    """The instructions ``[m]``. Raises ConfigError for one about a genre, person or item that is not there."""
    catalog, m = world.catalog, len(turns)
    ends = {
        Aspect.NONE: 10_000,
        Aspect.GENRE: len(catalog.genre_names),
        Aspect.ERA: 10_000,
        Aspect.POPULARITY: 2,
        Aspect.PERSON: len(catalog.people_names),
        Aspect.TITLE: len(catalog),
    }
    kind, aspect = np.zeros(m, np.int8), np.zeros(m, np.int8)
    value, phrasing = np.zeros(m, np.int32), np.zeros(m, np.uint32)
    for row, turn in enumerate(turns):
        if (said := turn.instruction) is not None:
            about = Aspect[said.aspect.upper()]
            if not 0 <= said.value < ends[about]:
                raise _misfit(int(session[row]), f"an instruction about {said.aspect} {said.value}", f"0 to {ends[about] - 1}")
            kind[row], aspect[row], value[row], phrasing[row] = Kind[said.kind.upper()], about, said.value, said.phrasing
    return Instruction(kind=kind, aspect=aspect, value=value, phrasing=phrasing)


def _misfit(number: int, got: str, expected: str) -> ConfigError:
    return ConfigError(f"log, session {number}: got {got}; expected {expected}")
