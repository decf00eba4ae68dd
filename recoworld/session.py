"""The session of one user: what it was shown, what it did and said, what that was worth. At once log, replay and data to learn from.

How a world's sessions come to be logged, and saved (`recoworld.session_io`)::

    world.reset(users, seeds)
    log = SessionLog(world, seeds, policy="ease")
    turn = world.step(slates)
    log.add(None, turn)                        # or log.add(rows, turn) once `world.keep` has dropped sessions
    write_jsonl("sessions.jsonl", log)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError
from recoworld.instructions import sentence
from recoworld.luck import combine
from recoworld.types import LEVELS, Aspect, Bools, Instruction, Kind, Mindset, Turn
from recoworld.version import __version__
from recoworld.world import World

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
REASONING = 4000
"""Characters of a recommender's reasoning about one slate that are kept."""


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


class SessionLog:
    """Collects the sessions of a world while it runs, as arrays; iterating makes a `Session` of each that has had a turn."""

    def __init__(
        self, world: World, seeds: NDArray[Any], *, policy: str, simulator: str | None = None, first: int | None = None
    ) -> None:
        """Made when the sessions stand open, right after `World.reset(users, seeds)` or a `restore`; seeds: those of the sessions ``[n]``.

        first: of how many, from the front of the batch, the turns are kept; None for all. Raises ConfigError for other seeds.
        """
        state = world.state
        self.world, self.policy = world, policy
        self.simulator = simulator or str(getattr(world.simulator, "name", type(world.simulator).__name__))
        self._users, self._opening = state.history.users.copy(), _bare(state.mindset)
        self._seeds = np.atleast_1d(np.asarray(seeds)).astype(np.uint64)
        if self._seeds.shape != self._users.shape or (combine(self._seeds, self._users) != state.keys).any():
            n = len(self._users)
            raise ConfigError(f"session log: got {self._seeds.size} seeds that did not open the {n} sessions; expected those of reset")
        self._first = len(self._users) if first is None else first
        # slates on which what was said will still be in force
        self._force = np.where(state.history.standing.given, world.instruction_turns - state.history.age, 0)
        self._turns: list[tuple[NDArray[np.int64], Bools, Turn, Sequence[str] | None]] = []

    def add(self, rows: NDArray[Any] | None, turn: Turn, *, reasons: Sequence[str] | None = None) -> None:
        """Book what `World.step` returned.

        rows: for each row of the turn, the session that it belongs to, as a place in the batch the log was made for ``[m]``; None
        while all are active. reasons: why each was shown its slate ``[m]``, see `reasons_of`. Raises ConfigError.
        """
        n, m = len(self._users), len(turn.reward)
        places = np.arange(n) if rows is None else np.asarray(rows, np.int64)
        if places.shape != (m,) or (m and (places.min() < 0 or places.max() >= n)) or len(np.unique(places)) != m:
            raise ConfigError(f"session log: got {places.size} rows for a turn of {m} users; expected {m} different ones from 0 to {n - 1}")
        if reasons is not None and len(reasons) != m:
            raise ConfigError(f"session log: got {len(reasons)} reasons for a turn of {m} users; expected one each, or None")
        force = self._force[places]
        self._force[places] = np.where(turn.feedback.instruction.given, self.world.instruction_turns, np.maximum(force - 1, 0))
        mine = np.flatnonzero(places < self._first)
        said = None if reasons is None else [reasons[row] for row in mine]
        self._turns.append((places[mine], force[mine] > 0, replace(turn, mindset=_bare(turn.mindset)).take(mine), said))

    def __iter__(self) -> Iterator[Session]:
        if not self._turns:
            return
        places = np.concatenate([rows for rows, *_ in self._turns])
        when = np.repeat(np.arange(len(self._turns)), [len(rows) for rows, *_ in self._turns])
        where = np.concatenate([np.arange(len(rows)) for rows, *_ in self._turns])
        order = np.argsort(places, kind="stable")
        ends = np.cumsum(np.bincount(places, minlength=len(self._users)))
        for place, own in enumerate(np.split(order, ends[:-1])):
            if own.size:
                yield self._session(place, list(zip(when[own].tolist(), where[own].tolist(), strict=True)))

    def sessions(self) -> list[Session]:
        """The sessions so far, in the order of the batch; those without a turn are left out."""
        return list(self)

    def _session(self, place: int, rows: list[tuple[int, int]]) -> Session:
        world, user = self.world, int(self._users[place])
        return Session(
            dataset=_clean(world.dataset.name),
            user=_clean(world.dataset.users.ids[user]),
            user_index=user,
            seed=int(self._seeds[place]),
            policy=_clean(self.policy),
            simulator=_clean(self.simulator),
            opening=mind_of(world.catalog, self._opening, place),
            turns=tuple(self._recorded(*self._turns[t][1:], row) for t, row in rows),
        )

    def _recorded(self, told: Bools, turn: Turn, reasons: Sequence[str] | None, row: int) -> SessionTurn:
        return recorded(self.world, turn, row, told=bool(told[row]), reasoning="" if reasons is None else reasons[row])


def reasons_of(policy: object) -> Sequence[str] | None:
    """Why a recommender has just chosen the slates that it did ``[n]``: its attribute `reasons`, of those that think in words."""
    reasons: Sequence[str] | None = getattr(policy, "reasons", None)
    return reasons


def recorded(world: World, turn: Turn, row: int = 0, *, told: bool = False, reasoning: str = "") -> SessionTurn:
    """One row of a turn of this world, as it is kept."""
    feedback, catalog = turn.feedback, world.catalog
    items = turn.slates[row].tolist()
    return SessionTurn(
        slate=tuple(_clean(catalog.ids[item]) for item in items),
        items=tuple(items),
        titles=tuple(_clean(catalog.titles[item]) for item in items),
        examined=tuple(feedback.examined[row].tolist()),
        clicked=tuple(feedback.clicked[row].tolist()),
        liked=tuple(feedback.liked[row].tolist()),
        commented=tuple(feedback.commented[row].tolist()),
        shared=tuple(feedback.shared[row].tolist()),
        watch=tuple(feedback.watch[row].tolist()),
        left=bool(feedback.left[row]),
        told=told,
        followed=float(feedback.followed[row]),
        instruction=_said(feedback.instruction, row, catalog),
        parts=dict(zip(world.reward.names, turn.parts[row].tolist(), strict=True)),
        reward=float(turn.reward[row]),
        mindset=mind_of(catalog, turn.mindset, row),
        rationale="" if feedback.rationale is None else _clean(feedback.rationale[row] or ""),
        reasoning=_clean(str(reasoning)[:REASONING]),
    )


def mind_of(catalog: Catalog, mindset: Mindset, row: int = 0) -> Mind | None:
    """One row of a mindset; None where its levels are NaN, for nobody knows them."""
    levels, intent = mindset.levels[row].tolist(), int(mindset.intent[row])
    if any(map(math.isnan, levels)):
        return None
    return Mind(
        levels=dict(zip(LEVELS, levels, strict=True)),
        intent=_clean(catalog.genre_names[intent]) if intent >= 0 else "",
        text="" if mindset.texts is None else _clean(mindset.texts[row] or ""),
    )


def _said(instruction: Instruction, row: int, catalog: Catalog) -> Said | None:
    if not instruction.kind[row]:
        return None
    return Said(
        kind=Kind(int(instruction.kind[row])).name.lower(),
        aspect=Aspect(int(instruction.aspect[row])).name.lower(),
        value=int(instruction.value[row]),
        phrasing=int(instruction.phrasing[row]),
        text=_clean(sentence(instruction, row, catalog)),
    )


def _bare(mindset: Mindset) -> Mindset:
    """What is kept of a mindset: the interests would be most of the log."""
    nothing = np.zeros((len(mindset.levels), 0), np.float32)
    return Mindset(levels=mindset.levels, interest=nothing, intent=mindset.intent, texts=mindset.texts)


def _clean(text: object) -> str:
    """The text with what UTF-8 cannot hold (halves of surrogate pairs) replaced."""
    return str(text).encode("utf-8", "replace").decode("utf-8")


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
