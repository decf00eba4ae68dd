"""``recoworld transfer``: policies tuned in one simulator, judged in the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recoworld.cli.errors import told_plainly


@told_plainly()
def transfer(
    simulators: Annotated[
        str, typer.Option(help="Two or more, by commas: names, presets, YAML files, module:function, NAME:key=value,...")
    ] = "behavioral,quiet,impatient,novelty",
    dataset: Annotated[str, typer.Option(help="A data set's name or an environment's id: see `recoworld list`.")] = "mini",
    policies: Annotated[
        str, typer.Option(help="Policies that compete as they are, by commas: names, module:Class, or NAME=SPEC.")
    ] = "random,popularity",
    tune: Annotated[
        str, typer.Option(help="Families to tune: genre, item-knn, als, ease, ease+instruct, ease+instruct+random; or all, or none.")
    ] = "all",
    users: Annotated[int, typer.Option(min=2, help="To tune on (validation users), and as many to judge on (test users).")] = 300,
    seeds: Annotated[int, typer.Option(min=1, help="Sessions a user.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of users drawn, sessions, policies' luck and bootstrap.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for transfer.json, .md, .png and results; run again to go on.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting that all worlds share: max_turns=30, reward.diversity=1.")
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of a local copy of the data; else $RECOWORLD_DATA.", show_default=False)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace results that are in the folder already.")] = False,
) -> None:
    """Tune policies in each simulator, judge them in all: does one game its own?

    With --out, every finished session is kept: Ctrl-C loses only the policy in progress, and the same command goes on from there.
    """
    from rich.console import Console
    from rich.text import Text

    from recoworld.cli.evaluate import INTERRUPTED
    from recoworld.cli.progress import shown
    from recoworld.cli.settings import words, world_settings
    from recoworld.configs import WorldConfig
    from recoworld.evaluation.transfer import transfer as transferred
    from recoworld.evaluation.transfer.naming import names

    _, settings = world_settings(dataset, set_ or [], "", data_dir)  # of what `recoworld build` found, the data alone
    with shown() as (progress, kept):
        result = transferred(
            WorldConfig.of(None, **settings),
            names(simulators),
            words(policies),
            tune=words(tune),
            users=users,
            seeds=seeds,
            seed=seed,
            out=out,
            fresh=fresh,
            progress=progress,
        )
    console = Console()
    console.print(result)
    for note in result.notes:
        console.print(Text("note: ", style="yellow"), Text(note), sep="", soft_wrap=True)
    if kept:
        console.print(f"{len(kept)} of these {'was' if len(kept) == 1 else 'were'} kept from an earlier run; --fresh plays all again.")
    if out is not None:
        there = [name for name in ("transfer.json", "transfer.md", "transfer.png", "results/") if (out.expanduser() / name).exists()]
        written = f"Written to {out}: {', '.join(there)}"
        console.print(written, soft_wrap=True, highlight=False, markup=False)
    if result.interrupted:
        done = f"{len(result.rows)} {'policy' if len(result.rows) == 1 else 'policies'} finished"
        where = f"kept in {out}; the same command goes on from there" if out is not None else "shown above, not saved (use --out DIR)"
        typer.echo(f"interrupted: {done}, {where}", err=True)
        raise typer.Exit(INTERRUPTED)
