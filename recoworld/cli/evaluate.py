"""``recoworld evaluate``: policies on simulated sessions, as a leaderboard."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recoworld.cli.errors import told_plainly

if TYPE_CHECKING:
    from rich.console import Console

    from recoworld.configs import WorldConfig
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

    from recoworld.assembly import make_world
    from recoworld.cli.progress import shown
    from recoworld.cli.settings import words, world_settings
    from recoworld.cli.users import check_model, close_at_exit, in_a_line
    from recoworld.configs import WorldConfig
    from recoworld.errors import LanguageModelError
    from recoworld.evaluation import evaluate as evaluated
    from recoworld.evaluation.store import stem

    name, settings = world_settings(env, set_ or [], config, data_dir, simulator=simulator, llm=llm, record=record)
    world = WorldConfig.of(config, **settings)
    check_model(world)
    console, failure = Console(), None

    @cache
    def closing() -> None:
        close_at_exit(make_world(world).simulator)  # this evaluation's: it is kept for the next call

    with shown() as (progress, kept):

        def told(*what: Any) -> None:
            closing()
            progress(*what)

        try:
            board = evaluated(
                world,
                words(policies),
                users=users,
                seeds=seeds,
                seed=seed,
                group=group,
                out=out,
                fresh=fresh,
                save_sessions=save_sessions,
                env=name,
                progress=told,
            )
        except LanguageModelError as error:
            if error.board is None:  # before anybody was asked
                raise
            failure, board = error, error.board
    report(board, console)
    if board.simulator_report is not None:
        console.print(in_a_line(board.simulator_report), soft_wrap=True, highlight=False, markup=False)
    if failure is not None:
        raise LanguageModelError(f"{failure}\n{_ended(board, out, world)}") from failure
    if kept:
        console.print(f"{len(kept)} of these {'was' if len(kept) == 1 else 'were'} kept from an earlier run; --fresh computes all again.")
    if out is not None and (board.rows or not board.interrupted):
        where = f"Written to {out}: leaderboard.json, leaderboard.csv, results/"
        if save_sessions and board.rows:
            where += f", sessions/ (read one: recoworld replay {out}/sessions/{stem(board.rows[0]['policy'])}.jsonl)"
        console.print(where, soft_wrap=True, highlight=False, markup=False)
    if board.interrupted:
        farewell(board, out, world)


def report(board: Leaderboard, console: Console) -> None:
    """Print the table and the notes."""
    from rich.text import Text

    if board.rows:
        console.print(board)
    for note in board.notes:
        console.print(Text("note: ", style="yellow"), Text(note), sep="", soft_wrap=True)


def farewell(board: Leaderboard, out: Path | None, config: WorldConfig | None = None) -> None:
    """After Ctrl-C: say what was kept and where, and end with code 130."""
    typer.echo(f"interrupted: {_ended(board, out, config)}", err=True)
    raise typer.Exit(INTERRUPTED)


def _ended(board: Leaderboard, out: Path | None, config: WorldConfig | None) -> str:
    """What is left of a run that was broken off, and what to do."""
    from recoworld.cli.users import advice

    said = "no policy finished"
    if board.rows:
        where = f"kept in {out}; the same command goes on from there" if out is not None else "shown above, not saved (use --out DIR)"
        said = f"{', '.join(row['policy'] for row in board.rows)} finished, {where}"
    return "\n".join(filter(None, (said, advice(config, board.simulator_report))))
