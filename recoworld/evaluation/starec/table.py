"""The benchmark's table: as JSON, Markdown and for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recoworld.evaluation.starec.measure import row_of
from recoworld.evaluation.starec.paper import PAPER
from recoworld.evaluation.starec.store import Run
from recoworld.types import Ints

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Methods and their NDCG in per cent, in the order in which they were asked for."""

    rows: list[Row]
    """One a method: `method`; means over users and runs `ndcg@1`, `ndcg@5`, `ndcg@10`, `ndcg@20`; `low` and `high`, the 95 % interval of
    NDCG@10, over users; NDCG@10 of each of the `runs`, and their `fit_seconds`, `rank_seconds` and `epochs`; `paper`, or {}."""
    settings: dict[str, Any]
    """What the figures depend on: data set and protocol, users asked, seed, version."""
    runs: int
    machine: dict[str, Any]
    interrupted: bool = False
    """Whether a run that was asked for is still missing."""

    @property
    def paper(self) -> dict[str, dict[str, float]]:
        """What the paper says of this data set."""
        return PAPER.get(self.settings["dataset"]["name"], {})

    def as_dict(self) -> dict[str, Any]:
        """The contents of ``table.json``."""
        seed = self.settings["seed"]
        return {
            "rows": self.rows,
            "unit": "per cent",
            "dataset": self.settings["dataset"],
            "users": self.settings["asked"],
            "seeds": list(range(seed, seed + self.runs)),
            "paper": self.paper,
            "machine": self.machine,
            "interrupted": self.interrupted,
            "settings": self.settings,
        }

    def files(self) -> dict[str, str | bytes]:
        """Contents of ``table.json`` and ``table.md``, by name."""
        from recoworld.evaluation.starec.markdown import report

        return {"table.json": json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n", "table.md": report(self)}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """As a table for the terminal."""
        from recoworld.evaluation.starec.show import shown

        yield shown(self)


def table(
    found: dict[str, list[Run]], *, users: Ints, settings: dict[str, Any], runs: int, computer: dict[str, Any], interrupted: bool
) -> Table:
    """The table of the runs that are finished, none of them empty."""
    paper = PAPER.get(settings["dataset"]["name"], {})
    rows = []
    for name, each in found.items():
        figures = row_of([run.ranks for run in each], users, seed=settings["seed"])
        spent = {field: [round(getattr(run, field), 2) for run in each] for field in ("fit_seconds", "rank_seconds")}
        said = paper.get({"popularity": "pop"}.get(name, name), {})
        rows.append({"method": name, **figures, "paper": said, **spent, "epochs": [run.epochs for run in each]})
    return Table(rows=rows, settings=settings, runs=runs, machine=computer, interrupted=interrupted)
