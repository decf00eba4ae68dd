"""A model plays many text sessions: full batches, the same sessions whatever sits beside them, and the agent's words kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.envs.text_rules import TextRules
from recoworld.errors import ConfigError, LanguageModelError
from recoworld.evaluation.text_play import TextPlay
from recoworld.llm.model import Completion, Prompt, Usage
from recoworld.llm.scripted import Scripted
from recoworld.policies import make_policy
from recoworld.session_io import read_jsonl, write_jsonl
from recoworld.tools import Toolbox


def agent(prompt: Prompt, schema: object) -> str:
    """Two tool calls in three turns, then a slate out of the latest list of ids; now and then nonsense."""
    last = str(prompt.messages[-1]["content"])
    draw = prompt.seed % 6
    if draw == 0:
        return "Hm. I wonder what this user likes."
    if draw < 3 and "answers:" not in last:
        return 'Let me look.\n{"tool": "top", "arguments": {"limit": 5}}'
    ids = [word[1:].split("]")[0] for word in last.split() if word.startswith("[")]
    return json.dumps({"tool": "recommend", "arguments": {"items": list(dict.fromkeys([*ids, "1", "2", "3", "4"]))[:3]}})


class Quick(Scripted):
    """Without tokens, which would take most of the time."""

    def generate(self, prompts, **_):
        return [Completion(text=agent(prompt, None)) for prompt in prompts]


def made(**settings):
    world = make_world(dataset="mini", slate_size=3, max_turns=8)
    return TextPlay(world, Toolbox(world.dataset, world.split), Quick(name="fake"), **settings)


@pytest.mark.parametrize(("side", "n"), [(8, 240), pytest.param(256, 6400, marks=pytest.mark.slow)])
def test_batches_stay_nine_tenths_full(side: int, n: int) -> None:
    """Over the whole run, the last sessions included, when nobody is left to take the seats of those that end."""
    play = made(side=side)
    sessions = list(play.sessions(np.arange(n) % 1000, np.arange(n)))
    report = play.report()
    assert len(sessions) == report["sessions"] == n
    assert report["fill"] >= 0.9, report
    assert report["replies"] / report["batches"] / side == pytest.approx(report["fill"])
    assert report["turns"] == sum(session.n_turns for session in sessions)
    assert report["invalid"] > 0


@pytest.mark.parametrize("side", [1, 7])
def test_a_session_does_not_depend_on_who_sits_beside_it(side: int) -> None:
    users, seeds = np.arange(40), np.arange(40) + 5
    together = {session.user: session for session in made(side=40).sessions(users, seeds)}
    apart = {session.user: session for session in made(side=side).sessions(users, seeds)}
    assert together == apart
    assert len(together) == 40


def test_sessions_keep_what_the_agent_said_and_go_through_a_file(tmp_path) -> None:
    sessions = list(made().sessions(np.arange(12), np.arange(12)))
    assert any("Let me look." in turn.reasoning for session in sessions for turn in session.turns)
    assert all('"recommend"' in turn.reasoning for session in sessions for turn in session.turns if "wonder" not in turn.reasoning)
    write_jsonl(tmp_path / "sessions.jsonl", sessions)
    assert read_jsonl(tmp_path / "sessions.jsonl") == sessions


def test_the_slates_of_a_session_replay_in_the_world_alone() -> None:
    """What was kept is what the world does for these slates, rewards included."""
    (session,) = made().sessions(np.array([3]), np.array([9]))
    world = make_world(dataset="mini", slate_size=3, max_turns=8)
    world.reset(np.array([3]), np.array([9]))
    for turn in session.turns:
        assert float(world.step(np.array([turn.items])).reward[0]) == turn.reward


@pytest.mark.parametrize("name", ["fake", "react"])
def test_an_agent_may_play(name: str) -> None:
    """One that is asked for all conversations, tools and users in them, and the one that ships."""
    calls = []

    class Fake:
        name = "fake"

        def act_all(self, conversations, *, slots=10):
            calls.append(len(conversations))
            assert all(messages[0]["role"] == "system" for messages in conversations)
            return [agent(Prompt(messages=tuple(messages), seed=5), None) for messages in conversations]

    play = made(side=4)
    play.model = Fake() if name == "fake" else make_policy("react:scripted")
    sessions = list(play.sessions(np.arange(6), np.arange(6)))
    assert len(sessions) == 6
    assert all(turn.reasoning for session in sessions for turn in session.turns)
    chosen = [turn for session in sessions for turn in session.turns if '"recommend"' in turn.reasoning]
    if name == "fake":
        assert calls[0] == 4
        assert len(chosen) == sum(session.n_turns for session in sessions)
    else:
        assert chosen, "its words are made up, but some of its calls are good"
        assert play.report()["tool_calls"] > 0


def test_the_tokens_of_a_model_are_reported() -> None:
    world = make_world(dataset="mini", slate_size=3, max_turns=2)

    class Counting(Scripted):
        def generate(self, prompts, **_):
            return [Completion(text=agent(prompt, None), usage=Usage(prompt=100, completion=7)) for prompt in prompts]

    play = TextPlay(world, Toolbox(world.dataset, world.split), Counting(name="fake"), side=4)
    list(play.sessions(np.arange(6), np.arange(6)))
    report = play.report()
    assert report["prompt_tokens"] == 100 * report["replies"]
    assert report["completion_tokens"] == 7 * report["replies"]


def test_what_ended_before_the_model_failed_is_not_lost() -> None:
    def failing(prompt: Prompt, schema: object) -> str:
        if "slate 2" in str(prompt.messages[-1]["content"]) and prompt.seed % 3 == 0:
            raise LanguageModelError("gone")
        return agent(prompt, schema)

    play = made(side=4)
    play.model = Scripted(failing)
    ended = []
    with pytest.raises(LanguageModelError, match="gone"):
        ended.extend(iter_kept(play.sessions(np.arange(500), np.arange(500)), ended))
    assert ended


def iter_kept(sessions, kept):
    for session in sessions:
        kept.append(session)
    return []


def test_settings_that_make_no_sense_are_told() -> None:
    with pytest.raises(ConfigError, match="side"):
        made(side=0)
    with pytest.raises(ConfigError, match="expected one of each"):
        next(made().sessions(np.arange(3), np.arange(2)))
    with pytest.raises(ConfigError, match="wrong_replies"):
        TextRules(wrong_replies=0)
