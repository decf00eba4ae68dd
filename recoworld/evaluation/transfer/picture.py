"""A transfer as a picture: three heat maps."""

from __future__ import annotations

import io
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from recoworld.errors import MissingExtra
from recoworld.evaluation.table import Doubles
from recoworld.evaluation.transfer.compare import Row
from recoworld.text import plain

if TYPE_CHECKING:
    from recoworld.evaluation.transfer.result import Transfer

Texts = list[list[str]]

_DPI = 130
_WORST = -0.5  # share of the winner's return at which the colour ends


def drawn(transfer: Transfer) -> bytes:
    """Left, every policy in every simulator, beside what that simulator chooses; right, regret and rank agreement. PNG.

    Raises MissingExtra.
    """
    try:
        figures = import_module("matplotlib.figure")
    except ImportError as error:
        raise MissingExtra("matplotlib", "notebooks", "the picture of a transfer") from error
    names, rows, regrets = list(transfer.simulators), transfer.ordered, transfer.regrets
    chosen = {name: row["candidate"] for name, row in transfer.winners.items()}
    own = np.array([next(row["returns"][name]["mean"] for row in rows if row["candidate"] == chosen[name]) for name in names])
    scale = np.maximum(np.abs(own), 1e-12)
    gaps = np.array([[row["returns"][name]["mean"] for name in names] for row in rows]) - own
    lost = np.array([[regrets[a][b]["mean"] for b in names] for a in names])
    taus = np.array([[transfer.taus[a][b]["mean"] for b in names] for a in names], np.float64)
    m, p = len(names), len(rows)
    longest = max(len(_short(row["candidate"])) for row in rows)
    figure = figures.Figure(figsize=(5.6 + 0.08 * longest + 1.9 * m, max(1.8 + 0.36 * p, 3.2 + 0.9 * m)), dpi=_DPI, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[1.2, 1])
    left, upper, lower = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    texts = [[f"{row['returns'][n]['mean']:.2f}{' ★' if chosen[n] == row['candidate'] else ''}" for n in names] for row in rows]
    _heat(left, gaps / scale, texts, [row["candidate"] for row in rows], names, ("RdBu", _WORST, -_WORST), "of the return of ★")
    left.set_title("Return on test users\n★ what the simulator chooses")
    marked = [[_marked(regrets[a][b]) for b in names] for a in names]
    _heat(upper, lost / scale, marked, names, names, ("RdBu", _WORST, -_WORST), "of its own return")
    upper.set_title("Gained (+) or lost (−) by tuning elsewhere\n● interval excludes 0")
    upper.set_ylabel("tuned in")
    upper.set_xlabel("judged in")
    labels = [["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in taus]
    _heat(lower, taus, labels, names, names, ("PuOr", -1.0, 1.0), "τ")
    lower.set_title("Rank agreement, Kendall's τ\ndiagonal: on other users")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _heat(
    axes: Any, values: Doubles, texts: Texts, rows: list[str], columns: list[str], colors: tuple[str, float, float], legend: str
) -> None:
    """One heat map with a text in each field, and a bar that tells its colours: the map, and the values at its ends."""
    name, low, high = colors
    image = axes.imshow(values, cmap=name, vmin=low, vmax=high, aspect="auto")
    ends = {"format": "{x:+.0%}", "extend": "both"} if high < 1 else {"format": "{x:+.1f}"}
    bar = axes.figure.colorbar(image, ax=axes, label=legend, pad=0.02, **ends)
    bar.outline.set_visible(False)
    axes.set_yticks(range(len(rows)), [_short(row) for row in rows])
    axes.set_xticks(range(len(columns)), [_short(column) for column in columns], rotation=20, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    for i, line in enumerate(texts):
        for j, text in enumerate(line):
            dark = abs(2 * (values[i, j] - low) / (high - low) - 1) > 0.65  # the colour maps are pale in the middle
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")


def _marked(entry: Row) -> str:
    return "0" if entry["mean"] == 0 else f"{entry['mean']:+.2f}{' ●' if entry['excludes_zero'] else ''}"


def _short(name: str) -> str:
    return plain(name, 34).replace("$", r"\$")  # which would begin a formula
