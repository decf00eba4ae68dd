"""The report's table, ready to be shown: the simulator's figure beside people's, the trivial one's, the best recommender's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.fidelity.showing.findings import at, bounds, value
from recoworld.evaluation.fidelity.showing.lines import LINES, Better, Line

Mark = Literal["better", "even", "worse", "alike", "unlike", "made"]
"""Beside the best trivial figure: better, not told apart, worse, by intervals that lie apart or meet. Beside people: alike where their
figure lies in the simulator's interval, unlike where not. Made: a behavioural simulator has it by construction, and is not praised."""
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
    marks: tuple[Mark, ...]
    """At most one beside what is trivial, then at most one beside people."""


def rows(sections: Json, *, behavioral: bool = False) -> list[Row]:
    """The rows of what was measured, in the order of `LINES`. behavioral: whether the simulator is one (`Line.by_construction`)."""
    return [row for line in LINES if (row := _row(line, sections.get(line.section, {}), behavioral)) is not None]


def _row(line: Line, found: Json, behavioral: bool) -> Row | None:
    number, interval = value(found, line.path), bounds(found, line.path)
    if number is None or interval is None:
        return None
    trivial = _best(line, found)
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
        marks=("made",) if behavioral and line.by_construction else _marks(line, found, interval, None if trivial is None else trivial[2]),
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


def _marks(line: Line, found: Json, mine: tuple[float, float], trivial: tuple[float, float] | None) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    if trivial is not None:
        higher, lower = mine[0] > trivial[1], mine[1] < trivial[0]
        marks.append("even" if not higher and not lower else "better" if higher == (line.better == "more") else "worse")
    human, people = (None, None) if line.people is None else (value(found, line.people), bounds(found, line.people))
    if human is not None and people is not None and people[0] < people[1]:  # else an anchor out of another world
        marks.append("alike" if mine[0] <= human <= mine[1] else "unlike")
    return tuple(marks)
