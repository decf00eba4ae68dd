"""The command line: ``recoworld``. Heavy modules are imported where a command needs them, so that ``--help`` is there at once."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from recoworld.cli.demo import demo
from recoworld.cli.evaluate import evaluate
from recoworld.cli.lazy import LazyGroup, register
from recoworld.cli.listing import list_

app = typer.Typer(
    name="recoworld",
    cls=LazyGroup,
    help="Simulated users for recommenders: a gym, an evaluation, a leaderboard.",
    epilog="Start with: recoworld demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from recoworld.version import __version__

        typer.echo(f"recoworld {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    pass


app.command()(demo)
app.command()(evaluate)
app.command("list")(list_)
register(app)


def main() -> None:
    """Entry point of the console script."""
    if "" not in sys.path and not sys.flags.safe_path:
        sys.path.insert(0, "")  # the current folder, as with python -m: module:Class finds a module that lies there
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our symbols shows question marks, not a traceback
    app()
