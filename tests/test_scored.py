"""The scored user: contextual calibration by hand, and exactly the clicks that the model's scores call for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("jinja2")

from recoworld.datasets import cached_arrays, load_dataset
from recoworld.errors import ConfigError, RecoWorldError
from recoworld.impressions import Impressions
from recoworld.llm.model import Likelihood, Prompt
from recoworld.llm.scripted import Scripted
from recoworld.luck import Luck, combine
from recoworld.simulators.assisted.scaling import calibrated, fitted
from recoworld.simulators.assisted.scored import REPLIES, ScoredConfig, ScoredSimulator
from recoworld.simulators.behavioral import BehavioralMindset, BehavioralSimulator
from recoworld.simulators.behavioral import build as build_behavioral
from recoworld.simulators.config import BehavioralConfig
from recoworld.testing.simulators import SimulatorTests, random_slates, sessions
from recoworld.users import Dataset
from recoworld.world import World

MINI = load_dataset("mini")
SPLIT = MINI.split()
PEOPLE = build_behavioral(MINI, SPLIT, cached=cached_arrays)
TASTE = PEOPLE.taste


class Judge(Scripted):
    """Leans to a click by a function of the item's line (None for the item without content); counts what it is asked."""

    def __init__(self, leaning: Callable[[str | None, Prompt], float]) -> None:
        super().__init__(name="judge")
        self.leaning, self.batches = leaning, list[list[Prompt]]()

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], **settings: Any) -> list[tuple[Likelihood, ...]]:
        assert all(tuple(texts) == REPLIES for texts in continuations)
        self.batches.append(list(prompts))
        out = []
        for prompt in prompts:
            line = str(prompt.messages[-1]["content"]).rpartition("The item: ")[2]
            lean = self.leaning(None if line == '"N/A"' else line, prompt)
            out.append((Likelihood(logprob=-50.0 + lean, tokens=2), Likelihood(logprob=-50.0, tokens=2)))
        return out

    def generate(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is to be decoded")


def length(line: str | None, prompt: Prompt) -> float:
    """A known function of the item."""
    return 0.7 if line is None else len(line) / 50


def made(model: Any, *, dataset: Dataset = MINI, **settings: Any) -> ScoredSimulator:
    return ScoredSimulator(dataset, TASTE, model, ScoredConfig.of(settings, "the scored user"))


def world(model: Any, *, slots: int = 10, **settings: Any) -> World:
    """Everyone of `mini`."""
    return World(MINI, SPLIT, made(model, **settings), slate_size=slots)


def scored(one: World) -> ScoredSimulator:
    assert isinstance(one.simulator, ScoredSimulator)
    return one.simulator


class TestScoredUsers(SimulatorTests):
    n_users, n_turns = 12, 4

    def make(self) -> World:
        return world(Judge(lambda line, prompt: len(str(prompt.messages)) % 7 - 3.0), slots=5)


def test_contextual_calibration_by_hand() -> None:
    """z = offset + slope (l(item) - l(nothing)), whatever the prompt brings about by itself."""
    one = world(Judge(length), slope=2.0, offset=-0.5)
    users, slates = np.array([3, 4]), random_slates(one, 2, 1)[0]
    one.reset(users, users)
    state = one.state
    lines = np.vectorize(lambda item: len(scored(one).brief.items.line(item)))(slates)
    met = np.take_along_axis(state.history.exposures, slates, axis=1)
    lines += len("; met 1 x before") * (met > 0)
    assert met.max() == 1
    z = -0.5 + 2.0 * (lines / 50 - 0.7)
    luck = Luck(combine(state.keys, 1))
    np.testing.assert_allclose(scored(one).chances(state.mindset, state.history, slates, luck), 1 / (1 + np.exp(-z)), rtol=1e-5)  # type: ignore[arg-type]
    biased = made(Judge(lambda line, prompt: length(line, prompt) + 5.0), slope=2.0, offset=-0.5)
    np.testing.assert_allclose(biased.odds(state.mindset, state.history, slates), z, rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]


def test_clicks_come_at_exactly_the_rate_called_for() -> None:
    """Of items with the same score, examined by 900 people: the share clicked is sigmoid(z), within three standard errors."""
    for lean in (-1.0, 0.5):
        one = world(Judge(lambda line, prompt, lean=lean: 0.0 if line is None else lean), slots=6, offset=0.0, slope=1.0)
        users = np.arange(900)
        reply = sessions(one, users, users, random_slates(one, 900, 1))[0].feedback
        n, p = reply.examined.sum(), 1 / (1 + np.exp(-lean))
        assert abs(reply.clicked.sum() / n - p) < 3 * np.sqrt(p * (1 - p) / n)


def test_all_but_the_click_is_behavioural_under_the_same_luck() -> None:
    """Where the model says what the behavioural user would have said, everything is the same."""
    one = World(MINI, SPLIT, PEOPLE, slate_size=5)
    numpy = BehavioralSimulator(PEOPLE.catalog, TASTE, PEOPLE.config, native=False)
    one.reset(np.arange(30), np.arange(30))
    ours = world(Scripted(), slots=5)
    ours.reset(np.arange(30), np.arange(30))
    slates = random_slates(one, 30, 1)[0]
    state, luck = one.state, Luck(combine(one.state.keys, 7))
    p = numpy.chances(state.mindset, state.history, slates, luck).astype(np.float64)  # type: ignore[arg-type]
    simulator = scored(ours)
    simulator.odds = lambda *_: np.log(p / (1 - p)).astype(np.float32)  # type: ignore[method-assign]
    mine, theirs = (each.respond(s.mindset, s.history, slates, luck) for each, s in ((simulator, ours.state), (numpy, state)))
    for name in ("examined", "clicked", "liked", "watch", "left", "followed"):
        np.testing.assert_array_equal(getattr(mine[0], name), getattr(theirs[0], name), err_msg=name)
    for field in fields(BehavioralMindset):
        if field.name != "texts":
            np.testing.assert_array_equal(getattr(mine[1], field.name), getattr(theirs[1], field.name), err_msg=field.name)


def test_one_batch_a_turn_and_no_question_twice() -> None:
    """k items and one without content a user; what they share comes first; those who left are not asked about."""
    judge = Judge(length)
    one = world(judge, slots=4, leave_base=-1.0, talkative=0.0)
    turns = sessions(one, np.arange(20), np.arange(20), random_slates(one, 20, 2))
    assert [len(batch) for batch in judge.batches] == [20 * 5, int((~turns[0].feedback.left).sum()) * 5]
    assert 0 < turns[0].feedback.left.sum() < 20
    own = [prompt for prompt in judge.batches[0] if prompt.messages[0] == judge.batches[0][0].messages[0]]
    heads = {str(prompt.messages[-1]["content"]).partition("The item: ")[0] for prompt in own}
    assert len(own) == 5
    assert len(heads) == 1
    assert all("Of the last list you clicked" in str(prompt.messages[-1]["content"]) for prompt in judge.batches[1])
    judge.batches.clear()
    one.reset(np.array([1, 1]), np.array([5, 5]))
    one.step(np.array([[1, 2, 3, 4]] * 2))
    assert len(judge.batches[0]) == 5


def test_the_order_of_a_slate_does_not_matter_to_chances() -> None:
    one = world(Judge(lambda line, prompt: len(re.sub(r"\W", "", str(prompt.messages))) % 11 / 5))
    one.reset(np.arange(4), np.arange(4))
    state, slates = one.state, random_slates(one, 4, 1)[0]
    first = scored(one).odds(state.mindset, state.history, slates)  # type: ignore[arg-type]
    np.testing.assert_array_equal(scored(one).odds(state.mindset, state.history, slates[:, ::-1])[:, ::-1], first)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), -1e300])
def test_scores_that_are_none(value: float) -> None:
    """A model that can say neither leaves it at the offset; chances stay inside (0, 1)."""

    class Odd(Judge):
        def score(self, prompts: Any, continuations: Any, **settings: Any) -> list[tuple[Likelihood, ...]]:
            return [(Likelihood(logprob=value, tokens=2),) * 2] * len(prompts)

    one = world(Odd(length), offset=-1.0)
    one.reset(np.arange(2), np.arange(2))
    np.testing.assert_allclose(scored(one).odds(one.state.mindset, one.state.history, random_slates(one, 2, 1)[0]), -1.0)  # type: ignore[arg-type]


# fitting the two numbers


def test_slope_and_offset_are_found_again() -> None:
    rng = np.random.default_rng(0)
    s, examined = rng.normal(0, 2, (4000, 5)), np.exp(-0.1 * np.arange(5)) * np.ones((4000, 1))
    taken = rng.random(s.shape) < examined / (1 + np.exp(-(-1.2 + 0.6 * s)))
    assert fitted(s, taken, examined) == pytest.approx((0.6, -1.2), abs=0.06)
    assert fitted(s, rng.random(s.shape) < 1 / (1 + np.exp(0.5 * s)), np.ones((1, 1)))[0] == 0, "what the model dislikes more is not liked"
    slope, offset = fitted(s, s > 0, np.ones((1, 1)))
    assert np.isfinite([slope, offset]).all()
    assert slope > 1


def test_calibrated_on_what_was_taken_later() -> None:
    """A model that knows what people took, up to a bias: likeliest is a positive slope; the offset is brought from 1/2 to the rate."""
    people = np.arange(60)
    known, _ = MINI.known(SPLIT)
    items = made(Scripted(), dataset=known).brief.items
    fame = {items.line(item): float(MINI.catalog.popularity_rank[item]) for item in range(len(MINI.catalog))}
    judge = Judge(lambda line, prompt: 4.0 if line is None else 4.0 + 3 * fame[line])
    simulator = calibrated(made(judge, dataset=known), MINI, SPLIT, people, most=60, rate=0.25)
    assert simulator.config.slope > 0.2
    assert sum(len(batch) for batch in judge.batches) <= 60 * 3
    assert simulator.model is judge
    none = calibrated(made(Judge(lambda line, prompt: 0.0), dataset=known), MINI, SPLIT, people, most=60, rate=0.25)
    assert none.config.offset == pytest.approx(np.log(1 / 3), abs=1e-4)


def test_calibrated_on_impressions() -> None:
    """Clicks made by known numbers are given these numbers back, roughly."""

    def leaning(line: str | None, prompt: Prompt) -> float:  # 0 on average
        return 0.0 if line is None else (len(line.partition("; met")[0]) % 17 - 8) / 4

    truth = world(Judge(leaning), slope=1.5, offset=-0.8)
    users = np.arange(300)
    turn = sessions(truth, users, users, random_slates(truth, 300, 1))[0]
    logged = replace(MINI, impressions=Impressions.from_turns([(users, turn)]))
    again = calibrated(made(Judge(leaning)), logged, SPLIT, users, most=300)
    assert again.config.slope == pytest.approx(1.5, abs=0.3)
    assert again.config.offset == pytest.approx(-0.8, abs=0.3)


def test_nothing_to_fit_on() -> None:
    with pytest.raises(ConfigError, match="rate=2"):
        calibrated(made(Judge(length)), MINI, SPLIT, np.arange(5), rate=2)
    known, split = MINI.known(SPLIT)
    with pytest.raises(ConfigError, match="5 users liked nothing after"):
        calibrated(made(Judge(length)), known, split, np.arange(5))


def test_by_name_and_its_settings() -> None:
    env = gym.make("RecoWorld-Mini", simulator="llm-score", llm="scripted", simulator_config={"slope": 0.5, "effort": 0.1}, slate_size=4)
    env.reset(seed=0)
    env.step(np.arange(4))
    for settings, words in (({"slop": 1}, "did you mean 'slope'"), ({"slope": -1}, "slope = -1"), ({"effort": -1}, "effort = -1")):
        with pytest.raises(RecoWorldError, match=words):
            ScoredConfig.of(settings, "the scored user")
    config = ScoredConfig.of({"effort": 0.2, "llm": Scripted(name="mine")}, "the scored user")
    assert config.behavior == BehavioralConfig(effort=0.2)
    assert config.model_dump(mode="json")["llm"] == "mine"
