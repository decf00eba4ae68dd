"""The world: time, branches, common random numbers, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recoworld.assembly import make_world
from recoworld.envs.codec import observe
from recoworld.errors import ConfigError, InvalidSlate
from recoworld.slates import repeated
from recoworld.testing.simulators import check_same, random_slates, sessions
from recoworld.types import Act, Feedback, History, Instruction, Mindset, Slates
from recoworld.world import World

K = 10


@pytest.fixture
def world() -> World:
    """A fresh world over the shared data."""
    return make_world(dataset="mini", slate_size=K)


class Script:
    """A simulator that does what a test says: `examined` and so on by turn, the rest is silence."""

    def __init__(self, world: World, **script: Any) -> None:
        self.world, self.script = world, script

    def begin(self, users: Any, luck: Any) -> Mindset:
        n = len(users)
        interest = np.zeros((n, self.world.catalog.features.shape[1]), np.float32)
        return Mindset(levels=np.zeros((n, 5), np.float32), interest=interest, intent=np.full(n, -1, np.int16))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Any) -> tuple[Feedback, Mindset]:
        n, k = slates.shape
        turn = int(history.turn[0])

        def deed(name: str) -> Any:
            return np.broadcast_to(np.array(self.script.get(name, [0] * k), bool), (n, k)).copy()

        said = Instruction.none(n)
        for row, code in self.script.get("says", {}).get(turn, {}).items():
            mine = Instruction(
                kind=np.full(1, code[0], np.int8),
                aspect=np.full(1, code[1], np.int8),
                value=np.full(1, code[2], np.int32),
                phrasing=np.zeros(1, np.uint32),
            )
            said = said.put(np.array([row]), mine)
        clicked = deed("clicked")
        feedback = Feedback(
            examined=deed("examined"),
            clicked=clicked,
            liked=deed("liked"),
            commented=deed("commented"),
            shared=deed("shared"),
            watch=(clicked * self.world.catalog.durations[slates] / 2).astype(np.float32),
            left=np.zeros(n, bool),
            followed=np.zeros(n, np.float32),
            instruction=said,
        )
        return feedback, mindset


def scripted(world: World, n: int = 2, **script: Any) -> World:
    """A world in which nobody is simulated."""
    made = World(world.dataset, world.split, Script(world, **script), slate_size=K, max_turns=6, history_length=30)
    made.reset(np.arange(n), np.arange(n))
    return made


# branching


def test_a_group_of_continuations_of_one_state(world: World) -> None:
    """What GRPO needs: eight branches of one state agree for the same slates, and part where slates differ."""
    slates = random_slates(world, 1, 6)
    sessions(world, np.array([3]), np.array([0]), slates[:3])
    state = world.snapshot()
    group = state.take(np.zeros(8, int))
    world.restore(group)
    same = [world.step(np.repeat(slate, 8, axis=0)) for slate in slates[3:]]
    for turn in same:
        for row in range(1, 8):
            check_same(turn.take(np.array([row])), turn.take(np.array([0])))
    world.restore(group)
    other = random_slates(world, 8, 1, seed=5)[0]
    other[0] = slates[3, 0]
    turn = world.step(other)
    check_same(turn.take(np.array([0])), same[0].take(np.array([0])))
    assert len(np.unique(turn.mindset.satiation, axis=0)) == 8  # type: ignore[attr-defined]  # a BehavioralMindset
    world.restore(state)
    check_same(world.step(slates[3]), same[0].take(np.array([0])))


def test_a_snapshot_is_a_value(world: World) -> None:
    """Nothing done to the world is seen in it, nor what is done to it in the world."""
    slates = random_slates(world, 5, 6)
    sessions(world, np.arange(5), np.arange(5), slates[:3])
    state = world.snapshot()
    kept = state.copy()
    first = [world.step(slate) for slate in slates[3:]]
    check_same(state, kept)
    world.restore(state)
    state.history.exposures[:] = 9
    state.mindset.levels[:] = 0.5
    for slate, turn in zip(slates[3:], first, strict=True):
        check_same(world.step(slate), turn)


def test_another_world_of_the_same_parts_goes_on_with_a_snapshot(world: World) -> None:
    slates = random_slates(world, 5, 6)
    turns = sessions(world, np.arange(5), np.arange(5), slates)
    sessions(world, np.arange(5), np.arange(5), slates[:3])
    other = make_world(dataset="mini", slate_size=K)
    other.restore(world.snapshot())
    for slate, turn in zip(slates[3:], turns[3:], strict=True):
        check_same(other.step(slate), turn)


def test_two_policies_meet_the_same_luck(world: World) -> None:
    """The same slate at the same state is answered alike whatever others see, and whoever else is there."""
    slates = random_slates(world, 6, 4)
    turns = sessions(world, np.arange(6), np.full(6, 42), slates)
    others = slates.copy()
    others[:, 3:] = random_slates(world, 6, 4, seed=1)[:, 3:]
    for other, turn in zip(sessions(world, np.arange(6), np.full(6, 42), others), turns, strict=True):
        check_same(other.take(np.arange(3)), turn.take(np.arange(3)))
    # luck is the user's in the sense of the turn too: stamina and the wish to leave do not hang on the slate
    rows = np.arange(600)
    one = sessions(world, rows, rows, random_slates(world, 600, 1, seed=2))[0]
    two = sessions(world, rows, rows, random_slates(world, 600, 1, seed=3))[0]
    np.testing.assert_array_equal(one.feedback.examined, two.feedback.examined)
    independent = sessions(world, rows, rows + 1000, random_slates(world, 600, 1, seed=3))[0]
    assert (one.feedback.examined != independent.feedback.examined).any(axis=1).mean() > 0.5


def test_a_session_depends_on_user_and_seed(world: World) -> None:
    """The same user under two seeds, and two users under one seed, live different lives."""
    slates = np.repeat(random_slates(world, 1, 3), 3, axis=1)
    turn = sessions(world, np.array([0, 0, 1]), np.array([0, 1, 0]), slates)[-1]
    assert len(np.unique(turn.mindset.interest, axis=0)) == 3


# rows


def test_reopen_touches_its_rows_alone(world: World) -> None:
    slates = random_slates(world, 6, 5)
    turns = sessions(world, np.arange(6), np.arange(6), slates)
    sessions(world, np.arange(6), np.arange(6), slates[:3])
    rows, rest = np.array([1, 4]), np.array([0, 2, 3, 5])
    world.reopen(rows, np.array([20, 21]), np.array([7, 8]))
    again = [world.step(slate) for slate in slates[3:]]
    fresh = sessions(world, np.array([20, 21]), np.array([7, 8]), slates[3:][:, rows])
    for turn, old, new in zip(again, turns[3:], fresh, strict=True):
        check_same(turn.take(rest), old.take(rest))
        check_same(turn.take(rows), new)


def test_keep_drops_the_others(world: World) -> None:
    slates = random_slates(world, 6, 4)
    turns = sessions(world, np.arange(6), np.arange(6), slates)
    for rows in (np.array([5, 0]), np.array([True, False, True, False, False, True])):
        sessions(world, np.arange(6), np.arange(6), slates[:2])
        world.keep(rows)
        for slate, turn in zip(slates[2:], turns[2:], strict=True):
            check_same(world.step(slate[rows]), turn.take(rows))


def test_cut_comes_with_max_turns() -> None:
    world = make_world(dataset="mini", max_turns=3)
    world.reset(np.arange(2), np.arange(2))
    cuts = []
    for slate in random_slates(world, 2, 3):
        world.step(slate)
        cuts.append(world.cut.tolist())
    assert cuts == [[False, False], [False, False], [True, True]]
    world.reopen(np.array([0]), np.array([5]), np.array([5]))
    assert world.cut.tolist() == [False, True]


# what is remembered


def test_exposures_count_the_visible_log_and_every_slate(world: World) -> None:
    log, n = world.dataset.interactions, 4
    slates = random_slates(world, n, 5)
    slates[3] = slates[2]
    sessions(world, np.arange(n), np.arange(n), slates)
    expected = np.zeros((n, len(world.catalog)), int)
    for user in range(n):
        expected[user, log.items[log.indptr[user] : world.split.visible_end[user]]] = 1
        for slate in slates[:, user]:
            expected[user, slate] += 1
    np.testing.assert_array_equal(world.state.history.exposures, expected)
    assert expected.max() >= 2


def test_exposures_stop_at_the_largest_that_is_counted() -> None:
    world = make_world(dataset="mini", max_turns=400, history_length=0)
    world.reset(np.array([0]), np.array([0]))
    for _ in range(300):
        world.step(np.arange(10)[None])
    exposures = world.state.history.exposures
    assert exposures[0, :10].min() >= 250
    assert exposures[0, 10:].max() <= 1


def test_history_holds_the_past_then_the_session(world: World) -> None:
    acts = {
        "examined": [1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        "clicked": [0, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        "liked": [0, 0, 1, 1, 0, 1, 0, 0, 0, 0],
        "commented": [0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        "shared": [0, 0, 0, 0, 1, 1, 0, 0, 0, 0],
    }
    made, log = scripted(world, **acts), world.dataset.interactions
    past = made.state.history
    assert past.items.shape == (2, 30 + 6 * K)
    for user in range(2):
        seen = slice(max(log.indptr[user], world.split.visible_end[user] - 30), world.split.visible_end[user])
        length = seen.stop - seen.start
        np.testing.assert_array_equal(past.items[user, 30 - length : 30], log.items[seen] + 1)
        np.testing.assert_array_equal(past.acts[user, 30 - length : 30], np.where(world.dataset.liked[seen], Act.RATED, Act.DISLIKED))
        assert not past.items[user, : 30 - length].any()
        assert not past.items[user, 30:].any()
    slates = random_slates(world, 2, 3)
    for slate in slates:
        made.step(slate)
    now = made.state.history
    np.testing.assert_array_equal(now.items[:, 30 : 30 + 3 * K], slates.transpose(1, 0, 2).reshape(2, -1) + 1)
    assert not now.items[:, 30 + 3 * K :].any()
    names = [Act.SKIPPED, Act.CLICKED, Act.LIKED, Act.COMMENTED, Act.SHARED, Act.SHARED] + [Act.UNSEEN] * 4
    np.testing.assert_array_equal(now.acts[:, 30 : 30 + 3 * K], [names * 3] * 2)
    np.testing.assert_array_equal(now.items[:, :30], past.items[:, :30])
    np.testing.assert_array_equal(now.slate, slates[-1] + 1)
    np.testing.assert_allclose(now.response[0, :, 4], np.array(acts["clicked"]) / 2)
    np.testing.assert_array_equal(now.response[0, :, 5], [1] + [0] * 9)


@pytest.mark.parametrize("turns", [1, 3])
def test_an_instruction_is_in_force_for_so_many_slates(world: World, turns: int) -> None:
    """Said after slate 1 by user 0: in force for the next slates; a new one replaces it and starts anew."""
    says = {0: {0: (1, 1, 2)}, 2: {1: (4, 2, 1990)}}
    made = World(world.dataset, world.split, Script(world, says=says), slate_size=K, instruction_turns=turns)
    made.reset(np.arange(2), np.arange(2))
    seen = []
    for slate in random_slates(world, 2, 7):
        made.step(slate)
        history = made.state.history
        seen.append([(int(history.standing.kind[row]), int(history.age[row])) for row in range(2)])
    for row, (said, kind) in enumerate([(0, 1), (2, 4)]):
        expected = [(kind, t - said) if said <= t < said + turns else (0, 0) for t in range(7)]
        assert [both[row] for both in seen] == expected


def test_a_new_instruction_takes_the_place_of_the_old(world: World) -> None:
    made = scripted(world, says={0: {0: (1, 1, 2)}, 1: {0: (3, 1, 4)}})
    for slate in random_slates(world, 2, 2):
        made.step(slate)
    code = observe(made)["instruction_code"]
    assert code[0].tolist() == [3, 1, 4, 0]
    assert code[1].tolist() == [0, 0, 0, 0]


# what is refused


@pytest.mark.parametrize(
    ("users", "seeds"),
    [
        ([], []),
        ([0, 1], [0]),
        ([[0]], [[0]]),
        ([0.0], [0]),
        ([0], [0.5]),
        ([-1], [0]),
        ([10**9], [0]),
        (["0"], [0]),
        ([True], [0]),
    ],
)
def test_resets_that_make_no_sense_are_refused(world: World, users: Any, seeds: Any) -> None:
    with pytest.raises(ConfigError):
        world.reset(np.array(users), np.array(seeds))


def test_nothing_happens_before_the_first_reset(world: World) -> None:
    for act in (lambda: world.step(np.arange(K)[None]), world.snapshot, lambda: world.keep(np.array([0])), lambda: world.cut):
        with pytest.raises(ConfigError, match="reset"):
            act()


@pytest.mark.parametrize(
    "sizes",
    [
        {"slate_size": 0},
        {"slate_size": 10**6},
        {"slate_size": 2.0},
        {"slate_size": True},
        {"max_turns": 0},
        {"max_turns": "20"},
        {"history_length": -1},
        {"instruction_turns": 0},
    ],
)
def test_sizes_out_of_range_are_refused(world: World, sizes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(sizes))):
        World(world.dataset, world.split, world.simulator, **sizes)


_N = 3
_WORLD: list[World] = []


def _ready() -> World:
    if not _WORLD:
        _WORLD.append(make_world(dataset="mini", slate_size=K))
        _WORLD[0].reset(np.arange(_N), np.arange(_N))
    return _WORLD[0]


_DTYPES = st.one_of(
    hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(), hnp.boolean_dtypes(), hnp.unicode_string_dtypes(max_len=3)
)
_ANYTHING = st.one_of(
    hnp.arrays(_DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12)),
    hnp.arrays(_DTYPES, (_N, K)),
    hnp.arrays(np.int64, (_N, K), elements=st.integers(-2, 900)),
    st.none(),
    st.text(max_size=3),
    st.integers(-(2**70), 2**70),
    st.lists(st.lists(st.one_of(st.integers(-(2**70), 2**70), st.none(), st.floats(), st.text(max_size=2)), max_size=3), max_size=3),
)


@settings(max_examples=3000)
@given(slates=_ANYTHING)
def test_broken_slates_raise_invalid_slate_and_nothing_else(slates: Any) -> None:
    """... and change nothing; what passes is a slate by anybody's count."""
    world = _ready()
    before = world.state
    try:
        taken = world.checked(slates)
    except InvalidSlate:
        with pytest.raises(InvalidSlate):
            world.step(slates)
        assert world.state is before
    else:
        array = np.asarray(slates)
        assert array.dtype.kind in "iu"
        assert taken.dtype == np.int64
        assert taken.shape == (_N, K)
        np.testing.assert_array_equal(taken, array)
        assert all(len(set(row)) == K and min(row) >= 0 and max(row) < len(world.catalog) for row in array.tolist())


@settings(max_examples=300)
@given(rows=st.lists(st.lists(st.integers(0, 12), min_size=5, max_size=5), min_size=1, max_size=6))
def test_repeated_slots_are_found(rows: list[list[int]]) -> None:
    expected = [[item in row[:i] for i, item in enumerate(row)] for row in rows]
    np.testing.assert_array_equal(repeated(np.array(rows)), expected)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint64])
def test_any_integers_are_slates(world: World, dtype: Any) -> None:
    slates = np.stack([np.arange(K), np.arange(100, 100 + K)])
    world.reset(np.arange(2), np.arange(2))
    turn = world.step(slates)
    world.reset(np.arange(2), np.arange(2))
    check_same(world.step(slates.astype(dtype)), turn)


def test_silence_survives_a_restore_and_a_shrinking_batch(world: World) -> None:
    """An instruction that was never given shows in no observation, whichever copy of nothing stands in the state."""
    world.reset(np.array([1, 2]), np.array([3, 4]))
    before = observe(world)
    world.restore(world.snapshot())
    for key, value in observe(world).items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)
    world.keep(np.array([1]))
    for key, value in observe(world).items():
        np.testing.assert_array_equal(value[0], before[key][1], err_msg=key)
    world.step(np.arange(10)[None])
    assert not observe(world)["instruction_code"].any() or world.state.history.standing.kind[0]
