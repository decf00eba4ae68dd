"""The ReAct agent: steps, its use of the tools, and the text environment played by it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2")

from recoworld.assembly import make_world
from recoworld.catalog import NO_GENRE
from recoworld.configs import WorldConfig
from recoworld.datasets import load_dataset
from recoworld.envs.codec import observe
from recoworld.envs.text_sessions import TextSessions
from recoworld.llm.asking import Unreadable
from recoworld.llm.grammar import mismatch
from recoworld.llm.model import Message, Prompt, Schema
from recoworld.llm.scripted import Scripted, made_up
from recoworld.policies.agents.react import ReAct
from recoworld.policies.agents.steps import SCHEMA, Step, genres_in, listed, read_step, said, turn_of, within
from recoworld.testing.recommenders import first_observations, luck_of
from recoworld.tools import Toolbox, parsed

MINI = load_dataset("mini")
SPLIT = MINI.split()


def agent(model: Any, **settings: Any) -> ReAct:
    made = ReAct(llm=model, candidates="popularity", **settings)
    made.fit(MINI, SPLIT)
    return made


def scripted(steps: list[tuple[str, str]], ranking: list[int], prompts: list[Prompt] | None = None) -> Scripted:
    """One who takes these steps, a tool and its argument each, and then chooses."""

    def script(prompt: Prompt, schema: Schema | None) -> str:
        if prompts is not None:
            prompts.append(prompt)
        assert schema is not None
        if "ranking" in schema["properties"]:
            return json.dumps({"thought": "these", "ranking": ranking})
        done = sum(message["role"] == "assistant" for message in prompt.messages)
        tool, argument = steps[min(done, len(steps) - 1)]
        return json.dumps({"thought": f"step {done}", "tool": tool, "argument": argument})

    return Scripted(script)


# steps


@pytest.mark.parametrize(
    ("tool", "argument", "arguments"),
    [
        ("search", " space ", {"query": "space"}),
        ("similar", "260", {"item": "260"}),
        ("lookup", "260", {"items": ["260"]}),
        ("top", "Sci-Fi, 1990s, Little known", {"genre": "Sci-Fi", "era": "1990s", "popularity": "little known"}),
        ("top", "1995", {"era": "1990s"}),
        ("top", "", {}),
        ("user_history", "Liked", {"which": "liked"}),
        ("user_history", "everything", {}),
        ("rank", "please", {}),
        ("recommend", "now", {}),
    ],
)
def test_one_word_becomes_arguments(tool: str, argument: str, arguments: dict[str, Any]) -> None:
    assert Step(thought="", tool=tool, argument=argument).arguments == arguments
    call = parsed(said("I think {so} <b>", tool, arguments)).calls[0]
    assert (call.tool, call.arguments) == (tool, arguments)


@pytest.mark.parametrize("text", ["", "search space", '{"tool":"delete","argument":""}', '{"tool":3}', '{"thought":"x"}'])
def test_what_is_no_step(text: str) -> None:
    with pytest.raises(Unreadable):
        read_step(text)


def test_a_step_said_in_the_tools_own_form() -> None:
    step = read_step('{"thought":"t","tool":"top","arguments":{"limit":3,"genre":"Comedy"}}')
    assert step == Step(thought="t", tool="top", argument="Comedy")
    assert read_step(step.text) == step


def test_steps_are_held_by_a_grammar() -> None:
    assert not mismatch(SCHEMA, json.loads(made_up(Prompt.of("x"), SCHEMA)))


def test_items_are_read_off_answers_and_only_at_the_beginning_of_a_line() -> None:
    answer = 'top: 2 items:\n[7] "Heat (see [9] there)" (1995): Crime\n[8] "Ronin"\nand [10] "no"'
    assert list(listed([answer, '[8] "again"'])) == ["7", "8"]


def test_a_turn_is_what_came_after_the_last_slate() -> None:
    talk: list[Message] = [
        {"role": "user", "content": "The user: ..."},
        {"role": "assistant", "content": "a"},
        {"role": "tool", "name": "top", "content": "old"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "The user's reply to slate 1"},
        {"role": "assistant", "content": "nonsense"},
        {"role": "user", "content": "Error: found no tool call"},
        {"role": "assistant", "content": "c"},
        {"role": "tool", "name": "user_history", "content": "met"},
        {"role": "tool", "name": "top", "content": "new"},
    ]
    assert turn_of(talk) == (["nonsense", "c"], ["new"])
    assert turn_of(talk[:1]) == ([], [])


def test_a_conversation_keeps_its_beginning_and_its_end() -> None:
    talk: list[Message] = [{"role": "user", "content": "first"}]
    for number in range(9):
        talk += [{"role": "assistant", "content": f"a{number}"}, {"role": "tool", "name": "top", "content": "x" * 10}]
    kept = within(talk, 5 + 22)
    assert [message["role"] for message in kept] == ["user", "assistant", "user"]
    assert kept[0]["content"] == "first\n\n" + "x" * 10, "two of the same speaker in a row are one"
    assert kept[1]["content"] == "a8"
    assert within(talk[:1], 0) == [{"role": "user", "content": "first"}]


# the slate environments


def test_a_turn_by_hand() -> None:
    """It looks for westerns twice, and shows what it found, the last first."""
    seen = first_observations(MINI, SPLIT, SPLIT.validation[:2], slate_size=4)
    prompts: list[Prompt] = []
    one = agent(scripted([("top", "Western"), ("search", "gold"), ("recommend", "")], [4, 3, 2, 1], prompts))
    slates = one.recommend(seen, luck_of(seen))
    box = Toolbox(one.perception.dataset, one.perception.split)
    for row, slate in enumerate(slates.tolist()):
        view = {name: value[row] for name, value in seen.items()}
        found = list(listed([box.call("top", {"genre": "Western"}, view), box.call("search", {"query": "gold"}, view)]))
        assert [MINI.catalog.ids[item] for item in slate] == found[:4][::-1]
        gold = len(listed([box.call("search", {"query": "gold"}, view)]))
        steps = f"step 0 (top: Western): 10 items | step 1 (search: gold): {gold} items | step 2 (recommend) | these"
        assert one.reasons is not None
        assert one.reasons[row] == steps
    assert one.report()["calls"] == 2 * 4
    last = prompts[-1].messages
    assert [message["role"] for message in last] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "Your list:\n1. " in last[-1]["content"]


def test_steps_are_bounded_and_mistakes_are_answered() -> None:
    prompts: list[Prompt] = []
    seen = first_observations(MINI, SPLIT, SPLIT.validation[:1], slate_size=4)
    one = agent(scripted([("similar", f"no such film {number}") for number in range(9)], [1, 2, 3, 4], prompts), steps=3)
    slates = one.recommend(seen, luck_of(seen))
    assert len(prompts) == 3 + 1
    assert "Error: there is no item" in str(prompts[1].messages[-1]["content"])
    assert one.reasons is not None
    assert one.reasons[0].startswith("step 0 (similar: no such film 0): Error: there is no item “no such film 0”; ")
    assert len(set(slates[0].tolist())) == 4, "the candidates stand in where tools have shown nothing"


def test_who_asks_the_same_again_has_to_choose() -> None:
    """A tool tells the same to the same: a small model would go on so to the last step."""
    prompts: list[Prompt] = []
    seen = first_observations(MINI, SPLIT, SPLIT.validation[:1], slate_size=4)
    one = agent(scripted([("top", "Western"), ("top", " western")], [1, 2, 3, 4], prompts), steps=9)
    one.recommend(seen, luck_of(seen))
    assert one.reasons == ["step 0 (top: Western): 10 items | step 1 (top: western), as before | these"]
    assert len(prompts) == 3


def test_top_with_words_that_are_no_genre_is_a_search() -> None:
    """Of one who plainly meant words."""
    genres = [str(name) for name in MINI.catalog.genre_names]
    top = [Step(thought="t", tool="top", argument=said) for said in ("Western", "western, 1990s", "1990s, little known", "")]
    assert [step.meant(genres) for step in top] == top
    odd = Step(thought="t", tool="top", argument="gold rush, 1990s")
    assert odd.meant(()) == odd, "of a catalogue that names no genres nobody knows"
    assert (odd.meant(genres).tool, odd.meant(genres).arguments) == ("search", {"query": "gold rush, 1990s"})
    seen = first_observations(MINI, SPLIT, SPLIT.validation[:1], slate_size=4)
    prompts: list[Prompt] = []
    agent(scripted([("top", "gold rush"), ("recommend", "")], [1, 2, 3, 4], prompts)).recommend(seen, luck_of(seen))
    assert str(prompts[1].messages[-1]["content"]).startswith("search “gold rush”")


def test_the_instruction_and_the_session_are_perceived() -> None:
    prompts: list[Prompt] = []
    one = agent(scripted([("recommend", "")], [1, 2, 3], prompts))
    world = make_world(WorldConfig.of(dataset="mini", slate_size=3))
    world.reset(np.arange(1), np.arange(1))
    world.step(np.array([[0, 1, 2]]))
    seen = {name: value.copy() for name, value in observe(world).items()}
    seen["instruction_code"][0] = [2, 1, MINI.catalog.genre_names.index("Horror"), 0]  # less horror
    one.recommend(seen, luck_of(seen))
    told = str(prompts[0].messages[1]["content"])
    assert "The user has asked you: " in told
    assert "horror" in told.partition("The user has asked you: ")[2]
    assert f"Your slate 1, and what the user did: {json.dumps(str(MINI.catalog.titles[0]))}, " in told


# the text environment


def text_sessions(n: int = 4) -> TextSessions:
    world = make_world(WorldConfig.of(dataset="mini", slate_size=5, max_turns=3))
    sessions = TextSessions(world, Toolbox(world.dataset, world.split), record=True)
    sessions.open(np.arange(n), np.arange(n))
    return sessions


@pytest.mark.parametrize("fit", [True, False])
def test_it_plays_the_text_environment(fit: bool) -> None:
    """Whatever a valid model says, the environment finds nothing wrong with it but arguments that mean nothing; no fallback is needed."""
    sessions, one = text_sessions(), agent("scripted", temperature=0.8) if fit else ReAct(llm="scripted", candidates="popularity")
    turns = 0
    for _ in range(60):
        rows = [row for row, talk in enumerate(sessions.talks) if not talk.over]
        if not rows:
            break
        replies = one.act_all([sessions.talks[row].messages for row in rows], slots=5)
        assert one.act(sessions.talks[rows[0]].messages, slots=5) == replies[0], "alone as in the batch"
        for step in sessions.step(rows, replies):
            turns += bool(step.info["items"])
            assert step.info["fallback"] in ("", "wrong replies")
    assert all(talk.over for talk in sessions.talks)
    assert turns >= 4


def test_a_text_turn_by_hand() -> None:
    sessions = text_sessions(1)
    one = ReAct(llm=scripted([("top", "Western"), ("recommend", "")], [5, 4, 3, 2, 1]))
    talk = sessions.talks[0].messages
    first = one.act(talk, slots=5)
    assert first == 'step 0\n{"tool": "top", "arguments": {"genre": "Western"}}'
    step = sessions.step([0], [first])[0]
    shown = list(listed([step.messages[0]["content"]]))[:5]
    second = one.act(sessions.talks[0].messages, slots=5)
    assert second == f'these\n{{"tool": "recommend", "arguments": {json.dumps({"items": shown[::-1]})}}}'
    step = sessions.step([0], [second])[0]
    assert [MINI.catalog.ids[item] for item in step.info["items"]] == shown[::-1]
    assert step.info["fallback"] == ""


def test_the_text_environments_genres_are_those_it_is_told() -> None:
    """One that was never fitted reads them in the first message; its words become a search, and nothing counts as wrong."""
    sessions, prompts = text_sessions(1), list[Prompt]()
    known = genres_in(sessions.talks[0].messages)
    assert known == tuple(name for name in MINI.catalog.genre_names if name != NO_GENRE)
    assert genres_in(sessions.talks[0].messages[1:]) == genres_in([{"role": "system", "content": '{"name": "top", "parameters": 3}'}]) == ()
    one = ReAct(llm=scripted([("top", "gold rush")], [1, 2, 3, 4, 5], prompts))
    told = []
    for _ in range(2):
        reply = one.act(sessions.talks[0].messages, slots=5)
        told.append(parsed(reply).calls[0].tool)
        (step,) = sessions.step([0], [reply])
    assert told == ["search", "recommend"], "the second time it would ask the same"
    assert (step.info["invalid"], step.info["fallback"]) == (0, "")
    assert f"genres: {', '.join(known)}" in str(prompts[0].messages[0]["content"])


@pytest.mark.parametrize("tool", ["similar", "lookup"])
def test_it_comes_back_from_a_mistake(tool: str) -> None:
    """The answer says what was wrong; one that insists is shown the best known items instead, and chooses among them."""
    sessions, one = text_sessions(1), ReAct(llm=scripted([(tool, "no such film at all")], [5, 4, 3, 2, 1]))
    for number in range(3):
        (step,) = sessions.step([0], [one.act(sessions.talks[0].messages, slots=5)])
        assert ("Error: there is no item" in step.messages[0]["content"]) == (number == 0)
    assert len(step.info["items"]) == 5
    assert (step.info["fallback"], step.info["invalid"]) == ("", 1)


def test_who_recommends_too_early_looks_first() -> None:
    one = ReAct(llm=scripted([("recommend", "")], [1]))
    assert one.act(text_sessions(1).talks[0].messages, slots=5) == 'step 0\n{"tool": "top", "arguments": {"limit": 20}}'
    broken = ReAct(llm=Scripted(["no"]))
    assert parsed(broken.act(text_sessions(1).talks[0].messages, slots=5)).calls[0].tool == "top"
