"""Errors as a command shows them: one clear message and exit code 2, no traceback."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.text import Text

from recoworld.errors import RecoWorldError

EXIT_CODE = 2


@contextmanager
def told_plainly() -> Iterator[None]:
    """Around a command, or decorating it: what RecoWorld raises on purpose is printed to stderr and ends it with code 2.

    Warnings are printed as one line each. Any other exception is a bug and keeps its traceback.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: console.print(Text("warning: ", style="yellow"), Text(str(message)), sep="")
        try:
            yield
        except RecoWorldError as error:
            console.print(Text("error: ", style="bold red"), Text(str(error)), sep="")
            raise typer.Exit(EXIT_CODE) from None
