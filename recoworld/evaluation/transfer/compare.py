"""From sessions to the matrices: returns, regret and rank agreement, all with intervals from one resampling of users.

With R_b(p) the mean return of policy p on the test users of simulator b, and w_a the policy with the highest return on the *tuning* users
of simulator a::

    regret(a, b) = R_b(w_a) - R_b(w_b)        0 where both chose the same, below 0 what is lost by tuning against a
    tau(a, b)    = Kendall's tau-b of R_a(.) and R_b(.) over all policies

Every policy meets the same users and the same luck in a simulator, and the bootstrap draws the same users in all simulators: each
difference is paired. On the diagonal of tau stands the agreement of a simulator with itself on other people, its ranking on tuning users
against that on test users: what is left of 1 by the noise of so few. A policy that reads the hidden mindset neither wins nor is ranked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recoworld.evaluation.agreement import kendall_tau, kendall_tau_rows, tau_interval
from recoworld.evaluation.intervals import Draws, Interval, resample
from recoworld.evaluation.table import SessionTable
from recoworld.evaluation.transfer.knobs import Entrant
from recoworld.evaluation.transfer.people import Group

Row = dict[str, Any]
Cell = tuple[str, str, Group]
"""A candidate, a simulator, and on whom."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Returns of all candidates in all simulators, resampled."""

    candidates: Sequence[Entrant]
    simulators: Sequence[str]
    draws: dict[tuple[str, Group], Draws]
    """One metric a candidate: its return in this simulator."""

    @classmethod
    def of(cls, tables: Mapping[Cell, SessionTable], candidates: Sequence[Entrant], simulators: Sequence[str], seed: int) -> Comparison:
        """seed: of the bootstrap. `tables` holds every cell of these candidates and simulators."""
        draws: dict[tuple[str, Group], Draws] = {}
        for simulator in simulators:
            for group in ("tuning", "test"):
                cells = [tables[candidate.name, simulator, group] for candidate in candidates]
                draws[simulator, group] = resample(np.stack([cell.returned for cell in cells], axis=1), cells[0].user, seed=seed)
        return cls(candidates=candidates, simulators=simulators, draws=draws)

    def rows(self) -> list[Row]:
        """One a candidate: its return on the test users of each simulator, with interval, and on the tuning users."""
        out = []
        for i, candidate in enumerate(self.candidates):
            test, tuning = ({name: entry(self.draws[name, group].interval(i)) for name in self.simulators} for group in ("test", "tuning"))
            front = {"candidate": candidate.name, "family": candidate.family, "privileged": candidate.privileged}
            out.append({**front, "returns": test, "tuning": tuning})
        return out

    def winner(self, simulator: str, among: Sequence[int] | None = None) -> int:
        """The place of the candidate that is best on the simulator's tuning users; of equals the first."""
        places = self._rivals if among is None else list(among)
        return places[int(np.argmax(self.draws[simulator, "tuning"].estimates[places]))]

    def winners(self) -> dict[str, Row]:
        """What tuning against each simulator chooses, and how clearly: its lead over the second there, on the tuning users."""
        out: dict[str, Row] = {}
        for name in self.simulators:
            best, rest = self.winner(name), [place for place in self._rivals if place != self.winner(name)]
            row: Row = {"candidate": self.candidates[best].name, "second": None, "lead": None}
            if rest:
                second = self.winner(name, rest)
                lead = _difference(self.draws[name, "tuning"], best, second)
                row |= {"second": self.candidates[second].name, "lead": entry(lead) | {"excludes_zero": lead.excludes_zero}}
            out[name] = row
        return out

    def families(self) -> dict[str, Row]:
        """The same family by family: which of its settings each simulator chooses, and the regret within the family."""
        out: dict[str, Row] = {}
        for family in dict.fromkeys(one.family for one in self.candidates if one.family):
            among = [i for i, one in enumerate(self.candidates) if one.family == family]
            chosen = {name: self.candidates[self.winner(name, among)].name for name in self.simulators}
            out[family] = {"chosen": chosen, "regret": self.regrets(among)}
        return out

    def regrets(self, among: Sequence[int] | None = None) -> dict[str, dict[str, Row]]:
        """``[a][b]``: return in b of a's winner less that of b's own winner."""
        best = {name: self.winner(name, among) for name in self.simulators}
        out: dict[str, dict[str, Row]] = {name: {} for name in self.simulators}
        for a in self.simulators:
            for b in self.simulators:
                gap = _difference(self.draws[b, "test"], best[a], best[b])
                out[a][b] = entry(gap) | {"excludes_zero": gap.excludes_zero}
        return out

    def taus(self) -> dict[str, dict[str, Row]]:
        """``[a][b]``: agreement of the rankings in a and in b; on the diagonal, of a's on tuning users and on test users."""
        return {a: {b: entry(self._tau(a, b)) for b in self.simulators} for a in self.simulators}

    def _tau(self, a: str, b: str) -> Interval:
        one, other, rivals = self.draws[a, "tuning" if a == b else "test"], self.draws[b, "test"], self._rivals
        tau = kendall_tau(one.estimates[rivals], other.estimates[rivals])
        return tau_interval(tau, kendall_tau_rows(one.resampled[:, rivals], other.resampled[:, rivals]))

    @property
    def _rivals(self) -> list[int]:
        return [i for i, candidate in enumerate(self.candidates) if not candidate.privileged]


def entry(interval: Interval) -> dict[str, float | None]:
    """As JSON, which knows no NaN."""
    return {name: None if math.isnan(value) else value for name, value in vars(interval).items()}


def _difference(draws: Draws, one: int, other: int) -> Interval:
    """Of two of the metrics, paired."""
    first, second = (replace(draws, estimates=draws.estimates[[i]], resampled=draws.resampled[:, [i]]) for i in (one, other))
    return (first - second).interval()
