"""``recoworld build``: from a CSV to an environment that a new process opens by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
    assert "Calibrated: " in out
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
        patch.setattr("recoworld.cli.build.import_log", interrupted)
        patch.setattr("recoworld.evaluation.calibration.calibrate", interrupted)
        out = run("build", log, *QUICK)
        assert out.count("Kept from before") == 2
        run("build", log, *QUICK, "--seed", 1, code=130)  # another calibration
        run("build", log, *QUICK, "--overwrite", code=130)
    before = preset_path("films").read_text()
    written(log, users=120)
    assert "was imported before" in run("build", log, *QUICK, code=2)
    assert preset_path("films").read_text() == before
    assert "120 users" in run("build", log, *QUICK, "--overwrite")
    assert preset_path("films").read_text() != before


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


def test_three_users_make_an_environment_of_the_usual_kind(tmp_path: Path) -> None:
    rows = "".join(f"{user},b{book}\n" for user in ("ann", "bob", "cy") for book in range(4))
    (tmp_path / "books.csv").write_text("user,book\n" + rows)
    out = run("build", tmp_path / "books.csv")
    assert "Not calibrated" in out
    assert "No report" in out
    assert "slates of 2" in out
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
    assert len(names) == len(own) + 4
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
