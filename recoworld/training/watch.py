"""Who watches a training run: what it is told, and when."""

from __future__ import annotations

from recoworld.evaluation.runs import Stage
from recoworld.training.records import Record


class Watcher:
    """Told of everything, says nothing. A subclass shows what it likes."""

    def note(self, sentence: str) -> None:
        """Something a reader should know."""

    def began(self, iteration: int) -> None:
        """The run is up; `iteration` is 0, or where it goes on from."""

    def iteration(self, record: Record, share: float) -> None:
        """A line of metrics.jsonl, and how much of the run is done (0..1)."""

    def point(self, record: Record) -> None:
        """A line of curve.jsonl."""

    def judging(self, policy: str, stage: Stage, ended: int, total: int) -> None:
        """The final evaluation, as `recoworld.evaluation.runs.Progress`."""
