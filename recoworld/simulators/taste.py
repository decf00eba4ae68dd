"""Who the users are: taste fitted on a log, so that a simulated user is a real person of the data set.

Two questions are kept apart, as in click models with attraction and satisfaction (Chapelle & Zhang 2009): what a person would *take*
(fitted on who interacted with what) and what it would then *feel* (fitted on ratings). Item factors are fitted on training users alone;
every user is folded in from its own log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.factors import ImplicitFactors, RatingFactors
from recoworld.luck import Luck, combine
from recoworld.simulators.config import BehavioralConfig
from recoworld.types import Floats, Ints
from recoworld.users import Dataset, Split

ArrayCache = Callable[[str, Callable[[], dict[str, NDArray[Any]]]], dict[str, NDArray[Any]]]
_DENSE = 64_000_000
"""Users times items up to which both tables are held whole (256 MB each); beyond, they are computed where asked."""
_ANCHORS = 50
_LEAST_NOISE = 0.05
"""Stars: nobody is as exact as a log of equal ratings would have it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Taste:
    """The hidden taste of all users of a data set."""

    users: Floats
    """Factors of who takes what ``[n_users, d]``, scaled so that a user's fifty most attractive items score 1 on average."""
    items: Floats
    """``[n_items, d]``."""
    raters: Floats
    """Factors of how much they like it ``[n_users, e]``, the bias and a constant 1 in the last columns."""
    rated: Floats
    """``[n_items, e]``, a constant 1 and the bias with the mean in the last columns."""
    home: Floats
    """What a user's log has more of than the crowd's: content features ``[n_users, n_features]``."""
    noise: float
    """Standard deviation of ratings around the expected stars."""
    attraction: Floats | None = None
    """The whole table ``[n_users, n_items]``, or None where it would be too large."""
    stars: Floats | None = None

    def at(self, users: Ints, items: NDArray[Any]) -> tuple[Floats, Floats]:
        """Attraction (0 for none, 1 for the best) and expected stars (1 to 5) of items ``[n, k]`` for users ``[n]``."""
        if self.attraction is not None and self.stars is not None:
            flat = users[:, None] * self.attraction.shape[1] + items
            return self.attraction.take(flat), self.stars.take(flat)
        score = np.matmul(self.items[items], self.users[users][:, :, None])[:, :, 0]
        stars = np.matmul(self.rated[items], self.raters[users][:, :, None])[:, :, 0]
        return _attraction(score), np.clip(stars, 1, 5)

    def of(self, users: Ints) -> tuple[Floats, Floats]:
        """The same for the whole catalogue, ``[n, n_items]``."""
        if self.attraction is not None and self.stars is not None:
            return self.attraction[users], self.stars[users]
        return _attraction(self.users[users] @ self.items.T), np.clip(self.raters[users] @ self.rated.T, 1, 5)


def _attraction(score: Floats) -> Floats:
    """Scores are near 0 for most items and near 1 for the best; the root spreads the middle."""
    return np.sqrt(np.clip(score, 0.0, 2.0), dtype=np.float32)


def fit_taste(dataset: Dataset, split: Split, config: BehavioralConfig, *, cached: ArrayCache | None = None) -> Taste:
    """Fit item factors on the training users and fold every user in from all that it did in this data set.

    So what a policy has not seen of a user is true of it, which is what an environment wants; a comparison with held-out behaviour
    wants `Dataset.known` instead.
    cached: ``cached(key, build) -> arrays`` keeps the factors between processes.
    """
    log = dataset.interactions
    starts, ends = log.indptr[:-1], log.indptr[1:]

    def part(users: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any], Floats]:
        rows = log.rows(starts[users], ends[users])
        low, high = dataset.rating_scale if dataset.explicit else (0.0, 1.0)
        indptr = np.concatenate([[0], np.cumsum((ends - starts)[users])]).astype(np.int64)
        stars = 1 + 4 * (log.ratings[rows] - low) / (high - low) if high > low else np.full(len(rows), 3.0)
        return indptr, log.items[rows], stars.astype(np.float32)

    def build() -> dict[str, NDArray[Any]]:
        n_items, everyone = len(dataset.catalog), part(np.arange(len(dataset.users)))
        indptr, columns, ratings = part(split.train)
        d = max(1, min(config.interest_dim, n_items // 2))
        interest = ImplicitFactors.fit(
            indptr, columns, n_items, d=d, alpha=config.interest_alpha, reg=config.interest_reg, epochs=config.epochs, seed=split.seed
        )
        users = interest.fold_in(*everyone[:2])
        arrays = {"users": users / _best(users, interest.items)[:, None], "items": interest.items, "home": _home(dataset, everyone)}
        if not dataset.explicit:
            return arrays
        e = max(1, min(config.rating_dim, n_items // 4))
        liking = RatingFactors.fit(indptr, columns, ratings, n_items, d=e, reg=config.rating_reg, epochs=config.epochs, seed=split.seed)
        raters = liking.fold_in(*everyone)
        arrays["raters"] = np.concatenate([raters, np.ones((len(raters), 1), np.float32)], axis=1)
        arrays["rated"] = np.concatenate(
            [liking.items, np.ones((n_items, 1), np.float32), (liking.biases + np.float32(liking.mean))[:, None]], axis=1
        )
        arrays["noise"] = np.array(_noise(liking, everyone), np.float64)
        return arrays

    arrays = build() if cached is None else cached(_key(dataset, split, config), build)
    if dataset.explicit:
        raters, rated, noise = arrays["raters"], arrays["rated"], float(arrays["noise"])
    else:  # no ratings: what attracts is liked, from 2.5 stars for no attraction to 4.5 for the best
        raters = np.concatenate([2 * arrays["users"], np.ones((len(arrays["users"]), 1), np.float32)], axis=1)
        rated = np.concatenate([arrays["items"], np.full((len(arrays["items"]), 1), 2.5, np.float32)], axis=1)
        noise = 0.9
    factors = {"users": arrays["users"], "items": arrays["items"], "raters": raters, "rated": rated, "home": arrays["home"]}
    dense: dict[str, Floats] = {}
    if len(arrays["users"]) * len(arrays["items"]) <= _DENSE:
        score = arrays["users"] @ arrays["items"].T
        np.clip(score, 0.0, 2.0, out=score)
        stars = raters @ rated.T
        dense = {"attraction": np.sqrt(score, out=score), "stars": np.clip(stars, 1.0, 5.0, out=stars)}
    return Taste(**factors, noise=noise, **dense)


def _noise(liking: RatingFactors, everyone: tuple[NDArray[np.int64], NDArray[Any], Floats]) -> float:
    """How far the last tenth of a user's ratings lies from what is expected of it, folded in from those before: the root of users' mean
    squared errors, each user counting once.
    """
    indptr, columns, ratings = everyone
    counts = np.diff(indptr)
    who = np.repeat(np.arange(len(counts)), counts)
    asked = np.arange(len(columns)) >= (indptr[1:] - counts // 10)[who]
    if not asked.any():
        return 1.0
    rest = np.concatenate([[0], np.cumsum(np.bincount(who[~asked], minlength=len(indptr) - 1))]).astype(np.int64)
    raters = liking.fold_in(rest, columns[~asked], ratings[~asked])
    expected = np.einsum("md,md->m", raters[who[asked], :-1], liking.items[columns[asked]]) + raters[who[asked], -1]
    expected += liking.biases[columns[asked]] + np.float32(liking.mean)
    errors = np.square(ratings[asked] - np.clip(expected, 1, 5))
    each = np.bincount(who[asked], errors, minlength=len(counts)) / np.maximum(counts // 10, 1)
    return max(float(np.sqrt(each[counts >= 10].mean())), _LEAST_NOISE)


def _best(users: Floats, items: Floats) -> Floats:
    """Mean score of each user's most attractive items ``[n_users]``, at least 0.05 so that an empty log stays unattracted."""
    top = min(_ANCHORS, len(items))
    out = np.empty(len(users), dtype=np.float32)
    for start in range(0, len(users), 1024):
        score = users[start : start + 1024] @ items.T
        out[start : start + 1024] = np.partition(score, len(items) - top, axis=1)[:, -top:].mean(axis=1)
    return np.maximum(out, np.float32(0.05))


def _home(dataset: Dataset, everyone: tuple[NDArray[np.int64], NDArray[Any], Floats]) -> Floats:
    """Mean content of what a user took less that of all users, shrunk by ten interactions of the crowd's."""
    indptr, columns, _ = everyone
    x = dataset.catalog.features
    sums = np.add.reduceat(
        np.concatenate([x[columns], np.zeros((1, x.shape[1]), np.float32)]), np.minimum(indptr[:-1], len(columns)), axis=0
    )
    counts = np.diff(indptr)
    sums[counts == 0] = 0
    crowd = x[columns].mean(axis=0) if len(columns) else x.mean(axis=0)
    return ((sums - counts[:, None] * crowd) / (counts[:, None] + 10)).astype(np.float32)


def _key(dataset: Dataset, split: Split, config: BehavioralConfig) -> str:
    digest = hashlib.blake2b(digest_size=10)
    log = dataset.interactions
    for array in (log.indptr, log.items, log.ratings, split.train, dataset.catalog.features):
        digest.update(np.ascontiguousarray(array).tobytes())
    fitted = config.model_dump(include={"interest_dim", "interest_alpha", "interest_reg", "rating_dim", "rating_reg", "epochs"})
    digest.update(repr((sorted(fitted.items()), split.seed, dataset.explicit, dataset.rating_scale)).encode())
    return f"taste-v5-{digest.hexdigest()}"


def traits(n_users: int, seed: int) -> Floats:
    """Standard normal traits that a person keeps for life ``[n_users, 4]``: sums of twelve uniforms."""
    luck = Luck(combine(seed, np.arange(n_users), 0x7A17))
    return (luck.uniform(48).reshape(n_users, 4, 12).sum(axis=2) - np.float32(6.0)).astype(np.float32)
