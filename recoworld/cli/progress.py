"""How far an evaluation is, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recoworld.evaluation.runs import Progress, Stage

_WORDS = {"fit": "learning", "run": "sessions", "rank": "held-out ranking"}


@contextmanager
def shown() -> Iterator[tuple[Progress, set[str]]]:
    """A spinner with the policy, what it does and sessions finished, on stderr; and the names of policies kept from before."""
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    kept: set[str] = set()
    bar = Bar(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description:<16}"),
        TextColumn("{task.fields[doing]:<18}"),
        TextColumn("{task.completed:>9,.0f} sessions"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    tasks = {}

    def progress(policy: str, stage: Stage, count: int) -> None:
        if policy not in tasks:
            tasks[policy] = bar.add_task(policy, total=None, doing="")
        task = tasks[policy]
        if stage in _WORDS:
            bar.update(task, advance=count, doing=_WORDS[stage])
            return
        if stage == "kept":
            kept.add(policy)
        bar.update(task, doing={"kept": "kept from before", "skipped": "left out", "done": "done"}[stage], total=bar.tasks[task].completed)
        bar.stop_task(task)

    with bar:
        yield progress, kept
