"""The report's table, ready to be shown: the simulator's figure beside people's, the trivial one's, the best recommender's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.fidelity.showing.findings import at, bounds, value
from recoworld.evaluation.fidelity.showing.lines import LINES, Better, Line

Mark = Literal["better", "even", "worse", "alike", "unlike", ""]
"""Beside the best trivial figure: better, not told apart, worse. Where nothing is trivial, beside people: alike, unlike."""
Named = tuple[str, float]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row, ready to be shown."""

    section: str
    words: str
    better: Better
    form: str
    value: float
    interval: tuple[float, float] | None
    people: float | None
    trivial: Named | None
    best: Named | None
    mark: Mark


def rows(sections: Json) -> list[Row]:
    """The rows of what was measured, in the order of `LINES`."""
    return [row for line in LINES if (row := _row(line, sections.get(line.section, {}))) is not None]


def _row(line: Line, found: Json) -> Row | None:
    number, interval = value(found, line.path), bounds(found, line.path)
    if number is None or interval is None:
        return None
    trivial = _best(line, found)
    people = None if line.people is None else bounds(found, line.people)
    best = None if line.best is None else value(found, line.best)
    return Row(
        section=line.section,
        words=line.words,
        better=line.better,
        form=line.form,
        value=number,
        interval=interval if interval[0] < interval[1] else None,
        people=None if line.people is None else value(found, line.people),
        trivial=None if trivial is None else (trivial[0], trivial[1]),
        best=None if line.best is None or best is None else (str(at(found, f"{line.best}/name") or "best"), best),
        mark=_mark(line.better, interval, None if trivial is None else trivial[2], people),
    )


def _best(line: Line, found: Json) -> tuple[str, float, tuple[float, float]] | None:
    """Of the trivial figures the one that is hardest to beat: name, value, interval."""
    there = []
    for name, where in line.trivial.items():
        number = value(found, where) if isinstance(where, str) else where
        interval = bounds(found, where) if isinstance(where, str) else (where, where)
        if number is not None and interval is not None:
            there.append((name, number, interval))
    sign = -1 if line.better == "less" else 1
    return max(there, key=lambda entry: sign * entry[1], default=None)


def _mark(better: Better, mine: tuple[float, float], trivial: tuple[float, float] | None, people: tuple[float, float] | None) -> Mark:
    if trivial is not None:
        higher, lower = mine[0] > trivial[1], mine[1] < trivial[0]
        if not higher and not lower:
            return "even"
        return "better" if higher == (better == "more") else "worse"
    if people is None or people[0] == people[1]:
        return ""  # nobody, or an anchor out of another world
    return "unlike" if mine[0] > people[1] or mine[1] < people[0] else "alike"
