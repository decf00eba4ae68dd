"""The hybrid user, its words said by a scripted model: behavioural to the bit, and words that mean what they must."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("jinja2")

from recoworld.datasets import cached_arrays, load_dataset
from recoworld.errors import LanguageModelError, RecoWorldError
from recoworld.instructions import sentence
from recoworld.llm.make import make_model
from recoworld.llm.model import Completion, Prompt
from recoworld.llm.scripted import Scripted, malformed
from recoworld.parse import understood
from recoworld.simulators.assisted.hybrid import HybridConfig, HybridSimulator
from recoworld.simulators.behavioral import BehavioralSimulator
from recoworld.simulators.behavioral import build as build_behavioral
from recoworld.simulators.config import BehavioralConfig
from recoworld.testing.simulators import SimulatorTests, arrays, check_same, random_slates, sessions
from recoworld.types import Aspect, Instruction, Kind, Turn
from recoworld.world import World

MINI = load_dataset("mini")
SPLIT = MINI.split()
EAGER = {"talkative": 1.0, "sense_at": 0.02}
CALM = build_behavioral(MINI, SPLIT, cached=cached_arrays)
LOUD = BehavioralSimulator(CALM.catalog, CALM.taste, BehavioralConfig.of(EAGER))


def world(script: Any = None, *, people: BehavioralSimulator = LOUD, slots: int = 10, model: Any = None, **settings: Any) -> World:
    """Everyone of `mini`, worded by a script."""
    made = HybridSimulator(MINI, people, model or Scripted(script), HybridConfig.of(settings, "the hybrid user"))
    return World(MINI, SPLIT, made, slate_size=slots)


def played(one: World, users: int = 40, turns: int = 4) -> list[Turn]:
    return sessions(one, np.arange(users), np.arange(users), random_slates(one, users, turns))


def hybrid(one: World) -> HybridSimulator:
    assert isinstance(one.simulator, HybridSimulator)
    return one.simulator


def meant(prompt: Prompt) -> str:
    """The template's sentence, as the prompt has it."""
    text = str(prompt.messages[-1]["content"])
    line = next(line for line in text.splitlines() if line.startswith("What you have to say means: "))
    return str(json.loads(line.removeprefix("What you have to say means: ")))


def echo(prompt: Prompt, schema: Any) -> str:
    return json.dumps({"say": "Well. " + meant(prompt)})


class TestHybridUsers(SimulatorTests):
    n_users, n_turns = 32, 5

    def make(self) -> World:
        return world(lambda prompt, schema: echo(prompt, schema) if prompt.seed % 3 else "{}")


class TestWithRepliesThatCannotBeRead(SimulatorTests):
    n_users, n_turns = 16, 4

    def make(self) -> World:
        return world(malformed)


@pytest.mark.parametrize("people", [CALM, LOUD], ids=["as it is", "talkative"])
def test_what_it_does_is_behavioural_to_the_bit(people: BehavioralSimulator) -> None:
    """Words change neither a reply nor the next turn."""
    plain = World(MINI, SPLIT, people)
    one = world(echo, people=people)
    slates = random_slates(plain, 60, 6)
    spoke = 0
    for mine, theirs in zip(*(sessions(each, np.arange(60), np.arange(60), slates) for each in (one, plain)), strict=True):
        a, b = arrays(mine), arrays(theirs)
        assert set(a) - set(b) == {"feedback.instruction.texts", "feedback.tokens", "mindset.gone"}
        assert all(a[name].tobytes() == value.tobytes() for name, value in b.items())
        spoke += int(theirs.feedback.instruction.given.sum())
    assert spoke > 20
    assert hybrid(one).behavioral.native == plain.simulator.native  # type: ignore[attr-defined]  # as fast


def test_words_of_its_own() -> None:
    one = world(echo)
    worded = 0
    for turn in played(one):
        said, tokens = turn.feedback.instruction, turn.feedback.tokens
        assert said.texts is not None
        assert tokens is not None
        assert (tokens[~said.given] == 0).all()
        for row in np.flatnonzero(said.given):
            words = said.texts[row]
            if words:
                worded += 1
                assert words.startswith("Well. ")
                assert tokens[row, 1] > 0
                again = understood(words, MINI.catalog, turn.slates[row].tolist())
                assert again is not None
                assert (again.kind[0], again.aspect[0], again.value[0]) == (said.kind[row], said.aspect[row], said.value[row])
                assert sentence(said, row, MINI.catalog) == words
    report = hybrid(one).report()
    assert worded == report["valid_first"] + report["valid_again"] > 20
    assert report["llm"] == "scripted"
    assert hybrid(one).usage == {name: report[name] for name in ("prompt_tokens", "completion_tokens")}


def test_only_those_who_speak_and_are_there_are_asked_in_one_batch_a_turn() -> None:
    batches: list[int] = []

    class Counting(Scripted):
        def generate(self, prompts: Any, **settings: Any) -> list[Completion]:
            batches.append(len(prompts))
            return super().generate(prompts, **settings)

    one = world(model=Counting(echo), retries=0)
    gone, expected = np.zeros(60, np.bool_), []
    for turn in played(one, users=60, turns=6):
        asked = int((turn.feedback.instruction.given & ~gone).sum())
        expected += [asked] * (asked > 0)
        gone |= turn.feedback.left
    assert gone.any()
    assert batches == expected


def test_words_that_mean_something_else_are_asked_for_anew_then_left_to_the_template() -> None:
    """The second prompt is the first with what was wrong after it."""
    seen: list[str] = []

    def script(prompt: Prompt, schema: Any) -> str:
        seen.append(str(prompt.messages[-1]["content"]))
        return json.dumps({"say": "Only westerns from now on."})

    one = world(script)
    western, gone = MINI.catalog.genre_names.index("Western"), np.zeros(20, np.bool_)
    right = lost = 0
    for turn in played(one, users=20, turns=3):
        each = turn.feedback.instruction
        for row in np.flatnonzero(each.given & ~gone):
            wanted = (each.kind[row], each.aspect[row], each.value[row]) == (Kind.ONLY, Aspect.GENRE, western)
            right, lost = right + wanted, lost + (not wanted)
            assert each.texts is not None
            assert (each.texts[row] != "") == wanted
            assert sentence(each, row, MINI.catalog)
        gone |= turn.feedback.left
    report = hybrid(one).report()
    assert report["replies"] == right + lost > 5
    assert (report["valid_first"], report["valid_again"], report["filled"]) == (right, 0, lost)
    assert report["problems"] == {"meaning": 2 * lost}
    again = [text for text in seen if "Your last reply could not be used" in text]
    assert len(again) == lost
    assert all(any(text.startswith(first) for first in seen if first != text) for text in again)
    assert "it means something else, namely: " in again[0]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        *[(text, "json") for text in ("", "No horror.", '{"say":3}', '{"say":" "}', '{"say":"\\u0000"}', "{" * 100_000 + "}")],
        ('{"say":"Hello there."}', "meaning"),
        (json.dumps({"say": "more comedy " * 40}), "long"),
    ],
)
def test_replies_that_are_no_use(reply: str, kind: str) -> None:
    one = world(lambda prompt, schema: reply, retries=0)
    played(one, users=20, turns=2)
    report = hybrid(one).report()
    assert report["filled"] == report["replies"] > 0
    assert report["problems"] == {kind: report["replies"]}


def test_valid_when_asked_again() -> None:
    one = world(lambda prompt, schema: echo(prompt, schema) if "could not be used" in str(prompt.messages[-1]["content"]) else "?")
    played(one, users=20, turns=2)
    report = hybrid(one).report()
    assert report["valid_first"] == 0
    assert report["valid_again"] > 5
    assert report["problems"]["json"] == report["replies"]


def test_the_prompt() -> None:
    """Who it is stays; what was shown and done, and what must be said, changes."""
    seen: list[Prompt] = []

    def script(prompt: Prompt, schema: Any) -> str:
        seen.append(prompt)
        return echo(prompt, schema)

    one = world(script, slots=4)
    turn = played(one, users=30, turns=1)[0]
    row = int(np.flatnonzero(turn.feedback.instruction.given)[0])
    system, user = (str(message["content"]) for message in seen[0].messages)
    assert MINI.users.descriptions[row] in system
    assert "You were just shown a list of 4." in user
    assert f"satisfaction {round(float(turn.mindset.levels[row, 0]) * 10)}" in user
    bare = Instruction(**{name: getattr(turn.feedback.instruction, name) for name in ("kind", "aspect", "value", "phrasing")})
    assert json.dumps(sentence(bare, row, MINI.catalog), ensure_ascii=False) in user
    for slot in np.flatnonzero(turn.feedback.clicked[row]):
        assert json.dumps(str(MINI.catalog.titles[turn.slates[row, slot]]), ensure_ascii=False) in user
    assert "\n\n\n" not in user


def test_the_record_alone_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "replies.sqlite"
    first = world(model=make_model("scripted", record=file))
    before = played(first)
    assert hybrid(first).report()["calls"] > 10
    hybrid(first).close()
    second = world(model=make_model(f"replay:{file}"))
    for mine, theirs in zip(played(second), before, strict=True):
        check_same(mine, theirs)
    with pytest.raises(LanguageModelError, match="has no reply"):
        played(second, users=60)
    hybrid(second).close()


def test_by_name() -> None:
    env = gym.make("RecoWorld-Mini", simulator="hybrid", llm="scripted", simulator_config={"max_words": 12, "talkative": 1.0})
    env.reset(seed=0)
    _, _, _, _, info = env.step(np.arange(10))
    assert info["tokens"].shape == (2,)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"talkativ": 1}, "did you mean 'talkative'"),
        ({"talkative": 2}, "talkative = 2"),
        ({"max_words": 1}, "max_words = 1"),
        ({"llm": 3}, "llm = 3: .*name of a language model"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RecoWorldError, match=words):
        HybridConfig.of(settings, "the hybrid user")


def test_settings_are_written_down() -> None:
    config = hybrid(world(llm=Scripted(name="mine"))).config
    assert config.model_dump(mode="json")["llm"] == "mine"
    assert config.behavior == LOUD.config
