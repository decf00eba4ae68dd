"""Who is asked, what a simulator may know of them, and what only the harness knows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recoworld.envs.codec import observe
from recoworld.errors import ConfigError
from recoworld.evaluation.ranking import opening_world
from recoworld.policies import make_policy
from recoworld.policies.scoring import Scorer
from recoworld.types import Bools, Feedback, Floats, Ints, Mindset, Recommender
from recoworld.users import Dataset, Split
from recoworld.world import World

_CELLS = 1 << 24  # scores held at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Held-out people of a data set. Made by `make_panel`."""

    truth: Dataset
    """With what they did later: the harness's alone."""
    truth_split: Split
    known: Dataset
    """`Dataset.known`: all that a simulator or a recommender is given."""
    split: Split
    """Of `known`."""
    users: Ints
    """Who is asked, indices ascending ``[n]``; none of them a training user."""
    seed: int
    notes: tuple[str, ...] = ()
    _fitted: dict[str, Recommender] = field(default_factory=dict, repr=False)
    _worlds: list[World] = field(default_factory=list, repr=False)

    def later(self, users: Ints) -> tuple[Ints, Ints]:
        """What these users did after their visible part: positions in ``truth.interactions``, and places in `users` ``[m]`` each."""
        log, ends = self.truth.interactions, self.truth.interactions.indptr[users + 1]
        starts = self.truth_split.visible_end[users]
        return log.rows(starts, ends), np.repeat(np.arange(len(users)), ends - starts)

    def met(self, users: Ints) -> Bools:
        """Everything that these users ever met, before or after ``[n, n_items]``."""
        log = self.truth.interactions
        starts, ends = log.indptr[users], log.indptr[users + 1]
        out = np.zeros((len(users), len(self.truth.catalog)), np.bool_)
        out[np.repeat(np.arange(len(users)), ends - starts), log.items[log.rows(starts, ends)]] = True
        return out

    def stars(self, ratings: Floats) -> Floats:
        """Ratings of this data set brought to 1..5; 3 where the scale has one value."""
        low, high = self.truth.rating_scale
        return (1 + 4 * (ratings - low) / (high - low) if high > low else np.full(len(ratings), 3.0)).astype(np.float32)

    def policy(self, name: str) -> Recommender:
        """A policy fitted on `known`, made once. Raises MissingExtra, ConfigError."""
        if name not in self._fitted:
            self._fitted[name] = _fitted(name, self.known, self.split)
        return self._fitted[name]

    def _opening(self, taken: Dataset) -> World:
        if not self._worlds:
            self._worlds.append(opening_world(World(taken, self.split, Nobody(), slate_size=1), self.users))
        return self._worlds[0]

    def scores(self, name: str, users: Ints, items: Ints) -> Floats:
        """How likely a policy thinks it that these users, opening a session, take these items ``[m, c]``.

        It is fitted on all that was taken, liked or not: the same information that a simulator has of who takes what.
        Raises MissingExtra, and ConfigError for a policy that does not score items.
        """
        taken = replace(self.known, explicit=False)
        key = f"{name}, of all that was taken"
        if key not in self._fitted:
            self._fitted[key] = _fitted(name, taken, self.split)
        policy = self._fitted[key]
        if not isinstance(policy, Scorer):
            raise ConfigError(f"policy {name!r} does not score items; expected a subclass of recoworld.policies.scoring.Scorer")
        distinct, place = np.unique(users, return_inverse=True)
        world = self._opening(taken)
        out = np.empty(items.shape, np.float32)
        size = max(1, _CELLS // len(self.known.catalog))
        for start in range(0, len(distinct), size):
            group = distinct[start : start + size]
            world.reset(group, np.zeros(len(group), np.int64))
            scores = policy.scores(observe(world))
            rows = np.flatnonzero((place >= start) & (place < start + size))
            out[rows] = scores[place[rows, None] - start, items[rows]]
        return out


def _fitted(name: str, dataset: Dataset, split: Split) -> Recommender:
    made = make_policy(name)
    made.fit(dataset, split)
    return made


class Nobody:
    """Where only the opening of a session is read, nobody need be at home."""

    def begin(self, users: Ints, luck: Any) -> Mindset:
        """Mindsets that say nothing."""
        n = len(users)
        return Mindset(levels=np.zeros((n, 5), np.float32), interest=np.zeros((n, 1), np.float32), intent=np.full(n, -1, np.int16))

    def respond(self, mindset: Mindset, history: Any, slates: Any, luck: Any) -> tuple[Feedback, Mindset]:
        """Never asked."""
        raise NotImplementedError("nobody is at home")


def make_panel(dataset: Dataset, *, users: int | None = 1000, seed: int = 0, split_seed: int = 0, group: str = "test") -> Panel:
    """Draw `users` (None: all) of a group, and take from the simulators what they did later.

    Where the group "test" is too small validation users join it, of whom no model has learned either. group: "test", "validation", or
    "train" to fit something on. Raises ConfigError for a data set without anything held out.
    """
    if users is not None and (isinstance(users, bool) or not isinstance(users, int | np.integer) or users < 2):
        raise ConfigError(f"users: got {users!r}; expected an integer from 2 on: an interval needs two")
    split = dataset.split(seed=split_seed)
    known, known_split = dataset.known(split)
    generator = np.random.Generator(np.random.PCG64([seed, 0xF1DE]))
    some = dataset.interactions.indptr[1:] > split.visible_end
    members, notes = generator.permutation(split.group(group)), []
    if group == "test" and users is not None and users > int(some[members].sum()):
        notes.append(f"The test group has {int(some[members].sum()):,} users with something held out: validation users join them.")
        members = np.concatenate([members, generator.permutation(split.group("validation"))])
    members = members[some[members]]
    if users is not None and users > len(members):
        notes.append(f"{users:,} users were asked for, {len(members):,} have something held out: all of them are asked.")
    if len(members) < 2:
        raise ConfigError(
            f"data set {dataset.name!r}: {len(members)} users of the group {group!r} did something after their visible part; "
            "expected at least two, with three interactions each"
        )
    chosen = np.sort(members[:users])
    return Panel(truth=dataset, truth_split=split, known=known, split=known_split, users=chosen, seed=seed, notes=tuple(notes))
