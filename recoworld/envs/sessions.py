"""What the single and the vector environment share: whose session comes next, and what happens to slates that cannot be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.assembly import make_world
from recoworld.configs import WorldConfig
from recoworld.errors import ConfigError, InvalidSlate
from recoworld.luck import Luck, combine
from recoworld.slates import as_array, repeated
from recoworld.types import Ints, Slates
from recoworld.world import World

PENALTY = 1.0
"""What a slot that cannot be shown costs with ``on_invalid="penalise"``, unless `invalid_penalty` says otherwise."""
_ENTROPY_SPAN = 2**31


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings of an environment that are not the world's."""

    world: World
    group: Ints
    on_invalid: str
    invalid_penalty: float


def make_rules(config: str | None, on_invalid: str, invalid_penalty: float, settings: dict[str, Any]) -> Rules:
    """Check the arguments of an environment and build its world. Raises ConfigError, UnknownName, DatasetError."""
    if not isinstance(on_invalid, str) or on_invalid not in ("raise", "penalise"):
        raise ConfigError(f"on_invalid: got {on_invalid!r}; expected 'raise' or 'penalise'")
    if isinstance(invalid_penalty, bool) or not isinstance(invalid_penalty, int | float) or not 0 <= invalid_penalty < np.inf:
        raise ConfigError(f"invalid_penalty: got {invalid_penalty!r}; expected a finite number from 0 on")
    checked = WorldConfig.of(config, **settings)
    world = make_world(checked)
    group = world.split.group(checked.users)
    if not len(group):
        raise ConfigError(
            f"users: the data set {world.dataset.name!r} has no {checked.users} users ({len(world.dataset.users)} in all); expected some"
        )
    return Rules(world=world, group=group, on_invalid=on_invalid, invalid_penalty=float(invalid_penalty))


def next_sessions(group: Ints, seeds: Ints, episodes: Ints) -> tuple[Ints, NDArray[np.uint64]]:
    """Users ``[n]`` and session seeds ``[n]`` of the given episodes of environments with the given seeds."""
    keys = combine(seeds, episodes)
    return group[(keys % np.uint64(len(group))).astype(np.int64)], keys


def fresh_seed(generator: np.random.Generator) -> int:
    """A seed for who gave none."""
    return int(generator.integers(_ENTROPY_SPAN))


def mended(rules: Rules, slates: Any, n: int) -> tuple[Slates, NDArray[np.float64] | None]:
    """Slates ``[n, k]`` that can be shown, and what the mending costs each user ``[n]`` (None for nothing).

    With ``on_invalid="raise"`` the slates are passed on as they are, and the world raises. With "penalise" slots out of range or with
    an item already shown further up, and slots missing or too many, are filled with random items; each costs `invalid_penalty`.
    Slates that are not integers raise in any case.
    """
    if rules.on_invalid == "raise":
        return slates, None
    world = rules.world
    k, n_items = world.slate_size, len(world.catalog)
    array = as_array(slates, "slates")
    if array.dtype.kind not in "iu" or array.ndim != 2 or len(array) != n:
        raise InvalidSlate(f"slates are {array.dtype} {array.shape}; expected integers of shape ({n}, {k})")
    bad = np.full(n, abs(array.shape[1] - k), np.int64)
    out = np.full((n, k), -1, np.int64)
    width = min(k, array.shape[1])
    out[:, :width] = np.where((array[:, :width] >= 0) & (array[:, :width] < n_items), array[:, :width], -1)
    wrong = (out < 0) | repeated(np.where(out < 0, -1 - np.arange(k), out))
    rows = np.flatnonzero(wrong.any(axis=1))
    if not rows.size and not bad.any():
        return out, None
    bad += wrong[:, :width].sum(axis=1)
    state = world.state
    fill = Luck(combine(state.keys[rows], state.history.turn[rows], 0xF111))
    for row, draws in zip(rows, fill.integers(n_items, 4 * k), strict=True):
        good = dict.fromkeys(out[row][~wrong[row]].tolist())
        spare = [item for item in dict.fromkeys([*draws.tolist(), *range(min(n_items, 2 * k))]) if item not in good]
        out[row, wrong[row]] = spare[: int(wrong[row].sum())]
    return out, bad.astype(np.float64) * rules.invalid_penalty
