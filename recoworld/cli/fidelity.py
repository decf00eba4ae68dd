"""``recoworld fidelity``: a simulated user held against real ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from recoworld.cli.errors import told_plainly
from recoworld.cli.evaluate import INTERRUPTED
from recoworld.errors import ConfigError

if TYPE_CHECKING:
    from recoworld.evaluation.fidelity.run import Progress, Stage


@told_plainly()
def fidelity(
    simulator: Annotated[str, typer.Argument(help="A simulator or a preset: see `recoworld list`; or module:Class.")] = "behavioral",
    dataset: Annotated[
        str | None,
        typer.Option(help="Whose people it is held against, by data set or environment: see `recoworld list`; else the preset's, or mini."),
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of a local copy of the data; else $RECOWORLD_DATA.", show_default=False)
    ] = None,
    users: Annotated[int, typer.Option(help="How many people, drawn from the held-out ones.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of people drawn, questions, luck and intervals.")] = 0,
    split_seed: Annotated[int, typer.Option(min=0, help="Of the split into training, validation and test users.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting of the simulator: talkative=0.9.")] = None,
    sections: Annotated[str, typer.Option(help="Names, separated by commas: choice, alignment, ratings, ...; or all.")] = "all",
    moods: Annotated[int, typer.Option(help="Openings of a session over which each answer is averaged.")] = 4,
    out: Annotated[
        Path | None, typer.Option(help="Folder for fidelity.json, fidelity.md and pictures; run again to go on.", show_default=False)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask again what is in the folder already.")] = False,
    dialogues: Annotated[str | None, typer.Option(help="A corpus of judged dialogues to read: uss.", show_default=False)] = None,
    dialogues_dir: Annotated[str | None, typer.Option(help="Folder of its local copy.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and ask nothing but a few questions.")] = False,
) -> None:
    """Hold a simulated user against real ones: what is skill, what is trivial?

    The simulator knows what a policy may know; it is asked what held-out people did later. With --out, Ctrl-C loses only the section in
    progress, and of slow simulators only the answers in progress: the same command goes on from there.
    """
    from rich.console import Console

    from recoworld.cli.settings import setting, words
    from recoworld.datasets import load_corpus
    from recoworld.errors import SimulatorFailed
    from recoworld.evaluation.fidelity.plan import plan
    from recoworld.evaluation.fidelity.run import carried_out

    whose, data_dir = _opened(simulator, dataset, data_dir)
    settings = dict(setting(pair, "--set talkative=0.9") for pair in set_ or [])
    settings = {key.removeprefix("simulator_config."): value for key, value in settings.items()}
    corpus = None if dialogues is None else load_corpus(dialogues, data_dir=dialogues_dir)
    warned = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        todo = plan(
            simulator,
            dataset=whose,
            data_dir=data_dir,
            settings=settings,
            users=users,
            seed=seed,
            split_seed=split_seed,
            sections=words(sections),
            moods=moods,
            out=out,
            fresh=fresh,
            dialogues=corpus,
            dry=dry_run,
        )
        if dry_run:
            for name, slates in todo.remaining.slates.items():
                typer.echo(f"{name:<18}{slates:>12,}")
            typer.echo(todo.remaining.sentence())
            return
        if todo.pilot.slow:
            warned.print(f"expected: {todo.remaining.sentence()}", markup=False)
        with _bars() as (progress, kept):
            report = carried_out(todo, progress)
    except KeyboardInterrupt:
        _farewell([], out)
    except SimulatorFailed as failed:
        if failed.report is not None and failed.report.sections:
            Console().print(failed.report)
        raise
    console = Console()
    console.print(report)
    if kept:
        console.print(f"Kept from an earlier run: {', '.join(kept)}; --fresh asks again.", soft_wrap=True, highlight=False)
    if out is not None:
        written = [*report.files(), *sorted(path.name for path in out.expanduser().glob("*.png"))]
        console.print(f"Written to {out}: {', '.join(written)}", soft_wrap=True, highlight=False, markup=False)
    if report.interrupted:
        _farewell(list(report.sections), out)


def _opened(simulator: str, dataset: str | None, data_dir: str | None) -> tuple[str, str | None]:
    """Name and folder of the data set: that of an environment's id, or a preset's own. Raises ConfigError where two are named."""
    from recoworld.cli.settings import environment
    from recoworld.configs import WorldConfig

    preset = WorldConfig.of(simulator) if simulator.endswith((".yaml", ".yml")) else WorldConfig()
    own = preset.dataset if "dataset" in preset.model_fields_set else None
    if dataset is None and own is not None:
        return own, data_dir or preset.data_dir
    elsewhere = dataset is not None and ":" in dataset  # recbole:PATH, module:function
    settings = {"dataset": dataset} if elsewhere else environment(dataset or "mini", data_dir)[1]
    name, folder = str(settings["dataset"]), data_dir or settings.get("data_dir")
    if own not in (None, name):
        raise ConfigError(f"{simulator} is a preset for the data set {own!r}; got --dataset {dataset}: leave it out, or change the preset")
    return name, folder


def _farewell(finished: list[str], out: Path | None) -> NoReturn:
    """After Ctrl-C: say what was kept and where, and end with code 130."""
    where = f"kept in {out}; the same command goes on from there" if out is not None else "not saved (use --out DIR)"
    typer.echo(f"interrupted: {', '.join(finished) or 'no section'} finished, {where}", err=True)
    raise typer.Exit(INTERRUPTED)


@contextmanager
def _bars() -> Iterator[tuple[Progress, list[str]]]:
    """A bar a section, on stderr; and the names of the sections that were kept from before."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    kept: list[str] = []
    tasks: dict[str, Any] = {}
    columns = TextColumn("{task.description:<16}"), BarColumn(20), TextColumn("{task.fields[doing]:<24}"), TimeElapsedColumn()
    bar = Bar(*columns, console=Console(stderr=True))

    def progress(section: str, stage: Stage, answered: int, total: int) -> None:
        if section not in tasks:
            tasks[section] = bar.add_task(section.replace("_", " "), total=max(total, 1), doing="")
        task = tasks[section]
        if stage == "run":
            bar.update(task, advance=answered, total=max(total, 1))
            bar.update(task, doing=f"{bar.tasks[task].completed:,.0f} slates")
            return
        if stage == "kept":
            kept.append(section)
        bar.update(task, completed=0 if stage == "skipped" else bar.tasks[task].total)
        bar.update(task, doing="kept from before" if stage == "kept" else stage)
        bar.stop_task(task)

    with bar:
        yield progress, kept
