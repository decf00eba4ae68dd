"""Takes down the sessions of a world while they are played.

How a world's sessions come to be logged, and saved (`recoworld.session_io`)::

    world.reset(users, seeds)
    log = SessionLog(world, seeds, policy="ease")
    turn = world.step(slates)
    log.add(None, turn)                        # or log.add(rows, turn) once `world.keep` has dropped sessions
    write_jsonl("sessions.jsonl", log)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError
from recoworld.instructions import sentence
from recoworld.luck import combine
from recoworld.session import Mind, Said, Session, SessionTurn
from recoworld.text import storable
from recoworld.types import LEVELS, Aspect, Bools, Instruction, Kind, Mindset, Turn
from recoworld.world import World

REASONING = 4000
"""Characters of a recommender's reasoning about one slate that are kept."""


class SessionLog:
    """Collects the sessions of a world while it runs, as arrays; iterating makes a `Session` of each that has had a turn."""

    def __init__(
        self, world: World, seeds: NDArray[Any], *, policy: str, simulator: str | None = None, first: int | None = None
    ) -> None:
        """Made when the sessions stand open, right after `World.reset(users, seeds)` or a `restore`; seeds: those of the sessions ``[n]``.

        first: of how many, from the front of the batch, the turns are kept; None for all. Raises ConfigError for other seeds.
        """
        state = world.state
        self.world, self.policy = world, policy
        self.simulator = simulator or str(getattr(world.simulator, "name", type(world.simulator).__name__))
        self._users, self._opening = state.history.users.copy(), _bare(state.mindset)
        self._seeds = np.atleast_1d(np.asarray(seeds)).astype(np.uint64)
        if self._seeds.shape != self._users.shape or (combine(self._seeds, self._users) != state.keys).any():
            n = len(self._users)
            raise ConfigError(f"session log: got {self._seeds.size} seeds that did not open the {n} sessions; expected those of reset")
        self._first = len(self._users) if first is None else first
        # slates on which what was said will still be in force
        self._force = np.where(state.history.standing.given, world.instruction_turns - state.history.age, 0)
        self._turns: list[tuple[NDArray[np.int64], Bools, Turn, Sequence[str] | None]] = []

    def add(self, rows: NDArray[Any] | None, turn: Turn, *, reasons: Sequence[str] | None = None) -> None:
        """Book what `World.step` returned.

        rows: for each row of the turn, the session that it belongs to, as a place in the batch the log was made for ``[m]``; None
        while all are active. reasons: why each was shown its slate ``[m]``, see `reasons_of`. Raises ConfigError.
        """
        n, m = len(self._users), len(turn.reward)
        places = np.arange(n) if rows is None else np.asarray(rows, np.int64)
        if places.shape != (m,) or (m and (places.min() < 0 or places.max() >= n)) or len(np.unique(places)) != m:
            raise ConfigError(f"session log: got {places.size} rows for a turn of {m} users; expected {m} different ones from 0 to {n - 1}")
        if reasons is not None and len(reasons) != m:
            raise ConfigError(f"session log: got {len(reasons)} reasons for a turn of {m} users; expected one each, or None")
        force = self._force[places]
        self._force[places] = np.where(turn.feedback.instruction.given, self.world.instruction_turns, np.maximum(force - 1, 0))
        mine = np.flatnonzero(places < self._first)
        said = None if reasons is None else [reasons[row] for row in mine]
        self._turns.append((places[mine], force[mine] > 0, replace(turn, mindset=_bare(turn.mindset)).take(mine), said))

    def __iter__(self) -> Iterator[Session]:
        if not self._turns:
            return
        places = np.concatenate([rows for rows, *_ in self._turns])
        when = np.repeat(np.arange(len(self._turns)), [len(rows) for rows, *_ in self._turns])
        where = np.concatenate([np.arange(len(rows)) for rows, *_ in self._turns])
        order = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places, minlength=len(self._users)))
        for place, own in enumerate(np.split(order, ends[:-1])):
            if own.size:
                yield self._session(place, list(zip(when[own].tolist(), where[own].tolist(), strict=True)))

    def sessions(self) -> list[Session]:
        """The sessions so far, in the order of the batch; those without a turn are left out."""
        return list(self)

    def _session(self, place: int, rows: list[tuple[int, int]]) -> Session:
        world, user = self.world, int(self._users[place])
        return Session(
            dataset=storable(world.dataset.name),
            user=storable(world.dataset.users.ids[user]),
            user_index=user,
            seed=int(self._seeds[place]),
            policy=storable(self.policy),
            simulator=storable(self.simulator),
            opening=mind_of(world.catalog, self._opening, place),
            turns=tuple(self._recorded(*self._turns[t][1:], row) for t, row in rows),
        )

    def _recorded(self, told: Bools, turn: Turn, reasons: Sequence[str] | None, row: int) -> SessionTurn:
        return recorded(self.world, turn, row, told=bool(told[row]), reasoning="" if reasons is None else reasons[row])


def reasons_of(policy: object) -> Sequence[str] | None:
    """Why a recommender has just chosen the slates that it did ``[n]``: its attribute `reasons`, of those that think in words."""
    reasons: Sequence[str] | None = getattr(policy, "reasons", None)
    return reasons


def recorded(world: World, turn: Turn, row: int = 0, *, told: bool = False, reasoning: str = "") -> SessionTurn:
    """One row of a turn of this world, as it is kept."""
    feedback, catalog = turn.feedback, world.catalog
    items = turn.slates[row].tolist()
    return SessionTurn(
        slate=tuple(storable(catalog.ids[item]) for item in items),
        items=tuple(items),
        titles=tuple(storable(catalog.titles[item]) for item in items),
        examined=tuple(feedback.examined[row].tolist()),
        clicked=tuple(feedback.clicked[row].tolist()),
        liked=tuple(feedback.liked[row].tolist()),
        commented=tuple(feedback.commented[row].tolist()),
        shared=tuple(feedback.shared[row].tolist()),
        watch=tuple(feedback.watch[row].tolist()),
        left=bool(feedback.left[row]),
        told=told,
        followed=float(feedback.followed[row]),
        instruction=_said(feedback.instruction, row, catalog),
        parts=dict(zip(world.reward.names, turn.parts[row].tolist(), strict=True)),
        reward=float(turn.reward[row]),
        mindset=mind_of(catalog, turn.mindset, row),
        rationale="" if feedback.rationale is None else storable(feedback.rationale[row] or ""),
        reasoning=storable(str(reasoning)[:REASONING]),
    )


def mind_of(catalog: Catalog, mindset: Mindset, row: int = 0) -> Mind | None:
    """One row of a mindset; None where its levels are NaN, for nobody knows them."""
    levels, intent = mindset.levels[row].tolist(), int(mindset.intent[row])
    if any(map(math.isnan, levels)):
        return None
    return Mind(
        levels=dict(zip(LEVELS, levels, strict=True)),
        intent=storable(catalog.genre_names[intent]) if intent >= 0 else "",
        text="" if mindset.texts is None else storable(mindset.texts[row] or ""),
    )


def _said(instruction: Instruction, row: int, catalog: Catalog) -> Said | None:
    if not instruction.kind[row]:
        return None
    return Said(
        kind=Kind(int(instruction.kind[row])).name.lower(),
        aspect=Aspect(int(instruction.aspect[row])).name.lower(),
        value=int(instruction.value[row]),
        phrasing=int(instruction.phrasing[row]),
        text=storable(sentence(instruction, row, catalog)),
    )


def _bare(mindset: Mindset) -> Mindset:
    """What is kept of a mindset: the interests would be most of the log."""
    nothing = np.zeros((len(mindset.levels), 0), np.float32)
    return Mindset(levels=mindset.levels, interest=nothing, intent=mindset.intent, texts=mindset.texts)
