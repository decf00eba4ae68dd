"""The command line, as a user meets it: on the built-in data, with few users."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from recoworld import __version__
from recoworld.cli import app
from recoworld.cli.lazy import COMMANDS
from recoworld.cli.settings import world_settings
from recoworld.errors import ConfigError
from recoworld.policies.ease import EASE
from recoworld.rewards import DEFAULT_WEIGHTS
from recoworld.session_io import read_jsonl


def recoworld(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})


def told(result: Result) -> str:
    """What a failed command said, without line breaks; it must be our own words and no traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_help_is_there_at_once() -> None:
    command = [sys.executable, "-m", "recoworld.cli", "--help"]
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        best = min(best, time.perf_counter() - start)
    assert best < 0.5
    for name in ("demo", "evaluate", "list", "play", "replay", "data"):
        assert f" {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_loaded_late_are_what_the_list_says(name: str) -> None:
    module, attribute = COMMANDS[name][0].split(":")
    thing = getattr(importlib.import_module(module), attribute)
    assert COMMANDS[name][1] == (thing.info.help if isinstance(thing, typer.Typer) else thing.__doc__.split("\n")[0])
    done = recoworld(name, "--help")
    assert done.exit_code == 0
    assert f"recoworld {name}" in done.output
    assert COMMANDS[name][1] in done.output


def test_a_saved_session_can_be_replayed(tmp_path: Path) -> None:
    assert recoworld("evaluate", "--policies", "ease", "--users", 2, "--save-sessions", 1, "--out", tmp_path).exit_code == 0
    done = recoworld("replay", tmp_path / "sessions" / "ease.jsonl")
    assert done.exit_code == 0, done.output
    assert "Turn 1" in done.output
    assert "nothere.jsonl" in told(recoworld("replay", tmp_path / "nothere.jsonl"))


def test_importing_the_commands_loads_no_environment_and_no_simulator() -> None:
    heavy = {"gymnasium", "pydantic", "recoworld.world", "recoworld.simulators.behavioral", "torch", "pandas", "implicit"}
    script = f"import sys, recoworld.cli; sys.exit(str(sorted({heavy} & set(sys.modules))) if {heavy} & set(sys.modules) else 0)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_version() -> None:
    assert recoworld("--version").output == f"recoworld {__version__}\n"


def test_evaluate_writes_what_the_issue_states(tmp_path: Path) -> None:
    done = recoworld("evaluate", "--env", "RecoWorld-Mini-v0", "--policies", "all", "--users", 12, "--seed", 0, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    assert {"random", "popularity", "genre", "item-knn", "ease", "ease+instruct", "oracle"} <= {row["policy"] for row in content["rows"]}
    for row in content["rows"]:
        assert isinstance(row["policy"], str)
        for metric in ("return", "turns", "ndcg@10"):
            assert row[metric].keys() == {"mean", "low", "high"}
    returns = [row["return"]["mean"] for row in content["rows"]]
    assert returns == sorted(returns, reverse=True)
    assert content["env"] == "RecoWorld-Mini-v0"
    assert len((tmp_path / "leaderboard.csv").read_text().splitlines()) == 1 + len(content["rows"])
    assert "12 test users" in done.output
    assert "NDCG" in done.output


def test_evaluate_with_settings_and_saved_sessions(tmp_path: Path) -> None:
    settings = ["--set", "max_turns=3", "--set", "reward.diversity=2", "--set", "simulator_config.talkative=0"]
    done = recoworld(
        "evaluate", "--env", "mini", "--policies", "random, als+instruct", "--users", 6, *settings, "--save-sessions", 2, "--out", tmp_path
    )
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    config = content["settings"]["config"]
    assert config["max_turns"] == 3
    assert config["reward"] == DEFAULT_WEIGHTS | {"diversity": 2}
    assert all(row["turns"]["mean"] <= 3 and row["instructions_per_turn"]["mean"] == 0 for row in content["rows"])
    assert all(row["instruction_following"] is None for row in content["rows"])
    assert {session.policy for session in read_jsonl(tmp_path / "sessions" / "als+instruct.jsonl")} == {"als+instruct"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--env", "RecoWorld-Mni-v0"], "did you mean 'RecoWorld-Mini-v0'"),
        (["--env", "ml1m"], "did you mean 'ml-1m'"),
        (["--policies", "eese"], "did you mean 'ease'"),
        (["--policies", "popularty,ease"], "did you mean 'popularity'"),
        (["--policies", ","], "expected 'all' or some of"),
        (["--set", "max_turn=3"], "did you mean 'max_turns'"),
        (["--set", "max_turns"], "expected key=value"),
        (["--set", "max_turns=many"], "max_turns = 'many'"),
        (["--set", "max_turns=[1"], "cannot read the value"),
        (["--set", "slate_size=100000"], "slate_size: got 100000"),
        (["--set", "simulator_config.talkativ=1"], "talkative"),
        (["--set", "reward.diversty=1"], "did you mean 'diversity'"),
        (["--set", "users=train"], "--group"),
        (["--set", "dataset.x=1"], "has no entries"),
        (["--config", "impatent"], "did you mean 'impatient'"),
        (["--group", "tst"], "did you mean 'test'"),
        (["--save-sessions", "2"], "say in which folder"),
        (["--env", "RecoWorld-RecBole-v0"], "--data-dir"),
        (["--env", "recbole:/nowhere/at/all"], "/nowhere/at/all"),
        (["--env", "ml-100k", "--data-dir", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(arguments: list[str], words: str) -> None:
    message = told(recoworld("evaluate", "--users", 3, *([] if "--policies" in arguments else ["--policies", "random"]), *arguments))
    assert message.startswith("error: ")
    assert words in message


def test_unknown_commands_and_options_are_answered_with_near_ones() -> None:
    assert "evaluate" in told(recoworld("evaluat"))
    assert "--policies" in told(recoworld("evaluate", "--polices", "ease"))


def test_a_preset_is_applied_under_the_settings() -> None:
    name, settings = world_settings("recoworld-ml1m", ["simulator_config.effort=0.2", "max_turns=7"], "impatient")
    assert name == "RecoWorld-ML1M-v0"
    assert settings == {"dataset": "ml-1m", "simulator_config": {"leave_base": -2.2, "effort": 0.2}, "max_turns": 7}
    with pytest.raises(ConfigError, match="key=value"):
        world_settings("mini", ["=3"])


def test_ctrl_c_keeps_finished_policies_and_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["evaluate", "--policies", "random,ease", "--users", 10, "--out", tmp_path]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EASE, "fit", stop)
        done = recoworld(*command)
    assert done.exit_code == 130
    assert "interrupted: random finished, kept in" in done.output
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    assert content["interrupted"]
    assert [row["policy"] for row in content["rows"]] == ["random"]
    kept = (tmp_path / "results" / "random.npz").stat().st_mtime_ns
    done = recoworld(*command)
    assert done.exit_code == 0
    assert "1 of these was kept from an earlier run" in done.output
    assert (tmp_path / "results" / "random.npz").stat().st_mtime_ns == kept
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [row["policy"] for row in content["rows"]] == ["ease", "random"]
    assert not content["interrupted"]
    assert "--fresh" in told(recoworld(*command, "--seed", 1))
    assert recoworld(*command, "--seed", 1, "--fresh").exit_code == 0


def test_ctrl_c_without_a_folder_says_that_nothing_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recoworld.evaluation.rollout.observe", stop)
    done = recoworld("evaluate", "--policies", "random", "--users", 5)
    assert done.exit_code == 130
    assert "no policy finished" in done.output


def test_list_names_everything() -> None:
    done = recoworld("list")
    assert done.exit_code == 0
    for name in ("RecoWorld-ML1M-v0", "ml-100k", "ease+instruct", "behavioral", "retention", "impatient"):
        assert name in done.output


def test_demo(tmp_path: Path) -> None:
    done = recoworld("demo", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    for words in ("oracle *", "turn by turn", "Turn 1", "The user says", "recoworld play"):
        assert words in done.output
    assert json.loads((tmp_path / "leaderboard.json").read_text())["users"] == 100


def test_the_readmes_import_command_names_the_log_after_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOWORLD_HOME", str(tmp_path / "home"))
    log = tmp_path / "My Log.csv"
    log.write_text("user_id,item_id,rating,timestamp\n" + "".join(f"u{i % 5},i{i},{i % 5 + 1},{i}\n" for i in range(60)), encoding="utf-8")
    columns = ["--user", "user_id", "--item", "item_id", "--rating", "rating", "--time", "timestamp"]
    done = CliRunner().invoke(app, ["data", "import", str(log), *columns])
    assert done.exit_code == 0, done.output
    assert "my-log" in done.output
    done = CliRunner().invoke(app, ["evaluate", "--env", "my-log", "--policies", "random", "--users", "2", "--group", "all"])
    assert done.exit_code == 0, done.output
