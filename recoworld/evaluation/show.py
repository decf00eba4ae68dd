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
    ("watch_minutes", "watched\nmin", "{:.1f}", 1),
    ("ctr", "clicks\n%", "{:.1f}", 100),
    ("like_rate", "likes\n%", "{:.1f}", 100),
    ("instruction_following", "obeys\n%", "{:.0f}", 100),
    ("diversity", "diver-\nsity", "{:.2f}", 1),
    ("coverage", "cover-\nage %", "{:.0f}", 100),
    ("ndcg@10", "NDCG\n@10", "{:.3f}", 1),
)
LEGEND = (
    "return: rewards of a session, and the 95 % interval of the mean (bootstrap over users). + : so much better than the policy below on the "
    "same users and luck, ● if the interval excludes 0. turns: slates before the user leaves. clicks, likes: of the items shown. obeys: how "
    "well slates follow the instruction in force. NDCG@10: finding what the user liked later, in truth."
)


def leaderboard_table(board: Leaderboard) -> Table:
    """One row a policy, the highest return first; every other figure is in the JSON and the CSV."""
    s = board.settings
    sessions = f"{s['users']:,} users" + (f" x {s['seeds']} seeds" if s["seeds"] > 1 else "")
    title = f"{board.env or s['dataset']}: {sessions} ({s['group']}), seed {s['seed']}" + (", interrupted" if board.interrupted else "")
    table = Table(title=title, caption=LEGEND, caption_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("policy", no_wrap=True)
    table.add_column("return", justify="right", no_wrap=True)
    table.add_column("95 %", no_wrap=True, style="dim")
    table.add_column("+", no_wrap=True)
    for _, heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    for row in board.rows:
        cells = [_number(row[name], form, scale) for name, _, form, scale in _COLUMNS]
        name = Text(row["policy"]) + Text(" *", "yellow") if row["privileged"] else Text(row["policy"])
        table.add_row(name, Text(f"{row['return']['mean']:.2f}", "bold"), _bounds(row["return"]), _gain(row["difference"]), *cells)
    if any(row["privileged"] for row in board.rows):
        table.caption = f"* reads the hidden mindset: a bound, not a competitor. {LEGEND}"
    return table


def _number(entry: Row | None, form: str, scale: float) -> str:
    return "-" if entry is None else form.format(entry["mean"] * scale)


def _bounds(entry: Row) -> str:
    return "-" if entry["low"] is None else f"{entry['low']:.2f}..{entry['high']:.2f}"


def _gain(entry: Row | None) -> Text:
    if entry is None:
        return Text("")
    return Text(f"{entry['mean']:.2f} ", "green" if entry["excludes_zero"] else "") + Text("●" if entry["excludes_zero"] else "○", "green" if entry["excludes_zero"] else "dim")
