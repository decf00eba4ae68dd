"""Which sessions are played: the same for every policy of one evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from recoworld.configs import WorldConfig
from recoworld.evaluation.table import Ints
from recoworld.policies.params import whole
from recoworld.users import Split
from recoworld.version import __version__
from recoworld.world import World

_SPAN = 2**31
_WHERE_KEPT = {"record"}  # of replies that would be the same without it
_STREAM = 1  # the split draws with the bare seed


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The users, the seeds of their sessions, and all else that the results depend on. Made by `plan`."""

    users: Ints
    """User indices, ascending ``[n]``."""
    unseen: Ints
    """Those among them from whose logs no policy has learned: held-out ranking is theirs alone."""
    seeds: int
    seed: int
    settings: dict[str, Any]
    """Equal settings, equal results."""
    notes: tuple[str, ...]

    @property
    def sessions(self) -> tuple[Ints, Ints]:
        """User and seed of every session ``[n * seeds]`` each, a user's sessions side by side."""
        return sessions(self.users, self.seeds, self.seed)


def sessions(users: Ints, seeds: int, seed: int) -> tuple[Ints, Ints]:
    """User and seed of `seeds` sessions a user, under `seed` and those after it ``[n * seeds]`` each, a user's side by side."""
    return np.repeat(users, seeds), np.tile(np.arange(seed, seed + seeds), len(users))


def plan(config: WorldConfig, world: World, *, users: int | None, seeds: int, seed: int, group: str) -> Plan:
    """Draw `users` of a group (None: all of it), `seeds` sessions each. Raises ConfigError, UnknownName."""
    for name, value, low, high in (
        ("users", 1 if users is None else users, 1, _SPAN),
        ("seeds", seeds, 1, 10_000),
        ("seed", seed, 0, _SPAN),
    ):
        whole(name, value, low, high)
    chosen, group, notes = _drawn(world.split, group, users, seed)
    unseen = np.setdiff1d(chosen, world.split.train)
    if len(unseen) < len(chosen):
        notes.append(
            f"{len(chosen) - len(unseen):,} of the {len(chosen):,} users are training users, whose logs the policies know in full: "
            f"NDCG and Hit are of the other {len(unseen):,}."
        )
    data = world.dataset
    coefficients = getattr(world.simulator, "config", None)
    told = config.model_dump(mode="json", exclude={"data_dir": True, "users": True, "simulator_config": _WHERE_KEPT})
    settings = {
        "dataset": data.name,
        "users": len(chosen),
        "seeds": seeds,
        "seed": seed,
        "group": group,
        "version": __version__,
        "config": told | {"reward": world.reward.weights},
        "native": getattr(world.simulator, "native", None),  # the compiled users agree with NumPy's but for knife-edges
        "simulator": coefficients.model_dump(mode="json", exclude=_WHERE_KEPT) if isinstance(coefficients, BaseModel) else None,
        "size": [len(data.users), len(data.catalog), len(data.interactions)],
    }
    return Plan(users=chosen, unseen=unseen, seeds=seeds, seed=seed, settings=settings, notes=tuple(notes))


def _drawn(split: Split, group: str, users: int | None, seed: int) -> tuple[Ints, str, list[str]]:
    generator = np.random.Generator(np.random.PCG64([seed, _STREAM]))
    members, notes = generator.permutation(split.group(group)), []
    if group != "all" and (users or 1) > len(members):
        notes.append(
            f"The group {group!r} has {len(members):,} users, {'all' if users is None else f'{users:,}'} were asked for: "
            "users of the other groups join them, training users last."
        )
        others = [np.setdiff1d(split.group(name), members) for name in ("test", "validation", "train")]
        members, group = np.concatenate([members, *map(generator.permutation, others)]), "all"
    if (users or 0) > len(members):
        notes.append(f"The data set has {len(members):,} users, {users:,} were asked for: all of them are taken.")
    return np.sort(members[:users]), group, notes
