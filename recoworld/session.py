"""The session of one user: what it was shown, what it did and said, what that was worth. At once log, replay and data to learn from.

`recoworld.session_log` takes down a world's sessions while they are played, `recoworld.session_io` saves them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from recoworld.errors import ConfigError
from recoworld.types import LEVELS, Aspect, Kind
from recoworld.version import __version__

SLOTS: dict[str, type] = {
    "slate": str,
    "items": int,
    "titles": str,
    "examined": bool,
    "clicked": bool,
    "liked": bool,
    "commented": bool,
    "shared": bool,
    "watch": float,
}
"""The fields of a `SessionTurn` that have one value a slot."""
KINDS = tuple(kind.name.lower() for kind in Kind)[1:]
ASPECTS = tuple(aspect.name.lower() for aspect in Aspect)



@dataclass(frozen=True, kw_only=True)
class Said:
    """A reflective instruction (`recoworld.types.Instruction`) of one user."""

    kind: str
    """One of `KINDS`."""
    aspect: str
    """One of `ASPECTS`."""
    value: int
    """What it is about, see `recoworld.types.Aspect`."""
    phrasing: int
    text: str
    """The sentence."""

    def __post_init__(self) -> None:
        _expect(self.kind in KINDS, "instruction: kind", self.kind, f"one of {', '.join(KINDS)}")
        _expect(self.aspect in ASPECTS, "instruction: aspect", self.aspect, f"one of {', '.join(ASPECTS)}")
        _expect(_whole(self.value, -(2**31), 2**31), "instruction: value", self.value, "an integer of 32 bits")
        _expect(_whole(self.phrasing, 0, 2**32), "instruction: phrasing", self.phrasing, "an integer from 0 to 2**32 - 1")
        _expect(_word(self.text), "instruction: text", self.text, "text")


@dataclass(frozen=True, kw_only=True)
class Mind:
    """The mindset of one user. Hidden from policies."""

    levels: dict[str, float]
    """Each of `recoworld.types.LEVELS`."""
    intent: str = ""
    """The genre that the user came for, "" to browse."""
    text: str = ""
    """The mindset in words, from users who think in words."""

    def __post_init__(self) -> None:
        good = _reals(self.levels) and set(self.levels) == set(LEVELS)
        _expect(good, "mindset: levels", self.levels, f"a finite float for each of {', '.join(LEVELS)}")
        _expect(_word(self.intent) and _word(self.text), "mindset: intent and text", (self.intent, self.text), "text")


@dataclass(frozen=True, kw_only=True)
class SessionTurn:
    """One slate of `k` slots and the reply to it; see `recoworld.types.Feedback`."""

    slate: tuple[str, ...]
    """Item ids ``[k]``."""
    items: tuple[int, ...]
    """The same as indices into the catalogue ``[k]``."""
    titles: tuple[str, ...]
    """The same for a reader ``[k]``; untrusted."""
    examined: tuple[bool, ...]
    clicked: tuple[bool, ...]
    liked: tuple[bool, ...]
    commented: tuple[bool, ...]
    shared: tuple[bool, ...]
    watch: tuple[float, ...]
    """Seconds watched ``[k]``."""
    left: bool
    """Whether the user left after this slate."""
    told: bool
    """Whether an instruction was in force when the slate was made."""
    followed: float
    """How well the slate followed it, in [0, 1]; 0 where there was none."""
    instruction: Said | None
    """What was said in reply to this slate, None for nothing."""
    parts: dict[str, float]
    """Reward parts before weighting."""
    reward: float
    mindset: Mind | None
    """After the turn; None where nobody knows it, as of a person."""
    rationale: str = ""
    """Why, in words, from users who think in words."""
    reasoning: str = ""
    """Why this slate, from recommenders that think in words; untrusted, at most `REASONING` characters where a log has kept it."""

    def __post_init__(self) -> None:
        k = len(self.items) if isinstance(self.items, tuple) else 0
        for name, kind in SLOTS.items():
            value = getattr(self, name)
            good = type(value) is tuple and len(value) == k > 0 and all(type(one) is kind for one in value)
            _expect(good, f"turn: {name}", value, f"a tuple of {k or 'at least one'} {kind.__name__}")
        _expect(min(self.items) >= 0 and max(self.items) < 2**31, "turn: items", self.items, "indices from 0 to 2**31 - 1")
        _expect(all(map(math.isfinite, self.watch)), "turn: watch", self.watch, "finite seconds")
        _expect(_reals(self.parts), "turn: parts", self.parts, "finite floats by name")
        _expect(type(self.left) is bool and type(self.told) is bool, "turn: left and told", (self.left, self.told), "True or False")
        _expect(_real(self.followed) and _real(self.reward), "turn: followed and reward", (self.followed, self.reward), "finite floats")
        words = (self.rationale, self.reasoning, *self.slate, *self.titles)
        _expect(all(map(_word, words)), "turn: rationale, reasoning, slate and titles", words, "text that UTF-8 can hold")
        _expect(isinstance(self.instruction, Said | None), "turn: instruction", self.instruction, "a Said or None")
        _expect(isinstance(self.mindset, Mind | None), "turn: mindset", self.mindset, "a Mind or None")


@dataclass(frozen=True, kw_only=True)
class Session:
    """What happened between one user and one policy, turn by turn; at least one turn."""

    dataset: str
    user: str
    """The user's id in the data set."""
    user_index: int
    seed: int
    """From 0 to 2**64 - 1; with user, simulator and slates it determines the session."""
    policy: str
    simulator: str
    version: str = __version__
    """Of RecoWorld."""
    opening: Mind | None
    """The mindset before the first turn."""
    turns: tuple[SessionTurn, ...]

    def __post_init__(self) -> None:
        for name in ("dataset", "user", "policy", "simulator", "version"):
            _expect(_word(getattr(self, name)), f"session: {name}", getattr(self, name), "text that UTF-8 can hold")
        _expect(_whole(self.user_index, 0, 2**63), "session: user_index", self.user_index, "an integer from 0 to 2**63 - 1")
        _expect(_whole(self.seed, 0, 2**64), "session: seed", self.seed, "an integer from 0 to 2**64 - 1")
        _expect(isinstance(self.opening, Mind | None), "session: opening", self.opening, "a Mind or None")
        good = type(self.turns) is tuple and len(self.turns) > 0 and all(isinstance(turn, SessionTurn) for turn in self.turns)
        _expect(good, "session: turns", self.turns, "a tuple of at least one SessionTurn")

    @property
    def return_(self) -> float:
        """Undiscounted sum of the rewards."""
        return math.fsum(turn.reward for turn in self.turns)

    @property
    def n_turns(self) -> int:
        """Slates shown."""
        return len(self.turns)

    @property
    def left(self) -> bool:
        """Whether the user left; if not, the session was cut or is still open."""
        return self.turns[-1].left


def _expect(good: bool, what: str, got: object, expected: str) -> None:
    if not good:
        raise ConfigError(f"{what}: got {ascii(got)[:80]}; expected {expected}")


def _whole(value: object, low: int, end: int) -> bool:
    return type(value) is int and low <= value < end


def _real(value: object) -> bool:
    return type(value) is float and math.isfinite(value)


def _reals(values: object) -> bool:
    return isinstance(values, dict) and all(_word(name) and _real(value) for name, value in values.items())


def _word(value: object) -> bool:
    if type(value) is not str:
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False
