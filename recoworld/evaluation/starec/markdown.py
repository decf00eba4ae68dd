"""The table as Markdown, for a page beside its JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoworld.evaluation.starec.measure import CUTS
from recoworld.text import plain

if TYPE_CHECKING:
    from recoworld.evaluation.starec.table import Table


def report(table: Table) -> str:
    """The contents of ``table.md``: a row a method, then the sizes."""
    head = [*(f"NDCG@{k}" for k in CUTS), "95 % of NDCG@10", "paper's NDCG@10", "minutes a run"]
    lines = [f"| method | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for row in table.rows:
        bounds = "" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"
        paper = f"{row['paper']['ndcg@10']:.2f}" if row["paper"] else ""
        minutes = sum(row["fit_seconds"]) / len(row["fit_seconds"]) / 60
        cells = [plain(row["method"]).replace("|", "/"), *(f"{row[f'ndcg@{k}']:.2f}" for k in CUTS), bounds, paper, f"{minutes:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    about, seeds = table.settings["dataset"], range(table.settings["seed"], table.settings["seed"] + table.runs)
    lines += [
        "",
        f"{plain(about['name'])}: {table.settings['asked']:,} of {about['users']:,} users asked, {about['items']:,} items, "
        f"{about['positives']:,} positives; seeds {', '.join(map(str, seeds))}."
        + (" Interrupted: runs are missing." if table.interrupted else ""),
    ]
    return "\n".join(lines) + "\n"
