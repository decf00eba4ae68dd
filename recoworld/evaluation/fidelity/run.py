"""Hold a simulator against people, section by section; what is finished is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from recoworld.dialogues import Corpus
from recoworld.errors import ConfigError, MissingExtra, SimulatorFailed
from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.fidelity.plan import Plan, plan
from recoworld.evaluation.fidelity.sections import SECTIONS, section
from recoworld.evaluation.fidelity.showing.report import Report

Stage = Literal["kept", "skipped", "run", "done"]
Progress = Callable[[str, Stage, int, int], None]
"""Called with a section's name, what happens to it, how many user-slates have just been answered, and how many it may take."""


def fidelity(
    simulator: Any = "behavioral",
    *,
    dataset: str,
    data_dir: str | None = None,
    settings: dict[str, Any] | None = None,
    users: int = 1000,
    seed: int = 0,
    split_seed: int = 0,
    sections: Sequence[str] = ("all",),
    moods: int = 4,
    out: str | Path | None = None,
    fresh: bool = False,
    dialogues: Corpus | None = None,
    progress: Progress | None = None,
) -> Report:
    """How a simulator's users compare with the people of a data set, on what they did after their visible part.

    Args:
        simulator: A registered name, a preset's, "module:Class", a builder, or a simulator; built on `Dataset.known` alone, but for one
            that is made already, of which a note says so.
        dataset: As for `recoworld.datasets.load_dataset`.
        data_dir: Folder of a local copy.
        settings: The simulator's own.
        users: How many are asked, drawn from the test users; validation users join them where those are too few.
        seed: Of users drawn, questions, luck and intervals.
        split_seed: Of the split into training, validation and test users.
        sections: Names of `SECTIONS`, or "all". Of "all", those that cannot be measured are skipped, which the report says.
        moods: Openings of a session over which each answer is averaged.
        out: Folder for fidelity.json, fidelity.md and pictures. What an earlier run of the same settings has finished there is kept and
            not asked again: sections, and single answers if they are slow to come. Results of other settings: ConfigError.
        fresh: Ask everything again and replace what is there.
        dialogues: Judged conversations, for simulators that read them (`recoworld.dialogues.DialogueReader`).
        progress: See `Progress`.

    Ctrl-C ends the report: the finished sections are returned, and `Report.interrupted` is set. A simulator that raises, or gives what is
    no answer, ends it too: SimulatorFailed, whose `report` holds the finished sections.
    Raises ConfigError, UnknownName, DatasetError, MissingExtra.
    """
    todo = plan(
        simulator,
        dataset=dataset,
        data_dir=data_dir,
        settings=settings,
        users=users,
        seed=seed,
        split_seed=split_seed,
        sections=sections,
        moods=moods,
        out=out,
        fresh=fresh,
        dialogues=dialogues,
    )
    return carried_out(todo, progress)


def carried_out(todo: Plan, progress: Progress | None = None) -> Report:
    """Measure what is not finished yet. Raises SimulatorFailed; ConfigError, MissingExtra for sections asked for by name."""
    finished: dict[str, tuple[Json, float]] = {name: kept for name in SECTIONS if (kept := todo.desk.section(name)) is not None}
    estimate = todo.estimate.as_dict() if todo.pilot.slow else None

    def tell(name: str, stage: Stage, answered: int = 0, total: int = 0) -> None:
        if progress is not None:
            progress(name, stage, answered, total)

    def report(interrupted: bool) -> Report:
        ordered = {name: finished[name] for name in SECTIONS if name in finished}
        made = Report(
            sections={name: found for name, (found, _) in ordered.items()},
            settings=todo.settings,
            notes=todo.notes,
            interrupted=interrupted,
            seconds={name: seconds for name, (_, seconds) in ordered.items()},
            estimate=estimate,
        )
        todo.desk.publish(made.files())
        return made

    try:
        for name in todo.sections:
            if name in finished:
                tell(name, "kept")
                continue
            report(True)
            finished[name] = _measured(todo, name, tell)
            if finished[name][0].keys() != {"skipped"}:  # what could not be had today may be there tomorrow
                todo.desk.keep(name, *finished[name])
            tell(name, "skipped" if "skipped" in finished[name][0] else "done")
    except KeyboardInterrupt:
        return _illustrated(todo, report(True))
    except SimulatorFailed as failed:
        told = SimulatorFailed(f"section {name!r}: {failed}")
        told.report = _illustrated(todo, report(True))
        raise told from failed.__cause__
    return _illustrated(todo, report(False))


def _measured(todo: Plan, name: str, tell: Callable[..., None]) -> tuple[Json, float]:
    start, total = time.perf_counter(), 0
    module = section(name)
    todo.witness.told = lambda slates: tell(name, "run", slates, total)
    try:
        total = int(module.asks(todo.witness))
        tell(name, "run", 0, total)
        found = dict(module.measure(todo.witness))
    except SimulatorFailed:
        raise
    except (MissingExtra, ConfigError) as error:  # anything else is a bug of ours
        if todo.named:
            raise
        found = {"skipped": str(error)}
    if todo.named and found.keys() == {"skipped"}:
        raise ConfigError(f"section {name!r} was asked for by name and cannot be measured: {found['skipped']}")
    return plain_json(found), time.perf_counter() - start


def plain_json(value: Any) -> Any:
    """Python's own numbers, and None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {str(key): plain_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(entry) for entry in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _illustrated(todo: Plan, report: Report) -> Report:
    """With pictures beside it, if there is a folder; without matplotlib a note says so."""
    if todo.desk.path is None:
        return report
    try:
        todo.desk.publish(report.pictures())
    except MissingExtra as error:
        report = replace(report, notes=(*report.notes, str(error)))
        todo.desk.publish(report.files())
    return report
