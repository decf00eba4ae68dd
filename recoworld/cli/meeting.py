"""The users of one evaluation, while policies meet them: who has finished, what their language model did, what is left after a failure."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from recoworld.cli.users import SILENT, check_model, check_same_model, close_at_exit, earlier_reports, in_a_line, note_report, replies_in

if TYPE_CHECKING:
    from recoworld.configs import WorldConfig
    from recoworld.evaluation import Leaderboard
    from recoworld.evaluation.runs import Progress, Stage


class Meeting:
    """A context: without `out`, results live in a folder that is gone at its end, so that a model's failure loses no finished policy."""

    def __init__(self, config: WorldConfig, out: Path | None, *, fresh: bool, save_sessions: int) -> None:
        """Raises ConfigError for a model that nobody asks, and for a folder with results of another model's users."""
        check_model(config)
        self.config, self.out = config, None if out is None else out.expanduser()
        self.finished: list[str] = []
        self._simulator: Any = None
        self._new: set[str] = set()
        self._earlier = [] if fresh else earlier_reports(self.out)
        self._replies = 0
        self._record = config.simulator_config.get("record")
        self._spare = None if self.out is not None or save_sessions or config.simulator in SILENT else TemporaryDirectory()
        self.folder = self.out if self._spare is None else Path(self._spare.name)
        if self._earlier:
            from recoworld.assembly import make_world

            check_same_model(self.out, self._earlier, _report(make_world(config).simulator))
        if config.simulator not in SILENT:
            self._replies = replies_in(config)
            if save_sessions and self._record is None:
                warnings.warn(
                    "saved sessions are played a second time, and without --record FILE the language model is asked again", stacklevel=2
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.out is not None:
            note_report(self.out, self._reports())
        if self._spare is not None:
            self._spare.cleanup()

    def noting(self, tell: Progress) -> Progress:
        """The same reports of progress, which are noted here, too."""

        def progress(policy: str, stage: Stage, ended: int, total: int) -> None:
            if stage == "fit" and self._simulator is None:
                from recoworld.assembly import make_world

                self._simulator = make_world(self.config).simulator  # the one of this evaluation: it is kept for the next call
                close_at_exit(self._simulator)
            if stage in ("kept", "done"):
                self.finished.append(policy)
            if stage == "done":
                self._new.add(policy)
            tell(policy, stage, ended, total)

        return progress

    def board(self) -> Leaderboard | None:
        """What is finished, after a failure."""
        from recoworld.evaluation import Leaderboard

        path = None if self.folder is None else self.folder / "leaderboard.json"
        if not self.finished or path is None or not path.is_file():
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        return Leaderboard(
            rows=content["rows"], settings=content["settings"], env=content["env"], notes=tuple(content["notes"]), interrupted=True
        )

    def line(self) -> str:
        """What became of the replies, "" where nobody was asked. leaderboard.json has the same, beside what earlier runs noted there."""
        told = self._told()
        return in_a_line(self.config.simulator, told) if told else ""

    def advice(self) -> str:
        """What becomes of the replies that a broken run has paid for, "" where nobody was asked."""
        told = _report(self._simulator)
        if "llm" not in told or str(self.config.llm).startswith("replay:"):
            return ""
        if self._record is not None:
            return f"replies so far are in {self._record}: the same command asks for none of them again"
        return "there was no --record FILE: the replies to the policy in progress are lost, and will be asked for again"

    def _told(self) -> dict[str, Any]:
        told = _report(self._simulator)
        if not told.get("calls", True):
            return {}
        if told and self._record is not None:
            told["new_in_record"] = replies_in(self.config) - self._replies
        return told

    def _reports(self) -> list[dict[str, Any]]:
        told = self._told()
        return [*self._earlier, {"policies": sorted(self._new), "simulator": self.config.simulator, **told}] if told else self._earlier


def _report(simulator: Any) -> dict[str, Any]:
    """What a simulator reports, {} of those that do not."""
    report = getattr(simulator, "report", None)
    return dict(report()) if callable(report) else {}
