"""How far an evaluation is, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recoworld.evaluation.runs import Progress, Stage

_WORDS = {"fit": "learning", "run": "meeting users", "rank": "held-out ranking"}


@contextmanager
def shown() -> Iterator[tuple[Progress, set[str]]]:
    """A bar a policy, on stderr; and the names of the policies that were kept from before."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    kept: set[str] = set()
    bar = Bar(
        TextColumn("{task.description:<14}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[doing]:<16}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    tasks = {}

    def progress(policy: str, stage: Stage, ended: int, total: int) -> None:
        if policy not in tasks:
            bar.start()
            tasks[policy] = bar.add_task(policy, total=total, doing="")
        task = tasks[policy]
        if stage in _WORDS:
            bar.update(task, advance=ended, doing=_WORDS[stage])
            return
        if stage == "kept":
            kept.add(policy)
        bar.update(
            task,
            doing={"kept": "kept from before", "skipped": "left out", "done": "done"}[stage],
            completed=0 if stage == "skipped" else total,
        )
        bar.stop_task(task)

    try:
        yield progress, kept
    finally:
        if tasks:  # else it would leave an empty line
            bar.stop()
