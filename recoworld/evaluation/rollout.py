"""Whole sessions of one policy: the loop of every evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.envs.codec import observe
from recoworld.errors import ConfigError
from recoworld.evaluation.metrics import intra_list_diversity, self_information
from recoworld.evaluation.record import Saved
from recoworld.evaluation.table import Ints, SessionTable
from recoworld.luck import Luck, combine
from recoworld.session_log import reasons_of
from recoworld.types import Bools, Recommender, Turn
from recoworld.world import World

CHUNK = 1024
"""Sessions side by side: enough to spread the cost of a NumPy call, few enough to stay in memory."""
Progress = Callable[[int], None]
"""Called with the number of sessions that have just ended."""


def rollout(
    world: World,
    policy: Recommender,
    users: Ints,
    seeds: NDArray[Any],
    *,
    policy_seed: int = 0,
    progress: Progress | None = None,
    saved: Saved | None = None,
    chunk: int = CHUNK,
) -> SessionTable:
    """Let a fitted policy serve `users` (indices ``[s]``) under `seeds` ``[s]`` until each has left or is cut.

    A session is the same in every chunk and beside any other policy: the world's luck hangs on (seed, user, turn), the policy's own
    on (policy_seed, seed, user, turn). A privileged policy, one with `attach`, is given the world. The world's own sessions are
    replaced. saved: is given the sessions in full. Raises ConfigError, InvalidSlate, LanguageModelError.
    """
    chunks = rollout_chunks(world, policy, users, seeds, policy_seed=policy_seed, progress=progress, saved=saved, chunk=chunk)
    return SessionTable.joined(list(chunks))


def rollout_chunks(
    world: World,
    policy: Recommender,
    users: Ints,
    seeds: NDArray[Any],
    *,
    policy_seed: int = 0,
    progress: Progress | None = None,
    saved: Saved | None = None,
    chunk: int = CHUNK,
) -> Iterator[SessionTable]:
    """`rollout`, chunk by chunk: who is interrupted keeps what was yielded."""
    users, seeds = np.asarray(users), np.asarray(seeds)
    if users.ndim != 1 or users.shape != seeds.shape or not users.size or chunk < 1:
        raise ConfigError(
            f"rollout: got users {users.shape}, seeds {seeds.shape}, chunk {chunk}; expected one of each a session, at least 1"
        )
    bits = self_information(world.catalog.popularity)
    for start in range(0, len(users), chunk):
        part = slice(start, start + chunk)
        table = SessionTable.empty(users[part], seeds[part], len(world.reward.names), len(world.catalog))
        world.reset(users[part], seeds[part])
        log = None if saved is None else saved.opened(world, seeds[part])
        for rows, turn, told in play(world, policy, users[part], seeds[part], policy_seed=policy_seed):
            _add(table, rows, turn, told, world, bits)
            if log is not None:
                log.add(rows, turn, reasons=reasons_of(policy))
            if progress is not None and (over := int((turn.feedback.left | world.cut).sum())):
                progress(over)
        yield table


def play(
    world: World, policy: Recommender, users: Ints, seeds: NDArray[Any], *, policy_seed: int = 0
) -> Iterator[tuple[Ints, Turn, Bools]]:
    """The loop itself, in a world just reset to these users and seeds ``[s]``, until all are gone.

    Yields after each turn which sessions took part (places in `users` ``[n]``), what happened, and who had an instruction in force
    when the slate was made ``[n]``.
    """
    attach(policy, world)
    rows = np.arange(len(users))
    while rows.size:
        history = world.state.history
        told = history.standing.given
        luck = Luck(combine(policy_seed, seeds[rows], users[rows], history.turn))
        turn = world.step(policy.recommend(observe(world), luck))
        yield rows, turn, told
        going = ~(turn.feedback.left | world.cut)
        rows = rows[going]
        if rows.size and not going.all():
            world.keep(going)


def attach(policy: Recommender, world: World) -> None:
    """Show the world to a policy that reads it. Raises ConfigError where it cannot be read."""
    if hasattr(policy, "attach"):
        policy.attach(world)


def _add(table: SessionTable, rows: Ints, turn: Turn, told: Bools, world: World, bits: NDArray[np.float64]) -> None:
    """Book one turn."""
    feedback, slates = turn.feedback, turn.slates
    exposures = np.take_along_axis(world.state.history.exposures, slates, axis=1)  # this slate counted
    table.returned[rows] += turn.reward
    table.parts[rows] += turn.parts
    table.turns[rows] += 1
    table.left[rows] += feedback.left
    table.slots[rows] += slates.shape[1]
    table.examined[rows] += feedback.examined.sum(axis=1)
    table.clicks[rows] += feedback.clicked.sum(axis=1)
    table.likes[rows] += feedback.liked.sum(axis=1)
    table.comments[rows] += feedback.commented.sum(axis=1)
    table.shares[rows] += feedback.shared.sum(axis=1)
    table.watch[rows] += feedback.watch.sum(axis=1)
    table.instructions[rows] += feedback.instruction.given
    table.answered[rows] += told
    table.followed[rows] += np.where(told, feedback.followed, 0)
    table.diversity[rows] += intra_list_diversity(world.catalog.features, slates)
    table.novelty[rows] += bits[slates].sum(axis=1)
    table.repeats[rows] += (exposures > 1).sum(axis=1)
    table.shown[:] += np.bincount(slates.ravel(), minlength=len(table.shown))
