"""``recoworld train``: a policy learns in a simulated world, and is judged on users it never met."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recoworld.cli.errors import told_plainly
from recoworld.cli.evaluate import INTERRUPTED
from recoworld.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from recoworld.configs.training import TrainConfig
    from recoworld.training.run import Outcome


@told_plainly()
def train(
    config: Annotated[str | None, typer.Argument(help="A name (see --list), or the path of a YAML file.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder: figures, checkpoints, the policy, final.json.", show_default=False)
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: iterations=50, settings.lr=0.001, world.max_turns=10.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, and only that.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the run in the folder and start anew.")] = False,
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of a local copy of the data; else $RECOWORLD_DATA.", show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Name the configs that ship with RecoWorld.")] = False,
) -> None:
    """Train a policy with RLlib, and judge it on users it never met.

    It is judged beside untrained policies and the oracle. Every iteration is kept: after Ctrl-C, or worse, the same command goes on from
    there. With more iterations set, so does a finished run.
    """
    from rich.console import Console

    if list_:
        _list(Console())
        return
    if config is None or out is None:
        raise ConfigError(f"{'which training' if config is None else 'where to'} is not said; expected: recoworld train CONFIG --out DIR")
    todo = _config(config, set_ or [], data_dir)
    from recoworld.cli.training_bar import TrainingBar
    from recoworld.training.run import train as trained

    with TrainingBar(todo) as bar:
        ended = trained(todo, out, resume=resume, fresh=fresh, watcher=bar)
    if ended.interrupted:
        reached = ended.reached.iteration
        typer.echo(
            f"interrupted: iteration {reached} is kept in {out}; the same command goes on from there"
            + (f", and with --set iterations={reached} it ends the run there and judges it" if reached else ""),
            err=True,
        )
        raise typer.Exit(INTERRUPTED)
    _report(ended, out, Console())


def _config(source: str, pairs: list[str], data_dir: str | None) -> TrainConfig:
    from recoworld.cli.settings import setting
    from recoworld.configs.training import TrainConfig

    changes: dict[str, Any] = dict(setting(pair, "--set iterations=50 or --set settings.lr=0.001") for pair in pairs)
    if data_dir is not None:
        changes["world.data_dir"] = data_dir
    return TrainConfig.of(source, changes)


def _list(console: Console) -> None:
    from rich import box
    from rich.table import Table

    from recoworld.configs.training import trainings

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("config", style="cyan", no_wrap=True)
    table.add_column("is")
    for name, words in trainings().items():
        table.add_row(name, words)
    console.print(table)
    console.print("recoworld train NAME --out DIR", highlight=False)


def _report(ended: Outcome, out: Path, console: Console) -> None:
    """The trained policy against the best untrained one and the oracle."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    assert ended.final is not None
    assert ended.board is not None
    final = ended.final
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", title="Return a session, test users", title_justify="left")
    table.add_column("policy", style="cyan")
    table.add_column("return", justify="right")
    table.add_column("95 % interval", justify="right")
    rows = [("oracle", final["oracle"]), (f"trained: {final['policy']}", final["return"])]
    if final["best_untrained"]:
        rows.append((f"best untrained: {final['best_untrained']['policy']}", final["best_untrained"]))
    for name, row in sorted((row for row in rows if row[1]), key=lambda row: -row[1]["mean"]):
        interval = "" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"
        table.add_row(name, f"{row['mean']:.2f}", interval)
    console.print(table)
    if final["gap_closed"] is not None:
        best, closed = final["best_untrained"]["policy"], final["gap_closed"]
        gap = f"the gap between {best} and the oracle"
        below = f"It is below {best}, by {-closed:.0%} of {gap}."
        console.print(f"{closed:.0%} of {gap} is closed." if closed >= 0 else below, soft_wrap=True)
    for note in ended.board.notes:
        console.print(Text("note: ", style="yellow"), Text(note), sep="", soft_wrap=True)
    console.print(
        f"Written to {out}: final.json, leaderboard.csv, curve.jsonl, tensorboard/, policy/ (by name: rllib:{out})",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
