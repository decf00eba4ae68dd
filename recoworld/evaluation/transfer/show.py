"""A transfer in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from recoworld.evaluation.transfer.compare import Row
from recoworld.text import plain

if TYPE_CHECKING:
    from recoworld.evaluation.transfer.result import Transfer

_RETURNS = "return: rewards of a session, mean over test users. ★ what tuning in that simulator chooses, on other users."
_BOUND = " * reads the hidden mindset: a bound, not a competitor."
_REGRETS = (
    "return in the column's simulator of what the row's chooses, less that of its own choice; ● the 95 % interval (bootstrap over users) "
    "excludes 0 (red: lost, green: gained), ○ it does not."
)
_TAUS = (
    "Kendall's tau-b of the returns of all policies on the test users, with 95 % interval. On the diagonal: the simulator with itself on "
    "other people, the tuning users; what it lacks of 1 is noise."
)


def tables(transfer: Transfer) -> Iterator[Table]:
    """Returns, regret and rank agreement; the intervals of the returns are in the files."""
    if not transfer.rows:
        return
    about, names = transfer.settings, list(transfer.simulators)
    chosen = {name: row["candidate"] for name, row in transfer.winners.items()}
    users = about["users"]
    title = f"{about['dataset']}: tuned on {users['tuning']:,} users, judged on {users['test']:,} others, seed {about['seed']}"
    legend = _RETURNS + (_BOUND if any(row["privileged"] for row in transfer.rows) else "")
    returns = _table(title + (" (interrupted)" if transfer.interrupted else ""), "policy", names, legend)
    for row in transfer.ordered:
        cells = [_return(row["returns"][name], best=chosen[name] == row["candidate"]) for name in names]
        returns.add_row(Text(plain(row["candidate"]) + (" *" if row["privileged"] else "")), *cells)
    yield returns
    regrets = _table("gained (+) or lost (−) by tuning elsewhere", "tuned in", names, _REGRETS)
    for a in chosen:
        regrets.add_row(Text(plain(a)), *(_regret(transfer.regrets[a][b]) for b in names))
    yield regrets
    taus = _table("do they rank alike?", "", names, _TAUS)
    for a in names:
        taus.add_row(Text(plain(a)), *(_tau(transfer.taus[a][b], dim=a == b) for b in names))
    yield taus


def _table(title: str, corner: str, names: list[str], legend: str) -> Table:
    table = Table(
        title=title, caption=legend, caption_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column(corner, overflow="fold")
    for name in names:
        table.add_column(Text(plain(name)), justify="right", overflow="fold")
    return table


def _return(entry: Row, *, best: bool) -> Text:
    return Text(f"{entry['mean']:.2f}{' ★' if best else '  '}", "bold" if best else "")


def _regret(entry: Row) -> Text:
    if entry["mean"] == 0:
        return Text("0", "dim")
    if not entry["excludes_zero"]:
        return Text(f"{entry['mean']:+.2f} ○")
    return Text(f"{entry['mean']:+.2f} ●", "red" if entry["mean"] < 0 else "green")


def _tau(entry: Row, *, dim: bool) -> Text:
    if entry["mean"] is None:
        return Text("-")
    bounds = "" if entry["low"] is None else f" {entry['low']:.2f}..{entry['high']:.2f}"
    return Text(f"{entry['mean']:.2f}", "dim" if dim else "bold") + Text(bounds, "dim")
