"""What every user simulator must hold to. Subclass it in a test module of your own:

    class TestMine(SimulatorTests):
        def make(self) -> World:
            return make_world(dataset="mini", simulator="my_package.mine:build")

The tests drive the simulator through the world that `make` gives, which is made once for all of them.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recoworld.batch import Batch
from recoworld.instructions import FORMS, sentence
from recoworld.luck import Luck, combine
from recoworld.types import Aspect, Instruction, Ints, Mindset, Slates, Turn
from recoworld.world import World

LONGEST = 400
"""Characters of a sentence at most."""


class SimulatorTests:
    """Conformance suite: pytest collects the tests of a subclass that implements `make`."""

    n_users = 64
    """Sessions side by side; fewer for a simulator that is slow."""
    n_turns = 8

    def make(self) -> World:
        """A world whose simulator is under test."""
        raise NotImplementedError(f"{type(self).__name__}: implement make() so that it returns a world with the simulator under test")

    @pytest.fixture
    def world(self) -> World:
        """What `make` gives, once for all tests."""
        suite = type(self)
        if suite not in _WORLDS:
            _WORLDS.clear()  # pytest is done with one class before it starts another
            _WORLDS[suite] = self.make()
        return _WORLDS[suite]

    @pytest.fixture
    def users(self, world: World) -> Ints:
        """Who takes part ``[n_users]``."""
        return np.resize(np.arange(len(world.dataset.users)), self.n_users)

    @pytest.fixture
    def slates(self, world: World, users: Ints) -> Slates:
        """Random slates ``[n_turns, n_users, k]``."""
        return random_slates(world, len(users), self.n_turns)

    @pytest.fixture
    def turns(self, world: World, users: Ints, slates: Slates) -> list[Turn]:
        """What comes of them."""
        return sessions(world, users, np.arange(len(users)), slates)

    def test_replies_have_the_declared_shapes_and_dtypes(self, world: World, users: Ints, turns: list[Turn]) -> None:
        """As `Feedback` and `Mindset` say; watch is finite."""
        n, k, d = len(users), world.slate_size, world.catalog.features.shape[1]
        for turn in turns:
            feedback, mindset = turn.feedback, turn.mindset
            for name in ("examined", "clicked", "liked", "commented", "shared"):
                _is(getattr(feedback, name), np.bool_, (n, k), name)
            _is(feedback.watch, np.float32, (n, k), "watch")
            _is(feedback.left, np.bool_, (n,), "left")
            _is(feedback.followed, np.float32, (n,), "followed")
            _is(mindset.levels, np.float32, (n, 5), "levels")
            _is(mindset.interest, np.float32, (n, d), "interest")
            assert mindset.intent.shape == (n,), f"intent has shape {mindset.intent.shape}; expected {(n,)}"
            assert ((mindset.intent >= -1) & (mindset.intent < len(world.catalog.genre_names))).all(), "intent names no genre"
            for name in ("kind", "aspect", "value", "phrasing"):
                assert getattr(feedback.instruction, name).shape == (n,), f"instruction.{name} has a wrong shape"
            for value in (feedback.watch, feedback.followed, mindset.levels, mindset.interest):
                assert np.isfinite(value).all(), "a reply or a mindset holds NaN or infinity"

    def test_nothing_happens_in_slots_that_nobody_looked_at(self, turns: list[Turn]) -> None:
        """No click without examination; no like, comment, share or watching without a click."""
        for turn in turns:
            reply = turn.feedback
            assert not (reply.clicked & ~reply.examined).any(), "a click on a slot that was not examined"
            for name in ("liked", "commented", "shared"):
                assert not (getattr(reply, name) & ~reply.clicked).any(), f"{name} without a click"
            assert not reply.watch[~reply.clicked].any(), "watched without a click"

    def test_nobody_watches_longer_than_the_item_lasts(self, world: World, turns: list[Turn]) -> None:
        """Seconds, at least 0."""
        for turn in turns:
            assert (turn.feedback.watch >= 0).all()
            assert (turn.feedback.watch <= world.catalog.durations[turn.slates] * 1.0001).all()

    def test_levels_stay_between_0_and_1(self, turns: list[Turn]) -> None:
        """The five of the mindset, and how well an instruction was followed."""
        for turn in turns:
            for value in (turn.mindset.levels, turn.feedback.followed):
                assert value.min() >= 0
                assert value.max() <= 1

    def test_a_fresh_mindset_is_in_range(self, world: World, users: Ints) -> None:
        """What `begin` returns."""
        mindset = world.simulator.begin(users, Luck(combine(0, users)))
        assert isinstance(mindset, Mindset)
        _is(mindset.interest, np.float32, (len(users), world.catalog.features.shape[1]), "interest")
        _is(mindset.levels, np.float32, (len(users), 5), "levels")
        assert mindset.levels.min() >= 0
        assert mindset.levels.max() <= 1

    def test_arguments_are_left_alone(self, world: World, users: Ints, slates: Slates) -> None:
        """`respond` may be given read-only arrays, and changes none."""
        sessions(world, users, np.arange(len(users)), slates[:-1])
        state, kept, shown = world.snapshot(), world.snapshot(), slates[-1].copy()
        for array in [*arrays(state.mindset).values(), *arrays(state.history).values(), shown]:
            array.flags.writeable = False
        world.simulator.respond(state.mindset, state.history, shown, _luck(world))
        check_same(state, kept)
        np.testing.assert_array_equal(shown, slates[-1])

    def test_the_same_luck_gives_the_same_bytes(self, world: World, users: Ints, slates: Slates, turns: list[Turn]) -> None:
        """The same seed twice, and the same call twice; what was returned is not written to later."""
        first = [turn.copy() for turn in turns]
        for again, was in zip(sessions(world, users, np.arange(len(users)), slates), first, strict=True):
            check_same(again, was)
        for turn, was in zip(turns, first, strict=True):
            check_same(turn, was)
        state = world.snapshot()
        one, two = (world.simulator.respond(state.mindset, state.history, slates[0], _luck(world)) for _ in range(2))
        check_same(one[0], two[0])
        check_same(one[1], two[1])

    def test_another_seed_gives_another_session(self, world: World, users: Ints, slates: Slates, turns: list[Turn]) -> None:
        """Luck matters."""
        others = sessions(world, users, np.arange(len(users)) + 10_000, slates)
        assert any((turn.feedback.examined != other.feedback.examined).any() for turn, other in zip(turns, others, strict=True))

    @pytest.mark.parametrize("size", [1, 7, 64])
    def test_a_user_does_not_depend_on_the_batch(self, world: World, users: Ints, slates: Slates, turns: list[Turn], size: int) -> None:
        """Alone, among 7, and among 64 in another order: bit for bit the same replies and mindsets."""
        order = np.random.default_rng(size).permutation(len(users))
        for start in range(0, len(users), size):
            rows = order[start : start + size]
            for part, whole in zip(sessions(world, users[rows], rows, slates[:, rows]), turns, strict=True):
                check_same(part, whole.take(rows))

    def test_a_user_does_not_see_what_others_are_shown(self, world: World, users: Ints, slates: Slates, turns: list[Turn]) -> None:
        """Other slates for every second user change nothing for the rest."""
        changed = slates.copy()
        changed[:, ::2] = random_slates(world, len(users), len(slates), seed=1)[:, ::2]
        rows = np.arange(1, len(users), 2)
        for other, turn in zip(sessions(world, users, np.arange(len(users)), changed), turns, strict=True):
            check_same(other.take(rows), turn.take(rows))

    def test_a_restored_session_goes_on_identically(self, world: World, users: Ints, slates: Slates) -> None:
        """Twice from one snapshot, whatever was shown in between, and for some of the users only."""
        half = len(slates) // 2
        sessions(world, users, np.arange(len(users)), slates[:half])
        state = world.snapshot()
        first = [world.step(slate) for slate in slates[half:]]
        for slate in random_slates(world, len(users), 2, seed=2):
            world.step(slate)
        world.restore(state)
        for slate, turn in zip(slates[half:], first, strict=True):
            check_same(world.step(slate), turn)
        rows = np.arange(0, len(users), 3)
        world.restore(state.take(rows))
        for slate, turn in zip(slates[half:], first, strict=True):
            check_same(world.step(slate[rows]), turn.take(rows))

    def test_instructions_mean_something(self, world: World, turns: list[Turn]) -> None:
        """A known form about something that exists, in a sentence of bounded length; silence is silent throughout."""
        for turn in turns:
            said = turn.feedback.instruction
            for row, given in enumerate(said.given):
                words = sentence(said, row, world.catalog)
                if not given:
                    assert words == ""
                    continue
                check_instruction(said, row, world)
                assert words.strip(), "an instruction without words"
                assert len(words) <= LONGEST, f"{len(words)} characters: {words!r}"
                assert words.isprintable(), f"control characters in {words!r}"

    def test_nobody_speaks_and_leaves_at_once(self, turns: list[Turn]) -> None:
        """The instruction is given instead of leaving."""
        for turn in turns:
            assert not (turn.feedback.left & turn.feedback.instruction.given).any()

    def test_opinions_are_probabilities(self, world: World, users: Ints, slates: Slates) -> None:
        """What a `Chooser` or a `Rater` says of a slate, after some turns; the same twice, alone and among others."""
        sessions(world, users, np.arange(len(users)), slates[:2])
        state, n, k = world.snapshot(), len(users), world.slate_size
        for name, shape in (("chances", (n, k)), ("stars", (n, k, 5))):
            opinion = getattr(world.simulator, name, None)
            if opinion is None:
                continue
            said = opinion(state.mindset, state.history, slates[2], _luck(world))
            _is(said, np.float32, shape, name)
            if name == "stars":
                assert (said >= 0).all(), "a negative probability of a rating"
                np.testing.assert_allclose(said.sum(axis=2), 1, atol=1e-4, err_msg="probabilities of the five ratings")
            else:
                assert ((said > 0) & (said < 1)).all(), "a chance outside (0, 1)"
            np.testing.assert_array_equal(opinion(state.mindset, state.history, slates[2], _luck(world)), said)
            row = np.array([n // 2])
            world.restore(state.take(row))
            alone = opinion(world.state.mindset, world.state.history, slates[2][row], _luck(world))
            np.testing.assert_allclose(alone, said[row], rtol=1e-5)
            world.restore(state)


_WORLDS: dict[type, World] = {}


def sessions(world: World, users: Ints, seeds: NDArray[Any], slates: Slates) -> list[Turn]:
    """Show the users ``[n]`` the slates ``[turns, n, k]``, whether they stay or leave: the turns."""
    world.reset(users, seeds)
    return [world.step(slate) for slate in slates]


def random_slates(world: World, n: int, turns: int, *, seed: int = 0) -> Slates:
    """Slates of different items ``[turns, n, k]``."""
    rng, k, n_items = np.random.default_rng(seed), world.slate_size, len(world.catalog)
    if k > 100:
        return np.stack([[rng.choice(n_items, k, replace=False) for _ in range(n)] for _ in range(turns)]).astype(np.int64)
    return np.argsort(rng.random((turns, n, n_items), np.float32), axis=2)[:, :, :k].astype(np.int64)


def arrays(batch: Batch, prefix: str = "") -> dict[str, NDArray[Any]]:
    """All arrays of a batch, those of the batches inside it too, by dotted name."""
    out: dict[str, NDArray[Any]] = {}
    for field in fields(batch):  # type: ignore[arg-type]  # batches are dataclasses
        value = getattr(batch, field.name)
        if isinstance(value, Batch):
            out |= arrays(value, f"{prefix}{field.name}.")
        elif isinstance(value, np.ndarray):
            out[prefix + field.name] = value
    return out


def check_same(got: Batch, expected: Batch) -> None:
    """Fails unless both hold the same bytes."""
    mine, theirs = arrays(got), arrays(expected)
    assert mine.keys() == theirs.keys(), f"fields {sorted(mine.keys() ^ theirs.keys())} are in one of them only"
    for name, value in mine.items():
        other = theirs[name]
        same = value.dtype == other.dtype and value.shape == other.shape
        equal = same and (np.array_equal(value, other) if value.dtype == object else value.tobytes() == other.tobytes())
        if not equal:
            np.testing.assert_array_equal(value, other, err_msg=name, strict=True)
            pytest.fail(f"{name} differs in its bytes: a zero's sign, or a NaN")


def check_instruction(said: Instruction, row: int, world: World) -> None:
    """Fails unless the instruction of this row is one of `FORMS`, about something that exists."""
    kind, aspect, value, catalog = int(said.kind[row]), int(said.aspect[row]), int(said.value[row]), world.catalog
    assert (kind, aspect) in FORMS, f"kind {kind}, aspect {aspect} cannot be said"
    known = {
        Aspect.GENRE: range(len(catalog.genre_names)),
        Aspect.ERA: range(1000, 10_000, 10),
        Aspect.POPULARITY: range(2),
        Aspect.PERSON: range(len(catalog.people_names)),
        Aspect.TITLE: range(len(catalog)),
    }
    assert value in known[Aspect(aspect)], f"{Aspect(aspect).name.lower()} {value} does not exist"


def _is(value: NDArray[Any], dtype: Any, shape: tuple[int, ...], name: str) -> None:
    assert value.dtype == dtype, f"{name} is {value.dtype}; expected {np.dtype(dtype)}"
    assert value.shape == shape, f"{name} has shape {value.shape}; expected {shape}"


def _luck(world: World) -> Luck:
    return Luck(combine(world.state.keys, world.state.history.turn))
