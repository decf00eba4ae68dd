"""How the environment looks to an algorithm: what it sees, and how it says what to show. The served policy looks through the same.

**Observation** "dict": the arrays of `recoworld.envs.codec` as they are. "vector": one float32 row a user in [-1, 1], for networks that
know nothing of catalogues (`d` content features, `p` profile features):

| columns | hold |
|---|---|
| p | profile |
| 1 | turns finished / max_turns |
| 6 + d + 2 | the instruction in force, as in the codec |
| 6 | the last slate: share of its slots clicked, liked, commented on, shared, mean share of the duration watched, share skipped |
| 4 | the session: share of the slots shown so far clicked or more, liked or more, skipped, not looked at |
| 5 d | content of: likes before the session, dislikes before it, clicks or more in it, skips in it, the last slate |

A content is the sum of the items' `Catalog.features` brought to length 1, zeros for no items.

**Action** "slate": `k` different items, shown as they are. "slots": `k` items chosen one by one, which may repeat; "single": one item, in
a world of slates of one. Of both, an item that the slate holds already, or that is in the observed history, gives way to the next in
the catalogue that is neither (from the last on to the first); where fewer than `k` unmet items are left, met ones may be shown. Served,
such a policy shows in each slot the best item by its own scores that is neither (`View.best`).
"proto": a vector ``[d + 1]`` in [-1, 1]; shown are the `k` items whose content and `popularity_rank` have the largest dot product with it
(Dulac-Arnold et al. 2015), unmet ones first, as every `Scorer` does.

The catalogue in all of this is `known_catalog`, whose popularity counts nothing that is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.envs.codec import observation_space
from recoworld.envs.spaces import SlateSpace
from recoworld.errors import ConfigError
from recoworld.policies.scoring import chunks, demote_met, fixed_point, top, unit_rows
from recoworld.types import Act, Bools, Floats, Observations, Slates
from recoworld.users import Dataset, Split
from recoworld.world import World

Seen = Literal["dict", "vector"]
Said = Literal["slate", "slots", "proto", "single"]


@dataclass(frozen=True)
class View:
    """One of the ways above. Raises ConfigError for others."""

    observation: Seen
    action: Said

    def __post_init__(self) -> None:
        for name, value, known in (("observation", self.observation, get_args(Seen)), ("action", self.action, get_args(Said))):
            if value not in known:
                raise ConfigError(f"view: got {name} {value!r}; expected one of {', '.join(known)}")

    def observation_space(self, world: World) -> spaces.Space[Any]:
        """The space of what `encode` gives, for one user."""
        if self.observation == "dict":
            return observation_space(world)
        d, p = world.catalog.features.shape[1], world.dataset.users.features.shape[1]
        return spaces.Box(-1.0, 1.0, (p + 1 + (6 + d + 2) + 6 + 4 + 5 * d,), np.float32)

    def action_space(self, world: World) -> spaces.Space[Any]:
        """The space of what `decode` takes, for one user. Raises ConfigError for "single" in a world of larger slates."""
        n_items, k = len(world.catalog), world.slate_size
        if self.action == "single":
            if k != 1:
                raise ConfigError(f"slate_size: got {k}; expected 1 for an algorithm that chooses single items: set world.slate_size=1")
            return spaces.Discrete(n_items)
        if self.action == "proto":
            return spaces.Box(-1.0, 1.0, (world.catalog.features.shape[1] + 1,), np.float32)
        return spaces.MultiDiscrete(np.full(k, n_items)) if self.action == "slots" else SlateSpace(n_items, k)

    def encode(self, observations: Observations, catalog: Catalog) -> Observations | Floats:
        """What the algorithm sees of ``[n, ...]`` observations: themselves, or float32 ``[n, w]``."""
        return observations if self.observation == "dict" else as_vector(observations, catalog)

    def decode(self, actions: NDArray[Any], observations: Observations, catalog: Catalog) -> Slates:
        """Slates int64 ``[n, k]`` out of a batch of actions, with `k` the slots of the observations' last slate.

        Raises ConfigError where the actions are for slates of another size.
        """
        n, k = observations["slate"].shape
        if self.action == "proto":
            return nearest(actions, observations["history"], catalog, k)
        slates = np.asarray(actions).reshape(n, -1).astype(np.int64)
        if slates.shape[1] != k:
            raise ConfigError(f"slates: got {k} slots; expected {slates.shape[1]}, for which this policy was trained")
        return slates if self.action == "slate" else mended(slates, observations["history"], len(catalog))

    def best(self, scores: Floats, observations: Observations) -> Slates:
        """Slates int64 ``[n, k]`` out of scores ``[n, s, n_items]`` of `s` slots: slot by slot the best item that is not there yet, met
        ones last; slots beyond `s` go on with the last one's scores.
        """
        n, k = observations["slate"].shape
        row, out = np.arange(n), np.empty((n, k), np.int64)
        for slot in range(k):
            if slot < scores.shape[1]:
                left = demote_met(np.array(scores[:, slot], np.float32), observations["history"])
                left[row[:, None], out[:, :slot]] = -np.inf
            out[:, slot] = left.argmax(axis=1)
            left[row, out[:, slot]] = -np.inf
        return out


def known_catalog(dataset: Dataset, split: Split) -> Catalog:
    """The catalogue with popularity counted in what policies may see."""
    return dataset.known(split)[0].catalog


SLATE = View("dict", "slate")
"""The environment as it is."""


def as_vector(observations: Observations, catalog: Catalog) -> Floats:
    """The columns of the module's docstring, float32 ``[n, w]``; a row depends on its own user alone."""
    history, acts, slate = observations["history"], observations["history_acts"], observations["slate"]
    n, there = len(history), history > 0
    clicked, liked = acts >= Act.CLICKED, acts >= Act.LIKED
    skipped, unseen = acts == Act.SKIPPED, acts == Act.UNSEEN
    shown = np.maximum((acts >= Act.UNSEEN).sum(axis=1), 1)
    session = np.stack([part.sum(axis=1) / shown for part in (clicked, liked, skipped, unseen)], axis=1)
    groups = (acts == Act.RATED, acts == Act.DISLIKED, clicked, skipped)
    parts = [
        observations["profile"],
        observations["turn"],
        observations["instruction"],
        observations["feedback"].mean(axis=1),
        session,
        *(_content(history, group & there, catalog) for group in groups),
        _content(slate, slate > 0, catalog),
    ]
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1, dtype=np.float32, casting="same_kind")


def nearest(protos: NDArray[Any], history: NDArray[Any], catalog: Catalog, k: int) -> Slates:
    """The `k` items of the largest dot product with each proto-action ``[n, d + 1]``, best first, met ones last, ties by index."""
    table = fixed_point(np.concatenate([catalog.features, catalog.popularity_rank[:, None]], axis=1), 12).T
    directions = fixed_point(unit_rows(np.asarray(protos, np.float32)), 11)  # rows no longer than 1 and sqrt(2): sums are exact
    out = np.empty((len(directions), k), np.int64)
    for rows in chunks(len(directions), len(catalog)):
        out[rows] = top(demote_met(directions[rows] @ table, history[rows]), k)
    return out


def mended(slots: Slates, history: NDArray[Any], n_items: int) -> Slates:
    """The slots ``[n, k]`` with repeated and met items replaced by the next free ones of the catalogue."""
    n, k = slots.shape
    row, every = np.arange(n), np.arange(n_items, dtype=np.int32)
    free = np.ones((n, n_items + 1), np.bool_)
    free[row[:, None], history] = False
    free = free[:, 1:]
    free[np.count_nonzero(free, axis=1) < k] = True
    after = np.minimum.accumulate(np.where(free, every, np.int32(n_items))[:, ::-1], axis=1)[:, ::-1]  # n_items: none up to the end
    following = np.where(after == n_items, after[:, :1], after)
    out = np.empty((n, k), np.int64)
    for slot in range(k):
        item = following[row, slots[:, slot]]
        while (twice := (out[:, :slot] == item[:, None]).any(axis=1)).any():
            item = np.where(twice, following[row, (item + 1) % n_items], item)
        out[:, slot] = item
    return out


def _content(items: NDArray[Any], chosen: Bools, catalog: Catalog) -> Floats:
    """Sum of the features of the chosen of `items` ``[n, h]`` (index + 1), brought to length 1 ``[n, d]``."""
    rows, columns = np.nonzero(chosen)
    sums = np.zeros((len(items), catalog.features.shape[1]), np.float32)
    if rows.size:
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        sums[rows[starts]] = np.add.reduceat(catalog.features[items[rows, columns] - 1], starts, axis=0)
    return unit_rows(sums)
