"""Every error RecoWorld raises on purpose.

    RecoWorldError
     |- ConfigError       (ValueError)   a setting is wrong: key, type or range
     |   '- SimulatorFailed              a simulator under test raised an error, or said what is no answer
     |- UnknownName       (KeyError)     no such dataset, simulator, policy, reward or user; says what is near
     |- InvalidSlate      (ValueError)   a slate of the wrong length, range or type, or with repeated items
     |- SessionOver       (RuntimeError) a step after the user has left or the session was cut
     |- TrainingFailed    (RuntimeError) training cannot go on: a runner raised an error, or numbers are no longer finite
     |- LanguageModelError (RuntimeError) a language model that cannot be loaded or reached, after all tries
     |- MissingExtra      (ImportError)  an optional dependency is not installed; says what to install
     '- DatasetError
         |- DataMissing                  the files are not there
         |- DataCorrupt                  the files are there and are not what they should be
         |- DownloadFailed               no network, a broken transfer, a wrong checksum
         '- CacheUnwritable              a cache folder, or a file of sessions, cannot be written

Each message says what was got, what was expected, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class RecoWorldError(Exception):
    """Base of all errors that RecoWorld raises on purpose. They may be pickled, for Ray sends them from process to process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[RecoWorldError], args: tuple[Any, ...], state: dict[str, Any]) -> RecoWorldError:
    """An error as it was, whatever its own class is made from."""
    error = kind.__new__(kind, *args)
    super(RecoWorldError, error).__init__(*args)
    error.__dict__.update(state)
    return error


class ConfigError(RecoWorldError, ValueError):
    """A setting is wrong: its key, its type or its range."""


class SimulatorFailed(ConfigError):
    """A simulator under test raised an error, or what it said is no answer; says which simulator, and where."""

    report: Any = None
    """What was finished before, where a report was being made (`recoworld.evaluation.fidelity.Report`)."""


class UnknownName(RecoWorldError, KeyError):
    """No component, user or item has this name; the message names the nearest ones."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        options = sorted(known)
        folded = {option.casefold(): option for option in options}
        near = [folded[key] for key in difflib.get_close_matches(str(name).casefold(), folded, n=3, cutoff=0.5)]
        shown = ", ".join(options[:12]) + (f", ... ({len(options)} in all)" if len(options) > 12 else "")
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        self.message = f"unknown {kind} {name!r}: {hint}known: {shown or 'none'}"
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return self.message


class InvalidSlate(RecoWorldError, ValueError):
    """A slate that no user can be shown."""


class SessionOver(RecoWorldError, RuntimeError):
    """A step after the session's end."""


class TrainingFailed(RecoWorldError, RuntimeError):
    """Training cannot go on: an env runner or learner raised an error, or a return or loss is not finite."""


class LanguageModelError(RecoWorldError, RuntimeError):
    """A language model that cannot answer: what was tried, what came back, and what to do. Replies that came before are not lost."""

    board: Any = None
    """What was finished before, where policies were being evaluated (`recoworld.evaluation.Leaderboard`)."""


class MissingExtra(RecoWorldError, ImportError):
    """An optional dependency is missing."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'recoworld[{extra}]' "
            f"(in a checkout: pip install -c constraints.txt '.[{extra}]')"
        )


class DatasetError(RecoWorldError):
    """A data set cannot be had."""


class DataMissing(DatasetError, FileNotFoundError):
    """The files are not there."""


class DataCorrupt(DatasetError, ValueError):
    """The files are there and are not what they should be."""


class DownloadFailed(DatasetError, OSError):
    """No network, a broken transfer, or a wrong checksum."""


class CacheUnwritable(DatasetError, OSError):
    """A folder or file is full or read-only."""
