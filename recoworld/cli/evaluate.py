"""``recoworld evaluate``: policies on simulated sessions, as a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recoworld.cli.errors import told_plainly

if TYPE_CHECKING:
    from recoworld.evaluation import Leaderboard

INTERRUPTED = 130
"""Exit code of a command that was ended by Ctrl-C, as shells have it."""


@told_plainly()
def evaluate(
    env: Annotated[
        str | None,
        typer.Option(
            help="An environment's id or a data set's name: see `recoworld list`; else --config's, else RecoWorld-Mini-v0.",
            show_default=False,
        ),
    ] = None,
    policies: Annotated[str, typer.Option(help="Names, separated by commas, or all: see `recoworld list`.")] = "all",
    users: Annotated[int | None, typer.Option(min=1, help="How many users; all of the group if not given.", show_default=False)] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Sessions a user.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of users drawn, sessions, policies' luck and bootstrap.")] = 0,
    group: Annotated[str, typer.Option(help="Whose sessions: test, validation, train or all users.")] = "test",
    out: Annotated[
        Path | None, typer.Option(help="Folder for leaderboard.json, .csv and results; run again to go on.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the world: max_turns=30, reward.diversity=1, simulator_config.talkative=0.9."),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="A preset, or a YAML file of settings: see `recoworld list`.", show_default=False)
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of a local copy of the data; else $RECOWORLD_DATA.", show_default=False)
    ] = None,
    save_sessions: Annotated[int, typer.Option(min=0, help="Also write the first N sessions of each policy, to replay.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace results that are in the folder already.")] = False,
) -> None:
    """Evaluate policies on simulated sessions: the same users and the same luck for all.

    With --out, each finished policy is kept: Ctrl-C loses only the one in progress, and the same command goes on from there.
    """
    from rich.console import Console

    from recoworld.cli.progress import shown
    from recoworld.cli.settings import words, world_settings
    from recoworld.configs import WorldConfig
    from recoworld.evaluation import evaluate as evaluated

    name, settings = world_settings(env, set_ or [], config, data_dir)
    world = WorldConfig.of(config, **settings)
    names = words(policies)
    with shown() as (progress, kept):
        board = evaluated(
            world,
            names,
            users=users,
            seeds=seeds,
            seed=seed,
            group=group,
            out=out,
            fresh=fresh,
            save_sessions=save_sessions,
            env=name,
            progress=progress,
        )
    console = Console()
    report(board, console)
    if kept:
        console.print(f"{len(kept)} of these {'was' if len(kept) == 1 else 'were'} kept from an earlier run; --fresh computes all again.")
    if out is not None:
        logs = (
            f", sessions/ (read one: recoworld replay {out}/sessions/{board.rows[0]['policy']}.jsonl)"
            if save_sessions and board.rows
            else ""
        )
        console.print(f"Written to {out}: leaderboard.json, leaderboard.csv, results/{logs}", soft_wrap=True, highlight=False, markup=False)
    if board.interrupted:
        farewell(board, out)


def report(board: Leaderboard, console: object) -> None:
    """Print the table and the notes."""
    from rich.console import Console
    from rich.text import Text

    assert isinstance(console, Console)
    if board.rows:
        console.print(board)
    for note in board.notes:
        console.print(Text("note: ", style="yellow"), Text(note), sep="", soft_wrap=True)


def farewell(board: Leaderboard, out: Path | None) -> None:
    """After Ctrl-C: say what was kept and where, and end with code 130."""
    done = ", ".join(row["policy"] for row in board.rows) or "no policy"
    where = f"kept in {out}; the same command goes on from there" if out is not None else "shown above, not saved (use --out DIR)"
    typer.echo(f"interrupted: {done} finished, {where}", err=True)
    raise typer.Exit(INTERRUPTED)
