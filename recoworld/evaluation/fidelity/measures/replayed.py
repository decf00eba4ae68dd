"""Logged sessions put before simulated users, slate by slate in the logged order: what they do there, beside what people did."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from recoworld.batch import Batch
from recoworld.datasets.cache import Arrays
from recoworld.evaluation.fidelity.asking.later import named_sessions
from recoworld.evaluation.fidelity.asking.questions import nth
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.impressions import Impressions, deeds
from recoworld.luck import Luck, combine
from recoworld.slates import repeated
from recoworld.types import Bools, Chooser, Floats, Ints
from recoworld.world import World

MOST = 6000
"""Slates, in whole sessions."""
LONGEST = 20
"""Turns of a session; later ones are left out."""
_DEEDS = ("clicked", "liked", "commented", "shared", "watch", "left")


@dataclass(frozen=True, kw_only=True, eq=False)
class Logged(Batch):
    """`m` logged slates, session by session in order of time."""

    log: Impressions
    turn: Ints
    """Slates before it in its session ``[m]``."""
    ends: Bools
    """Whether the person left with this slate ``[m]``."""
    left_out: int
    """Sessions in which a slate holds an item twice: no world can show it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay(Batch):
    """`m` slates, one row each, and what people and simulated users did with them."""

    log: Impressions
    simulated: Impressions
    """Its `left` is who left or would have: the session goes on as the log has it."""
    turn: Ints
    ends: Bools
    """Both as in `Logged`."""
    spoke: Bools
    """Which simulated users gave an instruction, perhaps instead of leaving ``[m]``."""
    there: Bools
    """Where the simulated user has not left on an earlier slate ``[m]``."""
    scores: Floats
    """The simulated chance of a click ``[m, k]``; where the simulator knows none, 1 for clicked, 1/2 for not looked at, 0 for skipped."""


def sessions_of(log: Impressions, users: Ints, *, seed: int, most: int = MOST, longest: int = LONGEST) -> Logged | None:
    """Sessions of these users, drawn at random until there are `most` slates; one session at least, None where there is none."""
    mine = np.flatnonzero(np.isin(log.users, users))
    session = np.arange(len(mine)) if log.sessions is None else named_sessions(log.users[mine], log.sessions[mine])
    broken = np.unique(session[repeated(log.slates[mine].astype(np.int64)).any(axis=1)])
    place = np.random.Generator(np.random.PCG64([seed, 10])).permutation(int(session.max(initial=-1)) + 1)
    order = np.lexsort((np.arange(len(mine)), place[session]))
    order = order[~np.isin(session[order], broken)]
    if not order.size:
        return None
    turn = nth(session[order])
    last = np.append(turn[1:] == 0, True)
    order, last, turn = order[turn < longest], last[turn < longest], turn[turn < longest]
    heads = np.append(np.flatnonzero(turn == 0), len(turn))
    end = int(heads[max(1, int(np.searchsorted(heads, most, "right")) - 1)])
    part = log.take(mine[order[:end]])
    return Logged(log=part, turn=turn[:end], ends=last[:end] if part.left is None else part.left, left_out=len(broken))


def replayed(witness: Witness, logged: Logged) -> Replay:
    """Show the slates."""
    log, heads = logged.log, np.flatnonzero(logged.turn == 0)
    lengths = np.diff(np.append(heads, len(logged.turn)))
    world = witness.world(log.slates.shape[1], max_turns=int(lengths.max()))
    parts = []
    for group in np.array_split(np.arange(len(heads)), -(-len(heads) // witness.chunk)):
        first, long = heads[group], lengths[group]
        rows = slice(first[0], first[-1] + long[-1])
        question = ("replayed", world.max_turns, first, long, log.users[rows], log.slates[rows])
        parts.append(witness.kept(question, partial(_together, witness, world, log, first, long)))
    order = np.argsort(np.concatenate([part.pop("rows") for part in parts]))
    columns: dict[str, Any] = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    done = {name: columns.pop(name) for name in _DEEDS}
    simulated = Impressions(users=log.users, slates=log.slates, **done)
    return Replay(log=log, simulated=simulated, turn=logged.turn, ends=logged.ends, **columns)


def _together(witness: Witness, world: World, log: Impressions, heads: Ints, lengths: Ints) -> Arrays:
    """Sessions of these lengths that begin at these rows, side by side: rows of the log, and columns, turn by turn."""
    turns: list[Arrays] = []
    there = np.ones(len(heads), np.bool_)
    world.reset(log.users[heads].astype(np.int64), combine(witness.panel.seed, 10, heads))
    for turn in range(int(lengths.max())):
        if (lengths == turn).any():
            on = lengths > turn
            world.keep(on)
            heads, lengths, there = heads[on], lengths[on], there[on]
        rows = heads + turn
        slates, scores = log.slates[rows].astype(np.int64), None
        if log.met is not None:
            np.put_along_axis(world.state.history.exposures, slates, log.met[rows].astype(np.uint8), axis=1)
        if isinstance(witness.simulator, Chooser):
            state = world.state
            scores = witness.simulator.chances(state.mindset, state.history, slates, Luck(combine(state.keys, turn, 0xA5)))
            witness.told(len(rows))
        feedback = world.step(slates).feedback
        witness.told(len(rows))
        if scores is None:
            scores = np.where(feedback.clicked, 1, np.where(feedback.examined, 0, 0.5)).astype(np.float32)
        spoke = feedback.instruction.given
        turns.append({"rows": rows, **deeds(feedback), "spoke": spoke, "there": there, "scores": scores})
        there = there & ~feedback.left
    return {name: np.concatenate([each[name] for each in turns]) for name in turns[0]}
