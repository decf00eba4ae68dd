"""A simulator whose every word is checked, and whose errors are told from the harness's own."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from recoworld.errors import RecoWorldError, SimulatorFailed
from recoworld.evaluation.fidelity.asking import replies
from recoworld.luck import Luck
from recoworld.types import Feedback, Floats, History, Ints, Mindset, Slates, UserSimulator


class Checked:
    """Stands for the simulator before a `World` and before the sections: what else that has (`config`, `appeal`, ...) is there too.

    Whatever the simulator raises becomes a `SimulatorFailed`, and so does an answer that is none (see `replies`).
    """

    def __init__(self, name: str, simulator: UserSimulator) -> None:
        self._called, self._simulator = name, simulator

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        """As `UserSimulator.begin`."""
        with raising(self._called):
            opened = self._simulator.begin(users, luck)
        replies.mindset(self._gave("begin"), opened, len(users))
        return opened

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        """As `UserSimulator.respond`."""
        with raising(self._called):
            reply: Any = self._simulator.respond(mindset, history, slates, luck)
        where = self._gave("respond")
        if not isinstance(reply, tuple) or len(reply) != 2:
            raise SimulatorFailed(f"{where} {type(reply).__name__}; expected a tuple of a Feedback and a Mindset")
        replies.feedback(where, reply[0], *slates.shape)
        replies.mindset(where, reply[1], len(slates))
        return reply

    def _gave(self, method: str) -> str:
        return f"simulator {self._called!r}: {method}(...) gave"

    def __getattr__(self, name: str) -> Any:
        if name in ("_called", "_simulator"):  # of one that is being copied
            raise AttributeError(name)
        return getattr(self._simulator, name)


def checked(name: str, simulator: UserSimulator) -> UserSimulator:
    """The simulator under watch, once. name: how messages call it."""
    if isinstance(simulator, Checked):
        return simulator
    others = {
        attribute: _GUARDED.get(attribute) or _forwarded(attribute)
        for attribute in dir(simulator)  # on the class, where protocols look for them
        if not attribute.startswith("_")
        and attribute not in vars(Checked)
        and inspect.getattr_static(simulator, attribute, None) is not None
    }
    made: UserSimulator = type("Checked", (Checked,), others)(name, simulator)
    return made


def _forwarded(attribute: str) -> property:
    return property(lambda self: getattr(self._simulator, attribute))


@contextmanager
def raising(name: str, *, passing: type[Exception] = SimulatorFailed) -> Iterator[None]:
    """Errors of a simulator's own code, but for those `passing`, become SimulatorFailed, with the line that raised them."""
    try:
        yield
    except (SimulatorFailed, passing):
        raise
    except Exception as error:
        raise SimulatorFailed(f"simulator {name!r} {_told(error)}") from error


def guarded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose errors are those of the simulator `name`."""

    def within(*arguments: Any) -> Any:
        with raising(name):
            return call(*arguments)

    return within


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and not frame.filename.startswith("<")]
    at = (own or list(frames))[-1]
    said = str(error) if isinstance(error, RecoWorldError) else (str(error).strip().splitlines() or ["no message"])[-1]
    return f"raised {type(error).__name__}: {said} ({at.filename}:{at.lineno})"


def _chances(self: Any, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
    with raising(self._called):
        said: Floats = self._simulator.chances(mindset, history, slates, luck)
    replies.chances(self._gave("chances"), said, slates.shape)
    return said


def _stars(self: Any, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
    with raising(self._called):
        said: Floats = self._simulator.stars(mindset, history, slates, luck)
    replies.stars(self._gave("stars"), said, (*slates.shape, 5))
    return said


def _satisfaction(self: Any, dialogues: Any) -> Any:
    with raising(self._called):
        said = self._simulator.satisfaction(dialogues)
    replies.satisfaction(self._gave("satisfaction"), said, len(dialogues))
    return said


def _variants(self: Any) -> Any:
    with raising(self._called):
        return self._simulator.variants()


_GUARDED: dict[str, Any] = {"chances": _chances, "stars": _stars, "satisfaction": _satisfaction, "variants": _variants}
