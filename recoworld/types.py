"""What passes between a user and a recommender, and the two protocols that they speak.

Shapes: `n` users side by side, `k` slots of a slate, `d` content features. Everything is a struct of arrays with `n` in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recoworld.batch import Batch
from recoworld.luck import Luck

if TYPE_CHECKING:
    from recoworld.users import Dataset, Split

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Slates = NDArray[np.int64]
Observations = dict[str, NDArray[Any]]


class Kind(IntEnum):
    """What an instruction asks for."""

    NONE = 0
    MORE = 1
    LESS = 2
    AVOID = 3
    ONLY = 4
    DIFFERENT = 5
    SURPRISE = 6


class Aspect(IntEnum):
    """What an instruction is about; the comment tells what `Instruction.value` then holds."""

    NONE = 0  # nothing
    GENRE = 1  # index into Catalog.genre_names
    ERA = 2  # a decade, e.g. 1990
    POPULARITY = 3  # 1: well known, 0: little known
    PERSON = 4  # index into Catalog.people_names
    TITLE = 5  # an item index: "more like this one", "something different but related"


@dataclass(frozen=True, kw_only=True, eq=False)
class Instruction(Batch):
    """A reflective instruction: what a user who is about to disengage says instead of leaving (RecoWorld, section 3).

    Structured, so that one can check whether it was followed (`recoworld.instructions`); the sentence is a function of the
    structure and `phrasing`, or given in `texts` by a user who writes its own.
    """

    kind: NDArray[np.int8]
    """`Kind` ``[n]``, 0 where nothing was said."""
    aspect: NDArray[np.int8]
    """`Aspect` ``[n]``."""
    value: NDArray[np.int32]
    """What it is about ``[n]``, see `Aspect`."""
    phrasing: NDArray[np.uint32]
    """Chooses among ways of saying it ``[n]``."""
    texts: NDArray[np.object_] | None = None
    """Sentences in the user's own words ``[n]`` of str."""

    @property
    def given(self) -> Bools:
        """Who said something ``[n]``."""
        return self.kind > 0

    @classmethod
    def none(cls, n: int) -> Instruction:
        """Nobody says anything: one shared, read-only value for each `n`, so that ``is`` tells silence at once."""
        return _silence(n)


@cache  # evicting one would make silence look like speech
def _silence(n: int) -> Instruction:
    fields = (np.zeros(n, np.int8), np.zeros(n, np.int8), np.zeros(n, np.int32), np.zeros(n, np.uint32))
    for field in fields:
        field.flags.writeable = False
    return Instruction(kind=fields[0], aspect=fields[1], value=fields[2], phrasing=fields[3])


@dataclass(frozen=True, kw_only=True, eq=False)
class Feedback(Batch):
    """The users' replies to one slate each: the blueprint's seven actions."""

    examined: Bools
    """Slots looked at ``[n, k]``; nothing happens in the others."""
    clicked: Bools
    liked: Bools
    commented: Bools
    shared: Bools
    watch: Floats
    """Seconds watched ``[n, k]``, 0 where not clicked."""
    left: Bools
    """Who left the session ``[n]``, after the last slot examined."""
    followed: Floats
    """How well the user found that the slate followed the instruction in force, in [0, 1] ``[n]``; 0 where there was none
    (see `recoworld.instructions.compliance`)."""
    instruction: Instruction
    """What was said in reply to this slate."""
    response: Floats | None = None
    """The same as one array, as in `History.response`, from simulators that have it at hand ``[n, k, 6]``."""
    rationale: NDArray[np.object_] | None = None
    """Why, in words ``[n]`` of str, from users who think in words."""
    tokens: NDArray[np.int64] | None = None
    """Prompt and completion tokens that the reply took ``[n, 2]``, from users who think in words."""

    @property
    def skipped(self) -> Bools:
        """Looked at and passed over ``[n, k]``."""
        return self.examined & ~self.clicked


LEVELS = ("satisfaction", "boredom", "fatigue", "patience", "trust")


@dataclass(frozen=True, kw_only=True, eq=False)
class Mindset(Batch):
    """The inner state of `n` users. Hidden from policies, logged for analysis.

    A simulator may subclass it to remember more; everything it remembers must be a field, so that sessions can be branched.
    """

    levels: Floats
    """The five `LEVELS` ``[n, 5]``, each in [0, 1]."""
    interest: Floats
    """Current interest in each content feature ``[n, d]``."""
    intent: NDArray[np.int16]
    """What the user came for ``[n]``: a genre index, or -1 to browse."""
    texts: NDArray[np.object_] | None = None
    """The mindset in words ``[n]`` of str, from users who think in words."""

    def level(self, name: str) -> Floats:
        """One of `LEVELS` ``[n]``."""
        return self.levels[:, LEVELS.index(name)]


class Act(IntEnum):
    """What happened to an item in a user's history: the strongest of its actions."""

    NONE = 0  # padding
    DISLIKED = 1  # rated below the data set's like threshold, before this session
    RATED = 2  # rated from the like threshold on, before this session
    UNSEEN = 3  # shown in this session, not looked at
    SKIPPED = 4
    CLICKED = 5
    LIKED = 6
    COMMENTED = 7
    SHARED = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class History(Batch):
    """What is known of `n` users: the facts that both sides may use."""

    users: Ints
    """Indices into the data set's users ``[n]``."""
    turn: Ints
    """Turns finished in this session ``[n]``."""
    items: NDArray[np.int32]
    """Items that the user met, oldest first, as index + 1, 0 for padding ``[n, h]``: the last `World.history_length` before the session,
    padded in front, then the slots of all slates so far, and room for those to come."""
    acts: NDArray[np.int8]
    """`Act` of each ``[n, h]``."""
    slate: NDArray[np.int32]
    """The last slate as index + 1, 0 before the first ``[n, k]``."""
    response: Floats
    """What became of it: click, like, comment, share, share of the duration watched, skip ``[n, k, 6]``."""
    exposures: NDArray[np.uint8]
    """How often each item was met: 1 for the visible log, +1 for each slate that held it ``[n, n_items]``. The world counts in place;
    `World.snapshot` copies."""
    standing: Instruction
    """The instruction in force ``[n]``: the last one given, until `instruction_turns` slates have answered it."""
    age: Ints
    """Slates shown since that instruction ``[n]``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn(Batch):
    """One slate to each user, and what came of it."""

    slates: Slates
    """Item indices ``[n, k]``."""
    feedback: Feedback
    parts: Floats
    """Reward parts before weighting ``[n, n_parts]``, in the order of the world's reward."""
    reward: Floats
    """Their weighted sum ``[n]``."""
    mindset: Mindset
    """After the turn."""


@runtime_checkable
class UserSimulator(Protocol):
    """Brains for simulated users: pure functions over batches.

    `n` in every call is the number of users in the batch; a user's reply never depends on the others, and randomness comes from
    `luck` alone.
    """

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        """The mindsets in which these users (indices ``[n]``) open a session."""
        ...

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        """Go through the slates ``[n, k]``; return the replies and the mindsets afterwards. Changes none of its arguments."""
        ...


@runtime_checkable
class Chooser(Protocol):
    """A simulator that knows how likely its users are to take an item, where others only show whether they do."""

    def chances(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """Probability of a click on each item of the slates if it is looked at, in (0, 1) ``[n, k]``."""
        ...


@runtime_checkable
class Rater(Protocol):
    """A simulator whose users say how they would rate."""

    def stars(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """Probability of each rating of each item, 1 to 5 stars, summing to 1 ``[n, k, 5]``; the data set's scale is brought to 1..5."""
        ...


@runtime_checkable
class Recommender(Protocol):
    """A policy: a function from observations to slates."""

    name: str

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Learn from the training users' logs and the visible part of the others' (see `Split`)."""
        ...

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """Slates int64 ``[n, k]`` of distinct item indices, for observations as `recoworld.envs.codec` lays out."""
        ...
