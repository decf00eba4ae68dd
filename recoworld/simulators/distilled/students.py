"""What a distilled user has learnt, how, and how it is kept. See `recoworld.simulators.distilled.simulator`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError, DataCorrupt, DataMissing
from recoworld.files import replacing
from recoworld.session import Session
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.distilled.lessons import Lessons, lessons
from recoworld.simulators.distilled.networks import ARRAYS, Net, base_loss, fit, log_loss, net_of
from recoworld.simulators.distilled.signals import SLOT, TURN
from recoworld.simulators.taste import ArrayCache, fit_taste
from recoworld.types import Floats
from recoworld.users import Dataset, Split

FORMAT = "recoworld-student/1"
_S, _T = len(SLOT), len(TURN)
NETS = {
    **{"looking": (_S, 1), "click": (_S, 1), "watching": (_S, 1), "reactions": (_S, 3)},
    **{"mood": (_T, 5), "speaking": (_T, 1), "leaving": (_T, 1)},
}
"""The networks: how many signals each goes by, and how many numbers it gives."""
_FILES = ("student.json", "student.npz")


@dataclass(frozen=True, kw_only=True, eq=False)
class Student:
    """What was learnt. Made by `distil`, or read with `load_student`."""

    dataset: str
    """Whose users it was fitted on."""
    teacher: str
    """Who was logged."""
    nets: dict[str, Net]
    """By the names of `NETS`."""
    openings: Floats
    """The levels that logged sessions began with ``[s, 5]``."""
    focus: float
    """Share of sessions that began with a genre in mind."""
    spread: float
    """Standard deviation of watching around what is expected."""
    seed: int

    def save(self, folder: str | Path) -> None:
        """Write ``student.json`` and ``student.npz`` (plain arrays) into a folder, made if need be. Raises OSError."""
        folder = Path(folder)
        facts = {"dataset": self.dataset, "teacher": self.teacher, "focus": self.focus, "spread": self.spread, "seed": self.seed}
        arrays = {f"{name}.{part}": getattr(net, part) for name, net in self.nets.items() for part in ARRAYS}
        with replacing(folder / _FILES[1]) as path, open(path, "wb") as file:
            np.savez(file, allow_pickle=False, openings=self.openings, **arrays)
        with replacing(folder / _FILES[0]) as path:
            path.write_text(json.dumps({"format": FORMAT, **facts, "slot": SLOT, "turn": TURN}, indent=1) + "\n", encoding="utf-8")


def load_student(folder: str | Path) -> Student:
    """Read what `Student.save` wrote. Raises DataMissing, DataCorrupt."""
    folder = Path(folder).expanduser()
    if absent := [name for name in _FILES if not (folder / name).is_file()]:
        raise DataMissing(f"student: {str(folder)!r} has no {' and no '.join(absent)}; expected a folder that Student.save wrote")
    try:
        facts = json.loads((folder / _FILES[0]).read_text(encoding="utf-8"))
        if facts.pop("format") != FORMAT or (facts.pop("slot"), facts.pop("turn")) != (list(SLOT), list(TURN)):
            raise ConfigError(f"expected {FORMAT} with the signals of this version; distil it anew")
        with open(folder / _FILES[1], "rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        nets = {name: net_of({part: arrays[f"{name}.{part}"] for part in ARRAYS}) for name in NETS}
        for name, net in nets.items():
            if (len(net.centre), len(net.bias)) != NETS[name]:
                raise ConfigError(f"network {name!r} has {len(net.centre)} signals; expected {NETS[name][0]}")
        openings = np.asarray(arrays["openings"], np.float32)
        if openings.ndim != 2 or openings.shape[1] != 5 or not ((openings >= 0) & (openings <= 1)).all():
            raise ConfigError(f"openings have shape {openings.shape}; expected [s, 5], from 0 to 1")
        numbers = {name: float(facts.pop(name)) for name in ("focus", "spread")}
        if not (0 <= numbers["focus"] <= 1 and 0 <= numbers["spread"] < np.inf):
            raise ConfigError(f"got {numbers}; expected a share, and a spread from 0 on")
        return Student(nets=nets, openings=openings, focus=numbers["focus"], spread=numbers["spread"], **facts)
    except (ConfigError, OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, BadZipFile) as error:
        raise DataCorrupt(f"student: cannot read {str(folder)!r}: {error}") from None


def distil(
    dataset: Dataset,
    split: Split,
    sessions: Sequence[Session],
    *,
    seed: int,
    hidden: int = 16,
    steps: int = 1500,
    cached: ArrayCache | None = None,
) -> Student:
    """Learn from sessions of this data set, all with slates of one length; the same seed gives the same student.

    hidden: units of each network, 0 for (logistic) regressions. steps: minibatches that each is fitted on. cached: see `fit_taste`.
    Raises ConfigError.
    """
    found = lessons(dataset, split, fit_taste(dataset, split, BehavioralConfig(), cached=cached), sessions)
    if not found.clicked.any():
        raise ConfigError("distil: nobody clicked in these sessions; expected sessions with clicks")
    nets = {}
    for place, (name, (x, y, odds)) in enumerate(_cases(found).items()):
        nets[name] = fit(x, y, odds=odds, hidden=hidden, steps=steps, seed=seed * len(NETS) + place)
    took = found.clicked
    expected = nets["watching"](found.slots)[..., 0][took]
    minds = [session.opening for session in sessions if session.opening is not None]
    return Student(
        dataset=dataset.name,
        teacher=sessions[0].simulator,
        nets=nets,
        openings=found.before[np.unique(found.sessions, return_index=True)[1], 9:14],
        focus=sum(bool(mind.intent) for mind in minds) / len(minds),
        spread=float(np.std(found.watched[took] - expected)),
        seed=seed,
    )


def losses(
    student: Student, dataset: Dataset, split: Split, sessions: Sequence[Session], *, cached: ArrayCache | None = None
) -> dict[str, dict[str, float]]:
    """How well it foretells sessions that it has not seen: by decision, its mean log-loss in nats and that of their base rate.

    Clicks are those on slots that were looked at, and everything that was foretold is as the session had it. Raises ConfigError.
    """
    found = lessons(dataset, split, fit_taste(dataset, split, BehavioralConfig(), cached=cached), sessions)
    out = {}
    for name, (x, y, odds) in _cases(found).items():
        if odds:
            base = base_loss(y, (y.sum(axis=0) + 0.5) / (len(y) + 1))
            out[name] = {"student": log_loss(student.nets[name](x[:, None, :])[:, 0], y), "base": base}
    return out


def _cases(found: Lessons) -> dict[str, tuple[NDArray[Any], NDArray[Any], bool]]:
    """Signals, what came of them, and whether that is a matter of odds, by network."""
    looked, took, quiet = found.examined, found.clicked, ~found.said
    reacted = np.stack([found.liked, found.commented, found.shared], axis=-1)
    return {
        "looking": (found.slots[:, :-1][looked[:, :-1]], looked[:, 1:][looked[:, :-1], None], True),
        "click": (found.slots[looked], took[looked][:, None], True),
        "watching": (found.slots[took], found.watched[took][:, None], False),
        "reactions": (found.slots[took], reacted[took], True),
        "mood": (found.before, found.levels, False),
        "speaking": (found.ending, found.said[:, None], True),
        "leaving": (found.ending[quiet], found.left[quiet, None], True),
    }
