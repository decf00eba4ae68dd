"""Questions with one right answer: an item that the person took later, hidden among others that it never took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from recoworld.batch import Batch
from recoworld.errors import ConfigError
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.types import Bools, Floats, Ints

Negatives = Literal["random", "popularity_matched", "same_genre"]
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)
_POOL = 100
"""Nearest items of which matched negatives are drawn."""
_CELLS = 1 << 24


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions(Batch):
    """`m` slates of `c` items in random order."""

    users: Ints
    """Indices ``[m]``."""
    items: Ints
    """``[m, c]``."""
    taken: Bools
    """Which of them the person took later ``[m, c]``."""


def choices(panel: Panel, negatives: Negatives, *, size: int = 20, most: int = 5) -> Questions:
    """1 item taken later and ``size - 1`` never met, up to `most` questions a user, drawn by the panel's seed.

    negatives: "random" over the catalogue; "popularity_matched", of the hundred items nearest in popularity (in the visible part of the
    log), so that popularity itself is no help; "same_genre", of the hundred nearest in genres. Users who have met too much of the
    catalogue are left out. Raises ConfigError where nobody is left.
    """
    rng = np.random.Generator(np.random.PCG64([panel.seed, 1, NEGATIVES.index(negatives)]))
    users, targets = _targets(panel, most, np.random.Generator(np.random.PCG64([panel.seed, 0])))
    return _shuffled(panel, users, targets[:, None], size, negatives, rng)


def mixtures(panel: Panel, others: int, *, size: int = 20) -> Questions:
    """One slate a user in which taken items stand to items never met as 1 to `others` (Agent4Rec, Zhang et al. 2024, section 4.1).

    Users with too few later items are left out.
    """
    rng = np.random.Generator(np.random.PCG64([panel.seed, 2, others]))
    wanted = max(1, size // (1 + others))
    users, targets = _targets(panel, 10**9, rng)
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    enough = starts[np.diff(np.append(starts, len(users))) >= wanted]
    if not len(enough):
        raise ConfigError(f"data set {panel.truth.name!r}: nobody who is asked took {wanted} new items after the visible part of the log")
    return _shuffled(panel, users[enough], targets[enough[:, None] + np.arange(wanted)], size, "random", rng)


def _targets(panel: Panel, most: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Up to `most` different items a user, drawn of those first met after the visible part: users and items ``[m]`` each, by user."""
    rows, place = panel.later(panel.users)
    owners, items, n_items = panel.users[place], panel.truth.interactions.items[rows], len(panel.truth.catalog)
    log, split = panel.truth.interactions, panel.truth_split
    seen = log.rows(log.indptr[panel.users], split.visible_end[panel.users])
    before = np.repeat(panel.users, split.visible_end[panel.users] - log.indptr[panel.users]) * n_items + log.items[seen]
    keys = np.setdiff1d(owners * n_items + items, before)
    order = np.lexsort((rng.random(len(keys)), keys // n_items))
    keys = keys[order]
    users = keys // n_items
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    nth = np.arange(len(users)) - np.repeat(starts, np.diff(np.append(starts, len(users))))
    return users[nth < most], (keys % n_items)[nth < most]


def _shuffled(panel: Panel, users: Ints, targets: Ints, size: int, negatives: Negatives, rng: np.random.Generator) -> Questions:
    """Slates of the targets ``[m, t]`` and negatives near the first of them, in random order."""
    m, t = targets.shape
    if size > len(panel.truth.catalog):
        raise ConfigError(f"questions of {size} items: the catalogue of {panel.truth.name!r} has {len(panel.truth.catalog)}; ask for fewer")
    drawn, answered = np.empty((m, size - t), np.int64), np.empty(m, np.bool_)
    step = max(1, _CELLS // len(panel.truth.catalog))
    for start in range(0, m, step):
        rows = slice(start, start + step)
        distance = _distance(panel, targets[rows, 0], negatives, rng)
        distance[panel.met(users[rows])] = np.inf
        pool = min(size - t if negatives == "random" else max(_POOL, size - t), distance.shape[1])
        near = np.argpartition(distance, pool - 1, axis=1)[:, :pool]
        order = np.argsort(rng.random(near.shape) + ~np.isfinite(np.take_along_axis(distance, near, axis=1)), axis=1)[:, : size - t]
        drawn[rows] = np.take_along_axis(near, order, axis=1)
        answered[rows] = np.isfinite(np.take_along_axis(distance, drawn[rows], axis=1)).all(axis=1)
    if not answered.any():
        raise ConfigError(f"data set {panel.truth.name!r}: nobody who is asked has {size - t} items left that it never met; ask for fewer")
    items = np.concatenate([targets, drawn], axis=1)[answered]
    mixed = np.argsort(rng.random(items.shape), axis=1)
    return Questions(users=users[answered], items=np.take_along_axis(items, mixed, axis=1), taken=mixed < t)


def _distance(panel: Panel, targets: Ints, negatives: Negatives, rng: np.random.Generator) -> Floats:
    """How far every item is from the targets, ties broken at random ``[m, n_items]``."""
    catalog = panel.known.catalog
    luck = rng.random((len(targets), len(catalog)), dtype=np.float32)
    if negatives == "random":
        return luck
    if negatives == "popularity_matched":
        order = np.empty(len(catalog), np.int64)
        order[np.lexsort((np.arange(len(catalog)), catalog.popularity))] = np.arange(len(catalog))
        return np.abs(order[targets, None] - order).astype(np.float32) + luck
    genres = catalog.genres / np.sqrt(catalog.genres.sum(axis=1, keepdims=True))
    return (-(genres[targets] @ genres.T) + 1e-3 * luck).astype(np.float32)
