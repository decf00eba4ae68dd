"""The world: it owns time. Every environment and every evaluation is a thin projection of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.batch import Batch
from recoworld.catalog import Catalog
from recoworld.errors import ConfigError, InvalidSlate
from recoworld.luck import Keys, Luck, combine
from recoworld.rewards import Outcome, Reward
from recoworld.slates import as_array, repeated, row_starts
from recoworld.types import Act, Bools, Feedback, Floats, History, Instruction, Ints, Mindset, Slates, Turn, UserSimulator
from recoworld.users import Dataset, Split

_TABLE = 128_000_000  # bytes up to which the pasts of all users are kept at hand
_AHEAD = 8  # session-turns whose luck is drawn at once
_TURN = np.array(0xD1B54A32D192ED03, np.uint64)  # an odd number far from luck's own stride
_MOST, _ONE_MORE, _ONE = np.array(254, np.uint8), np.array(1, np.uint8), np.array(1, np.int64)
_DEEDS = np.array([1, 2, 4, 8, 0, 0], np.float32)  # a bit for click, like, comment, share; sums of them are exact in any order
# the act for each set of deeds, less one, since having examined the slot adds one
_STRONGEST = np.array([Act.UNSEEN] + [Act.CLICKED - 1 + max(0, deeds.bit_length() - 1) for deeds in range(1, 16)], np.int8)


@dataclass(frozen=True, kw_only=True, eq=False)
class State(Batch):
    """Everything that a session still depends on, `n` sessions side by side: what `World.snapshot` returns."""

    keys: Keys
    """One random key a session ``[n]``, made of its seed and its user."""
    history: History
    mindset: Mindset


class World:
    """`n` users and a recommender that meet turn by turn.

        world = World(dataset, split, simulator, slate_size=10)
        world.reset(users, seeds)
        while ...:
            turn = world.step(slates)     # slates int64 [n, k] -> Turn

    A session depends on its user, its seed and the slates shown, and on nothing else: not on the batch it is in.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        simulator: UserSimulator,
        *,
        reward: Reward | Mapping[str, float] | None = None,
        slate_size: int = 10,
        max_turns: int = 20,
        history_length: int = 200,
        instruction_turns: int = 3,
    ) -> None:
        """history_length: items before the session that policies see. instruction_turns: slates for which an instruction stays in force.

        Raises ConfigError for sizes out of range.
        """
        for name, value, low, high in (
            ("slate_size", slate_size, 1, len(dataset.catalog)),
            ("max_turns", max_turns, 1, 100_000),
            ("history_length", history_length, 0, 100_000),
            ("instruction_turns", instruction_turns, 1, 100_000),
        ):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
                limit = f" (the items of {dataset.name!r})" if name == "slate_size" else ""
                raise ConfigError(f"{name}: got {value!r}; expected an integer from {low} to {high}{limit}")
        if max_turns * slate_size > 100_000:
            raise ConfigError(f"max_turns * slate_size: got {max_turns} * {slate_size}; expected at most 100,000 slots in a session")
        self.dataset, self.split, self.simulator = dataset, split, simulator
        self.catalog = dataset.catalog
        self.reward = reward if isinstance(reward, Reward) else Reward(reward)
        self.slate_size, self.max_turns = int(slate_size), int(max_turns)
        self.history_length, self.instruction_turns = int(history_length), int(instruction_turns)
        self.progress = (np.arange(self.max_turns + 2) / self.max_turns).clip(0, 1).astype(np.float32)
        """Share of the session that is over after so many turns."""
        self.history_width = self.history_length + self.max_turns * self.slate_size
        """Items in an observation: `history_length` and one for each slot that can be shown."""
        everyone = len(dataset.users) * (len(dataset.catalog) + 5 * self.history_width)
        self._pasts = self._past(np.arange(len(dataset.users))) if everyone <= _TABLE else None
        self._state: State | None = None
        self._luck: Luck | None = None  # of the next turn, where it is drawn already

    # time

    def reset(self, users: Ints, seeds: NDArray[Any]) -> None:
        """Open a session for each of `users` (indices ``[n]``) under `seeds` (integers ``[n]``). Raises ConfigError."""
        users, seeds = np.atleast_1d(as_array(users, "users")), np.atleast_1d(as_array(seeds, "seeds"))
        if users.ndim != 1 or users.shape != seeds.shape or users.size == 0 or users.dtype.kind not in "iu" or seeds.dtype.kind not in "iu":
            got = f"users {users.dtype} {users.shape} and seeds {seeds.dtype} {seeds.shape}"
            raise ConfigError(f"reset: got {got}; expected integers, one of each a session")
        if users.min() < 0 or users.max() >= len(self.dataset.users):
            raise ConfigError(f"reset: got user indices from {users.min()} to {users.max()}; expected 0 to {len(self.dataset.users) - 1}")
        self._at(self._open(users.astype(np.int64), seeds))

    def reopen(self, rows: Ints, users: Ints, seeds: NDArray[Any]) -> None:
        """Replace the sessions in `rows` by new ones; the others go on untouched.

        The histories are written to in place, for they are large: observations made since the last step see the new sessions.
        """
        state, fresh = self.state, self._open(users, seeds)
        large = {name: getattr(state.history, name) for name in _LARGE}
        for name, array in large.items():
            array[rows] = getattr(fresh.history, name)
        merged = _small(state).put(rows, _small(fresh))
        self._at(_hushed(replace(merged, history=replace(merged.history, **large))))

    def step(self, slates: Slates) -> Turn:
        """Show each user its slate, item indices ``[n, k]``. Raises InvalidSlate; then nothing has happened."""
        before = self.state
        slates = self.checked(slates)
        history = before.history
        luck = self._luck or self._fresh_luck()
        feedback, mindset = self.simulator.respond(before.mindset, history, slates, luck)
        response = response_of(slates, feedback, self.catalog)
        parts, reward = self.reward(Outcome(catalog=self.catalog, slates=slates, feedback=feedback, response=response))
        self._at(State(keys=before.keys, history=self._advanced(history, slates, feedback, response), mindset=mindset), luck.later())
        return Turn(slates=slates, feedback=feedback, parts=parts, reward=reward, mindset=mindset)

    @property
    def state(self) -> State:
        """The sessions as they stand; `snapshot` is what to keep, for the world goes on writing into the history's large arrays.

        Raises ConfigError before the first reset.
        """
        if self._state is None:
            raise ConfigError("the world has no sessions yet; call reset(users, seeds) first")
        return self._state

    @property
    def cut(self) -> Bools:
        """Sessions that have reached `max_turns` ``[n]``."""
        return self.state.history.turn >= self.max_turns

    def _at(self, state: State, luck: Luck | None = None) -> None:
        self._state, self._luck = state, luck

    def _fresh_luck(self) -> Luck:
        keys, turn = self.state.keys, self.state.history.turn.view(np.uint64)
        ahead = _AHEAD // len(keys)
        return Luck(keys + (turn if ahead < 2 else turn + np.arange(ahead, dtype=np.uint64)[:, None]) * _TURN)

    # branching

    def snapshot(self) -> State:
        """The sessions as a value: restoring it continues identically, however often."""
        return self.state.copy()

    def restore(self, state: State) -> None:
        """Go back to a snapshot, or on to any batch of sessions made of some (`State.take`)."""
        self._at(_hushed(state.copy()))

    def keep(self, rows: NDArray[Any]) -> None:
        """Drop all sessions but these (indices or mask)."""
        self._at(_hushed(self.state.take(rows)))

    # rules

    def checked(self, slates: Any) -> Slates:
        """The slates as int64 ``[n, k]``. Raises InvalidSlate for anything that cannot be shown."""
        n, k, n_items = len(self.state.keys), self.slate_size, len(self.catalog)
        array = as_array(slates, "slates")
        if array.dtype.kind not in "iu":
            raise InvalidSlate(f"slates are {array.dtype}; expected integers: item indices 0 to {n_items - 1}")
        if array.shape != (n, k):
            raise InvalidSlate(f"slates have shape {array.shape}; expected ({n}, {k}): {n} user(s), {k} slots each")
        if array.dtype != np.int64:
            if array.dtype == np.uint64 and array.max() >= n_items:
                raise InvalidSlate(f"a slate holds item {array.max()}; expected item indices 0 to {n_items - 1}")
            array = array.astype(np.int64)
        if n == 1:  # Python is three times as fast as NumPy on ten numbers
            row = array[0].tolist()
            if min(row) >= 0 and max(row) < n_items and len(set(row)) == k:
                return array
        if (array.view(np.uint64) >= n_items).any():
            row, slot = np.argwhere((array < 0) | (array >= n_items))[0]
            raise InvalidSlate(f"slate {row}, slot {slot} holds item {array[row, slot]}; expected item indices 0 to {n_items - 1}")
        twice = repeated(array)
        if twice.any():
            row, slot = np.argwhere(twice)[0].tolist()
            raise InvalidSlate(f"slate {row} shows item {array[row, slot]} twice (again in slot {slot}); expected {k} different items")
        return array

    def _open(self, users: Ints, seeds: NDArray[Any]) -> State:
        n, k = len(users), self.slate_size
        keys = combine(seeds, users)
        if self._pasts is None:
            items, acts, exposures = self._past(users)
        else:
            items, acts, exposures = self._pasts[0][users], self._pasts[1][users], self._pasts[2][users]
        history = History(
            users=users,
            turn=np.zeros(n, np.int64),
            items=items,
            acts=acts,
            slate=np.zeros((n, k), np.int32),
            response=np.zeros((n, k, 6), np.float32),
            exposures=exposures,
            standing=Instruction.none(n),
            age=np.zeros(n, np.int64),
        )
        return State(keys=keys, history=history, mindset=self.simulator.begin(users, Luck(keys)))

    def _past(self, users: Ints) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.uint8]]:
        """`History.items`, acts and exposures of these users before their first turn."""
        log, n = self.dataset.interactions, len(users)
        items, acts = np.zeros((n, self.history_width), np.int32), np.zeros((n, self.history_width), np.int8)
        exposures = np.zeros((n, len(self.catalog)), np.uint8)
        starts, ends = log.indptr[users], self.split.visible_end[users]
        row = np.repeat(np.arange(n), ends - starts)
        seen = log.rows(starts, ends)
        exposures[row, log.items[seen]] = 1
        column = seen - ends[row] + self.history_length  # the last one stands right before the session
        inside = column >= 0
        row, column, seen = row[inside], column[inside], seen[inside]
        items[row, column] = log.items[seen] + 1
        acts[row, column] = np.where(self.dataset.liked[seen], np.int8(Act.RATED), np.int8(Act.DISLIKED))
        return items, acts, exposures

    def _advanced(self, before: History, slates: Slates, feedback: Feedback, response: Floats) -> History:
        """The history after one more turn."""
        n, k = slates.shape
        exposures = before.exposures.reshape(-1)
        met = slates if n == 1 else slates + row_starts(n, len(self.catalog))
        exposures[met] = np.minimum(exposures.take(met), _MOST) + _ONE_MORE
        shown = (slates + _ONE).astype(np.int32)
        items, acts = before.items.copy(), before.acts.copy()
        # a session at max_turns is over; where a vector environment steps it once more before its reset, the last slate is overwritten
        if n == 1:  # a slice costs a tenth of an index array
            start = self.history_length + min(int(before.turn[0]), self.max_turns - 1) * k
            items[:, start : start + k], acts[:, start : start + k] = shown, _strongest(feedback, response)
        else:
            starts = self.history_length + np.minimum(before.turn, self.max_turns - 1) * k
            where = row_starts(n, self.history_width) + starts[:, None] + _slots(k)
            items.reshape(-1)[where], acts.reshape(-1)[where] = shown, _strongest(feedback, response)
        standing, age = before.standing, before.age
        said, silence = feedback.instruction, Instruction.none(n)
        if n == 1:  # the lines below in Python's own numbers
            if said.kind[0]:
                standing, age = _worded(said) if standing.texts is not None else said, _FRESH
            elif standing.kind[0]:
                age = age + _ONE
                if age[0] >= self.instruction_turns:
                    standing, age = silence, _FRESH
        elif said is not silence or standing is not silence:
            older = age + (standing.kind > 0)
            ending = (said.kind > 0) | (older >= self.instruction_turns)
            age = older * ~ending
            standing = _replaced(standing, ending.nonzero()[0], said)
        return History(
            users=before.users,
            turn=before.turn + _ONE,
            items=items,
            acts=acts,
            slate=shown,
            response=response,
            exposures=before.exposures,
            standing=standing,
            age=age,
        )


def response_of(slates: Slates, feedback: Feedback, catalog: Catalog) -> Floats:
    """The feedback as one array ``[n, k, 6]``, see `History.response`."""
    if feedback.response is not None:
        return feedback.response
    out = np.empty((*slates.shape, 6), np.float32)
    out[..., 0], out[..., 1], out[..., 2], out[..., 3] = feedback.clicked, feedback.liked, feedback.commented, feedback.shared
    np.divide(feedback.watch, catalog.durations.take(slates), out=out[..., 4])
    out[..., 5] = feedback.skipped
    return out


_FRESH = np.zeros(1, np.int64)
_FRESH.flags.writeable = False


@lru_cache(maxsize=16)
def _slots(k: int) -> Ints:
    return np.arange(k, dtype=np.int64)


def _strongest(feedback: Feedback, response: Floats) -> NDArray[np.int8]:
    """`Act` of each slot ``[n, k]``: the strongest thing that happened there."""
    deeds = np.matmul(response, _DEEDS).astype(np.int8)
    return _STRONGEST.take(deeds) + feedback.examined.view(np.int8)


def _replaced(standing: Instruction, rows: Ints, said: Instruction) -> Instruction:
    """What is in force after `rows` were replaced by what was said there, perhaps nothing."""
    n = len(said.kind)
    if not rows.size:
        return standing
    if standing.texts is not None or said.texts is not None:
        standing, said = _worded(standing), _worded(said)
    after = said if rows.size == n else standing.put(rows, said.take(rows))
    return after if after.kind.any() else Instruction.none(n)


def _hushed(state: State) -> State:
    """The state with the shared `Instruction.none` where no instruction is in force: copies of it would only be equal."""
    standing = state.history.standing
    if standing.kind.any():
        return state
    return replace(state, history=replace(state.history, standing=Instruction.none(len(standing.kind))))


_LARGE = ("items", "acts", "exposures")


def _small(state: State) -> State:
    """The state without its large arrays, which the caller puts back."""
    return replace(state, history=replace(state.history, **dict.fromkeys(_LARGE)))  # type: ignore[arg-type]


def _worded(instruction: Instruction) -> Instruction:
    return instruction if instruction.texts is not None else replace(instruction, texts=np.full(len(instruction.kind), "", dtype=object))
