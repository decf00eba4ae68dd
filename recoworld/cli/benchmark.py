"""``recoworld benchmark``: protocols of the literature, offline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recoworld.cli.errors import told_plainly

if TYPE_CHECKING:
    from recoworld.evaluation.starec.run import Progress, Stage

app = typer.Typer(name="benchmark", help="Protocols of the literature, offline: rank what people liked next.", no_args_is_help=True)


@app.callback()
def _only() -> None:
    """Protocols of the literature, offline: rank what people liked next."""


@app.command()
@told_plainly()
def starec(
    dataset: Annotated[str, typer.Option(help="A data set with an order of time: ml-1m, amazon-cds, mini, recbole:PATH, ...")] = "ml-1m",
    methods: Annotated[
        str, typer.Option(help="By commas: pop, bpr, gru4rec, sasrec, any policy of `recoworld list`, module:Class.")
    ] = "pop,bpr,gru4rec,sasrec",
    out: Annotated[Path | None, typer.Option(help="Folder for the table and results; run again to go on.", show_default=False)] = None,
    runs: Annotated[int, typer.Option(min=1, help="Each with candidates and training of its own seed.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the first run; the others count on from it.")] = 0,
    users: Annotated[
        int | None, typer.Option(min=1, help="How many are asked; all if not given. Training knows all.", show_default=False)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Users drawn before items and users are filtered; all if not given.", show_default=False)
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of a local copy of the data; else $RECOWORLD_DATA.", show_default=False)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace results that are in the folder already.")] = False,
) -> None:
    """STARec's protocol: leave-one-out, one positive among 19 random negatives, NDCG (arXiv 2508.18812).

    With --out, each run is kept and training goes on after its last epoch: Ctrl-C loses little, and the same command goes on from there.
    """
    from rich.console import Console

    from recoworld.cli.evaluate import INTERRUPTED
    from recoworld.cli.settings import words
    from recoworld.datasets import load_dataset
    from recoworld.evaluation.starec import Protocol, benchmark

    data = load_dataset(dataset, data_dir=data_dir)
    with _bars(runs) as progress:
        table = benchmark(
            data,
            words(methods),
            protocol=Protocol(sample=sample),
            runs=runs,
            seed=seed,
            users=users,
            out=out,
            fresh=fresh,
            progress=progress,
        )
    console = Console()
    if table.rows:
        console.print(table)
    if out is not None:
        console.print(f"Written to {out}: table.json, table.md, results/", soft_wrap=True, highlight=False, markup=False)
    if table.interrupted:
        where = f"kept in {out}; the same command goes on from there" if out is not None else "shown above, not saved (use --out DIR)"
        typer.echo(f"interrupted: {where}", err=True)
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _bars(runs: int) -> Iterator[Progress]:
    """A bar a method, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[doing]:<22}"), TimeElapsedColumn())
    bar = Bar(TextColumn("{task.description:<14}"), *columns, console=Console(stderr=True))
    tasks = {}

    def progress(method: str, stage: Stage, run: int, word: str) -> None:
        if method not in tasks:
            bar.start()
            tasks[method] = bar.add_task(method, total=runs, doing="")
        ended = stage in ("kept", "done")
        bar.update(tasks[method], completed=run + ended, doing=word)
        if ended and run + 1 == runs:
            bar.stop_task(tasks[method])

    try:
        yield progress
    finally:
        if tasks:  # else it would leave an empty line
            bar.stop()
