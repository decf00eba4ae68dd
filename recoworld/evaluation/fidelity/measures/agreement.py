"""Does the simulator rank recommenders as the held-out log does? If it does not, what one learns in it is of no use outside.

The recommenders of `roster` are judged twice: by the log, as NDCG@10 of what the panel's users liked later, and by the simulator, as the
mean return of a session with up to 300 of these users. How far the two orders agree is Kendall's tau-b (`recoworld.evaluation.agreement`).
All of the panel are asked in the log: it costs nothing, and held-out likes are few.

- `kendall_tau` judges whole sessions, `kendall_tau_first_slate` clicks on the first slate, which is nearer to what a log can see: later
  slates want items further down a policy's list, variety, and an answer to what happened.
- `kendall_tau_personalised` is of those recommenders alone that read the user's history: that charts and chance are worse is easily seen.
- `human` is how far the log agrees with itself: the order that one half of the people give against that of the other half. Half a log is
  noisier than the whole one, so `kendall_tau_half_log` holds the simulator against either half and takes the mean: the figure to put
  beside `human`.
- `decided` counts only pairs of recommenders whose difference excludes 0 for both judges; `disputed` are those of them that they disagree
  about, each with the one that the log and the one that the simulator puts first. Pairs are chosen by what was found, so there is no
  interval.
"""

from __future__ import annotations

import math

import numpy as np

from recoworld.evaluation.agreement import kendall_tau_rows, tau_interval
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, drawn_sums, figure, ratio
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.roster import IMPERSONAL, SIZE, roster
from recoworld.evaluation.fidelity.measures.sessions import NOTHING_LIKED, held_out, later_world, opened, played, slates, some
from recoworld.evaluation.intervals import LEVEL
from recoworld.types import Bools


def measure(witness: Witness) -> Json:
    """Taus, each with its ceiling, the decided pairs, and both judges' figures of every recommender."""
    panel = witness.panel
    users, world, later = some(panel), opened(witness), later_world(panel)
    names, log, returned, clicks = [], [], [], []
    for name, policy in roster(panel):
        names.append(name)
        log.append(held_out(panel, later, policy)[:, 0])
        if np.isfinite(log[0]).sum() < 2:
            return {"skipped": NOTHING_LIKED}
        sessions = played(witness, world, policy, users, name=name)
        returned.append(sessions.returned)
        clicks.append(sessions.first_clicks)
    ndcg, value, first = (np.stack(columns, axis=1) for columns in (log, returned, clicks))  # [n or users, policies]
    found = ~np.isnan(ndcg[:, 0])
    halves = np.random.Generator(np.random.PCG64([panel.seed, 11])).permutation(len(found)) % 2
    of_log = [_means(ndcg, panel, found & among) for among in (np.ones_like(found), halves == 0, halves == 1)]
    playing = np.isin(panel.users, users)
    of_value, of_first = (_means(_spread(columns, playing), panel, playing) for columns in (value, first))
    ceiling = {"human": _tau(kendall_tau_rows(of_log[1], of_log[2]))}
    half_log = np.mean([kendall_tau_rows(half, of_value) for half in of_log[1:]], axis=0)
    return {
        "users": len(users),
        "users_in_log": int(found.sum()),
        "kendall_tau": _tau(kendall_tau_rows(of_log[0], of_value)) | ceiling,
        "kendall_tau_half_log": _tau(half_log) | ceiling,
        "kendall_tau_personalised": _personalised(names, of_log, of_value),
        "kendall_tau_first_slate": _tau(kendall_tau_rows(of_log[0], of_first)) | ceiling,
        **decided(names, of_log[0], of_value),
        "policies": _table(names, {"ndcg@10": of_log[0], "return": of_value, "first_clicks": of_first}),
    }


def asks(witness: Witness) -> int:
    """Slates at most."""
    return slates(len(witness.panel.users), SIZE)


def _spread(values: Doubles, playing: Bools) -> Doubles:
    """Rows of some users as rows of all ``[n, policies]``, so that one resample draws for both judges."""
    out = np.full((len(playing), values.shape[1]), np.nan)
    out[playing] = values
    return out


def _means(values: Doubles, panel: Panel, among: Bools) -> Doubles:
    """Each policy's mean over some of the panel's users, on the sample and on resamples of the panel ``[1 + r, policies]``."""
    counted = np.concatenate([np.where(among[:, None], values, 0.0), among[:, None]], axis=1)
    sums = drawn_sums(counted, panel.users, seed=panel.seed)
    return ratio(sums[:, :-1], np.broadcast_to(sums[:, -1:], sums[:, :-1].shape))


def _personalised(names: list[str], of_log: list[Doubles], value: Doubles) -> Json:
    """The tau of sessions over the recommenders that read the user's history; of_log: of all people, and of either half."""
    mine = [place for place, name in enumerate(names) if name not in IMPERSONAL]
    if len(mine) < 2:
        return {"value": None, "low": None, "high": None, "policies": len(mine)}
    whole, one, other = (judged[:, mine] for judged in of_log)
    half_log = np.mean([kendall_tau_rows(half, value[:, mine]) for half in (one, other)], axis=0)
    beside = {"half_log": _tau(half_log), "human": _tau(kendall_tau_rows(one, other)), "policies": len(mine)}
    return _tau(kendall_tau_rows(whole, value[:, mine])) | beside


def _tau(drawn: Doubles) -> Json:
    """The figure of a tau on the sample and its resamples ``[1 + r]``; why not by percentiles, says `tau_interval`."""
    interval = tau_interval(float(drawn[0]), drawn[1:])
    return {
        name: None if math.isnan(number) else number
        for name, number in (("value", interval.mean), ("low", interval.low), ("high", interval.high))
    }


def decided(names: list[str], log: Doubles, value: Doubles) -> Json:
    """Pairs whose difference excludes 0 for both judges ``[1 + r, policies]``, and concordant less discordant ones as a share of them."""
    one, other = np.triu_indices(len(names), 1)
    gaps = [judge[:, one] - judge[:, other] for judge in (log, value)]
    sure = np.flatnonzero(_excludes_zero(gaps[0]) & _excludes_zero(gaps[1]))
    agree = np.sign(gaps[0][:, sure]) * np.sign(gaps[1][:, sure])
    disputed = []
    for pair in sure[agree[0] < 0]:
        first, second = names[one[pair]], names[other[pair]]
        upright = gaps[0][0, pair] > 0
        disputed.append({"log": first if upright else second, "simulator": second if upright else first})
    tau = float(agree[0].mean()) if len(sure) else None
    return {"decided": {"pairs": len(sure), "of": len(one), "kendall_tau": {"value": tau}}, "disputed": disputed}


def _excludes_zero(gaps: Doubles) -> Bools:
    """Of differences on the sample and its resamples ``[1 + r, pairs]``."""
    low, high = np.nanquantile(gaps[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.asarray((low > 0) | (high < 0))


def _table(names: list[str], judged: dict[str, Doubles]) -> list[Json]:
    """Both judges' figures, best in the log first."""
    rows: list[Json] = [
        {"name": name, **{metric: figure(values[:, i]) for metric, values in judged.items()}} for i, name in enumerate(names)
    ]
    return sorted(rows, key=lambda row: -row["ndcg@10"]["value"])
