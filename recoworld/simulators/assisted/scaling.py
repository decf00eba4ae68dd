"""Fit the two numbers of the scored user (`recoworld.simulators.assisted.scored`) to a log, by maximum likelihood.

With s what the model says of an item, and e the chance that its slot is looked at, a click has probability ``e sigmoid(offset + slope s)``.

A log with impressions tells what was shown and clicked; ``e`` of slot j is then the behavioural cascade of a rested user,
``exp(-effort j / (1/2 + P))``. A log without tells only what was taken: later items of each user against as many that it never took,
``e = 1``. That gives the slope; the offset is shifted from the drawn share of one half to `rate` (prior correction for case-control
samples: King & Zeng 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.luck import Luck, combine
from recoworld.simulators.assisted.scored import ScoredSimulator
from recoworld.simulators.behavioral import P
from recoworld.types import History, Instruction, Ints, Slates
from recoworld.users import Dataset, Split

CLICKED = 0.288
"""Share of impressions clicked in the log that `recoworld.simulators.config.BehavioralConfig` tells of."""
Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Questions:
    """Slates ``[m, k]`` put to users ``[m]``, what was taken, and how likely each slot is looked at ``[m, k]``."""

    users: Ints
    slates: Slates
    taken: NDArray[np.bool_]
    effort: Doubles
    """Of each slot, in units of a user's patience: 0 where it is looked at for certain."""
    met: NDArray[np.uint8] | None = None
    """How often the item was met before ``[m, k]``; None for never."""


def calibrated(
    simulator: ScoredSimulator,
    dataset: Dataset,
    split: Split,
    users: Ints,
    *,
    most: int = 200,
    rate: float = CLICKED,
    seed: int = 0,
) -> ScoredSimulator:
    """The same people with `slope` and `offset` fitted to what these users (indices) did in `dataset`.

    simulator: one that was made of `Dataset.known`, or it knows the answers. most: slates at most, or pairs of items; the model is asked
    about each. rate: share of clicks that the offset is to give where the log has no impressions. The slope is held at 0 from below.
    Raises ConfigError for a log that has nothing to fit on, LanguageModelError.
    """
    if not (0 < rate < 1 and most >= 1):
        raise ConfigError(f"calibrated: got rate={rate}, most={most}; expected a share between 0 and 1, and a number from 1 on")
    rng = np.random.Generator(np.random.PCG64(seed))
    shown = dataset.impressions is not None and bool(np.isin(dataset.impressions.users, users).any())
    asked = _impressions(dataset, users, most, rng) if shown else _pairs(dataset, split, users, most, rng)
    if not asked.taken.any() or asked.taken.all():
        raise ConfigError(f"calibrated: {int(asked.taken.sum())} of {asked.taken.size} items were taken; expected some, and others")
    m, k = asked.slates.shape
    exposures = np.zeros((m, len(simulator.catalog)), np.uint8)
    if asked.met is not None:
        np.put_along_axis(exposures, asked.slates, asked.met.astype(np.uint8), axis=1)
    history = History(
        users=asked.users,
        turn=np.zeros(m, np.int64),
        items=np.zeros((m, 0), np.int32),
        acts=np.zeros((m, 0), np.int8),
        slate=np.zeros((m, k), np.int32),
        response=np.zeros((m, k, 6), np.float32),
        exposures=exposures,
        standing=Instruction.none(m),
        age=np.zeros(m, np.int64),
    )
    mindset = simulator.begin(asked.users, Luck(combine(seed, asked.users)))
    scores = simulator.scores(mindset, history, asked.slates)
    examined = np.exp(-asked.effort * simulator.config.behavior.effort / (0.5 + mindset.levels[:, P, None]))
    slope, offset = fitted(scores, asked.taken, examined)
    if not shown:
        offset += float(np.log(rate / (1 - rate)) - np.log(asked.taken.mean() / (1 - asked.taken.mean())))
    config = simulator.config.model_copy(update={"slope": slope, "offset": offset})
    return ScoredSimulator(simulator.dataset, simulator.taste, simulator.model, config, seed=simulator.seed)


def fitted(scores: Doubles, taken: NDArray[np.bool_], examined: Doubles) -> tuple[float, float]:
    """Slope and offset under which what was taken is likeliest, by Fisher scoring; arrays of one shape."""
    s, y, e = scores.ravel(), taken.ravel().astype(np.float64), np.broadcast_to(examined, scores.shape).ravel()
    x, at = np.stack([np.ones_like(s), s]), np.zeros(2)
    for _ in range(200):
        p = 1 / (1 + np.exp(-np.clip(at @ x, -30, 30)))
        rise = e * p * (1 - p)
        spread = np.maximum(e * p * (1 - e * p), 1e-12)
        gradient = x @ (rise * (y - e * p) / spread)
        free = np.array([True, at[1] > 0 or gradient[1] > 0])
        information = (x * (rise**2 / spread)) @ x.T + 1e-6 * np.eye(2)  # the last term keeps a perfect separation finite
        step = np.zeros(2)
        step[free] = np.clip(np.linalg.solve(information[np.ix_(free, free)], gradient[free]), -1, 1)
        at = np.clip(at + step, [-100, 0], 100)
        if np.abs(step).max() < 1e-8:
            break
    return float(at[1]), float(at[0])


def _impressions(dataset: Dataset, users: Ints, most: int, rng: np.random.Generator) -> _Questions:
    log = dataset.impressions
    assert log is not None  # asked by the caller
    rows = np.flatnonzero(np.isin(log.users, users))
    part = log.take(np.sort(rng.choice(rows, most, replace=False)) if len(rows) > most else rows)
    first = np.zeros(len(part.users)) if part.first_slot is None else part.first_slot
    slots = first[:, None].astype(np.float64) + np.arange(part.slates.shape[1])
    users, slates = part.users.astype(np.int64), part.slates.astype(np.int64)
    return _Questions(users=users, slates=slates, taken=part.clicked, effort=slots, met=part.met)


def _pairs(dataset: Dataset, split: Split, users: Ints, most: int, rng: np.random.Generator) -> _Questions:
    """Pairs of an item that was liked after the visible part and one that the user never took."""
    log = dataset.interactions
    later = log.rows(split.visible_end[users], log.indptr[users + 1])
    later = later[dataset.liked[later]]
    if not later.size:
        raise ConfigError(f"calibrated: {len(users)} users liked nothing after what is visible of them, and no impressions were logged")
    later = np.sort(rng.choice(later, most, replace=False)) if len(later) > most else later
    who = log.users[later].astype(np.int64)
    other = rng.integers(len(dataset.catalog), size=len(later))
    for _ in range(100):
        known = log.holds(who, other)
        if not known.any():
            break
        other[known] = rng.integers(len(dataset.catalog), size=int(known.sum()))
    slates = np.stack([log.items[later].astype(np.int64), other], axis=1)
    taken = np.zeros(slates.shape, np.bool_)
    taken[:, 0] = True
    return _Questions(users=who, slates=slates, taken=taken, effort=np.zeros(slates.shape))
