"""Ratings: do simulated people rate as the people did, one by one and as a crowd?

What the panel rated after its visible part is put before the simulator (`recoworld.types.Rater`). One by one: RMSE and MAE of the
expected stars. As a crowd: the distribution of the ratings that would be given (the simulator's probabilities, not one draw), against the
log's: the Kolmogorov-Smirnov distance ``max_r |F_simulated(r) - F_log(r)|``, the mean, the share of 1 and 2 stars.

The failure to beat: language-model users of Agent4Rec, run anew on MovieLens-1M, rate with KS 0.389, mean 4.40 where people's is 3.58, and
no rating of 1 or 2 where people give 16.6 %. *human* is one half of the people against the other; *global_rates* gives everything the
stars of the whole visible log, which is no one's taste and, as a crowd, hard to beat.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.questions import nth
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, distance, drawn_sums, figure, means, ratio, statistic
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.types import Floats, Ints
from recoworld.users import Interactions

MOST = 20
"""Ratings a user, drawn at random of more."""
STARS = np.arange(1, 6)


def asks(witness: Witness) -> int:
    """User-slates that `measure` puts before users, at most."""
    return MOST * len(witness.panel.users) if witness.rates and witness.panel.truth.explicit else 0


def measure(witness: Witness) -> Json:
    """See the module's docstring; ``{"skipped": why}`` without ratings on either side."""
    panel = witness.panel
    if not panel.truth.explicit or np.ptp(panel.truth.rating_scale) == 0:
        return {"skipped": f"the log {panel.truth.name!r} holds no ratings that differ"}
    if not witness.rates:
        return {"skipped": f"{witness.name!r} does not rate: it has no method stars(mindset, history, slates, luck)"}
    found = {"chosen": _measured(witness, *_sampled(panel, panel.truth.interactions, later=True))}
    if panel.truth.random_ratings is not None:
        found["drawn_for_them"] = _measured(witness, *_sampled(panel, panel.truth.random_ratings, later=False))
    return found["chosen"] | {key: value for key, value in found.items() if key != "chosen"}


def _sampled(panel: Panel, log: Interactions, *, later: bool) -> tuple[Ints, Ints, Floats]:
    """Users, items and stars of up to `MOST` ratings of each user ``[m]``."""
    rng = np.random.Generator(np.random.PCG64([panel.seed, 4]))
    if later:
        rows, place = panel.later(panel.users)
        users = panel.users[place]
    else:
        rows = log.rows(log.indptr[panel.users], log.indptr[panel.users + 1])
        users = log.users[rows]
    new = ~panel.known.interactions.holds(users, log.items[rows])
    rows, users = rows[new], users[new]
    order = np.lexsort((rng.random(len(rows)), users))
    rows, users = rows[order], users[order]
    kept = nth(users) < MOST
    return users[kept], log.items[rows[kept]].astype(np.int64), panel.stars(log.ratings[rows[kept]])


def _measured(witness: Witness, users: Ints, items: Ints, stars: Floats) -> Json:
    panel = witness.panel
    said = witness.stars(users, items[:, None])[:, 0].astype(np.float64)  # [m, 5]
    given = _one_hot(stars)
    fair = np.random.Generator(np.random.PCG64([panel.seed, 5])).permutation(np.unique(users))
    one = np.isin(users, fair[::2])
    others = _trivial(panel, users, items)
    out: Json = {"ratings": len(users), "users": len(fair)}
    for name, guess in {"value": said @ STARS, **others}.items():
        errors = _errors(guess, stars, users, panel.seed)
        for metric in ("rmse", "mae"):
            out.setdefault(metric, {}).update(errors[metric] if name == "value" else {name: errors[metric]})
    crowd = {name: _one_hot(guess) for name, guess in others.items()}
    crowd["global_rates"] = np.repeat(_one_hot(panel.stars(panel.known.interactions.ratings)).mean(axis=0)[None], len(given), axis=0)
    crowd["uniform"] = np.full_like(given, 0.2)
    sums = drawn_sums(np.concatenate([given, said, *crowd.values()], axis=1), users, seed=panel.seed)
    log, *told = np.split(sums, 2 + len(crowd), axis=1)
    halves = drawn_sums(np.concatenate([given * one[:, None], given * ~one[:, None]], axis=1), users, seed=panel.seed)
    out["ks"] = figure(distance(told[0], log)) | {name: figure(distance(t, log)) for name, t in zip(crowd, told[1:], strict=True)}
    out["ks"]["human"] = figure(distance(*np.split(halves, 2, axis=1)))
    anyone = told[1 + list(crowd).index("global_rates")]
    for name, of in (("mean", _mean), ("share_1_2", _low)):
        out[name] = figure(of(told[0])) | {"human": figure(of(log)), "global_rates": figure(of(anyone))}
    out["distribution"] = {"simulated": _shares(told[0][0]), "human": _shares(log[0])}
    return out


def _mean(counts: Doubles) -> Doubles:
    return ratio(counts @ STARS, counts.sum(axis=1))


def _low(counts: Doubles) -> Doubles:
    return ratio(counts[:, :2].sum(axis=1), counts.sum(axis=1))


def _shares(counts: Doubles) -> list[float]:
    return [float(share) for share in counts / max(counts.sum(), 1)]


def _errors(guess: NDArray[np.float64], stars: Floats, users: Ints, seed: int) -> Json:
    """RMSE and MAE."""
    squared = np.stack([np.square(guess - stars), np.ones(len(stars))], axis=1)
    rmse = statistic(lambda s: np.sqrt(s[:, 0] / s[:, 1]), squared, users, seed=seed)
    return {"rmse": rmse, "mae": means({"mae": np.abs(guess - stars)}, users, seed=seed)["mae"]}


def _one_hot(guess: NDArray[Any]) -> Doubles:
    return (np.clip(np.rint(guess), 1, 5)[:, None] == STARS).astype(np.float64)


def _trivial(panel: Panel, users: Ints, items: Ints) -> dict[str, Doubles]:
    """What needs no simulator: means of the visible ratings, by user, by item, and both effects together, each shrunk by five ratings."""
    log, n_users, n_items = panel.known.interactions, len(panel.known.users), len(panel.known.catalog)
    stars = panel.stars(log.ratings).astype(np.float64)
    mean = float(stars.mean()) if len(stars) else 3.0
    item = _effects(stars - mean, log.items, n_items, 5)
    both = mean + item[items] + _effects(stars - mean - item[log.items], log.users, n_users, 5)[users]
    user_mean, item_mean = (mean + _effects(stars - mean, groups, n, 0) for groups, n in ((log.users, n_users), (log.items, n_items)))
    return {"user_mean": user_mean[users], "item_mean": item_mean[items], "user_and_item": both}


def _effects(values: Doubles, groups: NDArray[Any], n: int, shrink: float) -> Doubles:
    """Mean of each group, 0 where there is nothing ``[n]``."""
    counts = np.bincount(groups, minlength=n)
    return np.asarray(np.bincount(groups, values, minlength=n) / np.maximum(counts + shrink, 1))
