"""NDCG with one item sought among a few."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.evaluation.intervals import resample
from recoworld.evaluation.starec.protocol import Questions
from recoworld.evaluation.starec.rankers import Ranker
from recoworld.types import Ints

CUTS = (1, 5, 10, 20)
Doubles = NDArray[np.float64]


def ranks(ranker: Ranker, questions: Questions, places: Ints) -> Ints:
    """At which place, from 1, the ranker puts the item sought ``[n]``. Raises ConfigError for what is no order of the candidates."""
    order = np.asarray(ranker.rank(questions))
    n, width = questions.candidates.shape
    if order.shape != (n, width) or order.dtype.kind not in "iu" or (np.sort(order, axis=1) != np.arange(width)).any():
        got = f"{order.dtype} {order.shape}"
        raise ConfigError(f"method {ranker.name!r}: got {got}; expected each column 0 to {width - 1} once in each of {n} rows, best first")
    return np.argmax(order == places[:, None], axis=1).astype(np.int64) + 1


def ndcg(ranks: Ints, k: int) -> Doubles:
    """1 / log2(rank + 1) up to rank k, else 0 ``[n]``: with one relevant item the ideal DCG is 1 (Järvelin & Kekäläinen 2002)."""
    return np.where(ranks <= k, 1 / np.log2(ranks + 1.0), 0.0)


def row_of(runs: list[Ints], users: Ints, *, seed: int) -> dict[str, Any]:
    """Figures in per cent, as the paper's: means over users and runs, and the 95 % interval of NDCG@10, users resampled.

    runs: the ranks of each run ``[n]``, of the same users. A user's runs are drawn together.
    """
    gains = np.stack([ndcg(np.concatenate(runs), k) for k in CUTS], axis=1) * 100
    draws = resample(gains, np.tile(users, len(runs)), seed=seed)
    found = {f"ndcg@{k}": draws.interval(i).mean for i, k in enumerate(CUTS)}
    ten = draws.interval(CUTS.index(10))
    each = [float(ndcg(one, 10).mean() * 100) for one in runs]
    return {**found, "low": _or_none(ten.low), "high": _or_none(ten.high), "runs": each}


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
