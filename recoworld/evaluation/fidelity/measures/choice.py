"""Choice: which of the shown items did the person really take?

One item that the person took later stands among 4 or 19 that it never met. The items are ranked by the simulator's chance of each being
taken; ties are broken at random. Given that exactly one is taken, and clicks are independent, item i is it with probability
``pi_i = o_i / sum_j o_j``, o the odds of a click (conditional logit: McFadden 1974): of these are the log-loss and the calibration.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError, MissingExtra
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.questions import NEGATIVES, Questions, choices
from recoworld.evaluation.fidelity.asking.sums import Json, drawn_sums, figure, means, ratio
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.types import Floats

SIZES = (20, 5)
RECOMMENDERS = ("popularity", "genre", "item-knn", "ease", "als")
BINS = 10
"""Of the reliability curve, each with as many items."""


def asks(witness: Witness) -> int:
    """User-slates that `measure` puts before users, at most."""
    return len(witness.panel.users) * 5 * len(NEGATIVES) * len(SIZES) * witness.moods


def measure(witness: Witness) -> Json:
    """Each kind of negatives at 1 + 19, and under ``_5`` at 1 + 4; ``{"skipped": why}`` for what a small catalogue does not have."""
    found: Json = {}
    kinds: dict[str, Questions] = {}
    for negatives in NEGATIVES:
        for size in SIZES:
            name = negatives if size == 20 else f"{negatives}_{size}"
            found[name] = {}  # in the order of the report
            try:
                kinds[name] = choices(witness.panel, negatives, size=size)
            except ConfigError as error:
                found[name] = {"skipped": str(error)}
    if not kinds:
        return {"skipped": str(found[NEGATIVES[0]]["skipped"])}
    scores = _scores(witness.panel, list(kinds.values()))
    for i, (name, asked) in enumerate(kinds.items()):
        found[name] = _answered(witness, asked, {who: each[i] for who, each in scores.items()})
    return found


def _scores(panel: Panel, kinds: list[Questions]) -> dict[str, list[Floats]]:
    """What each recommender gives the items of each kind of questions; asked once, for it scores the whole catalogue each time."""
    users = np.concatenate([np.repeat(asked.users, asked.items.shape[1]) for asked in kinds])
    items, ends = np.concatenate([asked.items.ravel() for asked in kinds]), np.cumsum([asked.items.size for asked in kinds])
    out: dict[str, list[Floats]] = {}
    for name in RECOMMENDERS:
        try:
            given = np.split(panel.scores(name, users, items[:, None])[:, 0], ends[:-1])
        except (MissingExtra, ConfigError):
            continue
        out[name] = [part.reshape(asked.items.shape) for part, asked in zip(given, kinds, strict=True)]
    return out


def _answered(witness: Witness, asked: Questions, scores: dict[str, Floats]) -> Json:
    panel, users = witness.panel, asked.users
    chances = witness.chances(users, asked.items)
    ranks = {"value": ranked(chances, asked)} | {name: ranked(each, asked) for name, each in scores.items()}
    ranks["uniform"] = ranked(np.zeros(asked.items.shape, np.float32), asked)
    measured = {name: means({"ndcg@10": gain(rank), "accuracy": rank == 0}, users, seed=panel.seed) for name, rank in ranks.items()}
    best = max((name for name in ranks if name in RECOMMENDERS), key=lambda name: measured[name]["ndcg@10"]["value"])
    out: Json = {"questions": len(users), "users": len(np.unique(users)), "shown": asked.items.shape[1]}
    for metric in ("ndcg@10", "accuracy"):
        out[metric] = measured["value"][metric] | {name: measured[name][metric] for name in ("popularity", "uniform")}
        out[metric]["best_recommender"] = measured[best][metric] | {"name": best}
    pi = shares(chances)
    crowd = shares_of_counts(panel.known.catalog.popularity[asked.items])
    loss = means({"value": -np.log(pi[asked.taken]), "popularity": -np.log(crowd[asked.taken])}, users, seed=panel.seed)
    out["log_loss"] = loss["value"] | {"popularity": loss["popularity"], "uniform": {"value": float(np.log(pi.shape[1]))}}
    out["ece"], out["reliability"] = calibration(pi, asked)
    out["ece"]["popularity"] = calibration(crowd, asked)[0]
    return out


def ranked(scores: Floats, asked: Questions) -> NDArray[np.int64]:
    """How many items stand before the taken one, from 0 ``[m]``; equal scores keep the order of the slate, which is random."""
    mine = scores[asked.taken][:, None]
    before = np.cumsum(asked.taken, axis=1) == 0
    return np.asarray((scores > mine).sum(axis=1) + ((scores == mine) & before).sum(axis=1))


def gain(rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@10 with one right answer: ``1 / log2(rank + 2)`` for the first ten, else 0 (Järvelin & Kekäläinen 2002)."""
    return np.where(rank < 10, 1 / np.log2(rank + 2.0), 0.0)


def shares(chances: Floats) -> NDArray[np.float64]:
    """``pi`` of the module's docstring ``[m, c]``."""
    p = np.clip(chances.astype(np.float64), 1e-6, 1 - 1e-6)
    odds = p / (1 - p)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def shares_of_counts(counts: Floats) -> NDArray[np.float64]:
    """What the crowd would take: counts, one added to each, as shares ``[m, c]``."""
    more = counts.astype(np.float64) + 1
    return np.asarray(more / more.sum(axis=1, keepdims=True))


def calibration(pi: NDArray[np.float64], asked: Questions) -> tuple[Json, list[Json]]:
    """Expected calibration error (Naeini et al. 2015) and the reliability curve, over `BINS` bins that hold equally many items.

    ``sum_b n_b / n |mean pi in b - share taken in b|``. A bootstrap sample's error lies above the sample's, for noise never cancels out:
    so is its interval.
    """
    users = np.repeat(asked.users, pi.shape[1])
    flat, taken = pi.ravel(), asked.taken.ravel().astype(np.float64)
    edges = np.quantile(flat, np.arange(1, BINS) / BINS)
    place = np.searchsorted(edges, flat, "right")
    rows, columns = np.arange(len(flat)), np.zeros((len(flat), 3 * BINS))
    columns[rows, place], columns[rows, BINS + place], columns[rows, 2 * BINS + place] = 1, flat, taken
    sums = drawn_sums(columns, users)
    n, said, came = np.split(sums, 3, axis=1)
    error = np.abs(said - came).sum(axis=1) / n.sum(axis=1)
    curve: list[Json] = [
        {"said": float(said[0, b] / n[0, b]), "came": figure(ratio(came[:, b], n[:, b])), "items": int(n[0, b])}
        for b in np.flatnonzero(n[0])
    ]
    return figure(error), curve
