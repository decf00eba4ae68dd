"""``recoworld build``: from a log of one's own to an environment, in one command."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recoworld.cli import columns
from recoworld.cli.errors import told_plainly
from recoworld.cli.evaluate import INTERRUPTED

if TYPE_CHECKING:
    from rich.console import Console

    from recoworld.evaluation.build import Built


@told_plainly()
def build(
    log: columns.Log,
    user: Annotated[str | None, columns.USER] = None,
    item: Annotated[str | None, columns.ITEM] = None,
    name: columns.Name = None,
    rating: columns.Rating = None,
    time: columns.Time = None,
    title: columns.Title = None,
    genres: columns.Genres = None,
    year: columns.Year = None,
    items: columns.Items = None,
    like_threshold: columns.LikeThreshold = None,
    encoding: columns.Encoding = "utf-8",
    users: Annotated[int, typer.Option(min=2, help="Users to calibrate on, and to hold the simulated ones against.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of users drawn, questions and bootstrap.")] = 0,
    sections: Annotated[
        str, typer.Option(help="Of the report, separated by commas, or all: see `recoworld fidelity`.")
    ] = "choice,ratings,diversity",
    click_rate: Annotated[
        float | None, typer.Option(help="Of what a good recommender shows, if you know it.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report; else NAME.report beside the imported logs.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier build or import of this name.")] = False,
) -> None:
    """A log of your own becomes an environment that gym.make opens by name.

    It is imported, its users are fitted, calibrated on what they took later where there are enough of them, and held against the people.
    Columns that are not named are guessed; "" is none. What is finished is kept: the same command goes on where it was interrupted.
    """
    from rich.console import Console
    from rich.text import Text

    from recoworld.cli.settings import words
    from recoworld.evaluation.build import build_world

    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        with Console(stderr=True).status("reading the log") as status:
            built = build_world(
                log,
                name=name or columns.name_of(log),
                columns={"user": user, "item": item, "rating": rating, "time": time, "title": title, "genres": genres, "year": year},
                items=items,
                like_threshold=like_threshold,
                encoding=encoding,
                users=users,
                seed=seed,
                sections=tuple(words(sections)),
                click_rate=click_rate,
                out=out,
                overwrite=overwrite,
                say=console.print,
                doing=status.update,
            )
    except KeyboardInterrupt:
        same = "the same command" + " without --overwrite" * overwrite
        typer.echo(f"interrupted: what is finished is kept; {same} goes on from there", err=True)
        raise typer.Exit(INTERRUPTED) from None
    for finding in built.findings:
        console.print(Text("note: ", style="yellow"), Text(finding), sep="")
    _farewell(built, console)


def _farewell(built: Built, console: Console) -> None:
    """How to open the world, evaluate policies in it, and where its report is."""
    from recoworld.envs.register import register_all

    register_all()
    env = f"RecoWorld-{built.dataset.name}-v0"
    console.print(f'\nOpen it:   import gymnasium; env = gymnasium.make("{env}")')
    console.print(f"Evaluate:  recoworld evaluate --env {env} --policies popularity,ease")
    if built.held_out < 2:
        console.print("           It is too small to evaluate on held-out users: those are users whose logs policies learn from.")
    if built.report is not None:
        console.print(f"Report:    {built.report / 'fidelity.md'}")
    home = os.environ.get("RECOWORLD_HOME")
    if home:
        where = shlex.quote(str(Path(home).absolute()))
        console.print(f"It is found where RECOWORLD_HOME is set as it is now: export RECOWORLD_HOME={where}")
