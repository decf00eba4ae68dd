"""What calibration found, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from recoworld.evaluation.fidelity.asking.sums import Json

STAGES = {"before": "before", "after": "fitted", "corrected": "corrected", "popularity": "popularity", "uniform": "by chance"}
_METRICS = {"log_loss": "log-loss", "ece": "calib. error", "accuracy": "right first", "ndcg@10": "NDCG@10"}
LEGEND = """\
Which of the shown items did the person take? Measured on users of whom nothing was fitted; 95 % intervals, bootstrap over users.
corrected: with the temperature and the prior on popularity that fit best: a diagnosis, which no preset holds.
change: of the log-loss, in pairs; below 0 is better."""


def tables(facts: Json) -> Iterator[RenderableType]:
    """Coefficients, figures before and after, rates, notes."""
    if facts["fitted"]:
        yield _fitted(facts["fitted"])
    yield _measured(facts)
    if facts["rates"]:
        yield _rates(facts["rates"])
    mended = facts["correction"]
    yield Text(f"correction: temperature {mended['temperature']:.3f}, prior {mended['prior']:.3f}")
    for note in facts["notes"]:
        yield Text.assemble(("note: ", "yellow"), note)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


def _fitted(fitted: Json) -> Table:
    table = _table("Coefficients", "coefficient", "before", "fitted", "standard error")
    for name, entry in fitted.items():
        error = f"{entry['error']:.3f}" if "error" in entry else ""
        table.add_row(name, f"{entry['before']:.3f}", f"{entry['after']:.3f}", error)
    return table


def _measured(facts: Json) -> Table:
    test = facts["test"]
    stages = [stage for stage in STAGES if stage in test["log_loss"]]
    about = f"{facts['settings']['simulator']} on {facts['settings']['dataset']}"
    title = f"{about}: {test['questions']:,} choices of {test['users']:,} test users, 1 of {test['shown']}"
    table = _table(title, "", *(STAGES[stage] for stage in stages))
    for metric, name in _METRICS.items():
        table.add_row(name, *(_figure(test[metric].get(stage)) for stage in stages))
    table.add_row("change", *(_figure(test["log_loss"][stage].get("change")) for stage in stages))
    table.caption, table.caption_justify = LEGEND, "left"
    return table


def _rates(rates: Json) -> Table:
    table = _table("Replies to the slates that test users were shown", "", "log", "before", "fitted")
    for name, value in rates["observed"].items():
        table.add_row(name, *(_number(entry) for entry in (value, rates["before"][name], rates["after"][name])))
    return table


def _figure(entry: Any) -> Text:
    """The value, and its interval in a second line."""
    if entry is None:
        return Text("")
    if entry["low"] is None or entry["low"] == entry["high"]:
        return Text(_number(entry["value"]))
    return Text.assemble(_number(entry["value"]), "\n", (f"{_number(entry['low'])}..{_number(entry['high'])}", "dim"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}"
