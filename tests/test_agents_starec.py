"""STARec's memory: a fold over what the observation shows, whoever computes it, and rewards ready for training."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2")

from recoworld.assembly import make_world
from recoworld.configs import WorldConfig
from recoworld.envs.codec import observe
from recoworld.evaluation.rollout import play
from recoworld.llm.model import Prompt, Schema
from recoworld.llm.scripted import Scripted, made_up
from recoworld.luck import Luck, combine
from recoworld.policies.agents.starec import STARec
from recoworld.testing.recommenders import luck_of
from recoworld.types import Act, Observations
from recoworld.world import World


def counting(calls: list[str]) -> Scripted:
    """Each reflection writes the number of the last one, plus one; ``m0`` is the first memory."""

    def script(prompt: Prompt, schema: Schema | None) -> str:
        assert schema is not None
        text = str(prompt.messages[-1]["content"])
        if "memory" not in schema["properties"]:
            calls.append("fast")
            return made_up(prompt, schema)
        before = re.search(r'preference memory: "m(\d+)"', text)
        calls.append("slow" if before else "begin")
        number = int(before[1]) + 1 if before else 0
        return json.dumps({"reflection": f"r{number}", "memory": f"m{number}"})

    return Scripted(script)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(WorldConfig.of(dataset="mini", slate_size=5, max_turns=6))


def agent(world: World, model: Any, **settings: Any) -> STARec:
    made = STARec(llm=model, candidates="popularity", n_candidates=8, **settings)
    made.fit(world.dataset, world.split)
    return made


def observed(world: World, policy: STARec, turns: int, users: int = 2) -> list[Observations]:
    """What a policy sees before each of these turns; sessions that end are left out by taking users who stay."""
    rows = np.arange(users)
    world.reset(rows, rows)
    out = []
    for number in range(turns + 1):
        seen = {name: value.copy() for name, value in observe(world).items()}
        out.append(seen)
        if number < turns:
            world.step(policy.recommend(seen, Luck(combine(0, rows, number))))
    return out


def test_the_memory_is_a_fold_whoever_computes_it(world: World) -> None:
    """One who has served all turns and one who comes in at the fourth remember the same, at different cost."""
    calls: list[str] = []
    steady = agent(world, counting(calls))
    seen = observed(world, steady, 3)
    assert calls == ["begin"] * 2 + ["fast"] * 2 + (["slow"] * 2 + ["fast"] * 2) * 2
    calls.clear()
    slates = steady.recommend(seen[-1], luck_of(seen[-1]))
    assert calls == ["slow"] * 2 + ["fast"] * 2
    assert steady.reasons is not None
    assert all(words.startswith("It reflects: r3 | It remembers: m3 | ") for words in steady.reasons)
    again: list[str] = []
    late = agent(world, counting(again))
    np.testing.assert_array_equal(late.recommend(seen[-1], luck_of(seen[-1])), slates)
    assert late.reasons == steady.reasons
    assert again == ["begin"] * 2 + ["slow"] * 6 + ["fast"] * 2
    calls.clear()
    steady.recommend(seen[1], luck_of(seen[1]))
    assert calls == ["fast"] * 2, "a session may be branched at an earlier turn: its memory is kept"


def test_slow_thinking_sees_the_ranking_and_what_became_of_it(world: World) -> None:
    prompts: list[str] = []

    def script(prompt: Prompt, schema: Schema | None) -> str:
        prompts.append(str(prompt.messages[-1]["content"]))
        return made_up(prompt, schema)

    one = agent(world, Scripted(script))
    seen = observed(world, one, 1, users=1)[-1]
    prompts.clear()
    one.recommend(seen, luck_of(seen))
    history, acts = seen["history"][0], seen["history_acts"][0]
    shown = history[acts >= Act.UNSEEN] - 1
    did = {Act.UNSEEN: "not looked at", Act.SKIPPED: "passed over", Act.CLICKED: "clicked", Act.LIKED: "liked"}
    words = {int(item): did.get(Act(act), "") for item, act in zip(shown, acts[acts >= Act.UNSEEN], strict=True)}
    assert len(shown) == 5
    for place, item in enumerate(shown.tolist(), 1):
        assert f"\n{place}. {json.dumps(str(world.catalog.titles[item]))}, {words[item]}" in prompts[0]


def test_a_reflection_that_cannot_be_read_changes_nothing(world: World) -> None:
    def script(prompt: Prompt, schema: Schema | None) -> str:
        assert schema is not None
        slow = "memory" in schema["properties"]
        return "no" if slow and "You ranked" in str(prompt.messages) else json.dumps({"reflection": "", "memory": "m"}) if slow else "no"

    one = agent(world, Scripted(script))
    observed(world, one, 2)
    assert one.reasons == ["It remembers: m | no ranking could be read: the candidates' own order"] * 2


def test_without_an_introduction_the_first_memory_is_counted(world: World) -> None:
    calls: list[str] = []
    one = agent(world, counting(calls), introduce=False)
    seen = observed(world, one, 0)[0]
    one.recommend(seen, luck_of(seen))
    assert calls == ["fast"] * 2
    assert one.reasons is not None
    assert re.match(r"It remembers: Likes \w+", one.reasons[0])


def test_what_is_kept_is_bounded_and_a_long_session_costs_no_more(world: World) -> None:
    calls: list[str] = []
    one = agent(world, counting(calls), cached=1, memory_turns=2)
    seen = observed(world, one, 5, users=1)
    assert one.reasons is not None
    assert "m2 |" in one.reasons[0], "after 4 slates the fold begins anew at the second"
    one.recommend(seen[5], luck_of(seen[5]))
    assert "m3 |" in one.reasons[0]
    assert len(one._memories._kept) == 1


def test_seeds_come_from_what_is_folded(world: World) -> None:
    """Other luck: another ranking perhaps, the same memory."""
    one = agent(world, "scripted", temperature=0.8)
    seen = observed(world, one, 2)[-1]
    one.recommend(seen, luck_of(seen, 1))
    first = list(one.reasons or [])
    other = agent(world, "scripted", temperature=0.8)
    other.recommend(seen, luck_of(seen, 2))
    for mine, theirs in zip(first, other.reasons or [], strict=True):
        assert mine.split(" | ")[:2] == theirs.split(" | ")[:2]


def test_a_whole_session(world: World) -> None:
    one, users = agent(world, "scripted"), np.arange(8)
    world.reset(users, users)
    turns = sum(1 for _ in play(world, one, users, users))
    assert turns > 1
    assert one.report()["valid_share"] == 1
