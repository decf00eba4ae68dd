"""Every error of RecoWorld travels between processes as it is."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from recoworld import errors
from recoworld.errors import LanguageModelError, MissingExtra, RecoWorldError, UnknownName

OWN: dict[type[RecoWorldError], tuple[Any, ...]] = {
    UnknownName: ("policy", "eas", ["ease", "random"]),
    MissingExtra: ("ray", "rllib", "training"),
}
"""What is said to those that make up their message themselves."""
EVERY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RecoWorldError)]


class Foreign(RecoWorldError):
    """Of somebody else, with a constructor of its own."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


def made(kind: type[RecoWorldError]) -> RecoWorldError:
    return kind(*OWN.get(kind, ("got 1; expected 2",)))


@pytest.mark.parametrize("way", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copied", "pickled"])
@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_can_be_sent(kind: type[RecoWorldError], way: Any) -> None:
    error = made(kind)
    error.add_note("seen")
    again = way(error)
    assert type(again) is kind
    assert str(again) == str(error)
    assert "expected" in str(again) or kind in OWN
    assert repr(again) == repr(error)
    assert again.args == error.args
    assert vars(again) == vars(error)
    assert again.__notes__ == ["seen"]
    if isinstance(error, ImportError):
        assert again.msg == error.msg


def test_what_an_error_carries_is_sent_with_it() -> None:
    error = LanguageModelError("gone")
    error.board = {"rows": [1]}
    assert pickle.loads(pickle.dumps(error)).board == {"rows": [1]}
    assert LanguageModelError("gone").board is None
    again = pickle.loads(pickle.dumps(Foreign(code=3)))
    assert (again.code, str(again)) == (3, "code 3")


def test_ray_sends_them_and_they_are_caught_as_themselves() -> None:
    """What Ray does with an error of a task: a class of both, whose instance is made of the error alone."""
    exceptions = pytest.importorskip("ray.exceptions")
    for kind in (UnknownName, MissingExtra):
        sent = pickle.loads(pickle.dumps(made(kind)))
        raised = exceptions.RayTaskError("task", "traceback", sent).as_instanceof_cause()
        assert isinstance(raised, kind)
