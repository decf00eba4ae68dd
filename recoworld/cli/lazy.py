"""Commands whose modules are imported when they are called, not when they are listed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "play": ("recoworld.cli.play:play", "Take a seat: recommend to a simulated user, or be the user."),
    "replay": ("recoworld.cli.replay:replay", "Show stored sessions, turn by turn."),
    "data": ("recoworld.cli.data:app", "Data sets: download, check, describe, import your own log."),
    "build": ("recoworld.cli.build:build", "A log of your own becomes an environment that gym.make opens by name."),
    "fidelity": ("recoworld.cli.fidelity:fidelity", "Hold a simulated user against real ones: what is skill, what is trivial?"),
    "calibrate": ("recoworld.cli.calibrate:calibrate", "Fit a simulator to training users' choices; before and after on test users."),
    "train": ("recoworld.cli.train:train", "Train a policy with RLlib, and judge it on users it never met."),
    "benchmark": ("recoworld.cli.benchmark:app", "Protocols of the literature, offline: rank what people liked next."),
    "transfer": ("recoworld.cli.transfer:transfer", "Tune policies in each simulator, judge them in all: does one game its own?"),
}
"""Name -> where it is, and its line in the list of commands."""


class LazyGroup(TyperGroup):
    """A group with `COMMANDS`: until one is called, a line of help stands for it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Click's step from words to command."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = _loaded(args[0])
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the lines of help."""
    for name, (_, line) in COMMANDS.items():
        app.command(name, help=line)(_nothing)


def _loaded(name: str) -> Any:
    module, attribute = COMMANDS[name][0].split(":")
    thing = getattr(import_module(module), attribute)
    if isinstance(thing, typer.Typer):
        command: Any = typer.main.get_group(thing)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(name)(thing)
        command = typer.main.get_command(alone)
    command.name = name
    return command


def _nothing() -> None:
    pass
