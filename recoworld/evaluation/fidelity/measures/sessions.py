"""Whole sessions with a simulator, and how high the same policy puts what people took later: the two sides of two sections."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np

from recoworld.datasets.cache import Arrays
from recoworld.evaluation.fidelity.asking.panel import Nobody, Panel
from recoworld.evaluation.fidelity.asking.sums import Doubles
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.ranking import opening_world, rank
from recoworld.evaluation.rollout import play
from recoworld.types import Ints, Recommender
from recoworld.world import World

SLATE = 10
TURNS = 20
"""A session is cut after so many."""
MOST = 300
"""Users who play sessions; the log is asked about the whole panel, for that costs nothing."""
FRUSTRATED = 0.3
"""Satisfaction below which a turn has frustrated its user."""
NOTHING_LIKED = "fewer than two of the users who are asked liked anything new after the visible part of the log"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sessions:
    """One session a user, each field ``[n]``."""

    returned: Doubles
    """Undiscounted sum of rewards."""
    turns: Doubles
    left: Doubles
    """1 for who left, 0 for who was cut."""
    slots: Doubles
    examined: Doubles
    clicks: Doubles
    likes: Doubles
    frustrated: Doubles
    """Turns that ended with satisfaction below `FRUSTRATED`; NaN from simulators that do not know how satisfied their users are."""
    satisfaction: Doubles
    """When the session was over; likewise."""
    first_clicks: Doubles
    """On the first slate, which every policy shows to the same people in the same mood."""

    @property
    def skips(self) -> Doubles:
        """Slots looked at and passed over."""
        return self.examined - self.clicks


_PLAYED: WeakKeyDictionary[Witness, dict[tuple[str | int | bytes, ...], Sessions]] = WeakKeyDictionary()


def some(panel: Panel, most: int = MOST) -> Ints:
    """Up to `most` of the panel's users, ascending: those who play sessions."""
    drawn = np.random.Generator(np.random.PCG64([panel.seed, 7])).permutation(panel.users)
    return np.sort(drawn[:most])


def slates(users: int, policies: int) -> int:
    """The most slates that sessions of so many users with so many policies can take."""
    return min(users, MOST) * TURNS * policies


def opened(witness: Witness) -> World:
    """A world in which sessions are played."""
    return witness.world(min(SLATE, len(witness.panel.known.catalog)), max_turns=TURNS)


def played(witness: Witness, world: World, policy: Recommender, users: Ints, *, name: str) -> Sessions:
    """Let a fitted policy serve these users until each has left or is cut; the same luck for every policy.

    name: the policy's, with its settings if need be. Sessions of one name are played once, and kept for as long as the witness lives.
    """
    known, key = _PLAYED.setdefault(witness, {}), (name, world.slate_size, world.max_turns, users.tobytes())
    if key not in known:
        parts = []
        for start in range(0, len(users), witness.chunk):
            group = users[start : start + witness.chunk]
            question = ("sessions", name, world.slate_size, world.max_turns, group)
            parts.append(witness.kept(question, partial(_played, witness, world, policy, group)))
        known[key] = Sessions(**{field: np.concatenate([part[field] for part in parts]) for field in parts[0]})
    return known[key]


def _played(witness: Witness, world: World, policy: Recommender, users: Ints) -> Arrays:
    """Fields of `Sessions`."""
    out: Arrays = {field.name: np.zeros(len(users)) for field in fields(Sessions)}
    seeds = np.full(len(users), witness.panel.seed, np.int64)
    world.reset(users, seeds)
    for rows, turn, _ in play(world, policy, users, seeds, policy_seed=witness.panel.seed):
        witness.told(len(rows))
        feedback, satisfaction = turn.feedback, turn.mindset.level("satisfaction")
        clicks = feedback.clicked.sum(axis=1)
        out["first_clicks"][rows] += np.where(out["turns"][rows] == 0, clicks, 0)
        out["satisfaction"][rows] = satisfaction
        now = {
            "returned": turn.reward,
            "turns": 1,
            "left": feedback.left,
            "slots": turn.slates.shape[1],
            "examined": feedback.examined.sum(axis=1),
            "clicks": clicks,
            "likes": feedback.liked.sum(axis=1),
            "frustrated": np.where(np.isnan(satisfaction), np.nan, satisfaction < FRUSTRATED),
        }
        for name, value in now.items():
            out[name][rows] += value
    return out


def later_world(panel: Panel) -> World:
    """The panel's people opening a session, with what they did later at hand: for `held_out`."""
    return opening_world(World(panel.truth, panel.truth_split, Nobody(), slate_size=1), panel.users)


def held_out(panel: Panel, world: World, policy: Recommender) -> Doubles:
    """NDCG@10 and Hit@10 of what each of the panel's users liked later ``[n, 2]``; NaN for who liked nothing new.

    See `recoworld.evaluation.ranking.rank`. The policy is one fitted on `Panel.known`, world is `later_world`.
    """
    ranking = rank(world, policy, panel.users, policy_seed=panel.seed)
    out = np.full((len(panel.users), 2), np.nan)
    out[np.searchsorted(panel.users, ranking.user)] = np.stack([ranking.ndcg, ranking.hit], axis=1)
    return out
