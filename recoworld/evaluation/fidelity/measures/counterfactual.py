"""Counterfactuals: does a worse recommender do worse by the same people? A simulator pleased by anything would teach nothing.

The slates of a good recommender are diluted with random items that the user has not met, dose by dose (`Diluted`); up to 300 users of the
panel meet all doses under the same luck. The value of a session has to fall with every dose.

*human* is what the held-out log says of the same dilution: NDCG@10 of what was liked later, over the whole panel. In a log the random
items that a person would have liked, had anybody shown them, count as misses: people's true fall is smaller than the log's. And a session
is worth something for being stayed in, whatever is shown: what compares best with the log is clicks on the first slate.
"""

from __future__ import annotations

import numpy as np

from recoworld.errors import ConfigError, MissingExtra
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, drawn_sums, figure, means, ratio, statistic
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.diluted import Diluted
from recoworld.evaluation.fidelity.measures.hardship import no_easy_mode
from recoworld.evaluation.fidelity.measures.sessions import NOTHING_LIKED, Sessions, held_out, later_world, opened, played, slates, some
from recoworld.policies.scoring import Scorer
from recoworld.types import Ints, Recommender

DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
GOOD = ("ease", "als", "item-knn", "popularity")
"""The first of these that can be had is diluted: from strongest to weakest on MovieLens."""
FIGURES: dict[str, tuple[str, str | None]] = {
    "return": ("returned", None),
    "turns": ("turns", None),
    "clicks_per_slot": ("clicks", "slots"),
    "likes_per_click": ("likes", "clicks"),
    "satisfaction_at_end": ("satisfaction", None),
    "left": ("left", None),
}
"""Name -> fields of `Sessions` above and below the line (None: one a session)."""


def measure(witness: Witness) -> Json:
    """Figures of each dose, the slope over doses, each step, and how hard the users are to please."""
    panel = witness.panel
    base = _good(panel)
    if base is None:
        return {"skipped": f"none of {', '.join(GOOD)} can be fitted on {panel.known.name!r}"}
    recommenders: list[Recommender] = [base, *(Diluted(base, share) for share in DOSES[1:])]
    later = later_world(panel)
    liked = np.stack([held_out(panel, later, policy) for policy in recommenders], axis=1)  # [n, doses, 2]
    told = ~np.isnan(liked[:, 0, 0])
    if told.sum() < 2:
        return {"skipped": NOTHING_LIKED}
    users, world = some(panel), opened(witness)
    sessions = [played(witness, world, policy, users, name=policy.name) for policy in recommenders]
    finders = panel.users[told]
    value = _drawn([session.returned for session in sessions], users, panel.seed)
    clicks = _drawn([session.first_clicks for session in sessions], users, panel.seed)
    human = _drawn(list(liked[told, :, 0].T), finders, panel.seed)
    of_value, of_clicks, of_human = over_first(value), over_first(clicks), over_first(human)
    doses: list[Json] = []
    for i, (share, session) in enumerate(zip(DOSES, sessions, strict=True)):
        dose = {key: _rate(session, *parts, users, panel.seed) for key, parts in FIGURES.items()}
        dose["human"] = means({"ndcg@10": liked[told, i, 0], "hit@10": liked[told, i, 1]}, finders, seed=panel.seed)
        people = {"human": figure(of_human[:, i])}
        relative = {"relative_return": figure(of_value[:, i]) | people, "relative_first_clicks": figure(of_clicks[:, i]) | people}
        doses.append({"share": share, **dose, **relative})
    steps, people = [_step(i, value, human) for i in range(1, len(DOSES))], {"human": figure(slope(of_human))}
    return {
        "policy": base.name,
        "users": len(users),
        "users_in_log": int(told.sum()),
        "doses": doses,
        "slope": figure(slope(value)),
        "relative_slope": figure(slope(of_value)) | people,
        "relative_slope_first_clicks": figure(slope(of_clicks)) | people,
        "steps": steps,
        "every_step_falls": all(step["falls"] for step in steps),
        "no_easy_mode": no_easy_mode(panel, users, sessions[0], sessions[-1], of_human[:, -1]),
    }


def asks(witness: Witness) -> int:
    """Slates at most."""
    return slates(len(witness.panel.users), len(DOSES))


def _good(panel: Panel) -> Scorer | None:
    for name in GOOD:
        try:
            policy = panel.policy(name)
        except (MissingExtra, ConfigError):
            continue
        if isinstance(policy, Scorer):
            return policy
    return None


def _drawn(columns: list[Doubles], users: Ints, seed: int) -> Doubles:
    """Means over users of each column ``[n]``, on the sample and its resamples ``[1 + r, columns]``."""
    return drawn_sums(np.stack(columns, axis=1), users, seed=seed) / len(users)


def slope(values: Doubles) -> Doubles:
    """Least squares of each row's five values on the doses ``[r]``: change from no random item to nothing else.

    It is linear in the values, so the slope of means is the mean of the users' own slopes.
    """
    x = np.array(DOSES) - np.mean(DOSES)
    return np.asarray(values @ x / np.square(x).sum())


def over_first(values: Doubles) -> Doubles:
    """Each dose's value over that of the undiluted slates ``[r, doses]``; NaN where that is not above 0."""
    first = np.where(values[:, :1] > 0, values[:, :1], np.nan)
    return np.asarray(values / first)


def _step(i: int, value: Doubles, human: Doubles) -> Json:
    """From one dose to the next."""
    change = figure(value[:, i] - value[:, i - 1])
    log = figure(human[:, i] - human[:, i - 1])
    return {"from": DOSES[i - 1], "to": DOSES[i], "return": change, "falls": _falls(change), "ndcg@10": log, "human_falls": _falls(log)}


def _falls(change: Json) -> bool:
    return change["high"] is not None and change["high"] < 0


def _rate(session: Sessions, above: str, below: str | None, users: Ints, seed: int) -> Json:
    columns = [getattr(session, above), np.ones(len(users)) if below is None else getattr(session, below)]
    return statistic(lambda s: ratio(s[:, 0], s[:, 1]), np.stack(columns, axis=1), users, seed=seed)
