"""``recoworld evaluate``: policies on simulated sessions, as a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recoworld.cli.errors import told_plainly

if TYPE_CHECKING:
    from rich.console import Console

    from recoworld.cli.meeting import Meeting
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
    simulator: Annotated[
        str | None, typer.Option(help="Whose users: behavioral, hybrid, llm, ...: see `recoworld list`.", show_default=False)
    ] = None,
    llm: Annotated[
        str | None, typer.Option(help="Their language model: local, openai:MODEL, vllm:MODEL, scripted, ...", show_default=False)
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="File that keeps every reply of the model: none is asked for twice.", show_default=False)
    ] = None,
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

    With --out, each finished policy is kept: Ctrl-C, or a language model that is gone, loses only the one in progress, and the same
    command goes on from there. --simulator NAME, --llm SPEC and --record FILE are short for --set simulator=NAME, --set llm=SPEC and
    --set simulator_config.record=FILE.
    """
    from rich.console import Console

    from recoworld.cli.meeting import Meeting
    from recoworld.cli.progress import shown
    from recoworld.cli.settings import words, world_settings
    from recoworld.configs import WorldConfig
    from recoworld.errors import LanguageModelError
    from recoworld.evaluation import evaluate as evaluated
    from recoworld.evaluation.store import stem

    name, settings = world_settings(env, set_ or [], config, data_dir, simulator=simulator, llm=llm, record=record)
    world = WorldConfig.of(config, **settings)
    console, failure = Console(), None
    with Meeting(world, out, fresh=fresh, save_sessions=save_sessions) as meeting:
        with shown() as (progress, kept):
            try:
                board: Leaderboard | None = evaluated(
                    world,
                    words(policies),
                    users=users,
                    seeds=seeds,
                    seed=seed,
                    group=group,
                    out=meeting.folder,
                    fresh=fresh,
                    save_sessions=save_sessions,
                    env=name,
                    progress=meeting.noting(progress),
                )
            except LanguageModelError as error:
                failure, board = error, meeting.board()
        if board is not None:
            report(board, console)
        if line := meeting.line():
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    if failure is not None:
        raise LanguageModelError(f"{failure}\n{_ended(meeting.finished, out, meeting)}") from failure
    assert board is not None
    if kept:
        console.print(f"{len(kept)} of these {'was' if len(kept) == 1 else 'were'} kept from an earlier run; --fresh computes all again.")
    if out is not None:
        logs = (
            f", sessions/ (read one: recoworld replay {out}/sessions/{stem(board.rows[0]['policy'])}.jsonl)"
            if save_sessions and board.rows
            else ""
        )
        console.print(f"Written to {out}: leaderboard.json, leaderboard.csv, results/{logs}", soft_wrap=True, highlight=False, markup=False)
    if board.interrupted:
        farewell(board, out, meeting)


def report(board: Leaderboard, console: Console) -> None:
    """Print the table and the notes."""
    from rich.text import Text

    if board.rows:
        console.print(board)
    for note in board.notes:
        console.print(Text("note: ", style="yellow"), Text(note), sep="", soft_wrap=True)


def farewell(board: Leaderboard, out: Path | None, meeting: Meeting | None = None) -> None:
    """After Ctrl-C: say what was kept and where, and end with code 130."""
    typer.echo(f"interrupted: {_ended([row['policy'] for row in board.rows], out, meeting)}", err=True)
    raise typer.Exit(INTERRUPTED)


def _ended(finished: list[str], out: Path | None, meeting: Meeting | None) -> str:
    """What is left of a run that was broken off, and what to do."""
    said = "no policy finished"
    if finished:
        where = f"kept in {out}; the same command goes on from there" if out is not None else "shown above, not saved (use --out DIR)"
        said = f"{', '.join(finished)} finished, {where}"
    advice = "" if meeting is None else meeting.advice()
    return said + (f"\n{advice}" if advice else "")
