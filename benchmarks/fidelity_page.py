"""Writes the table of docs/fidelity.md anew: every shipped simulator on every data set that is at hand.

    python benchmarks/fidelity_page.py                            # ml-1m, ml-100k, mini: what is not there is said to be missing
    python benchmarks/fidelity_page.py --datasets mini --users 100 --page /tmp/page.md

One run of `recoworld.evaluation.fidelity.fidelity` a simulator and data set; about a minute each on ML-1M and 2 cores.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

from recoworld.configs import presets
from recoworld.errors import DatasetError
from recoworld.evaluation.fidelity import fidelity
from recoworld.files import replacing
from recoworld.registry import SIMULATORS
from recoworld.version import __version__

PAGE = Path(__file__).resolve().parent.parent / "docs" / "fidelity.md"
START, END = "<!-- table -->\n", "<!-- /table -->"
ROWS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("which of 20 was taken, as popular: NDCG@10", ("choice", "popularity_matched", "ndcg@10"), ("popularity", "best_recommender")),
    ("the same, at random", ("choice", "random", "ndcg@10"), ("popularity", "best_recommender")),
    ("the same, of its genres", ("choice", "same_genre", "ndcg@10"), ("popularity", "best_recommender")),
    ("calibration error, as popular", ("choice", "popularity_matched", "ece"), ("popularity",)),
    ("right at 1:1, yes or no", ("alignment", "1:1", "tuned", "accuracy"), ()),
    ("RMSE of stars", ("ratings", "rmse"), ("user_and_item",)),
    ("KS distance of ratings", ("ratings", "ks"), ("human", "global_rates", "item_mean")),
    ("mean of the stars", ("ratings", "mean"), ("human",)),
    ("share of 1 and 2 stars", ("ratings", "share_1_2"), ("human",)),
    ("between over within users", ("diversity", "ratio"), ("human", "one_person")),
    ("the same, across moods", ("diversity", "across_moods"), ("human", "one_person")),
    ("Kendall's tau with the log, sessions", ("policy_agreement", "kendall_tau"), ()),
    ("the same, with half of the people", ("policy_agreement", "kendall_tau_half_log"), ("human",)),
    ("the same, personalised recommenders alone", ("policy_agreement", "kendall_tau_personalised"), ("human",)),
    ("alike if asked again (r)", ("consistency", "retest", "correlation"), ("another_person",)),
    ("low satisfaction foretells leaving (AUC)", ("mindset", "foretells", "leave", "level"), ("turn",)),
    ("instructions about what was shown", ("mindset", "grounded", "all"), ("chance",)),
)
"""Question, where the report has it, and the reference rows that are shown beside it."""


def main() -> None:
    """Ask, and write the page."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--datasets", default="ml-1m,ml-100k,mini")
    arguments.add_argument("--simulators", default=",".join([*SIMULATORS, *presets()]))
    arguments.add_argument("--users", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--page", type=Path, default=PAGE)
    given = arguments.parse_args()
    parts = [
        f"RecoWorld {__version__}, seed {given.seed}, up to {given.users:,} held-out users; "
        f"`python benchmarks/fidelity_page.py`, {platform.machine()}, Python {platform.python_version()}.\n"
    ]
    names = given.simulators.split(",")
    for dataset in given.datasets.split(","):
        try:
            reports = {name: fidelity(name, dataset=dataset, users=given.users, seed=given.seed).as_dict() for name in names}
        except DatasetError as error:
            parts.append(f"\n**{dataset}**: not at hand when this table was made ({type(error).__name__}).\n")
            continue
        parts.append(f"\n**{dataset}**\n\n" + table(reports))
    text = given.page.read_text(encoding="utf-8") if given.page.exists() else START + END
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    with replacing(given.page) as temporary:
        temporary.write_text(before + START + "".join(parts) + END + after, encoding="utf-8")


def table(reports: dict[str, dict[str, Any]]) -> str:
    """One row a question, one column a simulator ("=": as the first), the reference rows last."""
    lines = [f"| question | {' | '.join(reports)} | beside it |", "|---" * (2 + len(reports)) + "|"]
    for question, path, references in ROWS:
        figures = [found(report, path) for report in reports.values()]
        if any(figures):
            first = next(figure for figure in figures if figure)
            beside = "; ".join(f"{name.replace('_', ' ')} {number(first[name]['value'])}" for name in references if name in first)
            cells = [shown(figure) for figure in figures]
            same = ["=" if cell == cells[0] else cell for cell in cells[1:]]
            lines.append(f"| {question} | {' | '.join([cells[0], *same])} | {beside} |")
    said = [f"- {name}: {sentence}" for name, report in reports.items() for sentence in report["findings"]]
    return "\n".join([*lines, "", *(said or ["No finding against any of them."]), ""])


def found(report: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
    """The figure at this place, None where the report has none."""
    at: Any = report
    for key in path:
        at = at.get(key) if isinstance(at, dict) else None
    return at if isinstance(at, dict) and at.get("value") is not None else None


def shown(figure: dict[str, Any] | None) -> str:
    """A figure with its interval."""
    if figure is None:
        return "-"
    bounds = "" if figure["low"] is None else f" ({number(figure['low'])} to {number(figure['high'])})"
    return number(figure["value"]) + bounds


def number(value: float | None) -> str:
    """Three decimals."""
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
