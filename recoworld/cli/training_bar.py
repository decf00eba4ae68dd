"""How far a training run is, on the terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from recoworld.configs.training import TrainConfig
from recoworld.evaluation.runs import Stage
from recoworld.training.watch import Watcher


class TrainingBar(Watcher):
    """On stderr: a bar of the run with its newest figures, a line for each point of the curve, a bar for each policy at the end."""

    def __init__(self, config: TrainConfig) -> None:
        self._of = "" if config.iterations is None else f"/{config.iterations}"
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(10),
            TimeElapsedColumn(),
            TextColumn("{task.fields[doing]}"),
            console=self._console,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._tasks:  # else it would leave an empty line
            self._bar.stop()

    def note(self, sentence: str) -> None:
        """In yellow."""
        self._console.print(Text("note: ", style="yellow") + Text(sentence), soft_wrap=True)

    def began(self, iteration: int) -> None:
        """Says where a run goes on."""
        if iteration:
            self._console.print(f"goes on from iteration {iteration}")
        self._task("training", 1.0, f"iteration {iteration}{self._of}")

    def iteration(self, record: dict[str, Any], share: float) -> None:
        """The newest figures."""
        doing = [f"iteration {record['iteration']}{self._of}"]
        doing += [f"{name} {record[name]:.3g}" for name in ("return", "loss") if record[name] is not None]
        if record["env_steps"]:  # else it learns from a log
            doing += [f"{record['env_steps']:,} steps", f"{record['steps_per_second']:,.0f}/s"]
        self._bar.update(self._tasks["training"], completed=min(1.0, share), doing=", ".join(doing))

    def point(self, record: dict[str, Any]) -> None:
        """A line that stays."""
        interval = "" if record["low"] is None else f" ({record['low']:.2f} to {record['high']:.2f})"
        self._console.print(f"iteration {record['iteration']}: validation return {record['mean']:.2f}{interval}")

    def judging(self, policy: str, stage: Stage, ended: int, total: int) -> None:
        """A bar a policy."""
        if "training" in self._tasks:
            self._bar.stop_task(self._tasks["training"])
        task = self._task("trained" if policy.startswith("rllib:") else policy, total, "")
        if stage in ("fit", "run", "rank"):
            self._bar.update(task, advance=ended, doing={"fit": "learning", "run": "meeting users", "rank": "held-out ranking"}[stage])
            return
        self._bar.update(
            task, completed=0 if stage == "skipped" else total, doing={"kept": "kept", "skipped": "left out", "done": "done"}[stage]
        )
        self._bar.stop_task(task)

    def _task(self, name: str, total: float, doing: str) -> Any:
        if name not in self._tasks:
            self._bar.start()
            self._tasks[name] = self._bar.add_task(name, total=total, doing=doing)
        return self._tasks[name]
