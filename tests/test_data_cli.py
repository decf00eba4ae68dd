"""``recoworld data``: what it prints, and that errors are one message and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from recoworld.cli import columns
from recoworld.cli.data import app
from recoworld.cli.errors import in_options, told_plainly
from recoworld.datasets import movielens

LOG = "u,i,r,t,[title]\na,x,1,5,[bold]One\na,y,5,6,Two\nb,x,4,7,\nb,x,4,7,\n"
COLUMNS = ["--user", "u", "--item", "i", "--rating", "r", "--time", "t", "--title", "[title]"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOWORLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECOWORLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.delenv("RECOWORLD_DATA", raising=False)


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def test_import_list_check_describe(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    out = run("import", tmp_path / "log.csv", "--name", "own", *COLUMNS)
    assert "warning: 1 of 4 rows repeat" in out
    assert "own: 2 users, 2 items, 3 interactions, ratings 1 to 5" in out
    assert "ml-1m\tbuilt in" in run("list")
    assert "own\timported" in run("list")
    assert run("check", "own").endswith("interactions, ratings 1 to 5\nOK\n")
    table = run("describe", "own")
    for piece in (
        "75.0000%",
        "median 1.5, from 1 to 2",
        "█ 1",
        "liked from 3.8 on: 66.7%",
        "train 2, validation 0, test 0",
        "(no genre) 2",
    ):
        assert piece in table


def test_describe_without_ratings_or_with_many(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 3},i{n % 7},{n / 7},19{n + 10}\n" for n in range(40))
    (tmp_path / "log.csv").write_text("u,i,r,y\n" + rows)
    run("import", tmp_path / "log.csv", "--name", "plain", "--user", "u", "--item", "i")
    assert "every interaction counts as liked" in run("describe", "plain")
    run(
        "import",
        tmp_path / "log.csv",
        "--name",
        "many",
        "--user",
        "u",
        "--item",
        "i",
        "--rating",
        "r",
        "--year",
        "y",
        "--like-threshold",
        5,
    )
    table = run("describe", "many")
    assert "0..0.557" in table
    assert "1910 to 1916" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "ml-1"], "error: unknown data set 'ml-1': did you mean 'ml-1m'"),
        (
            ["check", "ml-1m", "--data-dir", "/nowhere"],
            "error: --data-dir /nowhere does not exist; expected a folder; get https://files.grouplens.org",
        ),
        (["check", "coat", "--data-dir", "/"], "error: / has no train.ascii, test.ascii, "),
        (["describe", "recbole:/nowhere"], "error: /nowhere does not exist"),
        (["import", "/nowhere/log.csv", "--name", "x", "--user", "u", "--item", "i"], "error: /nowhere/log.csv does not exist"),
        (["import", "/nowhere/log.csv", "--name", "Bad Name", "--user", "u", "--item", "i"], "error: 'Bad Name' cannot name a log"),
    ],
)
def test_errors_are_one_message(arguments: list[str], message: str) -> None:
    assert run(*arguments, code=2).startswith(message)


def test_what_to_do_is_said_in_options(tmp_path: Path) -> None:
    columns = ["--user", "u", "--item", "i"]
    (tmp_path / "log.csv").write_bytes("u,i\ncaf\xe9,x\n".encode("latin-1"))
    assert "e.g. --encoding latin-1\n" in run("import", tmp_path / "log.csv", *columns, code=2)
    run("import", tmp_path / "log.csv", *columns, "--encoding", "latin-1")
    assert "pass --overwrite to" in run("import", tmp_path / "log.csv", *columns, "--encoding", "latin-1", code=2)
    assert "'my_log' would do" in run("import", tmp_path / "log.csv", *columns, "--name", "My_Log", code=2)
    out = run("import", tmp_path / "log.csv", *columns, "--name", "x", "--items", tmp_path / "log.csv", code=2)
    assert "--items is given without --title, --genres or --year" in out
    told = run("check", "coat", "--data-dir", tmp_path, code=2)
    assert "and pass --data-dir, or set RECOWORLD_DATA" in told
    assert told.count("item_features.ascii") == 1
    assert "pass data_dir=, or set RECOWORLD_DATA" in run("download", "coat", code=2)  # which has no such option


def test_only_options_are_named() -> None:
    def command(log: columns.Log, time: columns.Time = None, like_threshold: columns.LikeThreshold = None) -> None: ...

    said = "log= and time='t' of time; like_threshold is 3; in '/a/like_threshold.csv' or x.time= or time=5: like_threshold=4"
    wanted = "log= and --time t of time; --like-threshold is 3; in '/a/like_threshold.csv' or x.time= or time=5: like_threshold=4"
    assert in_options(said, command) == wanted


def test_downloads_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(movielens, "BASE_URL", "http://127.0.0.1:9/")
    assert "error: cannot download http://127.0.0.1:9/ml-1m.zip" in run("download", "ml-1m", code=2)


def test_check_tells_the_line(tmp_path: Path) -> None:
    for name in ("movies", "users", "ratings"):
        (tmp_path / f"{name}.dat").write_text("nonsense\n")
    assert "movies.dat, line 1: got 'nonsense'; expected MovieID::Title::Genre" in run("check", "ml-1m", "--data-dir", tmp_path, code=2)


def test_bugs_keep_their_traceback() -> None:
    broken = typer.Typer()

    @broken.command()
    @told_plainly()
    def crash() -> None:
        raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(broken).exception, ZeroDivisionError)


def test_the_real_one(ml1m_dir: Path) -> None:
    table = run("describe", "ml-1m", "--data-dir", ml1m_dir)
    for piece in ("6,040", "3,883, 3,706 of them met", "1,000,209", "348,971", "1919 to 2000", "train 4,832, validation 604, test 604"):
        assert piece in table
