"""Observations: how what a policy may see is laid out in arrays. Nothing hidden passes through here.

Index by index, with `n` users in front (`n_items` items, `k` slots, `d` content features, `p` profile features,
`h` = history_length items before the session + max_turns * k slots of the session):

| key | dtype, shape | range | holds |
|---|---|---|---|
| profile | float32 [n, p] | 0..1 | demographics (`Users.features`) |
| history | int32 [n, h] | 0..n_items | items met, oldest first, as index + 1; 0 is padding, in front and behind |
| history_acts | int8 [n, h] | 0..8 | what became of each: `recoworld.types.Act` |
| slate | int32 [n, k] | 0..n_items | the last slate, as index + 1; 0 before the first |
| feedback | float32 [n, k, 6] | 0..1 | click, like, comment, share, share of duration watched, skip: per slot of the last slate |
| instruction | float32 [n, 6 + d + 2] | -1..1 | in force: kind (1 of 6), content, popularity (-1 little, 1 well known), 1 / (1 + age) |
| instruction_code | int32 [n, 4] | 0.. | the same as integers: `Kind`, `Aspect`, value, age in slates; zeros for none |
| turn | float32 [n, 1] | 0..1 | turns finished / max_turns |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.types import Act, Aspect, Floats, Instruction, Kind, Observations

if TYPE_CHECKING:
    from recoworld.world import World

_KINDS = len(Kind) - 1


def observation_space(world: World) -> spaces.Dict:
    """The space of one user's observation, see the module's docstring."""
    n_items, k, h = len(world.catalog), world.slate_size, world.history_width
    d, p = world.catalog.features.shape[1], world.dataset.users.features.shape[1]
    largest = max(n_items, 10_000, len(world.catalog.people_names))  # of an instruction's value: an item, a decade, a person
    return spaces.Dict(
        {
            "profile": spaces.Box(0.0, 1.0, (p,), np.float32),
            "history": spaces.Box(0, n_items, (h,), np.int32),
            "history_acts": spaces.Box(0, int(max(Act)), (h,), np.int8),
            "slate": spaces.Box(0, n_items, (k,), np.int32),
            "feedback": spaces.Box(0.0, 1.0, (k, 6), np.float32),
            "instruction": spaces.Box(-1.0, 1.0, (_KINDS + d + 2,), np.float32),
            "instruction_code": spaces.Box(
                0, np.array([max(Kind), max(Aspect), largest, world.instruction_turns], np.int32), dtype=np.int32
            ),
            "turn": spaces.Box(0.0, 1.0, (1,), np.float32),
        }
    )


def observe(world: World) -> Observations:
    """What policies may see now, arrays with ``[n, ...]`` as in `observation_space`: the world's own, to be read and not written to, and
    good until its next `reopen`; a step leaves them as they are.
    """
    history = world.state.history
    n = len(history.users)
    code = np.zeros((n, 4), np.int32)
    told = np.zeros((n, _KINDS + world.catalog.features.shape[1] + 2), np.float32)
    standing = history.standing
    if standing is not Instruction.none(n):
        code[:, 0], code[:, 1], code[:, 2], code[:, 3] = standing.kind, standing.aspect, standing.value, history.age
        if n == 1 and standing.kind[0]:
            _tell_one(told[0], code[0].tolist(), world.catalog)
        else:
            rows = standing.kind.nonzero()[0]
            _tell(told, rows, code[rows], world.catalog)
    return {
        "profile": world.dataset.users.features.take(history.users, axis=0),
        "history": history.items,
        "history_acts": history.acts,
        "slate": history.slate,
        "feedback": history.response,
        "instruction": told,
        "instruction_code": code,
        "turn": world.progress.take(history.turn, mode="clip")[:, None],
    }


def _tell_one(told: Floats, code: list[int], catalog: Catalog) -> None:
    """`_tell` for a single user, told ``[6 + d + 2]``: index arrays for one row would cost more than all the rest of an observation."""
    kind, aspect, value, age = code
    told[kind - 1], told[-1] = 1.0, 1.0 / (1.0 + age)
    if aspect == Aspect.GENRE:
        told[_KINDS + value] = 1.0
    elif aspect == Aspect.ERA:
        told[_KINDS + len(catalog.genre_names) : -2] = catalog.eras == value
    elif aspect == Aspect.POPULARITY:
        told[-2] = 1.0 if value > 0 else -1.0
    elif aspect in (Aspect.TITLE, Aspect.PERSON):
        told[_KINDS:-2] = (catalog.features if aspect == Aspect.TITLE else catalog.person_features)[value]


def _tell(told: Floats, rows: NDArray[np.int64], code: NDArray[np.int32], catalog: Catalog) -> None:
    """Write the features of the instructions `code` ``[m, 4]`` into `rows` of `told`."""
    kinds, genres = _KINDS, len(catalog.genre_names)
    told[rows, code[:, 0] - 1] = 1.0
    told[rows, -1] = 1.0 / (1.0 + code[:, 3])
    aspects = set(code[:, 1].tolist())
    for aspect in aspects:
        among = code[:, 1] == aspect if len(aspects) > 1 else slice(None)
        row, value = rows[among], code[among, 2]
        if aspect == Aspect.GENRE:
            told[row, kinds + value] = 1.0
        elif aspect == Aspect.ERA:
            here, era = np.nonzero(value[:, None] == catalog.eras)  # users in words may name an era that does not occur
            told[row[here], kinds + genres + era] = 1.0
        elif aspect == Aspect.POPULARITY:
            told[row, -2] = np.where(value > 0, 1.0, -1.0)
        elif aspect in (Aspect.TITLE, Aspect.PERSON):
            told[row, kinds:-2] = (catalog.features if aspect == Aspect.TITLE else catalog.person_features)[value]
