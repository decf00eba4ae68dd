"""Held-out ranking: how high a policy puts what the user in truth came to like. What offline evaluation sees of a recommender."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recoworld.envs.codec import observe
from recoworld.evaluation.rollout import CHUNK, attach
from recoworld.evaluation.table import Doubles, Ints
from recoworld.luck import Luck, combine
from recoworld.types import Bools, Recommender, Slates
from recoworld.world import World

K = 10
_ROOM = 1 << 26  # users x items of the past that the ranking world holds: 320 MiB


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """NDCG@10 and Hit@10 of every user who has something to find."""

    user: Ints
    """``[m]``."""
    ndcg: Doubles
    """``[m]`` in [0, 1]."""
    hit: Doubles
    """0 or 1 ``[m]``."""


def opening_world(world: World, users: Ints) -> World:
    """A world like this one for the moment at which a session opens: slates of ten, and the users' whole visible past in sight."""
    k = min(K, len(world.catalog))
    seen = world.split.visible_end[users] - world.dataset.interactions.indptr[users]
    longest = min(int(seen.max(initial=0)), max(_ROOM // len(world.dataset.users), world.history_length))
    return World(world.dataset, world.split, world.simulator, slate_size=k, history_length=max(longest, k))


def rank(world: World, policy: Recommender, users: Ints, *, policy_seed: int = 0, chunk: int = CHUNK) -> Ranking:
    """Ask a fitted policy for its first ten items, out of the whole catalogue less the user's visible items.

    Relevant are the items that the user liked after `Split.visible_end` and had not met before; users without any are left out. With
    g_j = 1 where the j-th item (j = 1..10) is relevant, r the number of relevant items::

        DCG = sum_j g_j / log2(j + 1)       NDCG = DCG / sum_{j <= min(r, 10)} 1 / log2(j + 1)       Hit = max_j g_j

    (Järvelin & Kekäläinen 2002; no sampled negatives: Krichene & Rendle 2020.) The slate is the ranking, so every policy can enter.
    `world` is one of `opening_world`. Visible items that a policy shows all the same are skipped: the next item takes their place.
    """
    attach(policy, world)
    parts = []
    for start in range(0, len(users), chunk):
        group = users[start : start + chunk]
        world.reset(group, np.zeros(len(group), np.int64))
        luck = Luck(combine(policy_seed, 0, group, 0))
        slates = world.checked(policy.recommend(observe(world), luck))
        visible = world.state.history.exposures > 0
        ndcg, hit, some = scored(slates, relevant_items(world, group) & ~visible, visible)
        parts.append((group[some], ndcg[some], hit[some]))
    if not parts:
        return Ranking(user=np.zeros(0, np.int64), ndcg=np.zeros(0), hit=np.zeros(0))
    user, ndcg, hit = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Ranking(user=user, ndcg=ndcg, hit=hit)


def relevant_items(world: World, users: Ints) -> Bools:
    """What these users liked after their visible part, bool ``[n, n_items]``."""
    log = world.dataset.interactions
    starts, ends = world.split.visible_end[users], log.indptr[users + 1]
    positions, owners = log.rows(starts, ends), np.repeat(np.arange(len(users)), ends - starts)
    liked = world.dataset.liked[positions]
    out = np.zeros((len(users), len(world.catalog)), np.bool_)
    out[owners[liked], log.items[positions[liked]]] = True
    return out


def scored(slates: Slates, relevant: Bools, visible: Bools) -> tuple[Doubles, Doubles, Bools]:
    """NDCG and Hit of the slates ``[n]`` each, and who has something relevant ``[n]``; relevant and visible are ``[n, n_items]``."""
    hidden = ~np.take_along_axis(visible, slates, axis=1)
    gains = np.take_along_axis(relevant, slates, axis=1) & hidden
    place = np.cumsum(hidden, axis=1)  # 1 for the first item that counts
    dcg = (gains / np.log2(np.maximum(place, 1) + 1)).sum(axis=1)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(K) + 2))])
    wanted = relevant.sum(axis=1)
    ndcg = dcg / np.maximum(ideal[np.minimum(wanted, K)], 1e-300)
    hit = gains.any(axis=1).astype(np.float64)
    return np.asarray(ndcg), np.asarray(hit), wanted > 0
