"""The report as a reader sees it: in the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recoworld.evaluation.fidelity.showing.lines import HEADINGS
from recoworld.evaluation.fidelity.showing.table import Mark, Row, rows
from recoworld.text import plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from recoworld.evaluation.fidelity.showing.report import Report

SIGNS: dict[Mark, tuple[str, str]] = {
    "better": ("●", "green"),
    "even": ("○", "yellow"),
    "worse": ("×", "red"),
    "alike": ("=", "green"),
    "unlike": ("≠", "yellow"),
    "made": ("·", "dim"),
}
"""Mark -> sign and colour."""
LEGEND = (
    "sim.: the simulator, with the 95 % interval of its figure (bootstrap over users). people: the same figure of the log. trivial: the "
    "best of what needs no simulator. best: the best of the package's recommenders. ● better than trivial: their intervals lie apart; "
    "○ they meet; × worse, and apart. = people's figure lies in the simulator's interval, ≠ outside. ↓ the less, the better."
)
_WORSE, _UNLIKE = "worse than trivial (×)", "unlike people (≠)"
_MADE = " · follows from how such a simulator is made: no merit."
_WIDE, _NARROW = 110, 72  # terminal columns from which on rows are named, and below which intervals are left out


def shown(report: Report, width: int = 80) -> Iterator[RenderableType]:
    """The table, the findings, what was skipped, the notes."""
    from rich.text import Text

    yield terminal_table(report, width) if _rows(report) else Text(title(report), "italic")
    for said in report.findings:
        yield Text("finding: ", style="bold red") + Text(plain(said, 400))
    if acquitted := no_finding(report):
        yield Text(acquitted)
    for name, why in report.skipped.items():
        yield Text("skipped: ", style="yellow") + Text(f"{name}: {plain(why, 400)}")
    for note in report.notes:
        yield Text("note: ", style="yellow") + Text(note)


def terminal_table(report: Report, width: int = 80) -> Table:
    """One row a question, grouped by section."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title(report),
        caption=legend(report),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("question")
    for heading, style in (("sim.", "bold"), ("95 %", "dim"), ("people", ""), ("trivial", ""), ("best", "")):
        if heading != "95 %" or width >= _NARROW:
            table.add_column(heading, justify="left" if heading == "95 %" else "right", style=style, no_wrap=True)
    table.add_column("", no_wrap=True)
    section = ""
    for row in _rows(report):
        if row.section != section:
            if section:
                table.add_section()
            section = row.section
            table.add_row(Text(section.replace("_", " "), "bold cyan") + Text(f": {HEADINGS[section]}", "dim"))
        names = width >= _WIDE
        cells = [_number(row, row.people), _named(row, row.trivial, names), _named(row, row.best, names)]
        interval = [_interval(row)] if width >= _NARROW else []
        table.add_row(f" {_words(row)}", _number(row, row.value), *interval, *cells, Text.assemble(*(SIGNS[mark] for mark in row.marks)))
    return table


def markdown(report: Report) -> str:
    """Title, findings, table, what was skipped, notes."""
    out = [f"# {title(report)}", "", *(f"- **Finding.** {said}" for said in report.findings)]
    if acquitted := no_finding(report):
        out.append(acquitted)
    out += ["", "| question | sim. | 95 % | people | trivial | best | |", "|---|---:|---|---:|---:|---:|---|"]
    section = ""
    for row in _rows(report):
        if row.section != section:
            section = row.section
            out.append(f"| **{section.replace('_', ' ')}**: {HEADINGS[section]} | | | | | | |")
        cells = [_words(row), _number(row, row.value), _interval(row), _number(row, row.people)]
        cells += [_named(row, row.trivial, True), _named(row, row.best, True), "".join(SIGNS[mark][0] for mark in row.marks)]
        out.append(f"| {' | '.join(cells)} |")
    out += ["", legend(report), ""]
    out += [f"- Skipped: {name}: {plain(why, 400)}" for name, why in report.skipped.items()]
    out += [f"- Note: {note}" for note in report.notes]
    return "\n".join(out).rstrip() + "\n"


def title(report: Report) -> str:
    """Who was asked about whom."""
    about = report.settings
    name, dataset = plain(about.get("simulator", "?"), 60), plain(about.get("dataset", "?"), 40)
    asked = f"fidelity of {name} to {about.get('users', 0):,} people of {dataset}, seed {about.get('seed', 0)}"
    return asked + (" (interrupted)" if report.interrupted else "")


def legend(report: Report) -> str:
    """What the columns and the marks mean."""
    return LEGEND + (_MADE if any("made" in row.marks for row in _rows(report)) else "")


def no_finding(report: Report) -> str | None:
    """The sentence that says so, with what the marks say all the same; None where there are findings, or nothing was measured."""
    measured = _rows(report)
    if report.findings or report.interrupted or not measured:
        return None
    worse, unlike = (sum(mark in row.marks for row in measured) for mark in ("worse", "unlike"))
    counted = [f"{n:,} {'figure is' if n == 1 else 'figures are'} {words}" for n, words in ((worse, _WORSE), (unlike, _UNLIKE)) if n]
    more = f" But {', '.join(counted)}." if counted else ""
    return f"No finding: none of the known failures of simulated users was seen in what was measured.{more}"


def _rows(report: Report) -> list[Row]:
    return rows(report.sections, behavioral=bool(report.settings.get("behavioral")))


def _words(row: Row) -> str:
    return row.words + (" ↓" if row.better == "less" else "")


def _number(row: Row, number: float | None) -> str:
    return "" if number is None else format(number, f"z{row.form}")


def _interval(row: Row) -> str:
    if row.interval is None:
        return ""
    low, high = (_number(row, end) for end in row.interval)
    return f"{low.removesuffix('%')}..{high}"


def _named(row: Row, entry: tuple[str, float] | None, names: bool) -> str:
    if entry is None:
        return ""
    return f"{plain(entry[0], 20)} {_number(row, entry[1])}" if names else _number(row, entry[1])
