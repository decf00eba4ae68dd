"""``recoworld build``: from a CSV to an environment that a new process opens by name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from recoworld.cli import app
from recoworld.cli.columns import name_of
from recoworld.cli.settings import environment, world_settings
from recoworld.configs import WorldConfig
from recoworld.datasets import list_imported, load_dataset
from recoworld.datasets.guess import guessed
from recoworld.datasets.logs import preset_path
from recoworld.envs.register import own_ids
from recoworld.errors import ConfigError
from recoworld.evaluation.build import build_world
from recoworld.evaluation.calibration import Calibrated, calibrate

QUICK = ("--sections", "ratings")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECOWORLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path / "home"


def written(path: Path, *, users: int = 150, ratings: bool = True) -> Path:
    """The first users of `mini` as somebody's CSV."""
    data = load_dataset("mini")
    log = data.interactions
    lines = ["User ID,movieId" + ",rating,timestamp" * ratings]
    for row in range(int(log.indptr[users])):
        rest = f",{log.ratings[row]:g},{log.times[row]}" if ratings else ""
        lines.append(f"{data.users.ids[log.users[row]]},{data.catalog.ids[log.items[row]]}{rest}")
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return " ".join(done.output.split())


def fresh_process(script: str) -> str:
    """What a script prints to whom RecoWorld is on the path; its file recoworld.pth is one line, `import recoworld`."""
    root = str(Path(__file__).resolve().parent.parent)
    places = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-W", "error", "-c", f"import recoworld\n{script}"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_command_from_a_csv_to_gym_make(tmp_path: Path, home: Path) -> None:
    out = run("build", written(tmp_path / "My Films (2).csv"), "--sections", "choice,ratings")
    assert "--user User ID, --item movieId, --rating rating, --time timestamp" in out
    assert "Imported: my-films-2: 150 users" in out
    assert re.search(r"Calibrated: .*; log-loss on test users \d\.\d\d to \d\.\d\d\.", out)
    assert "too small" not in out
    assert 'gymnasium.make("RecoWorld-my-films-2-v0")' in out
    assert (home / "my-films-2.report" / "fidelity.md").is_file()
    assert set(json.loads((home / "my-films-2.report" / "fidelity.json").read_text())) >= {"choice", "ratings"}
    preset = yaml.safe_load(preset_path("my-films-2").read_text())
    assert preset["dataset"] == "my-films-2"
    assert {"click_attraction", "click_base"} <= set(preset["simulator_config"])
    printed = fresh_process(
        "import gymnasium\n"
        "env = gymnasium.make('RecoWorld-my-films-2-v0')\n"
        "env.reset(seed=0); env.step(env.action_space.sample())\n"
        "print(env.unwrapped.world.simulator.config.click_attraction, len(env.unwrapped.world.dataset.users))\n"
        "print(gymnasium.make_vec('RecoWorld-my-films-2-v0', num_envs=2).unwrapped.world.simulator.config.click_attraction)"
    )
    attraction = str(preset["simulator_config"]["click_attraction"])
    assert printed.split() == [attraction, "150", attraction]
    assert "RecoWorld-my-films-2-v0 my-films-2, built by you" in run("list")
    assert "RecoWorld-my-films-2-v0" in run("evaluate", "--env", "RecoWorld-my-films-2-v0", "--policies", "random", "--users", 5)


def test_its_settings_are_the_ids_own(tmp_path: Path) -> None:
    run("build", written(tmp_path / "films.csv"), *QUICK)
    found = yaml.safe_load(preset_path("films").read_text())["simulator_config"]
    name, settings = world_settings("recoworld-films", ["simulator_config.talkative=0.9"])
    assert (name, settings["dataset"]) == ("RecoWorld-films-v0", "films")
    assert settings["simulator_config"] == {**found, "talkative": 0.9}
    assert WorldConfig.of(None, **settings).simulator == "behavioral"
    assert world_settings("RecoWorld-films-v0", [], "impatient")[1] == {"dataset": "films"}
    assert environment("films", None)[1] == {"dataset": "films"}  # the data set alone, by its own name


def test_what_is_finished_is_kept(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written(tmp_path / "films.csv")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("recoworld.evaluation.fidelity.run.carried_out", interrupted)
        assert "the same command goes on" in run("build", log, *QUICK, code=130)
    with monkeypatch.context() as patch:
        patch.setattr("recoworld.evaluation.build.read_log", interrupted)
        patch.setattr("recoworld.evaluation.build.calibrate", interrupted)
        out = run("build", log, *QUICK)
        assert out.count("Kept from before") == 2
        assert "without --overwrite goes on from there" in run("build", log, *QUICK, "--overwrite", code=130)
    before = preset_path("films").read_text()
    written(log, users=120)
    assert "was imported before" in run("build", log, *QUICK, code=2)
    assert preset_path("films").read_text() == before
    assert "120 users" in run("build", log, *QUICK, "--overwrite")
    assert preset_path("films").read_text() != before


def test_another_calibration_is_asked_for(tmp_path: Path) -> None:
    """The preset may have been changed by hand, as its first line invites to."""
    log = written(tmp_path / "films.csv")
    run("build", log, *QUICK)
    preset_path("films").write_text(preset_path("films").read_text() + "max_turns: 7\n")
    for more, words in ((("--seed", 3), "seed: 0 there, 3 now"), (("--users", 50), "users: 1000 there, 50 now")):
        out = run("build", log, *QUICK, *more, code=2)
        assert f"the world of 'films' is there, calibrated otherwise ({words}); choose a --name, or --overwrite it" in out
    assert "max_turns: 7" in preset_path("films").read_text()
    run("build", log, *QUICK)
    assert WorldConfig.of(str(preset_path("films"))).max_turns == 7
    assert "Calibrated" in run("build", log, *QUICK, "--seed", 3, "--overwrite")
    assert "max_turns" not in preset_path("films").read_text()


def test_an_import_of_the_same_content_is_adopted(tmp_path: Path, home: Path) -> None:
    log = written(tmp_path / "films.csv")
    columns = ("--user", "User ID", "--item", "movieId", "--rating", "rating", "--time", "timestamp")
    run("data", "import", log, *columns)
    before = (home / "datasets" / "films.npz").stat().st_mtime_ns
    assert "Imported before, with the same content: films: 150 users" in run("build", log, *QUICK)
    assert (home / "datasets" / "films.npz").stat().st_mtime_ns == before
    assert run("build", log, *QUICK).count("Kept from before") == 2
    run("data", "import", log, *columns, "--name", "other", "--like-threshold", 2)
    assert "was imported before, from another file or otherwise" in run("build", log, *QUICK, "--name", "other", code=2)
    assert not preset_path("other").exists()


def test_nothing_is_written_before_all_is_checked(tmp_path: Path, home: Path) -> None:
    log, one = written(tmp_path / "films.csv"), tmp_path / "one.csv"
    one.write_text("user,book\nann,b1\nann,b2\nann,b3\n")
    (tmp_path / "file").write_text("")
    for arguments, words in (
        ((log, "--sections", "rating"), "did you mean 'ratings'"),
        ((log, "--sections", ","), "got none"),
        ((log, "--out", tmp_path / "file" / "report"), "cannot write to"),
        ((log, "--click-rate", 1.5), "--click-rate: got 1.5"),
        ((log, "--name", "My_Log"), "'my_log' would do"),
        ((one,), "holds one user"),
        ((one, "--out", tmp_path / "new"), "holds one user"),
    ):
        assert words in run("build", *arguments, code=2)
        assert not home.exists()
    assert not (tmp_path / "new").exists()


def test_a_folder_with_another_report_is_left_alone(tmp_path: Path) -> None:
    log, out = written(tmp_path / "films.csv"), tmp_path / "out"
    out.mkdir()
    (out / "fidelity.json").write_text("{}")
    assert "holds fidelity.json of something else; choose another --out" in run("build", log, *QUICK, "--out", out, code=2)
    assert (out / "fidelity.json").read_text() == "{}"
    for name in ("own", "own", "second", "second", "own"):
        run("build", log, *QUICK, "--out", tmp_path / name)


def test_a_report_that_was_interrupted_goes_on_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = written(tmp_path / "films.csv")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("recoworld.evaluation.build_record.Record.calibrated", interrupted)  # after calibration.json was written
        run("build", log, *QUICK, "--out", tmp_path / "own", code=130)
    assert (tmp_path / "own" / "calibration.json").is_file()
    assert not preset_path("films").exists()
    assert "Calibrated" in run("build", log, *QUICK, "--out", tmp_path / "own")


def test_a_log_sorted_by_item_is_no_nonsense(tmp_path: Path) -> None:
    """What people are said to have taken last would be the highest ids, and the fitted weight of attraction 0."""
    head, *rows = written(tmp_path / "films.csv", ratings=False).read_text().split("\n")[:-1]
    ordered = sorted(rows, key=lambda row: row.split(","))
    (tmp_path / "films.csv").write_text("\n".join([head, *ordered]) + "\n")
    out = run("build", tmp_path / "films.csv", "--sections", "ratings")
    assert "warning: no times, and rows sorted by item" in out
    assert WorldConfig.of(str(preset_path("films"))).simulator_config["click_attraction"] > 2
    found = re.search(r"log-loss on test users (\d\.\d\d) to (\d\.\d\d)\.", out)
    assert found is not None, out
    assert float(found[2]) < float(found[1])


def test_a_fit_that_is_worse_is_not_kept(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(**settings: Any) -> Calibrated:
        found = calibrate(**settings)
        found.facts["test"]["log_loss"]["after"] |= {"value": 9.0, "change": {"value": 6.0, "low": 5.0, "high": 7.0}}
        return found

    monkeypatch.setattr("recoworld.evaluation.build.calibrate", spoilt)
    out = run("build", written(tmp_path / "films.csv"), *QUICK)
    assert re.search(r"the usual coefficients are kept: the fit raised the log-loss on test users from \d\.\d\d to 9\.00", out)
    assert yaml.safe_load(preset_path("films").read_text()) == {"dataset": "films", "simulator": "behavioral"}
    assert "it is worse than before" in (home / "films.report" / "calibrated.yaml").read_text()


def test_it_can_be_built_from_python(tmp_path: Path) -> None:
    said: list[str] = []
    log = written(tmp_path / "films.csv")
    built = build_world(log, columns={"time": ""}, sections=("ratings",), say=said.append)
    assert built.dataset.name == "films"
    assert built.held_out == 15
    assert built.report is not None
    assert (built.report / "fidelity.json").is_file()
    assert said[0].startswith("Columns guessed: --user User ID, --item movieId, --rating rating (")
    assert built.dataset.interactions.times.tolist() == list(range(len(built.dataset.interactions)))
    with pytest.raises(ConfigError, match="say which with item="):
        build_world(written(tmp_path / "b.csv"), columns={"item": ""})


def test_a_log_imported_anew_loses_what_was_built_from_the_old_one(tmp_path: Path) -> None:
    log = written(tmp_path / "films.csv")
    run("build", log, *QUICK)
    assert "config" in own_ids()["RecoWorld-films-v0"]
    run("data", "import", log, "--user", "User ID", "--item", "movieId", "--overwrite")
    assert own_ids() == {"RecoWorld-films-v0": {"dataset": "films"}}
    assert "was imported before" in run("build", log, *QUICK, code=2)


def test_without_ratings(tmp_path: Path) -> None:
    out = run("build", written(tmp_path / "clicks.csv", ratings=False), "--sections", "ratings")
    assert "no ratings" in out
    assert "Calibrated" in out


def test_three_users_make_an_environment_of_the_usual_kind(tmp_path: Path, home: Path) -> None:
    rows = "".join(f"{user},b{book}\n" for user in ("ann", "bob", "cy") for book in range(4))
    (tmp_path / "books.csv").write_text("user,book\n" + rows)
    out = run("build", tmp_path / "books.csv")
    assert "Not calibrated" in out
    assert "No report" in out
    assert "slates of 2" in out
    assert "too small to evaluate on held-out users" in out
    assert f"export RECOWORLD_HOME={home}" in out
    printed = fresh_process("import gymnasium; print(gymnasium.make('RecoWorld-books-v0').reset(seed=0)[1]['user'])")
    assert printed.strip() in {"ann", "bob", "cy"}


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("user,book\nann,b1\nann,b2\nann,b3\n", [], "holds one user"),
        ("who,book\nann,b1\n", [], "no column has a usual name for user ids; columns found: who, book"),
        ("user,thing\nann,b1\n", [], "columns found: user, thing; say which with --item"),
        ("user,thing\nann,b1\n", ["--item", "thingy"], "did you mean 'thing'"),
        ("user,book,stars\nann,b1,good\nbob,b1,bad\n", [], "in column 'stars'"),
        ("user,book\nann,b1\nbob,b1\n", ["--name", "Odd Name"], "cannot name a log"),
        ("user,book\nann,b1\nbob,b1\n", ["--name", "mini"], "built-in"),
        ("user,book\nann,b1\nbob,b1\n", ["--items", "nothere.csv"], "does not exist"),
        ("user,book\nann,b1\nbob,b1\n", ["--encoding", "utf-99"], "unknown encoding"),
        ("", [], "is empty"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, arguments: list[str], words: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    assert words in run("build", tmp_path / "log.csv", *arguments, code=2)


def test_a_guess_can_be_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,book,stars\nann,b1,good\nbob,b1,bad\nbob,b2,bad\n")
    run("build", tmp_path / "log.csv", "--rating", "")
    assert not load_dataset("log").explicit


def test_guesses() -> None:
    roles = ["user", "item", "rating", "time"]
    assert guessed(["User-ID", "ISBN", "Book-Rating"], roles) == {"user": "User-ID", "item": "ISBN", "rating": "Book-Rating"}
    assert guessed(["timestamp:float", "item_id:token", "user_id:token"], roles) == {
        "user": "user_id:token",
        "item": "item_id:token",
        "time": "timestamp:float",
    }
    assert guessed(["date", "Timestamp", "userId", "uid"], roles) == {"user": "userId", "time": "Timestamp"}  # the likelier name
    assert guessed(["a", "b"], roles) == {}
    assert guessed(["name", "Genres"], ["title", "genres", "year"]) == {"genres": "Genres"}


def test_names_of_files() -> None:
    assert [name_of(path) for path in ("a/My Films (2).csv", "LOG.2024.parquet", "-_x_-.csv")] == ["my-films-2", "log.2024", "x"]


def test_nothing_in_the_folder_breaks_gymnasium(home: Path) -> None:
    folder = home / "datasets"
    folder.mkdir(parents=True)
    odd = ("Bad Name.npz", "mini.npz", ".npz", "é.npz", "x" * 65 + ".npz", "notes.txt", "a\nb.npz", "ok.yaml")
    for name in (*odd, "a..b-v3.npz", "ml1m.npz"):
        (folder / name).write_bytes(b"nothing")
    (folder / "ok.npz").mkdir()
    names = fresh_process("import gymnasium; print(*sorted(n for n in gymnasium.registry if 'RecoWorld' in n))").split()
    own = {"RecoWorld-a..b-v3-v0", "RecoWorld-ml1m-v0", "RecoWorld-ok-v0"}
    assert own < set(names)
    assert len(names) == 2 * (len(own) + 4)  # each as slates and as text
    assert environment("RecoWorld-ML1M-v0", None)[1] == {"dataset": "ml-1m"}
    assert environment("RecoWorld-ml1m-v0", None)[1] == {"dataset": "ml1m"}
    assert environment("recoworld-ml1m", None)[0] == "RecoWorld-ML1M-v0"
    with pytest.raises(ConfigError, match=r"ok\.yaml"):
        environment("RecoWorld-ok-v0", None)


@pytest.mark.parametrize("place", ["nothere", "file"])
def test_without_a_folder_nothing_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECOWORLD_HOME", str(tmp_path / place))
    loaded = fresh_process("import gymnasium, sys; print('recoworld.datasets' in sys.modules, 'pydantic' in sys.modules)")
    assert loaded.split() == ["False", "False"]
    assert own_ids() == {}
    assert not list_imported()


def test_another_home_is_another_set_of_ids(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("build", written(tmp_path / "films.csv"), *QUICK)
    monkeypatch.setenv("RECOWORLD_HOME", str(tmp_path / "elsewhere"))
    assert own_ids() == {}
    assert set(own_ids(str(home))) == {"RecoWorld-films-v0"}
    _, settings = world_settings("RecoWorld-films-v0", [], None, str(home))
    assert settings["data_dir"] == str(home)
    assert "click_base" in settings["simulator_config"]
    assert np.isfinite(settings["simulator_config"]["click_base"])
