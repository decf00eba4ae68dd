"""benchmarks/llm_users.py with the scripted model: what is counted, that what is compared is the same, and the run from its record."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2")
sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import llm_engine
import llm_measure
import llm_page
import llm_users
from llm_stage import Stage

from recoworld.llm.model import Prompt, Usage
from recoworld.llm.record import Recorded
from recoworld.llm.scripted import Scripted, made_up
from recoworld.session_io import read_jsonl
from recoworld.session_log import SessionLog
from recoworld.simulators.llm import LLMSimulator

PROMISED = {
    "user_turns_per_s",
    "tokens_per_s",
    "raw_engine_tokens_per_s",
    "naive_user_turns_per_s",
    "prefix_cache_hit",
    "prompt_tokens_per_response",
    "valid_share",
    "score_decisions_per_s",
    "generate_decisions_per_s",
}


def stage(users: int = 4, slate_size: int = 5, llm: str = "scripted", **settings: Any) -> Stage:
    return Stage(
        "RecoWorld-Mini-v0", users=users, slate_size=slate_size, seed=3, policy="genre+instruct", simulator="llm", llm=llm, **settings
    )


def command(tmp_path: Path, *more: str) -> dict[str, Any]:
    """The command on a small world; its JSON."""
    out = tmp_path / "figures.json"
    given = ["--env", "mini", "--users", "4", "--turns", "3", "--slate-size", "5", "--json", str(out), *more]
    assert llm_users.main(given) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def call(seconds: float, prompt: int, cached: int, completion: int) -> llm_engine.Call:
    usage = Usage(prompt=prompt, cached=cached, completion=completion)
    return llm_engine.Call(prompts=[], schema=None, sampling=llm_engine.DEFAULT, seconds=seconds, usage=usage)


def staying(prompt: Prompt, schema: Any) -> str:
    return made_up(prompt, schema).replace('"leave":true', '"leave":false')


def test_the_figures_by_hand() -> None:
    measured = llm_measure.Measured(
        users=8,
        slate_size=10,
        steps=[2.0, 3.0],
        inside=[1.9, 2.6],
        usage=[Usage(prompt=9000, cached=3000, completion=2000), Usage(prompt=11_000, cached=5000, completion=2500)],
        raw=[call(1.5, 0, 0, 2000), call(3.0, 0, 0, 2500)],
        same=12,
        naive=(call(16.0, 3600, 2700, 400), call(4.0, 400, 300, 100)),
        uncached=(call(24.0, 4000, 0, 400), call(6.0, 400, 0, 100)),
        naive_users=2,
        scored=[0.5, 0.3],
        report={"valid_first_share": 0.75},
    )
    found = llm_measure.figures(measured)
    expected = {
        "user_turns_per_s": 16 / 5,
        "tokens_per_s": 900,
        "raw_engine_tokens_per_s": 1000,
        "share_of_raw": 0.9,
        "naive_user_turns_per_s": 0.1,
        "times_naive": 32,
        "times_naive_items": 3.2 * 8,
        "times_naive_uncached": 3.2 * 15,
        "prefix_cache_hit": 0.4,
        "prompt_tokens_per_response": 12_000 / 160,
        "valid_share": 0.75,
        "generate_decisions_per_s": 32,
        "score_decisions_per_s": 200,
        "score_times_generate": 6.25,
        "completion_tokens_per_user_turn": 4500 / 16,
        "prompt_tokens_per_user_turn": 1250,
        "share_of_time_outside_the_engine": 0.1,
        "same_replies_when_asked_again": 0.75,
        "naive_prefix_cache_hit": 0.75,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    alone = llm_measure.figures(replace(measured, raw=[], naive=None, scored=[]))
    assert [alone[name] for name in ("raw_engine_tokens_per_s", "share_of_raw", "times_naive", "score_times_generate")] == [None] * 4


def test_the_command_writes_what_others_rely_on(tmp_path: Path) -> None:
    found = command(tmp_path, "--backend", "scripted")
    assert found.keys() >= PROMISED
    assert all(isinstance(found[name], float) for name in PROMISED)
    assert found["valid_share"] == 1
    assert found["same_replies_when_asked_again"] == 1
    assert found["report"]["replies"] == 4 * 3
    assert found["prompt_tokens_per_response"] == pytest.approx(found["report"]["prompt_tokens"] / (4 * 3 * 5))
    assert set(found["definitions"]) >= PROMISED
    assert found["machine"]["versions"]["numpy"] == np.__version__


def test_a_run_from_its_record_is_the_same_bytes(tmp_path: Path) -> None:
    record, logs = tmp_path / "replies.sqlite", [tmp_path / "first.jsonl", tmp_path / "again.jsonl"]
    first = command(tmp_path, "--backend", "scripted", "--record", str(record), "--sessions", str(logs[0]))
    again = command(tmp_path, "--backend", "replay", "--model", str(record), "--sessions", str(logs[1]))
    assert logs[0].read_bytes() == logs[1].read_bytes()
    assert first["sessions_sha256"] == again["sessions_sha256"]
    other = command(tmp_path, "--backend", "scripted", "--parts", "", "--seed", "1", "--sessions", str(logs[1]))
    assert other["sessions_sha256"] != first["sessions_sha256"]
    assert other["raw_engine_tokens_per_s"] is None


def test_a_record_that_is_there_is_no_timing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "replies.sqlite"
    command(tmp_path, "--backend", "scripted", "--record", str(record), "--parts", "")
    assert llm_users.main(["--backend", "scripted", "--env", "mini", "--record", str(record)]) == 1
    assert "no timing" in capsys.readouterr().err
    assert llm_users.main(["--backend", "scripted", "--env", "mini", "--parts", "row"]) == 1
    assert "raw, naive, score" in capsys.readouterr().err


def test_the_log_is_that_of_a_session_log(tmp_path: Path) -> None:
    """While nobody leaves; what the environment shows is written as `SessionLog` writes it."""
    one = stage()
    simulator: Any = one.world.simulator
    model, simulator.model = simulator.model, Scripted(staying)
    try:
        log = SessionLog(one.world, one._who()[1], policy=one.policy.name)
        step = one._step

        def logged(slates: Any) -> Any:
            turn = step(slates)
            log.add(None, turn)
            return turn

        one._step = logged
        for _ in range(3):
            one.step(one.slates())
        one.write(tmp_path / "log.jsonl")
        assert read_jsonl(tmp_path / "log.jsonl") == log.sessions()
        assert one.left == 0
    finally:
        simulator.model = model
        one.close()


def test_who_leaves_is_replaced_at_once() -> None:
    """The batch stays whole; every session is one user's, and ends where its user left."""
    one = stage(users=6)
    try:
        for _ in range(4):
            one.step(one.slates())
        sessions = one.sessions
        over = sessions[: one.left]
        assert one.left > 0
        assert sum(session.n_turns for session in sessions) == 6 * 4
        assert all(session.left for session in over)
        assert not any(turn.left for session in sessions for turn in session.turns[:-1])
        assert len({(session.user, session.seed) for session in sessions}) == len(sessions)
        world, index = one.world, [session.user_index for session in over]
        assert [session.user for session in over] == world.dataset.users.ids[index].tolist()
    finally:
        one.close()


def test_the_engine_is_asked_the_very_same(tmp_path: Path) -> None:
    asked: list[list[Prompt]] = []

    class Watched(Scripted):
        def generate(self, prompts: Any, **settings: Any) -> Any:
            asked.append(list(prompts))
            return super().generate(prompts, **settings)

    one = stage()
    simulator = one.world.simulator
    assert isinstance(simulator, LLMSimulator)
    model, simulator.model = simulator.model, Recorded(Watched(), tmp_path / "replies.sqlite")
    try:
        measured = llm_measure.measure(one, turns=3, parts=("raw", "naive"), naive_users=2, tell=lambda text: None)
    finally:
        simulator.model = model
        one.close()
    batches = [batch for batch in asked if len(batch) == 4]
    assert len(batches) == 6, "once by the simulator, once by the engine, record or not"
    assert all(batches[2 * turn] == batches[2 * turn + 1] for turn in range(3))
    assert measured.same == 12
    single = [batch[0] for batch in asked if len(batch) == 1]
    assert len(single) == 2 * 2 * (5 + 1), "two users' slates, item by item, and their mindsets, without a cache and with one"
    single = [prompt for place, prompt in enumerate(single) if place % 6 != 5]
    assert measured.naive is not None
    items, minds = measured.naive
    assert len(items.replies) == 2 * 5
    assert len(minds.replies) == 2
    assert all(set(json.loads(reply.text)) == {"thought", "act", "watch"} for reply in items.replies)
    assert all({"satisfaction", "say"} < set(json.loads(reply.text)) and "items" not in reply.text for reply in minds.replies)
    assert all(prompt.messages[1]["content"].count("\n1. ") == 1 and "\n2. " not in prompt.messages[1]["content"] for prompt in single)


def test_both_begin_with_the_cache_of_a_running_session() -> None:
    told: list[Any] = []

    class Cached(Scripted):
        def forget(self) -> None:
            told.append("forget")

        def generate(self, prompts: Any, **settings: Any) -> Any:
            told.append([prompt.messages[0]["content"] for prompt in prompts])
            return super().generate(prompts, **settings)

    first, second = (Prompt.of("a list", system=name) for name in ("one", "two"))
    asked = llm_engine.Call(prompts=[first, second], schema=None, sampling=llm_engine.DEFAULT)
    llm_engine.warmed(Cached(), asked, {"two"})
    assert told == ["forget", ["two"]]
    told.clear()
    llm_engine.warmed(Cached(), asked, set())
    assert told == ["forget"]
    llm_engine.warmed(Scripted(), asked, {"two"})
    assert told == ["forget"], "an engine that cannot forget is left alone"


def test_the_page_has_a_column_for_each_run(tmp_path: Path) -> None:
    found = command(tmp_path, "--backend", "scripted", "--parts", "raw")
    page = tmp_path / "page.md"
    page.write_text("# Title\n<!-- table -->\nold\n<!-- /table -->\nThe end.\n", encoding="utf-8")
    llm_page.main(["--results", str(tmp_path), "--page", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Title\n<!-- table -->\n| figure | figures |\n")
    assert text.endswith("\n<!-- /table -->\nThe end.\n")
    assert f"| share of the bare engine (at least 90 %) | {found['share_of_raw']:.0%} |" in text
    assert "| items judged/s, score | - |" in text
    assert "4 users x 3 turns of 5 items in RecoWorld-Mini-v0" in text
    assert "old" not in text
