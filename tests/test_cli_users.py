"""Users who ask a language model, as the command line shows them: evaluate, play and replay with a scripted model."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner, Result

from recoworld.cli import app
from recoworld.cli.play import played
from recoworld.cli.replay import replayed
from recoworld.cli.seats import Terminal
from recoworld.cli.settings import world_settings
from recoworld.cli.users import with_users
from recoworld.envs.thoughts import thoughts_of
from recoworld.errors import ConfigError, LanguageModelError
from recoworld.llm.scripted import Scripted
from recoworld.session_io import read_jsonl
from recoworld.types import LEVELS

pytest.importorskip("jinja2")

GONE = "http://localhost:8000/v1 has not answered for 600 s"
SMALL = ["--policies", "random,popularity", "--users", 4, "--set", "max_turns=3", "--set", "slate_size=4"]
LLM = ["--simulator", "llm", "--llm", "scripted"]


def recoworld(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})


def told(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def board(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))


def record(folder: Path) -> list[object]:
    """A record of its own for each test: then no other has counted replies in the same process."""
    return ["--record", folder / "replies.sqlite"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """``asked(after, error)``: counts prompts in a list, and makes the scripted model fail once more than `after` were asked."""
    real = Scripted.generate

    def patch(after: int | None = None, error: type[BaseException] = LanguageModelError) -> list[int]:
        counts: list[int] = []

        def generate(self: Scripted, prompts: Any, **settings: Any) -> Any:
            if after is not None and sum(counts) + len(prompts) > after:
                raise error(GONE)
            counts.append(len(prompts))
            return real(self, prompts, **settings)

        monkeypatch.setattr(Scripted, "generate", generate)
        return counts

    return patch


# the short forms


def test_the_options_are_short_forms_of_settings(tmp_path: Path) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    done = recoworld("evaluate", *SMALL, *LLM, *record(tmp_path), "--out", short)
    assert done.exit_code == 0, done.output
    pairs = ["simulator=llm", "llm=scripted", f"simulator_config.record={tmp_path / 'replies.sqlite'}"]
    assert recoworld("evaluate", *SMALL, *(word for pair in pairs for word in ("--set", pair)), "--out", long).exit_code == 0
    assert board(short)["settings"] == board(long)["settings"]
    assert board(short)["settings"]["config"]["simulator"] == "llm"
    assert [row["return"] for row in board(short)["rows"]] == [row["return"] for row in board(long)["rows"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--simulator", "llm", "--set", "simulator=hybrid"], "got --simulator llm and --set simulator=hybrid; expected one of them"),
        ([*LLM, "--set", "llm=local"], "got --llm scripted and --set llm=local"),
        ([*LLM, "--set", "simulator_config.llm=local"], "got --llm scripted and --set simulator_config.llm=local"),
        ([*LLM, "--set", "simulator_config={llm: local}"], "got --llm scripted and --set simulator_config.llm=local"),
        ([*LLM, "--record", "a.db", "--set", "simulator_config.record=b.db"], "got --record a.db and --set simulator_config.record=b.db"),
        (["--simulator", "hybird"], "did you mean 'hybrid'"),
        (["--simulator", "lm", "--llm", "scripted"], "did you mean 'llm'"),
        (["--simulator", "llm", "--llm", "scriptd"], "did you mean 'scripted'"),
        (["--llm", "scripted:broken"], "--llm scripted:broken: users of the simulator 'behavioral' ask no language model"),
        (["--simulator", "distilled", "--llm", "scripted"], "users of the simulator 'distilled' ask no language model"),
        (["--record", "a.db"], "--record a.db: users of the simulator 'behavioral' ask no language model; name one whose users do"),
        (["--set", "llm=scripted"], "name one whose users do: --simulator llm, hybrid or llm-score"),
    ],
)
def test_what_does_not_go_together_is_said(arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = told(recoworld("evaluate", *SMALL, *arguments))
    assert message.startswith("error: ")
    assert words in message
    assert not list(tmp_path.iterdir())


def test_the_same_said_twice_is_no_contradiction() -> None:
    pairs = ["simulator=llm", "simulator_config.llm=scripted", "simulator_config.record=a.db", "simulator_config.retries=0"]
    _, settings = world_settings(None, pairs, simulator="llm", llm="scripted", record=Path("a.db"))
    assert settings == {"dataset": "mini", "simulator": "llm", "llm": "scripted", "simulator_config": {"record": "a.db", "retries": 0}}


def test_options_change_what_a_preset_says(tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("simulator: llm\nsimulator_config: {llm: local, retries: 0}\n", encoding="utf-8")
    _, settings = world_settings(None, [], str(preset), llm="scripted")
    assert settings == {"dataset": "mini", "llm": "scripted", "simulator_config": {"retries": 0}}


def test_coefficients_of_ones_own_environment_are_for_behavioural_users() -> None:
    built = {"dataset": "shop", "simulator": "behavioral", "simulator_config": {"click_base": -2.0}}
    for name in ("hybrid", "llm-score", "behavioral"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert with_users(built, {}, simulator=name, llm=None, record=None) == built | {"simulator": name}
    with pytest.warns(UserWarning, match="click_base"):
        out = with_users(built, {}, simulator="llm", llm=None, record="a.db")
    assert out == {"dataset": "shop", "simulator": "llm", "simulator_config": {"record": "a.db"}}


# what became of the replies


def test_a_line_and_the_leaderboard_tell_what_became_of_the_replies(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = recoworld("evaluate", *SMALL, *LLM, *record(tmp_path), "--out", out)
    report = board(out)["simulator_report"]
    turns = round(sum(4 * row["turns"]["mean"] for row in board(out)["rows"]))  # of four users, one session each
    assert report["replies"] == report["calls"] == turns
    assert (report["simulator"], report["llm"], report["policies"]) == ("llm", "scripted", ["popularity", "random"])
    assert (report["valid_share"], report["filled"]) == (1, 0)
    assert f"users: llm by scripted, prompts user-v2; {turns} replies, 100 % valid" in done.output
    assert f"and {report['completion_tokens']} of replies; {report['new_in_record']} new in the record." in done.output


def test_broken_replies_are_counted_in_the_line() -> None:
    done = recoworld("evaluate", *SMALL, "--simulator", "llm", "--llm", "scripted:broken")
    assert done.exit_code == 0, done.output
    found = re.search(r"([\d,]+) replies, ([\d.]+) % valid \((\d+) at a second try\), (\d+) filled in; ([\d,]+) calls", done.output)
    assert found is not None
    replies, share, _, filled, calls = (float(part) for part in found.groups())
    assert filled > 0
    assert calls > replies  # asked anew
    assert share == pytest.approx(100 * (1 - filled / replies), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hybrid", "replies, "),
        ("llm-score", "replies, 100 % valid, 0 filled in"),
        ("llm-score", "tokens of replies weighed; slope 1; offset -0.9"),
    ],
)
def test_other_users_who_ask(name: str, words: str) -> None:
    done = recoworld("evaluate", *SMALL, "--simulator", name, "--llm", "scripted")
    assert done.exit_code == 0, done.output
    assert f"users: {name} by scripted, prompts brief-v1; " in done.output
    assert words in " ".join(done.output.split())


def test_nothing_changes_for_users_who_ask_nobody(tmp_path: Path) -> None:
    done = recoworld("evaluate", *SMALL, "--out", tmp_path)
    front = ["rows", "dataset", "users", "seeds", "seed", "group", "version", "env", "interrupted", "notes", "settings"]
    assert list(board(tmp_path)) == front
    assert "users:" not in done.output


def test_a_run_that_asks_nothing_leaves_the_report(tmp_path: Path) -> None:
    command = ["evaluate", *SMALL, *LLM, *record(tmp_path), "--out", tmp_path / "out"]
    assert recoworld(*command).exit_code == 0
    before = board(tmp_path / "out")
    done = recoworld(*command)
    assert "2 of these were kept" in done.output
    assert "users: llm" not in done.output
    assert board(tmp_path / "out") == before


def test_one_folder_holds_the_users_of_one_model(tmp_path: Path) -> None:
    command = ["evaluate", *SMALL, "--simulator", "llm", "--out", tmp_path]
    assert recoworld(*command, "--llm", "scripted").exit_code == 0
    assert "--fresh" in told(recoworld(*command, "--llm", "scripted:broken"))
    assert "--fresh" in told(recoworld("evaluate", *SMALL, "--out", tmp_path))
    assert "--fresh" in told(recoworld(*command, "--llm", "scripted", "--set", "simulator_config.temperature=0"))
    content = board(tmp_path)
    content["simulator_report"]["llm"] = "openvino:another"  # what "local" was on another machine
    (tmp_path / "leaderboard.json").write_text(json.dumps(content), encoding="utf-8")
    message = told(recoworld(*command, "--llm", "scripted"))
    assert "users by another language model ('openvino:another' there, 'scripted' now)" in message
    assert recoworld(*command, "--llm", "scripted", "--fresh").exit_code == 0


# a model that is gone, and Ctrl-C


@pytest.mark.parametrize(("error", "code"), [(LanguageModelError, 2), (KeyboardInterrupt, 130)])
def test_finished_policies_are_kept_and_no_reply_is_paid_twice(
    error: type[BaseException], code: int, tmp_path: Path, asked: Callable[..., list[int]]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    counts = asked()
    assert recoworld("evaluate", *SMALL, *LLM, *record(whole), "--out", whole).exit_code == 0
    assert len(counts) > 2
    first = asked(sum(counts) - 1, error)  # all but the last batch
    command = ["evaluate", *SMALL, *LLM, *record(broken), "--out", broken]
    done = recoworld(*command)
    said = " ".join(done.output.split())
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    assert f"random finished, kept in {broken}; the same command goes on from there" in said
    assert f"replies so far are in {broken / 'replies.sqlite'}: the same command asks for none of them again" in said
    assert said.count("error: ") == (1 if error is LanguageModelError else 0)
    assert (GONE in said) == (error is LanguageModelError)
    assert "random" in said.split("return")[0], "the table is shown"
    assert board(broken)["interrupted"]
    assert [row["policy"] for row in board(broken)["rows"]] == ["random"]
    assert board(broken)["simulator_report"]["policies"] == ["random"]
    second = asked()
    assert recoworld(*command).exit_code == 0
    assert sum(first) + sum(second) == sum(counts)
    after = board(broken)
    assert [(row["policy"], row["return"]) for row in after["rows"]] == [(row["policy"], row["return"]) for row in board(whole)["rows"]]
    assert not after["interrupted"]
    assert after["simulator_report"]["policies"] == ["popularity"]
    assert [report["policies"] for report in after["earlier_simulator_reports"]] == [["random"]]


def test_what_was_broken_off_before_the_first_policy_leaves_nothing(tmp_path: Path, asked: Callable[..., list[int]]) -> None:
    for error, code in ((LanguageModelError, 2), (KeyboardInterrupt, 130)):
        asked(0, error)
        done = recoworld("evaluate", *SMALL, *LLM, "--out", tmp_path / "out")
        assert done.exit_code == code, done.output
        assert "no policy finished" in done.output
        assert "Written to" not in done.output
        assert "Traceback" not in done.output
    assert not list((tmp_path / "out").iterdir())


def test_a_record_may_be_begun_when_a_run_goes_on(tmp_path: Path) -> None:
    """Where replies are kept changes no result."""
    command = ["evaluate", *SMALL, *LLM, "--out", tmp_path]
    assert recoworld(*command).exit_code == 0
    done = recoworld(*command, *record(tmp_path))
    assert done.exit_code == 0, done.output
    assert "were kept from an earlier run" in " ".join(done.output.split())


def test_without_a_record_it_is_said_that_replies_are_lost(tmp_path: Path, asked: Callable[..., list[int]]) -> None:
    counts = asked()
    assert recoworld("evaluate", *SMALL, *LLM).exit_code == 0
    asked(sum(counts) - 1)
    lost = "there was no --record FILE: the replies to the policy in progress are lost, and will be asked for again"
    assert lost in told(recoworld("evaluate", *SMALL, *LLM, "--out", tmp_path))
    asked(sum(counts) - 1)
    message = told(recoworld("evaluate", *SMALL, *LLM))
    assert "random finished, shown above, not saved (use --out DIR)" in message
    assert "lead: over the policy below" in message, "the table is shown"
    assert lost in message
    asked(0)
    message = told(recoworld("evaluate", *SMALL, *LLM))
    assert "no policy finished" in message
    assert "shown above" not in message


def test_saved_sessions_are_not_paid_twice(tmp_path: Path, asked: Callable[..., list[int]]) -> None:
    counts = asked()
    assert recoworld("evaluate", *SMALL, *LLM, "--out", tmp_path / "a").exit_code == 0
    plain = sum(counts)
    done = recoworld("evaluate", *SMALL, *LLM, "--out", tmp_path / "b", "--save-sessions", 2)
    assert done.exit_code == 0, done.output
    assert "warning" not in done.output
    assert sum(counts) == 2 * plain


# play


def at_a_terminal(lines: Iterable[str], call: Callable[[Terminal], object]) -> str:
    """What is shown when these lines are typed; it fits into 80 columns."""
    typed, out = iter(lines), io.StringIO()

    def read(prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    call(Terminal(console=Console(file=out, width=80, highlight=False, color_system=None), read=read))
    assert all(cell_len(line) <= 80 for line in out.getvalue().split("\n"))
    return out.getvalue()


USER = {"simulator": "llm", "llm": "scripted", "seed": 3, "slate_size": 3}


def test_thoughts_stay_hidden_until_why(tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    settings = {**USER, "out": str(out), "record": str(tmp_path / "replies.sqlite")}
    text = at_a_terminal([*["fill", "go"] * 20, "why", ""], lambda terminal: played(**settings, terminal=terminal))
    session = read_jsonl(out)[0]
    assert session.simulator == "llm"
    assert (tmp_path / "replies.sqlite").is_file()
    before, after = (" ".join(part.split()) for part in text.split(f"{session.n_turns} turns, return"))
    words = [turn.mindset.text for turn in session.turns if turn.mindset is not None]
    for turn in session.turns:
        found = thoughts_of(turn)
        assert found is not None
        words += [thought for thought in (*found.items, found.said) if len(thought) > 8]
    assert len(words) > 5
    assert not [thought for thought in words if thought in before]
    assert not [level for level in LEVELS if level in before]
    assert not [thought for thought in words if thought not in after]
    assert "Mindset over the session" in after


def test_behavioural_users_have_no_thoughts_to_tell() -> None:
    text = at_a_terminal([*["fill", "go"] * 20, "why"], lambda terminal: played(seed=3, slate_size=3, terminal=terminal))
    assert "Mindset over the session" in text
    assert "the user’s thoughts" not in text


@pytest.mark.parametrize("option", ["simulator", "llm", "record"])
def test_who_is_the_user_names_no_simulator(option: str) -> None:
    with pytest.raises(ConfigError, match=f"--{option} llm: the user is you"):
        played(as_="user", **{option: "llm"})


def test_play_refuses_what_evaluate_refuses() -> None:
    with pytest.raises(ConfigError, match="ask no language model"):
        played(llm="scripted")
    assert "did you mean 'hybrid'" in told(recoworld("play", "--simulator", "hybird"))


def test_a_session_whose_user_falls_silent_is_kept(tmp_path: Path, asked: Callable[..., list[int]]) -> None:
    out = tmp_path / "s.jsonl"
    asked(1)
    with pytest.raises(LanguageModelError, match=rf"(?s){GONE}.*its 1 turns are in {out}"):
        at_a_terminal(["fill", "go"] * 3, lambda terminal: played(**USER, out=str(out), terminal=terminal))
    assert read_jsonl(out)[0].n_turns == 1


# replay


def test_replay_shows_each_thought_under_its_item(tmp_path: Path) -> None:
    done = recoworld("evaluate", *SMALL, *LLM, *record(tmp_path), "--out", tmp_path, "--save-sessions", 1)
    assert done.exit_code == 0, done.output
    path = tmp_path / "sessions" / "random.jsonl"
    text = at_a_terminal([], lambda terminal: replayed(str(path), terminal=terminal))
    turn = read_jsonl(path)[0].turns[0]
    found = thoughts_of(turn)
    assert found is not None
    lines = [line.strip() for line in text[text.index("Turn 1 of") :].splitlines()]
    assert lines[0].endswith(", with the user’s thoughts, hidden from the policy")
    for slot, thought in enumerate(found.items):
        if thought:
            at = lines.index(f"“{thought}”")
            assert lines[at - 1].startswith(f"{slot + 1} {turn.titles[slot][:20]}")
    assert "The user thinks" not in text
    assert turn.mindset is not None
    assert turn.mindset.text in " ".join(text.split())
    assert ("is not understood" in text) == any(one.rationale.count(" | says: ") for one in read_jsonl(path)[0].turns)
