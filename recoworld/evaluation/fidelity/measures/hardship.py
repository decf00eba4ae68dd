"""No easy mode: how hard simulated users are to please, beside what a log can say of people.

A log has no sessions with a known recommender, so every *human* row is a proxy; `COMPARED` says of what.
"""

from __future__ import annotations

import numpy as np

from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, figure, means, ratio, statistic
from recoworld.evaluation.fidelity.measures.sessions import FRUSTRATED, Sessions
from recoworld.types import Floats, Ints

COMPARED = {
    "skipped": "slots looked at and passed over / slots shown",
    "skipped_of_examined": "slots looked at and passed over / slots looked at",
    "random_over_good_clicks": (
        "clicks on a first slate of random items / clicks on the good recommender's; human (proxy): the same ratio of NDCG@10 in the "
        "held-out log, where an item that was never met counts as a miss"
    ),
    "frustrated_turns": (
        f"turns that end with satisfaction below {FRUSTRATED} / turns; human (proxy): ratings of 1 and 2 stars / ratings, of items that "
        "people chose by themselves later on; human_random (proxy): of items that were drawn for them"
    ),
}


def no_easy_mode(panel: Panel, users: Ints, good: Sessions, random: Sessions, human: Doubles) -> Json:
    """Figures on the good recommender, and on random items under "random".

    human: held-out NDCG@10 of random slates over that of good ones, on the sample and its resamples ``[1 + r]``.
    """

    def rate(above: Doubles, below: Doubles) -> Json:
        return statistic(lambda s: ratio(s[:, 0], s[:, 1]), np.stack([above, below], axis=1), users, seed=panel.seed)

    frustrated = rate(good.frustrated, good.turns) | {"random": rate(random.frustrated, random.turns)}
    return {
        "skipped": rate(good.skips, good.slots) | {"random": rate(random.skips, random.slots)},
        "skipped_of_examined": rate(good.skips, good.examined) | {"random": rate(random.skips, random.examined)},
        "random_over_good_clicks": rate(random.first_clicks, good.first_clicks) | {"human": figure(human)},
        "frustrated_turns": frustrated | _displeased(panel),
        "compared": dict(COMPARED),
    }


def _displeased(panel: Panel) -> Json:
    """Share of 1 and 2 stars among the panel's ratings, where there are any."""
    if not panel.truth.explicit:
        return {}
    rows, place = panel.later(panel.users)
    out = {"human": _low(panel, panel.truth.interactions.ratings[rows], panel.users[place])}
    drawn = panel.truth.random_ratings
    if drawn is not None:
        rows = drawn.rows(drawn.indptr[panel.users], drawn.indptr[panel.users + 1])
        out["human_random"] = _low(panel, drawn.ratings[rows], drawn.users[rows])
    return out


def _low(panel: Panel, ratings: Floats, users: Ints) -> Json:
    if not len(ratings):
        return figure(np.full(1, np.nan))
    return means({"low": panel.stars(ratings) < 2.5}, users, seed=panel.seed)["low"]
