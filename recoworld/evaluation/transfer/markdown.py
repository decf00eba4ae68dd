"""A transfer as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from recoworld.evaluation.transfer.compare import Row
from recoworld.text import plain

if TYPE_CHECKING:
    from recoworld.evaluation.transfer.result import Transfer


SHARED = (
    "The simulators that RecoWorld ships are one model of taste under different coefficients: they judge items alike by construction. That "
    "they agree is weak evidence that a policy does well with people; that they disagree is evidence that it does not."
)


def report(transfer: Transfer) -> str:
    """Headings, one table each for returns, regret, agreement and knobs, and what the figures mean."""
    about, names = transfer.settings, list(transfer.simulators)
    users = about["users"]
    head = (
        f"Data set {cell(about['dataset'])}; tuned on {users['tuning']:,} users, judged on {users['test']:,} others, "
        f"{about['seeds']} session{'s' if about['seeds'] > 1 else ''} each, seed {about['seed']}."
    )
    blocks = ["# Transfer between simulators" + (" (interrupted)" if transfer.interrupted else ""), head]
    if transfer.rows:
        chosen = {name: row["candidate"] for name, row in transfer.winners.items()}
        returns = [
            [_candidate(row), *(_return(row["returns"][name], bold=chosen.get(name) == row["candidate"]) for name in names)]
            for row in transfer.ordered
        ]
        regrets = [[f"{cell(a)}: {cell(chosen[a])}", *(signed(transfer.regrets[a][b]) for b in names)] for a in names if a in chosen]
        taus = [[cell(a), *(_interval(transfer.taus[a][b]) for b in names)] for a in names]
        knobs = [
            [cell(family), *(cell(row["chosen"][name].removeprefix(family)) for name in names)] for family, row in transfer.families.items()
        ]
        blocks += [
            "## Returns",
            "Rewards of a session of test users, with the 95 % interval of the mean (bootstrap over users). Bold: what tuning in that "
            "simulator chooses, on other users.",
            _table(["policy", *names], returns),
            "## Gained (+) or lost (−) by tuning elsewhere",
            "Return in the simulator of the column of the policy that the simulator of the row chooses, less that of its own choice. "
            "● the interval excludes 0.",
            _table(["tuned in: chooses", *names], regrets),
            "## Do they rank alike?",
            "Kendall's tau-b of the returns of all policies on the test users; 1 is the same order. On the diagonal: the simulator with "
            "itself on other people, the tuning users; what it lacks of 1 is noise.\n\n" + SHARED,
            _table(["", *names], taus),
        ]
        if knobs:
            blocks += ["## What each simulator chooses of a family", _table(["family", *names], knobs)]
    if transfer.notes:
        blocks += ["## Notes", "\n".join(f"- {cell(note, 1000)}" for note in transfer.notes)]
    return "\n\n".join(blocks) + "\n"


def cell(text: object, limit: int = 100) -> str:
    """Words that cannot break a table."""
    return plain(text, limit).replace("\\", "\\\\").replace("|", "\\|").replace("`", "'").replace("<", "&lt;")


def signed(entry: Row) -> str:
    """A difference with its interval, e.g. "-0.42 [-0.61, -0.20] ●"."""
    if entry["low"] is None or entry["mean"] == entry["low"] == entry["high"] == 0:
        return "0" if entry["mean"] == 0 else f"{entry['mean']:+.2f}"
    return f"{entry['mean']:+.2f} [{entry['low']:+.2f}, {entry['high']:+.2f}]{' ●' if entry['excludes_zero'] else ''}"


def _candidate(row: Row) -> str:
    return cell(row["candidate"]) + (" (reads the hidden mindset)" if row["privileged"] else "")


def _return(entry: Row, *, bold: bool) -> str:
    text = _interval(entry)
    return f"**{text}**" if bold else text


def _interval(entry: Row) -> str:
    if entry["mean"] is None:
        return "-"
    return f"{entry['mean']:.2f}" + ("" if entry["low"] is None else f" [{entry['low']:.2f}, {entry['high']:.2f}]")


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    named = [cell(head) for head in heads]
    lines = [named, ["---"] + ["---:"] * (len(named) - 1), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
