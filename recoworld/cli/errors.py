"""Errors as a command shows them: one clear message and exit code 2, no traceback."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, get_type_hints

import typer
from rich.console import Console
from rich.text import Text
from typer.models import OptionInfo

from recoworld.errors import RecoWorldError

EXIT_CODE = 2
P = ParamSpec("P")
T = TypeVar("T")


def told_plainly() -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a command: what RecoWorld raises on purpose is printed to stderr and ends it with code 2.

    Warnings are printed as one line each. Any other exception is a bug and keeps its traceback.
    """

    def decorated(command: Callable[P, T]) -> Callable[P, T]:
        @wraps(command)
        def told(*args: P.args, **kwargs: P.kwargs) -> T:
            with _telling(command):
                return command(*args, **kwargs)
            raise AssertionError  # _telling ends the command on every error that it takes

        return told

    return decorated


@contextmanager
def _telling(command: Callable[..., Any]) -> Iterator[None]:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: console.print(Text("warning: ", style="yellow"), Text(str(message)), sep="")
        try:
            yield
        except RecoWorldError as error:
            console.print(Text("error: ", style="bold red"), Text(in_options(str(error), command)), sep="")
            raise typer.Exit(EXIT_CODE) from None


def in_options(message: str, command: Callable[..., Any]) -> str:
    """What a message says to do in Python, as the command's own options: ``encoding='latin-1'`` is ``--encoding latin-1``.

    Only an argument by which the command has an option; a name without ``=`` only where it has an underscore, as no English word has.
    """
    for name, hint in get_type_hints(command, include_extras=True).items():
        if not any(isinstance(entry, OptionInfo) for entry in getattr(hint, "__metadata__", ())):
            continue
        name = name.rstrip("_")
        option, start = f"--{name.replace('_', '-')}", rf"(?<![\w.'\"/=-]){name}"
        message = re.sub(rf"{start}=True\b", option, message)
        message = re.sub(rf"{start}='([\w.-]+)'", rf"{option} \1", message)
        message = re.sub(rf"{start}=(?![\w'\"])", option, message)
        if "_" in name:
            message = re.sub(rf"{start}(?![\w=./])", option, message)
    return message
