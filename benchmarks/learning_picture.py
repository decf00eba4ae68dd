"""The learning curves as a picture: validation return against steps and against minutes, beside those who do not learn."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from recoworld.errors import MissingExtra
from recoworld.training.records import Record

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, which the colour-blind tell apart."""
MARKERS = "os^Dv>"
DASHES: tuple[Any, ...] = ((0, (1, 1.5)), (0, (3, 2)), (0, (6, 2)), (0, (6, 2, 1, 2)), "-")
_DPI = 160


def drawn(methods: Mapping[str, Record], lines: Mapping[str, Record], *, title: str) -> bytes:
    """PNG.

    methods: name -> {"curve": points with "env_steps", "minutes", "mean", "low", "high"; "runs": the same of each seed}.
    lines: label -> {"mean", "low", "high"} of policies that do not learn, on the same users. Raises MissingExtra.
    """
    try:
        figures = import_module("matplotlib.figure")
    except ImportError as error:
        raise MissingExtra("matplotlib", "notebooks", "the picture of the curves") from error
    figure = figures.Figure(figsize=(10.5, 5.0), dpi=_DPI, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, name, scale, label in ((left, "env_steps", 1e-6, "million env steps"), (right, "minutes", 1.0, "minutes of training")):
        for (method, row), color, marker in zip(methods.items(), COLORS * 9, MARKERS * 9, strict=False):
            for curve in row["runs"]:
                axes.plot([point[name] * scale for point in curve], [point["mean"] for point in curve], color=color, lw=0.7, alpha=0.45)
            points, x = row["curve"], [point[name] * scale for point in row["curve"]]
            axes.plot(x, [point["mean"] for point in points], color=color, lw=2.2, marker=marker, ms=5, label=method, zorder=3)
            known = [(at, point) for at, point in zip(x, points, strict=True) if point["low"] is not None]
            if known:
                low, high = ([point[bound] for _, point in known] for bound in ("low", "high"))
                axes.fill_between([at for at, _ in known], low, high, color=color, alpha=0.18, lw=0)
        for (_, value), dash in zip(lines.items(), DASHES * 9, strict=False):
            axes.axhline(value["mean"], color="0.25", lw=1.3, ls=dash, zorder=1)
            if value["low"] is not None:
                axes.axhspan(value["low"], value["high"], color="0.5", alpha=0.12, lw=0, zorder=0)
        axes.set_xlabel(label, fontsize=12)
        axes.tick_params(labelsize=11)
        axes.margins(x=0.01)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    left.set_ylabel("return of a session", fontsize=12)
    _fit(left, methods, lines)
    span = left.get_ylim()[1] - left.get_ylim()[0]
    for label, at, value in spaced([(label, value["mean"]) for label, value in lines.items()], 0.05 * span):
        right.annotate(
            label,
            xy=(1.0, value),
            xytext=(1.03, at),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            fontsize=11,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "0.5", "lw": 0.7, "shrinkA": 1, "shrinkB": 0},
        )
    handles, labels = left.get_legend_handles_labels()
    look: Any = {"frameon": False, "fontsize": 12, "title_fontsize": 12}
    figure.legend(handles, labels, loc="outside upper center", ncols=min(4, max(1, len(labels))), title=title, **look)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def spaced(labels: Sequence[tuple[str, float]], gap: float) -> list[tuple[str, float, float]]:
    """(label, where its text stands, its value), lowest first: texts at least `gap` apart, each group around the mean of its values."""
    groups: list[list[tuple[str, float]]] = []
    for one in sorted(labels, key=lambda pair: pair[1]):
        groups.append([one])
        while len(groups) > 1 and _top(groups[-2], gap) + gap > _bottom(groups[-1], gap) + 1e-12:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [(label, _bottom(group, gap) + i * gap, value) for group in groups for i, (label, value) in enumerate(group)]


def _bottom(group: list[tuple[str, float]], gap: float) -> float:
    return sum(value for _, value in group) / len(group) - gap * (len(group) - 1) / 2


def _top(group: list[tuple[str, float]], gap: float) -> float:
    return _bottom(group, gap) + gap * (len(group) - 1)


def _fit(axes: Any, methods: Mapping[str, Record], lines: Mapping[str, Record]) -> None:
    """From the lowest to the highest mean with some room: a wide interval of few seeds must not flatten the curves."""
    points = [point for row in methods.values() for curve in (row["curve"], *row["runs"]) for point in curve]
    values = [point["mean"] for point in points] + [value[name] for value in lines.values() for name in value if value[name] is not None]
    room = 0.06 * (max(values) - min(values) or 1.0)
    axes.set_ylim(min(values) - room, max(values) + room)
