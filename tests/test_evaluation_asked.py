"""Evaluation of users who ask a language model, from Python: sessions saved as they are played, counts of a run, a model that is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.configs import WorldConfig
from recoworld.errors import ConfigError, LanguageModelError, RecoWorldError
from recoworld.evaluation import evaluate
from recoworld.evaluation.asked import _since
from recoworld.evaluation.record import Saved
from recoworld.evaluation.rollout import play, rollout
from recoworld.llm.scripted import Scripted
from recoworld.policies import make_policy
from recoworld.session_io import read_jsonl, write_jsonl
from recoworld.session_log import SessionLog, reasons_of
from recoworld.types import Recommender
from recoworld.world import World

pytest.importorskip("jinja2")

SMALL = {"dataset": "mini", "slate_size": 4, "max_turns": 4}
TWO = ["random", "popularity"]


def config(name: str = "llm", llm: str = "scripted", **settings: Any) -> WorldConfig:
    return WorldConfig.of(**{**SMALL, **settings}, simulator=name, **({} if name == "behavioral" else {"llm": llm}))


def fitted(name: str, world: World) -> Recommender:
    policy = make_policy(name)
    policy.fit(world.dataset, world.split)
    return policy


def played_again(path: Path, world: World, policy: Recommender, users: np.ndarray, seeds: np.ndarray) -> bytes:
    """The sessions played by themselves, and logged."""
    world.reset(users, seeds)
    log = SessionLog(world, seeds, policy="x")
    for rows, turn, _ in play(world, policy, users, seeds, policy_seed=5):
        log.add(rows, turn, reasons=reasons_of(policy))
    write_jsonl(path, log)
    return path.read_bytes()


@pytest.mark.parametrize("policy", ["random", "ease+instruct", "oracle", "starec:scripted"])
@pytest.mark.parametrize("name", ["behavioral", "hybrid", "llm"])
def test_sessions_are_saved_while_they_are_played_byte_for_byte(name: str, policy: str, tmp_path: Path) -> None:
    if policy == "oracle" and name == "llm":
        pytest.skip("a language model's mind cannot be read")
    world = make_world(config(name))
    who, n = fitted(policy, world), 9 if policy.startswith("starec") else 14
    users, seeds = np.repeat(world.split.test[: n // 2 + 1], 2)[:n], np.tile([3, 4], n)[:n]
    plain = rollout(world, who, users, seeds, policy_seed=5)
    for first, chunk in ((n, 1024), (7, 1024), (7, 4), (1, 7), (n + 3, 8)):
        saved = Saved(first, policy="x")
        table = rollout(world, who, users, seeds, policy_seed=5, saved=saved, chunk=chunk)
        saved.write(tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == played_again(tmp_path / "b", world, who, users[:first], seeds[:first]), (first, chunk)
        assert len(read_jsonl(tmp_path / "a")) == min(first, n)
        np.testing.assert_array_equal(table.returned, plain.returned)


def test_a_log_of_the_first_still_checks_all_reasons() -> None:
    world = make_world(config("behavioral"))
    world.reset(np.arange(3), np.arange(3))
    log = SessionLog(world, np.arange(3), policy="x", first=2)
    turn = world.step(np.array([[0, 1, 2, 3]] * 3))
    with pytest.raises(ConfigError, match="2 reasons for a turn of 3 users"):
        log.add(None, turn, reasons=["a", "b"])
    log.add(None, turn, reasons=["a", "b", "c"])
    assert [one.turns[0].reasoning for one in log] == ["a", "b"]


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that the scripted model is asked; an entry of -1 at the front makes it fail from the third on."""
    sizes: list[int] = []
    real = Scripted.generate

    def generate(self: Scripted, prompts: Any, **settings: Any) -> Any:
        if sizes[:1] == [-1] and len(sizes) > 2:
            raise LanguageModelError("the server is gone")
        sizes.append(len(prompts))
        return real(self, prompts, **settings)

    monkeypatch.setattr(Scripted, "generate", generate)
    return sizes


def test_saving_asks_nothing_more_and_a_short_log_is_completed(prompts: list[int], tmp_path: Path) -> None:
    plain = evaluate(config(), ["random"], users=6, out=tmp_path / "plain")
    asked = sum(prompts)
    saving = evaluate(config(), ["random"], users=6, out=tmp_path / "saving", save_sessions=2)
    assert sum(prompts) == 2 * asked
    assert saving.rows[0]["return"] == plain.rows[0]["return"]
    path = tmp_path / "plain" / "sessions" / "random.jsonl"
    assert not path.exists()
    evaluate(config(), ["random"], users=6, out=tmp_path / "plain", save_sessions=2)
    assert path.read_bytes() == (tmp_path / "saving" / "sessions" / "random.jsonl").read_bytes()
    del prompts[:]
    evaluate(config(), ["random"], users=6, out=tmp_path / "plain", save_sessions=2)
    assert not prompts


def test_a_run_counts_its_own_replies_though_the_simulator_serves_many(tmp_path: Path) -> None:
    broken = config(llm="scripted:broken")
    one, two = (evaluate(broken, ["random"], users=5).simulator_report for _ in range(2))
    assert one is not None
    assert two is not None
    assert {**one, "examples": []} == {**two, "examples": []}  # the first few of all runs are kept
    assert (one["simulator"], one["llm"], one["policies"]) == ("llm", "scripted:broken", ["random"])
    assert one["calls"] > one["replies"] == one["valid_first"] + one["valid_again"] + one["filled"] > 0
    assert one["valid_share"] == pytest.approx((one["valid_first"] + one["valid_again"]) / one["replies"])
    assert sum(one["problems"].values()) > 0
    assert evaluate(config("behavioral"), ["random"], users=5).simulator_report is None


def test_reports_by_hand() -> None:
    before = {"calls": 4, "share": 0.5, "problems": {"json": 2, "long": 1}, "examples": ["a"], "llm": "m"}
    now = {"calls": 7, "share": 0.7, "problems": {"json": 5, "long": 1, "cut": 1}, "examples": ["a", "b"], "llm": "m"}
    assert _since(before, now) == {"calls": 3, "share": 0.7, "problems": {"json": 3, "cut": 1}, "examples": ["b"], "llm": "m"}


def test_any_report_can_be_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's may hold what JSON has no word for, and counts nothing."""
    odd = {"loss": float("nan"), "where": Path("x"), "layers": 12, (1, 2): 3, "fine": {"a": [1.5]}}
    monkeypatch.setattr(type(make_world(config("behavioral")).simulator), "report", lambda self: odd, raising=False)
    evaluate(config("behavioral"), ["random"], users=5, out=tmp_path)
    report = json.loads((tmp_path / "leaderboard.json").read_text(encoding="utf-8"))["simulator_report"]
    assert report == {"policies": ["random"], "simulator": "behavioral", "loss": None, "where": "x", "layers": 12, "fine": {"a": [1.5]}}


@pytest.mark.parametrize("saving", [True, False])
def test_a_model_that_is_gone_loses_no_finished_policy(saving: bool, prompts: list[int], tmp_path: Path) -> None:
    made = config(simulator_config={"record": str(tmp_path / "replies")}, max_turns=2)
    out = tmp_path / "out" if saving else None
    prompts.append(-1)  # as many batches as the first policy needs
    with pytest.raises(LanguageModelError, match="is gone") as caught:
        evaluate(made, TWO, users=5, out=out)
    board = caught.value.board
    assert board.interrupted
    assert [row["policy"] for row in board.rows] == ["random"]
    assert board.simulator_report["policies"] == ["random"]
    assert board.simulator_report["new_in_record"] == board.simulator_report["calls"] == sum(prompts) + 1
    del prompts[:]
    whole = evaluate(made, TWO, users=5, out=out)
    assert not whole.interrupted
    assert len(whole.rows) == 2
    if out is not None:
        assert json.loads((out / "leaderboard.json").read_text(encoding="utf-8")) == json.loads(json.dumps(whole.as_dict()))
        assert [report["policies"] for report in whole.earlier_simulator_reports] == [["random"]]


def test_a_run_that_finished_nothing_leaves_the_folder_to_other_settings(prompts: list[int], tmp_path: Path) -> None:
    prompts.extend([-1, 0, 0])
    with pytest.raises(LanguageModelError) as caught:
        evaluate(config(), TWO, users=5, out=tmp_path)
    assert not caught.value.board.rows
    del prompts[:]
    evaluate(config(), ["random"], users=4, out=tmp_path)


def test_fresh_forgets_what_an_earlier_run_published(prompts: list[int], tmp_path: Path) -> None:
    evaluate(config(), ["random"], users=5, out=tmp_path)
    prompts[:] = [-1, 0, 0]
    with pytest.raises(LanguageModelError):
        evaluate(config(), ["random"], users=5, out=tmp_path, fresh=True)
    assert not list(tmp_path.glob("leaderboard.*"))
    del prompts[:]
    assert evaluate(config(), ["random"], users=5, out=tmp_path, fresh=True).earlier_simulator_reports == ()


def test_a_result_is_kept_where_its_sessions_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("a file where the folder should be")
    with pytest.raises((RecoWorldError, OSError)):
        evaluate(config("behavioral"), ["random"], users=5, out=tmp_path, save_sessions=2)
    assert (tmp_path / "results" / "random.npz").is_file()


@pytest.mark.parametrize("number", [-1, True, 1.5])
def test_a_wrong_number_of_sessions_is_told_at_once(number: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="save_sessions"):
        evaluate(config("behavioral"), ["random"], users=5, out=tmp_path, save_sessions=number)
    assert not list(tmp_path.iterdir())
