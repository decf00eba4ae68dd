"""A log to learn from, where there is none: sessions of training users with a policy that is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from recoworld.evaluation.rollout import CHUNK, attach, play
from recoworld.policies import make_policy
from recoworld.policies.baselines import Random
from recoworld.policies.mixed import Mixed
from recoworld.session import Session
from recoworld.session_io import write_parquet
from recoworld.session_log import SessionLog
from recoworld.types import Recommender
from recoworld.world import World


class Recording(BaseModel):
    """Which sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str = "ease+instruct"
    """As `recoworld evaluate --policies` names it."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Of slots that show a random item instead: a log of one fixed policy says nothing of what else could be shown."""
    sessions: Annotated[int, Field(ge=1)] = 2000
    """Training users in a random order, all once, then all again under another seed, until there are so many."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


def logging_policy(recording: Recording, world: World) -> Recommender:
    """The policy that a recording is of, fitted, and shown the world where it reads it. Raises ConfigError, UnknownName, MissingExtra."""
    base = make_policy(recording.policy)
    policy = Mixed(base, Random(), share=recording.share) if recording.share else base
    policy.fit(world.dataset, world.split)
    attach(base, world)
    return policy


def record(path: Path, world: World, recording: Recording) -> int:
    """Play the sessions and write them as Parquet (`recoworld.session_io`); returns how many.

    Raises ConfigError, UnknownName, MissingExtra, CacheUnwritable.
    """
    return write_parquet(path, _played(world, logging_policy(recording, world), recording))


def _played(world: World, policy: Recommender, recording: Recording) -> Iterator[Session]:
    train, n = world.split.train, recording.sessions
    order = np.random.Generator(np.random.PCG64(recording.seed)).permutation(train)
    users, seeds = np.resize(order, n), recording.seed + np.arange(n) // len(order)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        world.reset(users[part], seeds[part])
        log = SessionLog(world, seeds[part], policy=policy.name)
        for rows, turn, _ in play(world, policy, users[part], seeds[part], policy_seed=recording.seed):
            log.add(rows, turn)
        yield from log
