"""On whom policies are tuned, and on whom they are judged: never the same people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recoworld.errors import ConfigError
from recoworld.evaluation.plan import sessions
from recoworld.policies.params import whole
from recoworld.types import Ints
from recoworld.users import Split

Group = Literal["tuning", "test"]
GROUPS: tuple[Group, Group] = ("tuning", "test")
_SPAN = 2**31
_STREAM = 0x7A  # the split draws with the bare seed


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """Users of both groups and the seeds of their sessions: the same for every policy in every simulator. Made by `drawn`."""

    users: dict[Group, Ints]
    """User indices, ascending ``[n]``."""
    seeds: int
    seed: int
    notes: tuple[str, ...]

    def sessions(self, group: Group) -> tuple[Ints, Ints]:
        """User and seed of every session ``[n * seeds]`` each, a user's sessions side by side."""
        return sessions(self.users[group], self.seeds, self.seed)


def drawn(split: Split, *, users: int, seeds: int, seed: int) -> People:
    """Draw `users` validation users to tune on, joined by training users where there are too few, and `users` test users.

    Where there are fewer test users, all of them are taken, with a note. Raises ConfigError.
    """
    for name, value, low, high in (("users", users, 2, _SPAN), ("seeds", seeds, 1, 10_000), ("seed", seed, 0, _SPAN)):
        whole(name, value, low, high)
    generator = np.random.Generator(np.random.PCG64([seed, _STREAM]))
    test, validation, train = map(generator.permutation, (split.test, split.validation, split.train))
    notes = []
    if users > len(test):
        notes.append(f"There are {len(test):,} test users, {users:,} were asked for: all of them are taken.")
    if users > len(validation):
        more = min(users, len(validation) + len(train)) - len(validation)
        notes.append(f"There are {len(validation):,} validation users to tune on: {more:,} training users join them.")
    if min(len(test), len(validation) + len(train)) < 2:
        raise ConfigError(f"the split has {len(test)} test users and {len(validation)} validation users; expected two at least of each")
    tuning = np.concatenate([validation, train])
    return People(users={"tuning": np.sort(tuning[:users]), "test": np.sort(test[:users])}, seeds=seeds, seed=seed, notes=tuple(notes))
