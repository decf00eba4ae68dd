"""Simulated users: conformance, and what is claimed of their minds.

Statistical tests have fixed seeds and many users; where a mean is compared, the margin is several standard errors.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.catalog import NO_GENRE, build_catalog
from recoworld.errors import ConfigError
from recoworld.evaluation.rollout import rollout
from recoworld.instructions import matches, sentence
from recoworld.luck import Luck, combine
from recoworld.policies import make_policy
from recoworld.registry import SIMULATORS
from recoworld.simulators.behavioral import BehavioralSimulator, build
from recoworld.simulators.config import BehavioralConfig
from recoworld.testing.simulators import SimulatorTests, random_slates, sessions
from recoworld.types import Aspect, Instruction, Kind, Observations, Slates
from recoworld.users import Dataset, Split
from recoworld.world import World

S, B, F, P, T = range(5)


def mini(**coefficients: Any) -> World:
    """Everyone of `mini`, with other coefficients."""
    return make_world(dataset="mini", users="all", simulator_config=coefficients)


def other(world: World, **changes: Any) -> World:
    """The same people simulated in another way."""
    simulator = world.simulator
    assert isinstance(simulator, BehavioralSimulator)
    arguments = {"catalog": simulator.catalog, "taste": simulator.taste, "config": simulator.config, **changes}
    return World(world.dataset, world.split, BehavioralSimulator(**arguments))


# conformance


def _suite(name: str) -> type[SimulatorTests]:
    def make(self: SimulatorTests) -> World:
        return make_world(dataset="mini", simulator=name)

    return type(f"Test {name}", (SimulatorTests,), {"make": make})


for _name in set(SIMULATORS) - {"distilled", "hybrid", "llm", "llm-score"}:  # which have modules of their own
    globals()[f"Test_{_name}"] = _suite(_name)


class TestInNumPy(SimulatorTests):
    """The equations as they are defined, without the compiled kernel."""

    def make(self) -> World:
        return other(mini(), native=False)


class TestWithoutTables(SimulatorTests):
    """Taste too large to be held whole."""

    def make(self) -> World:
        world = mini()
        return other(world, taste=replace(world.simulator.taste, attraction=None, stars=None))


class TestAnotherShape(SimulatorTests):
    """Long slates, and users who talk a lot."""

    def make(self) -> World:
        return make_world(dataset="mini", slate_size=23, simulator_config={"talkative": 1.0, "sense_at": 0.02})


class Broken:
    """The behavioural user with one fault: what the suite is there to find."""

    def __init__(self, inner: BehavioralSimulator, fault: str) -> None:
        self.inner, self.fault = inner, fault

    def begin(self, users: Any, luck: Luck) -> Any:
        mindset = self.inner.begin(users, Luck(combine(users)) if self.fault == "deaf to seeds" else luck)
        return replace(mindset, interest=mindset.interest.astype(np.float64)) if self.fault == "dtype" else mindset

    def respond(self, mindset: Any, history: Any, slates: Slates, luck: Luck) -> Any:
        feedback, after = self.inner.respond(mindset, history, slates, luck)
        match self.fault:
            case "batch":
                after = replace(after, levels=(after.levels + 1e-3 * after.levels.mean(axis=0)).clip(0, 1).astype(np.float32))
            case "rounding":  # a sum over users in float32, as one batched product of another shape would give
                after = replace(after, interest=after.interest * np.float32(1 + 1e-6 * len(slates)))
            case "global":
                feedback = replace(feedback, left=np.random.random(len(slates)) < 0.5)  # noqa: NPY002  # the fault
            case "writes":
                history.exposures[:, 0] += 1
            case "clicks unseen":
                feedback = replace(feedback, clicked=~feedback.examined)
            case "likes unclicked":
                feedback = replace(feedback, liked=~feedback.clicked)
            case "levels":
                after = replace(after, levels=after.levels * np.float32(3))
            case "speaks and leaves":
                feedback = replace(feedback, left=feedback.left | feedback.instruction.given)
            case "nonsense":
                said = feedback.instruction
                feedback = replace(feedback, instruction=replace(said, value=said.value + np.int32(5) * (said.aspect == Aspect.ERA)))
            case "deaf to seeds":
                return self.inner.respond(mindset, history, slates, Luck(combine(history.users, history.turn)))
            case "memory":
                self.calls = getattr(self, "calls", 0) + 1
                after = replace(after, intent=np.full_like(after.intent, self.calls % 7))
        return feedback, after


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("dtype", "test_a_fresh_mindset_is_in_range"),
        ("batch", "test_a_user_does_not_depend_on_the_batch"),
        ("rounding", "test_a_user_does_not_depend_on_the_batch"),
        ("batch", "test_a_user_does_not_see_what_others_are_shown"),
        ("global", "test_the_same_luck_gives_the_same_bytes"),
        ("memory", "test_a_restored_session_goes_on_identically"),
        ("writes", "test_arguments_are_left_alone"),
        ("clicks unseen", "test_nothing_happens_in_slots_that_nobody_looked_at"),
        ("likes unclicked", "test_nothing_happens_in_slots_that_nobody_looked_at"),
        ("levels", "test_levels_stay_between_0_and_1"),
        ("speaks and leaves", "test_nobody_speaks_and_leaves_at_once"),
        ("nonsense", "test_instructions_mean_something"),
        ("deaf to seeds", "test_another_seed_gives_another_session"),
    ],
)
def test_the_suite_finds_faults(fault: str, test: str) -> None:
    good, suite = mini(), SimulatorTests()
    users, seeds = np.arange(64), np.arange(64)
    for simulator, found in ((good.simulator, False), (Broken(good.simulator, fault), True)):
        world = World(good.dataset, good.split, simulator)
        slates = random_slates(world, 64, 8)
        given: dict[str, Any] = {"world": world, "users": users, "slates": slates, "size": 7}
        method = getattr(suite, test)
        given["turns"] = sessions(world, users, seeds, slates)
        wanted = {name: given[name] for name in method.__code__.co_varnames[1 : method.__code__.co_argcount]}
        if not found:
            method(**wanted)
            continue
        with pytest.raises((AssertionError, pytest.fail.Exception, ValueError)):  # writing to what is read-only is a ValueError
            method(**wanted)


# the mindset


@pytest.fixture(scope="module")
def world() -> World:
    return mini()


@pytest.fixture(scope="module")
def everyone(world: World) -> np.ndarray:
    return np.arange(len(world.dataset.users))


def opened(world: World, users: np.ndarray) -> World:
    world.reset(users, users)
    return world


def above(difference: np.ndarray, margin: float = 0.0) -> bool:
    """Whether a paired difference is above the margin by five standard errors."""
    return bool(difference.mean() - 5 * difference.std() / np.sqrt(len(difference)) > margin)


def test_one_genre_over_and_over_bores_more_than_a_varied_slate(world: World, everyone: np.ndarray) -> None:
    rng, n = np.random.default_rng(0), len(everyone)
    drama = np.flatnonzero(world.catalog.genres[:, world.catalog.genre_names.index("Drama")])
    same = np.stack([rng.permutation(drama)[:40].reshape(4, 10) for _ in range(n)], axis=1)
    bored, amused = (sessions(world, everyone, everyone, slates) for slates in (same, random_slates(world, n, 4)))
    for turn, margin in ((2, 0.01), (3, 0.03)):  # the first slate has nothing to repeat
        assert above(bored[turn].mindset.level("boredom") - amused[turn].mindset.level("boredom"), margin)


def test_near_duplicates_bore_most(world: World, everyone: np.ndarray) -> None:
    """Items alike in genres and decade: boredom rises with the mean cosine of what is shown."""
    features, n = world.catalog.features, len(everyone)
    centre = np.random.default_rng(1).integers(len(world.catalog), size=n)
    near = np.argsort(-(features[centre] @ features.T), axis=1)
    boredom = []
    for start in (0, 100, 400):  # the nearest forty, some further away, the furthest
        slates = near[:, start : start + 40].reshape(n, 4, 10).transpose(1, 0, 2)
        boredom.append(sessions(world, everyone, everyone, slates)[-1].mindset.level("boredom"))
    assert above(boredom[0] - boredom[1], 0.02)
    assert above(boredom[1] - boredom[2], 0.0)


def test_the_same_items_again_lower_clicks_and_bore(world: World, everyone: np.ndarray) -> None:
    """The last slate is the same in both: only what came before differs."""
    slates = random_slates(world, len(everyone), 4)
    repeated, fresh = np.repeat(slates[3:], 4, axis=0), slates
    again, new = (sessions(world, everyone, everyone, shown)[-1] for shown in (repeated, fresh))
    assert above(new.feedback.clicked.sum(axis=1) - again.feedback.clicked.sum(axis=1).astype(float), 0.2)
    assert again.feedback.clicked.sum() < 0.5 * new.feedback.clicked.sum()
    assert above(again.mindset.level("boredom") - new.mindset.level("boredom"), 0.05)
    assert above(new.mindset.level("satisfaction") - again.mindset.level("satisfaction"))


@pytest.fixture(scope="module")
def told() -> tuple[World, Slates, Slates]:
    """A world in which each user has just said something, and slates that follow it wholly, or not at all."""
    world = mini(talkative=1.0, sense_at=0.03)
    users = np.tile(np.arange(len(world.dataset.users)), 3)
    sessions(world, users, np.arange(len(users)), random_slates(world, len(users), 3))
    world.keep(np.flatnonzero(world.state.history.standing.given & (world.state.history.age == 0)))
    said = world.state.history.standing
    wanted = matches(said, world.catalog) ^ np.isin(said.kind, [Kind.LESS, Kind.AVOID])[:, None]
    both = (wanted.sum(axis=1) >= 10) & ((~wanted).sum(axis=1) >= 10)
    world.keep(np.flatnonzero(both))
    order = np.random.default_rng(0).random(wanted[both].shape)
    following, ignoring = (np.argsort(order + 2 * (wanted[both] != good), axis=1)[:, :10] for good in (True, False))
    return world, following, ignoring


def test_following_an_instruction_raises_trust_and_patience(told: tuple[World, Slates, Slates]) -> None:
    world, following, ignoring = told
    state = world.snapshot()
    assert len(state.keys) > 500
    assert len(set(state.history.standing.kind.tolist())) == 6  # every kind of instruction
    turns = []
    for slates in (following, ignoring):
        world.restore(state)
        turns.append(world.step(slates))
    world.restore(state)
    heard, unheard = (turn.mindset for turn in turns)
    assert turns[0].feedback.followed.min() > 0.99
    assert turns[1].feedback.followed.max() < 0.01
    before = state.mindset
    assert (heard.level("trust") > before.level("trust")).all()
    assert (unheard.level("trust") < before.level("trust")).all()
    assert above(heard.level("patience") - unheard.level("patience"), 0.1)
    assert above(heard.level("patience") - before.level("patience"))
    assert above(before.level("patience") - unheard.level("patience"), 0.05)
    assert above(heard.level("satisfaction") - unheard.level("satisfaction"))


def test_half_an_ear_is_between(told: tuple[World, Slates, Slates]) -> None:
    """Trust rises with the share of the slate that follows."""
    world, following, ignoring = told
    state, trust = world.snapshot(), []
    for share in (0, 1, 2, 3, 5, 10):
        world.restore(state)
        slates = np.concatenate([following[:, :share], ignoring[:, share:]], axis=1)
        trust.append(world.step(slates).mindset.level("trust"))
    world.restore(state)
    assert (np.diff(trust, axis=0) >= -1e-6).all()
    assert (np.diff(np.mean(trust, axis=1)) > 0.01)[:4].all()


def test_a_better_slate_never_lowers_the_time_watched(world: World, everyone: np.ndarray) -> None:
    """Random items are replaced by the most appealing, one after the other: watch time rises at every dose, now and over three slates."""
    opened(world, everyone)
    state = world.snapshot()
    appeal = world.simulator.appeal(state.mindset, state.history)
    best = np.argsort(-appeal, axis=1)[:, :30].reshape(len(everyone), 3, 10).transpose(1, 0, 2)
    noisy = appeal + np.random.default_rng(0).random(appeal.shape)
    others = np.argsort(noisy, axis=1)[:, :30].reshape(len(everyone), 3, 10).transpose(1, 0, 2)
    first, three = [], []
    for dose in range(11):
        world.restore(state)
        slates = np.concatenate([best[:, :, :dose], others[:, :, dose:]], axis=2)
        watched = [world.step(slate).feedback.watch.sum(axis=1) for slate in slates]
        first.append(watched[0])
        three.append(np.sum(watched, axis=0))
    for watched in (np.array(first), np.array(three)):
        steps = np.diff(watched, axis=0)  # [10, n]
        error = steps.std(axis=1) / np.sqrt(len(everyone))
        assert (steps.mean(axis=1) > -2 * error).all()
        assert (steps.mean(axis=1) > 3 * error)[:5].all()
        assert watched[-1].mean() > 3 * watched[0].mean()


def test_the_better_item_earlier_is_never_worse(world: World, everyone: np.ndarray) -> None:
    """Ten good items from best to worst, against worst to best among twenty others: slots that are seen more matter more."""
    opened(world, everyone)
    state = world.snapshot()
    order = np.argsort(-world.simulator.appeal(state.mindset, state.history), axis=1)
    mixed = np.concatenate([order[:, :5], order[:, 300:305]], axis=1)
    watched = []
    for slates in (mixed, mixed[:, ::-1]):
        world.restore(state)
        watched.append(world.step(slates).feedback.watch.sum(axis=1))
    assert above(watched[0] - watched[1])


def test_the_hazard_rises_with_boredom_and_fatigue_and_falls_with_the_rest(world: World) -> None:
    levels = np.random.default_rng(0).random((2000, 5)).astype(np.float32)
    for level, sign in ((S, -1), (B, 1), (F, 1), (P, -1), (T, -1)):
        more = levels.copy()
        more[:, level] = levels[:, level] + (1 - levels[:, level]) * 0.5
        change = world.simulator.hazard(more) - world.simulator.hazard(levels)
        assert (sign * change > 0).all()
    assert (world.simulator.hazard(levels) > 0).all()


def test_leaving_has_the_hazards_probability(everyone: np.ndarray) -> None:
    """Of users who never speak, 1 - exp(-hazard) leave: counted over five bands of risk."""
    world = mini(talkative=0.0, leave_base=-1.5)
    users = np.tile(everyone, 10)
    turn = sessions(world, users, np.arange(len(users)), random_slates(world, len(users), 2))[-1]
    chance = 1 - np.exp(-world.simulator.hazard(turn.mindset.levels))
    for band in np.array_split(np.argsort(chance), 5):
        error = np.sqrt((chance[band] * (1 - chance[band])).sum()) / len(band)
        assert turn.feedback.left[band].mean() == pytest.approx(chance[band].mean(), abs=4 * float(error))
    assert np.ptp([chance[band].mean() for band in np.array_split(np.argsort(chance), 5)]) > 0.05


def test_interest_returns_home_without_clicks(everyone: np.ndarray) -> None:
    """At the speed interest_pull, exactly, where there is no noise."""
    world = mini(click_base=-50.0, interest_noise=0.0, focus=1.0)
    opened(world, everyone)
    home = world.simulator.taste.home
    away = [world.state.mindset.interest - home]
    away += [world.step(slate).mindset.interest - home for slate in random_slates(world, len(everyone), 8)]
    for turn, distance in enumerate(away):
        np.testing.assert_allclose(distance, away[0] * 0.9**turn, atol=1e-5)
    assert np.abs(away[0]).max() > 0.9


def test_clicks_draw_interest_to_what_was_clicked(everyone: np.ndarray) -> None:
    world = mini(interest_noise=0.0, interest_pull=0.0, click_base=-1.0)
    opened(world, everyone)
    before = world.state.mindset.interest
    turn = world.step(random_slates(world, len(everyone), 1)[0])
    clicked = np.einsum("nk,nkd->nd", turn.feedback.clicked, world.catalog.features[turn.slates])
    hits = turn.feedback.clicked.sum(axis=1)
    expected = 0.08 * (clicked - hits[:, None] * world.catalog.features.mean(axis=0))
    np.testing.assert_allclose(turn.mindset.interest - before, expected, atol=1e-5)


def test_fatigue_grows_over_the_session(world: World, everyone: np.ndarray) -> None:
    turns = sessions(world, everyone, everyone, random_slates(world, len(everyone), 10))
    fatigue = np.array([turn.mindset.level("fatigue").mean() for turn in turns])
    assert (np.diff(fatigue) > 0).all()
    assert fatigue[-1] > fatigue[0] + 0.1


def test_examination_and_clicks_fall_with_the_slot(world: World, everyone: np.ndarray) -> None:
    """Examination as exp(-effort j), person by person."""
    users = np.tile(everyone, 20)
    world.reset(users, np.arange(len(users)))
    mind = world.state.mindset
    effort = mind.effort * (1 + mind.level("fatigue")) / (0.5 + mind.level("patience"))
    turn = world.step(random_slates(world, len(users), 1)[0])
    expected = np.exp(-np.arange(10) * effort[:, None]).mean(axis=0)
    np.testing.assert_allclose(turn.feedback.examined.mean(axis=0), expected, atol=4 * 0.5 / np.sqrt(len(users)))
    assert turn.feedback.examined[:, 0].all()
    assert (np.diff(turn.feedback.examined.astype(int), axis=1) <= 0).all()  # nobody skips a slot
    rate = turn.feedback.clicked.mean(axis=0)
    error = np.sqrt(2 * rate.mean() / len(users))
    assert (np.diff(rate) < 3 * error).all()
    assert rate[9] < 0.75 * rate[0]


def test_people_differ_for_life(world: World, everyone: np.ndarray) -> None:
    """Some click more than others under every seed: the correlation of click counts in two sets of sessions is positive."""
    counts = []
    for part in (0, 1):
        users = np.tile(everyone, 8)
        seeds = np.arange(len(users)) + 10**6 * part
        turn = sessions(world, users, seeds, random_slates(world, len(users), 1, seed=part))[0]
        counts.append(turn.feedback.clicked.sum(axis=1).reshape(8, -1).sum(axis=0))
    assert np.corrcoef(*counts)[0, 1] > 0.2


# instructions


@pytest.fixture(scope="module")
def spoken() -> list[tuple[World, Any]]:
    """Turns of 1,000 users, with the world for its catalogue."""
    world = mini()
    users = np.tile(np.arange(len(world.dataset.users)), 2)
    return [(world, turn) for turn in sessions(world, users, np.arange(len(users)), random_slates(world, len(users), 8))]


def test_instructions_refer_to_what_was_just_shown(spoken: list[tuple[World, Any]]) -> None:
    seen = Counter[str]()
    for world, turn in spoken:
        said, catalog = turn.feedback.instruction, world.catalog
        for row in np.flatnonzero(said.given):
            kind, aspect, value = Kind(said.kind[row]), Aspect(said.aspect[row]), int(said.value[row])
            looked = turn.slates[row][turn.feedback.examined[row]]
            clicked = turn.slates[row][turn.feedback.clicked[row]]
            if aspect == Aspect.TITLE:
                assert value in clicked
            elif aspect == Aspect.PERSON:
                assert (catalog.people[clicked] == value).any()
            elif aspect == Aspect.GENRE and kind in (Kind.LESS, Kind.AVOID, Kind.DIFFERENT):
                assert catalog.genres[looked, value].any(), f"{sentence(said, row, catalog)} None of what was looked at is."
            elif aspect == Aspect.ERA and kind == Kind.LESS:
                assert (catalog.decades[looked] == value).any()
            elif kind == Kind.ONLY and aspect == Aspect.GENRE:
                assert value == turn.mindset.intent[row]
            seen[f"{kind.name} {aspect.name}"] += 1
    assert {"LESS GENRE", "DIFFERENT GENRE", "AVOID GENRE", "ONLY GENRE", "MORE TITLE"} <= set(seen)
    assert {"DIFFERENT TITLE", "MORE PERSON", "LESS ERA"} <= set(seen)


def test_instructions_are_varied(spoken: list[tuple[World, Any]]) -> None:
    forms, sentences = Counter[tuple[int, int]](), Counter[str]()
    for world, turn in spoken:
        said = turn.feedback.instruction
        for row in np.flatnonzero(said.given)[: 2000 - forms.total()]:
            forms[int(said.kind[row]), int(said.aspect[row])] += 1
            sentences[sentence(said, int(row), world.catalog)] += 1
    assert forms.total() == 2000
    assert len(forms) >= 10
    assert forms.most_common(1)[0][1] < 1000
    assert len(sentences) >= 60
    assert sentences.most_common(1)[0][1] < 200


def test_users_without_words_never_speak(everyone: np.ndarray) -> None:
    world = mini(talkative=0.0, sense_at=1e-6)
    for turn in sessions(world, everyone, everyone, random_slates(world, len(everyone), 5)):
        assert turn.feedback.instruction is Instruction.none(len(everyone)) or not turn.feedback.instruction.given.any()


def test_contented_users_have_nothing_to_say(everyone: np.ndarray) -> None:
    world = mini(talkative=1.0, sense_at=1e6)
    for turn in sessions(world, everyone, everyone, random_slates(world, len(everyone), 5)):
        assert not turn.feedback.instruction.given.any()


def test_who_has_spoken_waits_for_an_answer() -> None:
    """`instruction_gap` slates between two instructions of one user."""
    world = mini(talkative=1.0, sense_at=1e-6, instruction_gap=3)
    users = np.arange(300)
    said = np.array([turn.feedback.instruction.given for turn in sessions(world, users, users, random_slates(world, 300, 9))])
    for user in said.T:
        assert (np.diff(np.flatnonzero(user)) >= 3).all()
    assert said.sum(axis=0).mean() > 2


def test_speaking_up_is_instead_of_leaving() -> None:
    """Users who may speak leave less often than the same users who may not."""
    users = np.arange(1000)
    left = []
    for talkative in (0.0, 1.0):
        world = mini(talkative=talkative)
        left.append(np.mean([turn.feedback.left for turn in sessions(world, users, users, random_slates(world, 1000, 2))]))
    assert left[1] < 0.7 * left[0]


# settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"click_bias": 1.0}, "did you mean 'click_base'"),
        ({"talkativ": 0.5}, "did you mean 'talkative'"),
        ({"talkative": 1.5}, "talkative"),
        ({"effort": 0.0}, "effort"),
        ({"like_base": float("nan")}, "like_base"),
        ({"instruction_gap": 0}, "instruction_gap"),
        ({"epochs": "many"}, "epochs"),
        ({3: 4}, "unknown setting"),
    ],
)
def test_wrong_settings_say_what_was_expected(settings: dict[Any, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        BehavioralConfig.of(settings)
    with pytest.raises(ConfigError, match=said):
        SIMULATORS["behavioral"](None, None, settings)


def test_a_foreign_mindset_is_refused(world: World) -> None:
    from recoworld.types import Mindset

    opened(world, np.arange(2))
    state = world.state
    bare = Mindset(levels=state.mindset.levels, interest=state.mindset.interest, intent=state.mindset.intent)
    with pytest.raises(TypeError, match="BehavioralMindset"):
        world.simulator.respond(bare, state.history, random_slates(world, 2, 1)[0], Luck(combine(0, np.arange(2))))


# rates and returns of policies


class Fixed:
    """The same slate for ever, or random slates out of a few items."""

    name = "fixed"

    def __init__(self, items: np.ndarray, *, shuffled: bool = False) -> None:
        self.items, self.shuffled = items, shuffled

    def fit(self, dataset: Dataset, split: Split) -> None: ...

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        n, k = observations["slate"].shape
        order = np.argsort(luck.uniform(len(self.items)), axis=1) if self.shuffled else np.tile(np.arange(len(self.items)), (n, 1))
        return self.items[order[:, :k]].astype(np.int64)


class Freshest(Fixed):
    """Out of a few items those that the session has seen least often, then in the order given."""

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        k = observations["slate"].shape[1]
        shown = (observations["history"][:, :, None] == self.items + 1).sum(axis=1)
        return self.items[np.argsort(shown, axis=1, kind="stable")[:, :k]].astype(np.int64)


def returns(world: World, policy: Any) -> np.ndarray:
    """Two sessions of each of up to 1,000 users ``[users]``: the mean return."""
    if not isinstance(policy, Fixed):
        policy = make_policy(policy)
        policy.fit(world.dataset, world.split)
    users = np.repeat(np.arange(len(world.dataset.users))[:1000], 2)
    return rollout(world, policy, users, np.arange(len(users))).returned.reshape(-1, 2).mean(axis=1)


TRICKS = ["the same ten for ever", "the hundred blockbusters, shuffled", "the hundred blockbusters, in turn"]


def exploits(world: World) -> dict[str, Fixed]:
    """Tricks that must not pay, the best version of each that comes to mind."""
    by_popularity = np.argsort(-world.catalog.popularity, kind="stable")
    return {
        "the same ten for ever": Fixed(by_popularity[:10]),
        "the hundred blockbusters, shuffled": Fixed(by_popularity[:100], shuffled=True),
        "the hundred blockbusters, in turn": Freshest(by_popularity[:100]),
    }


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_do_not_pay(world: World, trick: str) -> None:
    assert above(returns(world, "popularity") - returns(world, exploits(world)[trick]))


def test_without_genres_nobody_comes_with_one_in_mind(world: World) -> None:
    simulator, n = world.simulator, len(world.catalog)
    assert isinstance(simulator, BehavioralSimulator)
    blank = build_catalog(name="blank", ids=world.catalog.ids.tolist(), titles=["x"] * n, genres=[()] * n, years=[0] * n)
    home = np.zeros((len(world.dataset.users), blank.features.shape[1]), np.float32)
    wishful = BehavioralSimulator(blank, replace(simulator.taste, home=home), BehavioralConfig(focus=1.0))
    opening = wishful.begin(np.arange(200), Luck(combine(0, np.arange(200))))
    assert (opening.intent == -1).all()
    assert not opening.interest.any()


def test_items_without_a_genre_do_not_escape_satiation() -> None:
    """A tenth of the films lose their genres: who shows only them earns less than popularity, though they are as popular as any."""
    base = mini()
    catalog, rng = base.catalog, np.random.default_rng(0)
    bare = rng.permutation(len(catalog))[: len(catalog) // 5]
    genres = np.concatenate([catalog.genres, np.zeros((len(catalog), 1), bool)], axis=1)
    genres[bare] = False
    genres[bare, -1] = True
    stripped = replace(catalog, genres=genres, genre_names=(*catalog.genre_names, NO_GENRE))
    dataset = replace(base.dataset, catalog=stripped)
    world = World(dataset, base.split, build(dataset, base.split))
    bare = bare[np.argsort(-stripped.popularity[bare], kind="stable")]
    assert above(returns(world, "popularity") - returns(world, Freshest(bare)))
    users = np.arange(500)
    tiring = bare[: 4 * 10].reshape(4, 1, 10).repeat(500, axis=1)
    bored = sessions(world, users, users, tiring)[-1].mindset.level("boredom")
    varied = sessions(world, users, users, random_slates(world, 500, 4))[-1].mindset.level("boredom")
    assert above(bored - varied, 0.05)


def test_policies_are_ordered_as_they_should_be(world: World) -> None:
    gained = [returns(world, name) for name in ("random", "popularity", "ease", "oracle")]
    for worse, better in pairwise(gained):
        assert above(better - worse)


@pytest.fixture(scope="module")
def movielens(ml1m_dir: Path) -> World:
    return make_world(dataset="ml-1m", data_dir=str(ml1m_dir), users="test")


def test_default_rates_are_those_of_a_large_feed(movielens: World) -> None:
    """A personalised policy on ML-1M against QK-video (Yuan et al. 2022): 28.8 % clicks, 7.1 % likes and 0.8 % shares of clicks."""
    policy = make_policy("ease")
    policy.fit(movielens.dataset, movielens.split)
    users = movielens.split.test[:400]
    table = rollout(movielens, policy, users, np.arange(400))
    clicks = table.clicks.sum()
    assert 0.20 < clicks / table.slots.sum() < 0.40
    assert 0.04 < table.likes.sum() / clicks < 0.10
    assert 0.001 < table.comments.sum() / clicks < 0.02
    assert 0.003 < table.shares.sum() / clicks < 0.02
    assert 8 < table.turns.mean() < 15
    assert 0.05 < table.instructions.sum() / table.turns.sum() < 0.4


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_do_not_pay_on_movielens(movielens: World, trick: str) -> None:
    assert above(returns(movielens, "popularity") - returns(movielens, exploits(movielens)[trick]))
