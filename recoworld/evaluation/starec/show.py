"""The table in the terminal, beside the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as Drawn
from rich.text import Text

from recoworld.evaluation.starec.measure import CUTS
from recoworld.text import plain

if TYPE_CHECKING:
    from recoworld.evaluation.starec.table import Table

_LEGEND = (
    "NDCG in per cent, one item sought among {candidates}, mean of {runs}. 95 % interval of NDCG@10: bootstrap over users. paper: "
    "NDCG@10 there (arXiv 2508.18812). seconds: of learning, a run."
)


def shown(table: Table) -> Drawn:
    """One row a method, and those of the paper that were not run, dim."""
    about = table.settings["dataset"]
    legend = _LEGEND.format(
        candidates=about["protocol"]["negatives"] + 1, runs=f"{table.runs} runs" if table.runs > 1 else "one run"
    )
    title = f"{plain(about['name'])}: {table.settings['asked']:,} users, {about['items']:,} items, seed {table.settings['seed']}"
    drawn = Drawn(
        title=title + (" (interrupted)" if table.interrupted else ""),
        caption=legend,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    drawn.add_column("method", overflow="fold")
    for heading in [*(f"@{k}" for k in CUTS), "95 % of @10", "paper", "differs", "seconds"]:
        drawn.add_column(heading, justify="right")
    for row in table.rows:
        paper = row["paper"].get("ndcg@10")
        bounds = "-" if row["low"] is None else f"{row['low']:.2f}..{row['high']:.2f}"
        beside = ("", "") if paper is None else (f"{paper:.2f}", f"{row['ndcg@10'] - paper:+.2f}")
        figures = [f"{row[f'ndcg@{k}']:.2f}" for k in CUTS]
        drawn.add_row(Text(plain(row["method"])), *figures, bounds, *beside, f"{sum(row['fit_seconds']) / len(row['fit_seconds']):.0f}")
    there = {"pop" if row["method"] == "popularity" else row["method"] for row in table.rows}
    for name, figures_there in table.paper.items():
        if name not in there:
            drawn.add_row(Text(name), "", "", "", "", "", f"{figures_there['ndcg@10']:.2f}", "", "", style="dim")
    return drawn
