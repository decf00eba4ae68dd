"""A recommender's reasoning in the session's log: kept, bounded, left out of files where there is none, and shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from recoworld.assembly import make_world
from recoworld.cli import app
from recoworld.configs import WorldConfig
from recoworld.envs.render import as_text, turn_view
from recoworld.errors import ConfigError
from recoworld.evaluation.record import Saved
from recoworld.evaluation.rollout import rollout
from recoworld.policies.baselines import Popularity
from recoworld.session import Session
from recoworld.session_io import read_jsonl, read_parquet, read_sessions, write_jsonl, write_parquet
from recoworld.session_log import REASONING, SessionLog, recorded
from recoworld.types import Observations, Recommender, Slates
from recoworld.world import World


class Talkative(Popularity):
    """Says what it does; to the first user nothing."""

    reasons: list[str] | None = None

    def recommend(self, observations: Observations, luck: Any) -> Slates:
        slates = super().recommend(observations, luck)
        self.reasons = [f"[bold]turn\n{turn[0]:.2f}[/bold] \x1b[31m" if user else "" for user, turn in enumerate(observations["turn"])]
        return slates


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(WorldConfig.of(dataset="mini", slate_size=3, max_turns=3))


def played(world: World, policy: Popularity, path: Path) -> list[Session]:
    policy.fit(world.dataset, world.split)
    save(world, policy, 3, path)
    return read_jsonl(path)


def save(world: World, policy: Recommender, number: int, path: Path) -> None:
    saved = Saved(number, policy=policy.name)
    rollout(world, policy, np.arange(number), np.arange(number), saved=saved)
    saved.write(path)


def test_reasoning_is_kept_with_its_own_turn(world: World, tmp_path: Path) -> None:
    sessions = played(world, Talkative(), tmp_path / "s.jsonl")
    assert sessions[0].turns[0].reasoning == ""
    for one in sessions[1:]:
        assert one.turns[0].reasoning.startswith("[bold]turn\n0.00")


def test_files_of_those_who_say_nothing_are_as_they_were(world: World, tmp_path: Path) -> None:
    sessions = played(world, Popularity(), tmp_path / "s.jsonl")
    assert b"reasoning" not in (tmp_path / "s.jsonl").read_bytes()
    pytest.importorskip("pyarrow")
    from pyarrow.parquet import ParquetFile

    write_parquet(tmp_path / "s.parquet", sessions)
    assert "reasoning" not in ParquetFile(tmp_path / "s.parquet").schema_arrow.names
    assert read_parquet(tmp_path / "s.parquet") == sessions


def test_both_formats_round_trip(world: World, tmp_path: Path) -> None:
    sessions = played(world, Talkative(), tmp_path / "s.jsonl")
    write_jsonl(tmp_path / "again.jsonl", sessions)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "s.jsonl").read_bytes()
    assert read_sessions(tmp_path / "again.jsonl") == sessions
    pytest.importorskip("pyarrow")
    many = [*[replace(one, turns=tuple(replace(turn, reasoning="") for turn in one.turns)) for one in sessions] * 400, *sessions]
    write_parquet(tmp_path / "s.parquet", many)  # the chunk that has no reasoning comes first
    assert read_parquet(tmp_path / "s.parquet") == many


def test_a_log_bounds_what_it_keeps(world: World) -> None:
    world.reset(np.arange(2), np.arange(2))
    log = SessionLog(world, np.arange(2), policy="x")
    turn = world.step(np.array([[0, 1, 2]] * 2))
    with pytest.raises(ConfigError, match="1 reasons for a turn of 2 users"):
        log.add(None, turn, reasons=["x"])
    log.add(None, turn, reasons=["x" * 100_000, "\ud800"])
    first, second = log
    assert first.turns[0].reasoning == "x" * REASONING
    assert second.turns[0].reasoning == "?"


def test_it_is_shown_escaped_and_in_eighty_columns(world: World) -> None:
    world.reset(np.arange(1), np.arange(1))
    turn = recorded(world, world.step(np.array([[0, 1, 2]])), reasoning="[bold]obey\n\x1b[31m " + "wordy " * 3000)
    for hidden in (True, False):
        text = as_text(turn_view(turn, world.catalog, hidden=hidden))
        assert "The recommender thinks: [bold]obey" in text
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= 80
        assert len(text) < 7000
    assert "thinks: first\n  then: second\n" in as_text(turn_view(replace(turn, reasoning="first | second"), world.catalog))
    assert "recommender thinks" not in as_text(turn_view(replace(turn, reasoning=""), world.catalog))


def test_replay_shows_it(world: World, tmp_path: Path) -> None:
    played(world, Talkative(), tmp_path / "s.jsonl")
    shown = CliRunner().invoke(app, ["replay", str(tmp_path / "s.jsonl"), "--session", "1"])
    assert shown.exit_code == 0, shown.output
    assert "The recommender thinks: [bold]turn 0.00[/bold]" in shown.output


def test_an_agent_that_thinks_is_replayed(world: World, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    from recoworld.policies import make_policy

    for kind in ("starec", "react"):
        policy = make_policy(f"{kind}:scripted")
        policy.fit(world.dataset, world.split)
        save(world, policy, 2, tmp_path / f"{kind}.jsonl")
        assert all(turn.reasoning for one in read_jsonl(tmp_path / f"{kind}.jsonl") for turn in one.turns)
        shown = CliRunner().invoke(app, ["replay", str(tmp_path / f"{kind}.jsonl")])
        assert "The recommender thinks: " in shown.output
