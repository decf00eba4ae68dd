"""Rates: do simulated people click, like, share, watch and leave as often, where and when people did, on the very slates that people saw?

The slates that the panel was shown after its visible part (`recoworld.evaluation.fidelity.asking.later`) are put before the simulated
users in the logged order, session by session. Sessions go on as the log has them, whether or not the simulated user would have left.

| key | is |
|---|---|
| clicked | per slot |
| liked, commented, shared | per click |
| by_position, by_turn | the same by place on the page and by turn, from 0 |
| position_error, turn_error | mean distance of these rates from people's, weighted by how often people were there |
| leave | rate of leaving by turn, of those still there; the turns weighted as people reach them |
| leave.spoke | share of turns with an instruction, which people had no way to give |
| turns | expected length of a session under these rates, up to the last turn that `LEAST` logged sessions reach |
| watch | after a click: mean seconds and share of the duration, and the Kolmogorov-Smirnov distance of the seconds' distributions |
| auc | by user: chance that an item clicked by the person has the higher simulated chance than one not clicked |
| checks.impressions_clicks_known | clicks in these slates that the simulator is given: must be 0 |
| checks.impressions_before | slates of those who are asked that came earlier, or may have |
| checks.timed | whether the log tells when; if not, people's rates are too low (see `later_impressions`) |

*human* is the log; in the rows of an error or a distance, one half of the people against the other. *global_rate* is one rate everywhere:
of the users who are not asked; of leaving, the log's own. *one_value*: everyone watches for people's mean.

Without impressions the simulated rates stand beside published ones (`recoworld.evaluation.fidelity.measures.anchors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.evaluation.fidelity.asking.later import clicks_known, later_impressions
from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.sums import Json, distance, figure, means, ratio
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.anchors import ANCHOR, anchored
from recoworld.evaluation.fidelity.measures.replayed import MOST, Replay, replayed, sessions_of
from recoworld.evaluation.fidelity.measures.tallies import (
    Tally,
    auc,
    compared,
    constant,
    curve,
    error,
    length,
    rates,
    standardised,
)
from recoworld.evaluation.fidelity.measures.transcripts import slates_asked
from recoworld.impressions import Impressions
from recoworld.types import Chooser, Floats, Ints

ACTIONS = ("liked", "commented", "shared")
PLACES = 20
"""Positions and turns that are told apart."""
LEAST = 20
"""Sessions without which nothing is said of a turn's rate of leaving."""
_STEPS = 50  # of the distribution of seconds


def asks(witness: Witness) -> int:
    """User-slates that `measure` takes at most: where a simulator knows chances, each slate is asked about and shown."""
    panel = witness.panel
    if panel.truth.impressions is None:
        return slates_asked(witness)
    log = later_impressions(panel.truth, panel.truth_split)
    if log is None:
        return 0
    return min(int(np.isin(log.users, panel.users).sum()), MOST) * (1 + isinstance(witness.simulator, Chooser))


def measure(witness: Witness) -> Json:
    """See the module's docstring; without impressions ``{"skipped": why, "simulated": rates beside anchors}``."""
    panel = witness.panel
    shown = panel.truth.impressions
    if shown is None:
        why = f"the log {panel.truth.name!r} has no impressions: nobody knows what people were shown; {ANCHOR}"
        return {"skipped": why, "simulated": anchored(witness)}
    log = later_impressions(panel.truth, panel.truth_split)
    some = None if log is None else sessions_of(log, panel.users, seed=panel.seed)
    if log is None or some is None:
        return {"skipped": "no session of those who are asked was logged after their visible part that a world can show"}
    not_asked = ~np.isin(log.users, panel.users)
    both = _Compared(seen=replayed(witness, some), others=log.take(not_asked) if not_asked.any() else some.log, seed=panel.seed)
    found = both.report(panel.known.catalog.popularity, panel.known.catalog.durations)
    return found | {"left_out": some.left_out, "checks": _checks(panel, shown, log, some.log)}


def _checks(panel: Panel, shown: Impressions, later: Impressions, replayed: Impressions) -> Json:
    """The facts of the module's docstring."""
    before, after = (int(np.isin(log.users, panel.users).sum()) for log in (shown, later))
    known = clicks_known(replayed, panel.known)
    return {"impressions_clicks_known": known, "impressions_before": before - after, "timed": shown.times is not None}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Compared:
    """People and simulated users on the same slates."""

    seen: Replay
    others: Impressions
    """Of users who are not asked."""
    seed: int

    @property
    def tally(self) -> Tally:
        return Tally(users=np.unique(self.seen.log.users, return_inverse=True)[1].reshape(-1), seed=self.seed)

    @property
    def positions(self) -> Ints:
        """Place on the page ``[m, k]``."""
        log = self.seen.log
        first = np.zeros(len(log.users), np.int64) if log.first_slot is None else log.first_slot.astype(np.int64)
        return first[:, None] + np.arange(log.slates.shape[1])

    def report(self, popularity: Floats, durations: Floats) -> Json:
        seen = self.seen
        found: Json = {"slates": len(seen.turn), "sessions": int((seen.turn == 0).sum()), "users": self.tally.count}
        found |= {name: self.rate(name) for name in ("clicked", *ACTIONS) if getattr(seen.log, name) is not None}
        if seen.log.left is not None or seen.log.sessions is not None:
            found["leave"], found["turns"] = self.leaving()
        if seen.log.watch is not None:
            found["watch"] = self.watch(seen.log.watch, durations)
        return found | {"auc": self.auc(popularity)}

    def rate(self, name: str) -> Json:
        """Of one action: overall, by position and by turn."""
        log, simulated, everywhere = self.seen.log, self.seen.simulated, np.zeros_like(self.positions)
        every = np.ones_like(log.clicked)
        cells = (every, every) if name == "clicked" else (log.clicked, simulated.clicked)
        done = getattr(log, name), getattr(simulated, name)
        cases = self.others.clicked.size if name == "clicked" else int(self.others.clicked.sum())
        common = float(getattr(self.others, name).sum()) / max(cases, 1)
        overall = self.tally.of(everywhere, 1, cells, done)
        out = compared(*(rate[:, 0] for rate in rates(overall)))
        for key, place in (("position", self.positions), ("turn", everywhere + self.seen.turn[:, None])):
            n = min(int(place.max()) + 1, PLACES)
            if n < 2:
                continue
            sums, halves = self.tally.of(place, n, cells, done), self.tally.halves(place, n, cells, done)
            out[f"by_{key}"] = curve(sums, key)
            rows = {"human": halves, "global_rate": constant(sums, common)}
            out[f"{key}_error"] = figure(error(sums)) | {row: figure(error(each)) for row, each in rows.items()}
        return out

    def leaving(self) -> tuple[Json, Json]:
        """The rate of leaving by turn, and the expected length."""
        seen, place = self.seen, self.seen.turn[:, None]
        assert seen.simulated.left is not None  # simulated users can leave
        n = max(1, min(int((np.bincount(seen.turn) >= LEAST).sum()), PLACES))
        there, left = (np.ones_like(seen.there)[:, None], seen.there[:, None]), (seen.ends[:, None], seen.simulated.left[:, None])
        sums, halves = self.tally.of(place, n, there, left), self.tally.halves(place, n, there, left)
        simulated, human = rates(sums)
        overall = standardised(sums)
        same = constant(sums, float(overall[1][0]))
        leave = compared(*overall) | {"by_turn": curve(sums, "turn")}
        rows = {"human": halves, "global_rate": same}
        leave["turn_error"] = figure(error(sums)) | {row: figure(error(each)) for row, each in rows.items()}
        leave["spoke"] = means({"spoke": seen.spoke}, seen.log.users, seed=self.seed)["spoke"]
        turns = compared(length(simulated), length(human)) | {"global_rate": figure(length(rates(same)[0])), "at_most": n}
        return leave, turns

    def watch(self, seconds: Floats, durations: Floats) -> Json:
        """After a click; seconds are those of the log ``[m, k]``."""
        log, simulated, tally = self.seen.log, self.seen.simulated, self.tally
        assert simulated.watch is not None  # simulated users always watch
        if not log.clicked.any():
            return {"skipped": "nobody clicked in the log"}
        steps = np.unique(np.quantile(seconds[log.clicked], np.arange(_STEPS) / _STEPS))
        sides = (
            (seconds, log.clicked),
            (simulated.watch, simulated.clicked),
            (np.full_like(seconds, seconds[log.clicked].mean()), log.clicked),
            (seconds, log.clicked & tally.half),
            (seconds, log.clicked & ~tally.half),
        )
        n = len(steps) + 1
        columns = [tally.histogram(np.searchsorted(steps, watch, "right"), n, on) for watch, on in sides]
        people, them, same, one, other = np.split(tally.drawn(np.concatenate(columns, axis=1)), 5, axis=1)
        rows = {"human": distance(one, other), "one_value": distance(same, people)}
        out: Json = {"ks": figure(distance(them, people)) | {row: figure(value) for row, value in rows.items()}}
        for name, unit in (("seconds", np.float32(1)), ("share", durations[log.slates])):
            sums = [np.stack([(watch / unit * on).sum(axis=1), on.sum(axis=1)], axis=1) for watch, on in sides[1::-1]]
            by_user = np.zeros((tally.count, 4))
            np.add.at(by_user, tally.users, np.concatenate(sums, axis=1))
            drawn = tally.drawn(by_user)
            out[name] = compared(ratio(drawn[:, 0], drawn[:, 1]), ratio(drawn[:, 2], drawn[:, 3]))
        return out

    def auc(self, popularity: Floats) -> Json:
        """Mean over the users who clicked some and not all."""
        log, users = self.seen.log, self.tally.users
        order = np.argsort(users, kind="stable")
        each = np.split(order, np.flatnonzero(np.diff(users[order])) + 1)
        rows: dict[str, NDArray[Any]] = {"value": self.seen.scores, "popularity": popularity[log.slates], "position": -self.positions}
        columns = {name: np.array([auc(scores[mine].ravel(), log.clicked[mine].ravel()) for mine in each]) for name, scores in rows.items()}
        found = means(columns, np.arange(len(each)), seed=self.seed)
        return {**found.pop("value"), **found, "nothing": {"value": 0.5}}
