"""The leaderboard in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from recoworld.evaluation.leaderboard import Leaderboard

Row = dict[str, Any]

_COLUMNS = (
    ("turns", "turns", "{:.1f}", 1),
    ("watch_minutes", "watch\nmin", "{:.1f}", 1),
    ("ctr", "click\n%", "{:.1f}", 100),
    ("instruction_following", "obey\n%", "{:.0f}", 100),
    ("ndcg@10", "NDCG\n@10", "{:.3f}", 1),
)
_MORE = (
    ("like_rate", "like\n%", "{:.1f}", 100),
    ("repeated", "again\n%", "{:.0f}", 100),
    ("diversity", "diver-\nsity", "{:.2f}", 1),
    ("coverage", "cover-\nage %", "{:.0f}", 100),
)
_WIDE, _NARROW = 110, 78  # terminal columns from which on more metrics fit, and below which only returns do
LEGEND = """\
return: rewards of a session, with the 95 % interval of its mean (bootstrap over users). lead: over the policy below, on the same users and
luck; ● its interval excludes 0. turns: slates before the user leaves. click: of the items shown. obey: how well slates follow the
instruction in force. NDCG@10: does the policy rank high what the user liked later, in the log?"""
LEGEND_MORE = " again: items that the user had met already. coverage: of the catalogue."


def leaderboard_table(board: Leaderboard, width: int = 80) -> Table:
    """One row a policy, the highest return first; every other figure is in the JSON and the CSV."""
    metrics, legend = (_COLUMNS + _MORE, LEGEND + LEGEND_MORE) if width >= _WIDE else (_COLUMNS if width >= _NARROW else (), LEGEND)
    if any(row["privileged"] for row in board.rows):
        legend = f"* reads the hidden mindset: a bound, not a competitor. {legend}"
    about = board.settings
    users = (
        f"{about['users']:,} users of all groups"
        if about["group"] == "all"
        else f"{about['users']:,} {about['group']} user{'s' if about['users'] > 1 else ''}"
    )
    title = (
        f"{board.env or about['dataset']}: {users}"
        + (f" x {about['seeds']} seeds" if about["seeds"] > 1 else "")
        + f", seed {about['seed']}"
    )
    table = Table(
        title=title + (" (interrupted)" if board.interrupted else ""),
        caption=legend.replace("\n", " "),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("policy", no_wrap=True, overflow="ellipsis")
    table.add_column("return", justify="right", no_wrap=True)
    table.add_column("95 %", no_wrap=True, style="dim")
    table.add_column("lead", justify="right", no_wrap=True)
    for _, heading, _, _ in metrics:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in board.rows:
        cells = [_number(row[name], form, scale) for name, _, form, scale in metrics]
        name = Text(row["policy"]) + Text(" *" if row["privileged"] else "", "yellow")
        table.add_row(name, Text(f"{row['return']['mean']:.2f}", "bold"), _bounds(row["return"]), _lead(row["difference"]), *cells)
    return table


def _number(entry: Row | None, form: str, scale: float) -> str:
    return "-" if entry is None else form.format(entry["mean"] * scale)


def _bounds(entry: Row) -> str:
    return "-" if entry["low"] is None else f"{entry['low']:.2f}..{entry['high']:.2f}"


def _lead(entry: Row | None) -> Text:
    if entry is None:
        return Text("")
    return Text(f"{entry['mean']:.2f} ●", "green") if entry["excludes_zero"] else Text(f"{entry['mean']:.2f} ○", "dim")
