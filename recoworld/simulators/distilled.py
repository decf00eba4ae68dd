"""The distilled user: small networks fitted on the logged decisions of any simulator, for use where that one is too slow.

    student = distil(dataset, split, sessions, seed=0)        # sessions as `recoworld.session` logs them, of a language-model user, say
    student.save("student")
    make_world(dataset="ml-1m", simulator="distilled", simulator_config={"from": "student"})

Six networks (`recoworld.simulators.students`) go by the signals of `recoworld.simulators.signals`; all noise is `Luck`'s:

- **looking on**: having looked at a slot, whether the next one is looked at too; the first one is in any case.
- **click** on a slot that is looked at; after it **watching** (a share of the duration, with the residual's spread as noise) and **reactions**
  (like, comment, share).
- **mood**: the five levels after the turn.
- **ending**: whether the user says something, and if not, whether it leaves. What it says is the behavioural user's choice
  (`recoworld.simulators.reflection`), for sessions are short of instructions to learn it from.

Sessions open with the levels of a logged opening, drawn at random, and as often with a genre in mind; which one, a user's own taste decides.
What nobody can see in a log (a person's own log-odds, a change of mind) is averaged over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError, DataCorrupt, DataMissing, UnknownName
from recoworld.files import replacing
from recoworld.instructions import FORMS, compliance
from recoworld.luck import Luck, gumbel, logistic
from recoworld.session import Session
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.lessons import Lessons, lessons
from recoworld.simulators.reflection import reflect
from recoworld.simulators.signals import SLOT, TURN, StudentMindset, after, slot_signals, turn_signals
from recoworld.simulators.students import ARRAYS, Net, base_loss, fit, log_loss, net_of
from recoworld.simulators.taste import ArrayCache, Taste, fit_taste
from recoworld.types import Feedback, Floats, History, Instruction, Ints, Mindset, Slates
from recoworld.users import Dataset, Split

FORMAT = "recoworld-student/1"
NETS = {"looking": len(SLOT), "click": len(SLOT), "watching": len(SLOT), "reactions": len(SLOT), "mood": len(TURN), "ending": len(TURN)}
"""The networks, and how many signals each goes by."""
_OUTPUTS = {"looking": 1, "click": 1, "watching": 1, "reactions": 3, "mood": 5, "ending": 2}
_FILES = ("student.json", "student.npz")
_BEGIN, _RESPOND = 1, 2  # streams of luck
_UNIT = np.float32(np.sqrt(3) / np.pi)  # scales logistic noise to a standard deviation of 1
_HALF, _NO_FEELING = np.float32(0.5), np.float32(0.2)  # what one more star is worth of watching, as in `BehavioralConfig.watch_stars`


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
        with np.load(folder / _FILES[1], allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        nets = {name: net_of({part: arrays[f"{name}.{part}"] for part in ARRAYS}) for name in NETS}
        for name, net in nets.items():
            if (len(net.centre), len(net.bias)) != (NETS[name], _OUTPUTS[name]):
                raise ConfigError(f"network {name!r} has {len(net.centre)} signals; expected {NETS[name]}")
        openings = np.asarray(arrays["openings"], np.float32)
        if openings.ndim != 2 or openings.shape[1] != 5 or not ((openings >= 0) & (openings <= 1)).all():
            raise ConfigError(f"openings have shape {openings.shape}; expected [s, 5], from 0 to 1")
        numbers = {name: float(facts.pop(name)) for name in ("focus", "spread")}
        if not (0 <= numbers["focus"] <= 1 and 0 <= numbers["spread"] < np.inf):
            raise ConfigError(f"got {numbers}; expected a share, and a spread from 0 on")
        return Student(nets=nets, openings=openings, **numbers, **facts)
    except (ConfigError, OSError, ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
        raise DataCorrupt(f"student: cannot read {str(folder)!r}: {error}") from None


def distil(
    dataset: Dataset,
    split: Split,
    sessions: Sequence[Session],
    *,
    seed: int,
    hidden: int = 16,
    epochs: int = 30,
    cached: ArrayCache | None = None,
) -> Student:
    """Learn from sessions of this data set, all with slates of one length; the same seed gives the same student.

    hidden: units of each network, 0 for (logistic) regressions. epochs: passes over the cases. cached: see `fit_taste`. Raises ConfigError.
    """
    found = lessons(dataset, split, fit_taste(dataset, split, BehavioralConfig(), cached=cached), sessions)
    if not found.clicked.any():
        raise ConfigError("distil: nobody clicked in these sessions; expected sessions with clicks")
    nets = {}
    for place, (name, (x, y, odds)) in enumerate(_cases(found).items()):
        nets[name] = fit(x, y, odds=odds, hidden=hidden, epochs=epochs, seed=seed * len(NETS) + place)
    quiet, took = ~found.said, found.clicked
    leaving = fit(found.ending[quiet], found.left[quiet, None], odds=True, hidden=hidden, epochs=epochs, seed=seed)
    nets["ending"] = _beside(nets["ending"], leaving)
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


def losses(student: Student, dataset: Dataset, split: Split, sessions: Sequence[Session], *, cached: ArrayCache | None = None) -> Any:
    """How well it foretells sessions that it has not seen: by decision, its mean log-loss in nats and that of their base rate.

    Clicks are those on slots that were looked at, and everything that was foretold is as the session had it. Raises ConfigError.
    """
    found = lessons(dataset, split, fit_taste(dataset, split, BehavioralConfig(), cached=cached), sessions)
    out = {}
    for name, (x, y, odds) in (_cases(found) | {"leaving": (found.ending[~found.said], found.left[~found.said, None], True)}).items():
        if not odds:
            continue
        net = student.nets["ending" if name == "leaving" else name]
        said = net(x[:, None, :])[:, 0, 1:2] if name == "leaving" else net(x[:, None, :])[:, 0, : y.shape[1]]
        rate = (y.sum() + 0.5) / (y.size + 1)
        out["speaking" if name == "ending" else name] = {"student": log_loss(said, y), "base": base_loss(y, rate)}
    return out


def _cases(found: Lessons) -> dict[str, tuple[NDArray[Any], NDArray[Any], bool]]:
    """Signals, what came of them, and whether that is a matter of odds, by network; of the ending, speaking alone."""
    looked, took = found.examined, found.clicked
    reacted = np.stack([found.liked, found.commented, found.shared], axis=-1)
    return {
        "looking": (found.slots[:, :-1][looked[:, :-1]], looked[:, 1:][looked[:, :-1], None], True),
        "click": (found.slots[looked], took[looked][:, None], True),
        "watching": (found.slots[took], found.watched[took][:, None], False),
        "reactions": (found.slots[took], reacted[took], True),
        "mood": (found.before, found.levels, False),
        "ending": (found.ending, found.said[:, None], True),
    }


def _beside(one: Net, other: Net) -> Net:
    """Two networks as one, with the outputs of both; both standardise by the first's numbers."""
    ratio = one.scale / other.scale
    shift = (one.centre - other.centre) / other.scale
    hidden, straight = other.hidden * ratio[:, None], other.straight * ratio[:, None]
    top = np.zeros((len(one.top) + len(other.top), 2), np.float32)
    top[: len(one.top), :1], top[len(one.top) :, 1:] = one.top, other.top
    return Net(
        centre=one.centre,
        scale=one.scale,
        hidden=np.concatenate([one.hidden, hidden], axis=1),
        hidden_bias=np.concatenate([one.hidden_bias, other.hidden_bias + shift @ other.hidden]),
        top=top,
        straight=np.concatenate([one.straight, straight], axis=1),
        bias=np.concatenate([one.bias, other.bias + shift @ other.straight]),
    )


class DistilledSimulator:
    """People of one data set, as a student has learnt them. See the module's docstring."""

    name = "distilled"

    def __init__(self, catalog: Catalog, taste: Taste, student: Student) -> None:
        self.catalog, self.taste, self.student = catalog, taste, student
