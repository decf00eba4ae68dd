"""The leaderboard: results of several policies as rows with intervals, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recoworld.evaluation.asked import EARLIER, LATEST
from recoworld.evaluation.intervals import Draws, Interval, resample
from recoworld.evaluation.metrics import METRICS, columns, coverage, gini
from recoworld.evaluation.store import Result

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaderboard:
    """Policies on the same users and the same luck, the highest return first."""

    rows: list[Row]
    """One a policy: its name, ``{"mean", "low", "high"}`` a metric (None where there is nothing to say), `retention` after each
    slate, and `difference`: the paired difference in return to the row below."""
    settings: dict[str, Any]
    """What the sessions depend on: equal settings, equal rows."""
    env: str | None = None
    notes: tuple[str, ...] = ()
    """What a reader should know, in whole sentences."""
    interrupted: bool = False
    """Whether a policy that was asked for is still missing."""
    simulator_report: dict[str, Any] | None = None
    """What became of a language model's replies in this run, with the names of the policies that it finished: the simulator's own
    `report`, whole numbers counted from the run's begin. None where nobody was asked."""
    earlier_simulator_reports: tuple[dict[str, Any], ...] = ()
    """Of the runs that went before into the same folder, the latest last."""

    def as_dict(self) -> dict[str, Any]:
        """The contents of ``leaderboard.json``."""
        front = {name: self.settings[name] for name in ("dataset", "users", "seeds", "seed", "group", "version")}
        reports = [report for report in (*self.earlier_simulator_reports, self.simulator_report) if report is not None]
        return {
            "rows": self.rows,
            **front,
            "env": self.env,
            "interrupted": self.interrupted,
            "notes": list(self.notes),
            "settings": self.settings,
            **({LATEST: reports[-1]} if reports else {}),
            **({EARLIER: reports[:-1]} if reports[1:] else {}),
        }

    def csv(self) -> str:
        """One line a policy, three columns a metric; the retention curve is in the JSON alone."""
        lines = [_flat(row) for row in self.rows]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return out.getvalue()

    def files(self) -> dict[str, str]:
        """Contents of ``leaderboard.json`` and ``leaderboard.csv``, by name."""
        return {"leaderboard.json": json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n", "leaderboard.csv": self.csv()}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """As a table for the terminal, with as many metrics as there is room for."""
        from recoworld.evaluation.show import leaderboard_table

        yield leaderboard_table(self, options.max_width)


def measured(result: Result, *, parts: tuple[str, ...], max_turns: int, seed: int = 0) -> tuple[Row, Draws]:
    """A policy's row, and the resampled metrics for comparison; `parts` names the reward parts, `seed` is the bootstrap's."""
    table, ranking = result.table, result.ranking
    above, below = columns(table)
    draws = resample(above, table.user, below, seed=seed)
    row: Row = {"policy": result.policy, "privileged": result.privileged}
    row |= {name: _entry(draws.interval(i)) for i, name in enumerate(METRICS)}
    row |= {"ndcg@10": None, "hit@10": None}
    if len(ranking.user):
        found = resample(np.stack([ranking.ndcg, ranking.hit], axis=1), ranking.user, seed=seed)
        row |= {"ndcg@10": _entry(found.interval(0)), "hit@10": _entry(found.interval(1))}
    row["coverage"] = {"mean": coverage(table.shown), "low": None, "high": None}
    row["gini"] = {"mean": gini(table.shown), "low": None, "high": None}
    row["retention"] = table.retention(max_turns).tolist()
    row["reward_parts"] = dict(zip(parts, table.parts.mean(axis=0).tolist(), strict=True))
    row |= {"sessions": len(table), "ranked_users": len(ranking.user)}
    row |= {"fit_seconds": result.fit_seconds, "run_seconds": result.run_seconds}
    return row, draws


def ranked(policies: Iterable[tuple[Row, Draws]]) -> list[Row]:
    """The rows by return, each with its paired difference to the next; all are of the same users and seeds."""
    order = sorted(policies, key=lambda pair: (-pair[0]["return"]["mean"], pair[0]["policy"]))
    rows = []
    for i, (row, draws) in enumerate(order):
        difference: Row | None = None
        if i + 1 < len(order):
            below, theirs = order[i + 1]
            gap = (draws - theirs).interval(0)
            difference = {"to": below["policy"], **(_entry(gap) or {}), "excludes_zero": gap.excludes_zero}
        rows.append(row | {"difference": difference})
    return rows


def _entry(interval: Interval) -> dict[str, float | None] | None:
    """As JSON, which knows no NaN."""
    if math.isnan(interval.mean):
        return None
    return {name: None if math.isnan(value) else value for name, value in vars(interval).items()}


def _flat(row: Row) -> Row:
    out: Row = {}
    for name, value in row.items():
        if isinstance(value, dict):
            out |= {name if key == "mean" else f"{name}_{key}": entry for key, entry in value.items()}
        elif not isinstance(value, list):
            out[name] = value
    return out
