"""Questions with one right answer: an item that the person took later, hidden among others that it never took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from recoworld.batch import Batch
from recoworld.errors import ConfigError
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.types import Bools, Ints

Negatives = Literal["random", "popularity_matched", "same_genre"]
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)
WINDOW = 100
"""Items next to each other in popularity, of which a question is drawn; a twentieth of a small catalogue, twice the slate at least."""
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

    negatives: "random" over the catalogue; "popularity_matched", of `WINDOW` items next to each other in popularity (in the visible part
    of the log), the taken one anywhere among them; "same_genre", of the items with the very same genres. Neither popularity nor genre, nor
    what is typical of the slate, gives the answer away. Users who have met too much of the catalogue are left out, and items of which too
    few others are alike. Raises ConfigError where nothing is left.
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
    first = nth(users) < most
    return users[first], (keys % n_items)[first]


def nth(groups: Ints) -> Ints:
    """The place of each row in its group, from 0; rows of a group stand together ``[m]``."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.asarray(np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups)))))


def _shuffled(panel: Panel, users: Ints, targets: Ints, size: int, negatives: Negatives, rng: np.random.Generator) -> Questions:
    """Slates of the targets ``[m, t]`` and negatives that fit the first of them, in random order."""
    m, t = targets.shape
    if size > len(panel.truth.catalog):
        raise ConfigError(f"questions of {size} items: the catalogue of {panel.truth.name!r} has {len(panel.truth.catalog)}; ask for fewer")
    drawn, answered = np.empty((m, size - t), np.int64), np.empty(m, np.bool_)
    step = max(1, _CELLS // len(panel.truth.catalog))
    for start in range(0, m, step):
        rows = slice(start, start + step)
        luck = rng.random((len(users[rows]), len(panel.truth.catalog)), dtype=np.float32)
        luck[~_fitting(panel, ~panel.met(users[rows]), targets[rows, 0], negatives, size, rng)] = np.inf
        drawn[rows] = np.argpartition(luck, size - t - 1, axis=1)[:, : size - t]
        answered[rows] = np.isfinite(np.take_along_axis(luck, drawn[rows], axis=1)).all(axis=1)
    if not answered.any():
        like = "" if negatives == "random" else f" and that match what it took ({negatives})"
        left = f"{size - t} items left that it never met{like}"
        raise ConfigError(f"data set {panel.truth.name!r}: nobody who is asked has {left}; ask for fewer")
    items = np.concatenate([targets, drawn], axis=1)[answered]
    mixed = np.argsort(rng.random(items.shape), axis=1)
    return Questions(users=users[answered], items=np.take_along_axis(items, mixed, axis=1), taken=mixed < t)


def _fitting(panel: Panel, unmet: Bools, targets: Ints, negatives: Negatives, size: int, rng: np.random.Generator) -> Bools:
    """Which of the items never met may stand beside the targets ``[m, n_items]``."""
    catalog = panel.known.catalog
    if negatives == "random":
        return unmet
    if negatives == "same_genre":
        _, kind = np.unique(catalog.genres, axis=0, return_inverse=True)
        return np.asarray(unmet & (kind[targets, None] == kind))
    order = np.lexsort((rng.random(len(catalog)), catalog.popularity))
    row = np.arange(len(targets))
    unmet[row, targets] = True
    place = np.empty(unmet.shape, np.int32)
    place[:, order] = np.cumsum(unmet[:, order], axis=1)  # among the unmet and the target, by popularity
    width = max(2 * size, min(WINDOW, len(catalog) // 20))
    last = np.maximum(place.max(axis=1) - width + 1, 1)
    first = np.clip(place[row, targets] - rng.integers(width, size=len(targets)), 1, last)[:, None]
    unmet[row, targets] = False
    return np.asarray(unmet & (place >= first) & (place < first + width))
