"""`recoworld train`: settings, the folder of a run, kill and resume, failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from killed_runs import assert_same_figures, killed_in_mid_run
from typer.testing import CliRunner

from recoworld.cli import app
from recoworld.configs import presets
from recoworld.configs.training import TrainConfig, trainings
from recoworld.errors import ConfigError, TrainingFailed
from recoworld.training.checkpoints import Checkpoints, Reached
from recoworld.training.figures import figures
from recoworld.training.final import verdict
from recoworld.training.folder import claim, held
from recoworld.training.records import Lines, read_lines
from recoworld.training.watch import Watcher

TESTS = Path(__file__).parent
TINY: dict[str, Any] = {
    "world.max_turns": 4,
    "settings.hidden": [8],
    "settings.minibatch": 16,
    "settings.epochs": 1,
    "env_runners.envs": 8,
    "env_runners.fragment": 5,
    "evaluation.users": 5,
    "evaluate_every": 2,
    "final.users": 5,
    "final.against": ["random", "oracle"],
    "iterations": 3,
}


def tiny(**changes: Any) -> TrainConfig:
    return TrainConfig.of("mini-ppo", {**TINY, **{name.replace("__", "."): value for name, value in changes.items()}})


# Settings.


@pytest.mark.parametrize("name", trainings())
def test_every_shipped_config_is_checked_described_and_survives_yaml(name: str, tmp_path: Path) -> None:
    config = TrainConfig.of(name)
    assert config.description
    assert trainings()[name] == config.description
    (tmp_path / "c.yaml").write_text(config.yaml())
    assert TrainConfig.of(tmp_path / "c.yaml") == config
    assert name not in presets()  # of worlds


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iteratons": 3}, "did you mean 'iterations'"),
        ({"env_runners.nun": 3}, "unknown setting of env_runners 'nun': did you mean 'num'"),
        ({"final.agianst": []}, "unknown setting of final 'agianst': did you mean 'against'"),
        ({"world.max_turn": 3}, "world: unknown setting of the world 'max_turn': did you mean 'max_turns'"),
        ({"algorithm": "pppo"}, "did you mean 'ppo'"),
        ({"seed.x": 3}, "'seed' is 3 and has no entries"),
        ({"iterations": 0}, "iterations = 0: Input should be greater than or equal to 1"),
        ({"iterations": None}, "at least one of iterations, minutes and env_steps"),
        ({"minutes": float("nan")}, "minutes = nan"),
        ({"env_runners": 3}, "env_runners = 3"),
        ({"world.users": "test"}, "training users always"),
        ({"evaluation.seed": -1}, "evaluation.seed = -1"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        TrainConfig.of("mini-ppo", {"seed": 3, **changes})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1, 2]", "expected a mapping"),
        ("a: [", "expected a YAML file"),
        ("3: 4", "unknown setting of a training 3"),
        ("seed: 1", "algorithm is not set"),
    ],
)
def test_a_broken_file_is_told(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(ConfigError, match=said):
        TrainConfig.of(tmp_path / "c.yaml")


def test_an_unknown_config_names_what_is_near() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mini-ppo'"):
        TrainConfig.of("mini-pppo")
    with pytest.raises(ConfigError, match=r"ends in \.yaml"):
        TrainConfig.of("here/mini-pppo")


def test_what_is_learned_must_be_equal_to_go_on_and_how_long_and_where_need_not() -> None:
    longer = tiny(iterations=9, env_runners__num=2, cluster__address="auto", final__users=7, world__data_dir="/elsewhere")
    assert longer.differences(tiny()) == []
    assert tiny(settings__lr=0.5, seed=1).differences(tiny()) == ["seed: 0 there, 1 now", "settings.lr: 'not set' there, 0.5 now"]
    assert tiny(evaluation__users=6).differences(tiny()) == ["evaluation.users: 5 there, 6 now"]


# The folder.


@pytest.fixture
def rllib() -> None:
    """The extra: the settings of an algorithm are known where RLlib is."""
    pytest.importorskip("torch")
    pytest.importorskip("ray.rllib")


def test_a_folder_belongs_to_one_run(rllib: None, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with pytest.raises(ConfigError, match="no run to go on with"):
        claim(out, tiny(), resume=True)
    claim(out, tiny())
    claim(out, tiny(iterations=99), resume=True)
    assert yaml.safe_load((out / "config.yaml").read_text())["iterations"] == 99
    with pytest.raises(ConfigError, match=r"seed: 0 there, 1 now.*--fresh"):
        claim(out, tiny(seed=1))
    (out / "checkpoints").mkdir()
    (out / "notes.txt").write_text("mine")
    claim(out, tiny(seed=1), fresh=True)
    assert not (out / "checkpoints").exists()
    assert (out / "notes.txt").exists()
    with pytest.raises(ConfigError, match="at most one"):
        claim(out, tiny(), resume=True, fresh=True)
    (out / "config.yaml").write_text((out / "config.yaml").read_text() + "gone: wrong\n")
    with pytest.raises(ConfigError, match=r"no config of a run.*--fresh starts anew"):
        claim(out, tiny())
    claim(out, tiny(), fresh=True)
    (out / "config.yaml").write_text("gone: wrong")
    with pytest.raises(ConfigError, match=r"no config of a run.*choose another folder"):
        claim(out, tiny())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "leaderboard.json").write_text("{}")
    with pytest.raises(ConfigError, match="of something else"):
        claim(tmp_path / "other", tiny())
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"), held(tmp_path / "file"):
        pass
    with held(out), pytest.raises(ConfigError, match="another process is training"), held(out):
        pass


@pytest.mark.parametrize("config", [None, "site: mine", "settings: [", "- algorithm"])
def test_fresh_deletes_only_what_a_run_has_made(rllib: None, tmp_path: Path, config: str | None) -> None:
    results = tmp_path / "results" / "years.csv"
    results.parent.mkdir()
    results.write_text("of work")
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(ConfigError, match=r"holds results of something else; choose another folder, or delete that yourself"):
        claim(tmp_path, tiny(), fresh=True)
    assert results.read_text() == "of work"
    results.unlink()
    results.parent.rmdir()
    if config is not None:
        with pytest.raises(ConfigError, match=r"holds config.yaml of something else"):
            claim(tmp_path, tiny(), fresh=True)
        assert (tmp_path / "config.yaml").read_text() == config
    else:
        claim(tmp_path, tiny(), fresh=True)
        assert TrainConfig.of(tmp_path / "config.yaml").seed == 0


def test_a_run_keeps_all_its_settings_and_goes_on_only_with_the_same(
    rllib: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recoworld.training import stock
    from recoworld.training.stock import PPO

    claim(tmp_path, tiny(world__data_dir="/elsewhere"))
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored["settings"] == PPO.settings.model_validate({"hidden": [8], "minibatch": 16, "epochs": 1}).model_dump(mode="json")
    assert stored["world"] | {"data_dir": None, "users": "train"} == tiny().world_config().model_dump(mode="json")
    claim(tmp_path, tiny(settings__lr=PPO.settings.model_fields["lr"].default, world__split_seed=0))  # defaults, written out
    (tmp_path / "config.yaml").write_text(tiny().yaml())  # of a version that kept only what was set
    claim(tmp_path, tiny())

    class Changed(PPO.settings):  # type: ignore[name-defined,misc]
        lr: float = 0.125

    monkeypatch.setattr(stock, "PPO", replace(PPO, settings=Changed))
    with pytest.raises(ConfigError, match=r"settings.lr: 0.0003 there, 0.125 now"):
        claim(tmp_path, tiny())


def test_lines_go_on_where_the_checkpoint_is_and_a_torn_one_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = Lines(path, 0)
    for i in (1, 2, 3):
        lines.add({"iteration": i, "return": i / 2})
    with path.open("a") as file:
        file.write('{"iteration": 4, "ret')
    lines = Lines(path, 2)
    assert 2 in lines
    assert 3 not in lines
    lines.add({"iteration": 3, "return": 9.0})
    assert [line["return"] for line in read_lines(path)] == [0.5, 1.0, 9.0]


class _Nobody:
    def foreach_learner(self, ask: Any) -> list[Any]:
        from types import SimpleNamespace

        return [SimpleNamespace(get=lambda: ask(self))]


class _Counter:
    """Stands for RLlib's Algorithm."""

    learner_group = _Nobody()

    def __init__(self, value: int) -> None:
        self.value, self.fail = value, False
        self.local_replay_buffer = self.env_runner_group = None

    def save_to_path(self, path: str) -> None:
        (Path(path) / "value").write_text(str(self.value))
        if self.fail:
            raise OSError(28, "No space left on device")

    def restore_from_path(self, path: str) -> None:
        self.value = int((Path(path) / "value").read_text())


def test_a_checkpoint_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    checkpoints, algorithm = Checkpoints(tmp_path / "c", 2), _Counter(0)
    assert checkpoints.restore(algorithm) == Reached()
    for i in (8, 9, 10):
        algorithm.value = i
        checkpoints.save(algorithm, Reached(iteration=i, env_steps=10 * i, seconds=0.5))
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["iter-00009", "iter-00010"]
    algorithm.fail = True
    with pytest.raises(ConfigError, match="No space left on device"):
        checkpoints.save(algorithm, Reached(iteration=11))
    (tmp_path / "c" / ".iter-00012.part").mkdir()  # of a run that was killed while it saved
    assert checkpoints.restore(algorithm) == Reached(iteration=10, env_steps=100, seconds=0.5)
    assert algorithm.value == 10
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["iter-00009", "iter-00010"]
    (tmp_path / "c" / "iter-00010" / "value").unlink()
    with pytest.raises(ConfigError, match=r"iter-00010.*go on from the one before"):
        checkpoints.restore(algorithm)


# Figures.


def _result(**learner: float) -> dict[str, Any]:
    runners = {"num_episodes": 4, "num_env_steps_sampled_lifetime": 50, "episode_return_mean": 2.5, "episode_len_mean": 3.0}
    return {"env_runners": runners, "learners": {"__all_modules__": {"total_loss": 9.0}, "default_policy": learner}}


def test_figures_of_an_iteration() -> None:
    got = figures(_result(total_loss=0.5, entropy=1.0, vf_explained_var=float("nan")), 30)
    assert got == {
        "new_steps": 20,
        "episodes": 4,
        "return": 2.5,
        "length": 3.0,
        "loss": 0.5,
        "learner": {"total_loss": 0.5, "entropy": 1.0},
    }


@pytest.mark.parametrize(("name", "value"), [("total_loss", float("nan")), ("policy_loss", float("inf"))])
def test_a_loss_that_is_not_finite_is_an_error(name: str, value: float) -> None:
    with pytest.raises(TrainingFailed, match=f"{name} = "):
        figures(_result(**{name: value}), 0)


def test_a_return_that_is_not_finite_is_an_error_and_none_at_all_is_not() -> None:
    result = _result()
    result["env_runners"]["episode_return_mean"] = float("nan")
    with pytest.raises(TrainingFailed, match="return = nan"):
        figures(result, 0)
    result["env_runners"]["num_episodes"] = 0
    assert figures(result, 0)["return"] is None


def _row(policy: str, mean: float, privileged: bool = False) -> dict[str, Any]:
    return {"policy": policy, "privileged": privileged, "return": {"mean": mean, "low": mean - 1, "high": mean + 1}}


def test_the_gap_closed() -> None:
    rows = [_row("oracle", 20.0, True), _row("rllib:x", 16.0), _row("ease", 10.0), _row("random", 1.0)]
    config = tiny(final__against=["random", "ease", "oracle"])
    final = verdict(config, rows, "rllib:x")
    assert final["gap_closed"] == pytest.approx(0.6)
    assert final["best_untrained"]["policy"] == "ease"
    assert final["return"] == {"mean": 16.0, "low": 15.0, "high": 17.0}
    assert final["oracle"]["mean"] == 20.0
    assert verdict(config, rows[1:], "rllib:x")["gap_closed"] is None  # no oracle
    assert verdict(config, rows[:2], "rllib:x")["best_untrained"] is None


def test_the_best_untrained_is_untrained_and_was_asked_for() -> None:
    rows = [_row("oracle", 20.0, True), _row("rllib:y", 18.0), _row("rllib:x", 16.0), _row("ease", 10.0), _row("random", 1.0)]
    final = verdict(tiny(final__against=["rllib:y", "random"]), rows, "rllib:x")
    assert final["best_untrained"]["policy"] == "random"
    assert final["oracle"] is None
    assert verdict(tiny(final__against=["rllib:y", "oracle"]), rows, "rllib:x")["best_untrained"] is None
    assert verdict(tiny(final__against=[]), rows, "rllib:x")["return"]["mean"] == 16.0


def test_a_point_of_one_user_has_no_interval(rllib: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recoworld.cli.training_bar import TrainingBar
    from recoworld.policies import make_policy
    from recoworld.training import final, serving

    monkeypatch.setattr(serving, "policy_of", lambda config, module: make_policy("popularity"))
    record = {"iteration": 1, **final.point(tiny(evaluation__users=1), None)}
    assert (record["low"], record["high"]) == (None, None)
    assert np.isfinite(record["mean"])
    Lines(tmp_path / "curve.jsonl", 0).add(record)
    assert read_lines(tmp_path / "curve.jsonl") == [record]
    with TrainingBar(tiny()) as bar:
        bar.point(record)
    two = final.point(tiny(evaluation__users=2), None)
    assert two["low"] <= two["mean"] <= two["high"]


# The command, without Ray.

WITHOUT = "import sys; sys.modules['ray'] = None; from recoworld.cli import main; main()"


def _without_ray(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT, "train", *words], capture_output=True, text=True, check=False)


def test_without_ray_the_configs_are_listed_and_training_says_what_to_install(tmp_path: Path) -> None:
    listed = _without_ray("--list")
    assert listed.returncode == 0
    assert all(name in listed.stdout for name in trainings())
    refused = _without_ray("mini-ppo", "--out", str(tmp_path / "x"))
    assert refused.returncode == 2
    assert "pip install 'recoworld[rllib]'" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "recoworld train CONFIG --out DIR"),
        (["mini-ppo"], "recoworld train CONFIG --out DIR"),
        (["mini-ppo", "--out", "x", "--set", "iterations"], "expected key=value"),
        (["mini-ppo", "--out", "x", "--set", "iteratons=3"], "did you mean 'iterations'"),
        (["mini-pppo", "--out", "x"], "did you mean 'mini-ppo'"),
    ],
)
def test_the_command_says_what_is_wrong(words: list[str], said: str) -> None:
    got = CliRunner().invoke(app, ["train", *words])
    assert got.exit_code == 2
    assert said in " ".join(got.stderr.split())


# With Ray.


class Notes(Watcher):
    """Keeps what it is told."""

    def __init__(self, stop_at: Callable[[dict[str, Any]], bool] = lambda record: False) -> None:
        self.notes: list[str] = []
        self.from_: int | None = None
        self.records: list[dict[str, Any]] = []
        self._stop_at = stop_at

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def began(self, iteration: int) -> None:
        self.from_ = iteration

    def iteration(self, record: dict[str, Any], share: float) -> None:
        self.records.append(record)
        if self._stop_at(record):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A cluster of the tests' own, which every run joins."""
    pytest.importorskip("torch")
    pytest.importorskip("ray")
    from recoworld.training.cluster import cluster

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent), before])  # for the runners
    with tempfile.TemporaryDirectory(prefix="rw", dir="/tmp") as folder, cluster(tiny(cluster__cpus=3, cluster__temp_dir=folder)):
        yield
    os.environ["PYTHONPATH"] = before


def _run(config: TrainConfig, out: Path, watcher: Watcher) -> Any:
    """A run whose insides a test can reach."""
    from recoworld.training.cluster import quiet
    from recoworld.training.run import _Run

    with quiet():
        return _Run(config, out, watcher)


RESTARTING = {"algorithm": "fakes_training:RESTARTING"}
TIMES = ("seconds", "steps_per_second")


def _untimed(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name not in TIMES} for line in read_lines(path)]


def _weights(out: Path) -> dict[str, Any]:
    with np.load(out / "policy" / "weights.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_killed_and_resumed_it_ends_as_if_it_had_not_been(ray_here: None, tmp_path: Path) -> None:
    from recoworld.training.run import train

    changes, out = {**TINY, **RESTARTING}, tmp_path / "killed"
    (tmp_path / "c.yaml").write_text(TrainConfig.of("mini-ppo", {**changes, "iterations": 100_000}).yaml())
    done = killed_in_mid_run(tmp_path / "c.yaml", out)
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": ')

    config, watcher = TrainConfig.of("mini-ppo", {**changes, "iterations": len(done) + 2}), Notes()
    resumed = train(config, out, resume=True, watcher=watcher)
    assert watcher.from_ in (len(done) - 1, len(done), len(done) + 1)  # at most the running iteration is lost
    whole = train(config, tmp_path / "whole")
    assert resumed.reached.iteration == whole.reached.iteration == len(done) + 2
    assert [line["iteration"] for line in read_lines(out / "metrics.jsonl")] == list(range(1, len(done) + 3))
    for name in ("metrics.jsonl", "curve.jsonl"):
        assert_same_figures(out / name, tmp_path / "whole" / name, apart_by=1e-5)
    for name, value in _weights(out).items():
        np.testing.assert_allclose(value, _weights(tmp_path / "whole")[name], rtol=0, atol=1e-6, err_msg=name)
    assert json.loads((out / "final.json").read_text())["return"] == pytest.approx(whole.final["return"], rel=1e-5)


def test_off_policy_too_goes_on_identically(ray_here: None, tmp_path: Path) -> None:
    from recoworld.training.run import train

    own = {"settings.hidden": [8], "settings.batch": 32, "settings.intensity": 0.3, "settings.warm_up": 20, "settings.capacity": 2000}
    changes = {name: value for name, value in TINY.items() if not name.startswith("settings")} | own
    config = TrainConfig.of("mini-ppo", {**changes, "algorithm": "fakes_training:RESTARTING_SAC", "iterations": 3})
    train(config, tmp_path / "whole")
    train(config.model_copy(update={"iterations": 1}), tmp_path / "parts")
    train(config, tmp_path / "parts")
    assert _untimed(tmp_path / "parts" / "metrics.jsonl") == _untimed(tmp_path / "whole" / "metrics.jsonl")
    for name, value in _weights(tmp_path / "whole").items():
        np.testing.assert_array_equal(value, _weights(tmp_path / "parts")[name], err_msg=name)


def _falling(where: str, **changes: Any) -> TrainConfig:
    simulator = {"world.simulator": "fakes_training:falling", "world.simulator_config": {"where": where}}
    return TrainConfig.of("mini-ppo", {**TINY, **simulator, **changes})


def test_a_runner_that_raises_ends_the_training_with_its_own_words(ray_here: None, tmp_path: Path) -> None:
    from recoworld.training.run import train

    start = time.perf_counter()
    with pytest.raises(TrainingFailed, match=r"env runner 1: ZeroDivisionError: the users of process \d+ walked out") as caught:
        train(_falling("remote", **{"env_runners.num": 1}), tmp_path / "run")
    assert any("in respond" in note for note in caught.value.__notes__)  # the runner's own traceback
    assert time.perf_counter() - start < 60
    assert (tmp_path / "run" / "curve.jsonl").is_file()


def test_an_environment_that_raises_in_the_driver_ends_it_too(ray_here: None, tmp_path: Path) -> None:
    from recoworld.training.run import train

    with pytest.raises(TrainingFailed, match=r"training failed: ZeroDivisionError: .* walked out"):
        train(_falling("here"), tmp_path / "run")
    assert [point["iteration"] for point in read_lines(tmp_path / "run" / "curve.jsonl")] == [0]


def test_a_runner_that_is_killed_is_replaced_and_no_iteration_is_lost(ray_here: None, tmp_path: Path) -> None:
    watcher = Notes(stop_at=lambda record: "restarted_runners" in record)
    run = _run(tiny(env_runners__num=2, iterations=10_000, minutes=2, evaluate_every=10_000), tmp_path, watcher)
    try:
        first, _ = pids = _pids(run)
        assert len(set(pids)) == 2
        os.kill(first, signal.SIGKILL)
        with pytest.raises(KeyboardInterrupt):  # the replacement is there
            run.go()
        assert len(_pids(run)) == 2
        assert first not in _pids(run)
    finally:
        run.close()
    assert [record["iteration"] for record in watcher.records] == list(range(1, len(watcher.records) + 1))
    assert all(record["return"] is not None for record in watcher.records)
    assert any("was replaced" in note for note in watcher.notes)


def _pids(run: Any) -> list[int]:
    return list(run.algorithm.env_runner_group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False))


def test_interrupted_it_keeps_what_is_done_and_says_how_to_go_on(ray_here: None, tmp_path: Path) -> None:
    from recoworld.training.run import train

    ended = train(tiny(), tmp_path / "run", watcher=Notes(stop_at=lambda record: record["iteration"] == 2))
    assert ended.interrupted
    assert not (tmp_path / "run" / "final.json").exists()
    words = [f"--set={name}={json.dumps(value)}" for name, value in TINY.items()]
    got = CliRunner().invoke(app, ["train", "mini-ppo", "--out", str(tmp_path / "run"), "--resume", *words])
    assert got.exit_code == 0, got.output
    assert f"goes on from iteration {ended.reached.iteration}" in got.stderr
    final = json.loads((tmp_path / "run" / "final.json").read_text())
    assert {"policy", "return", "best_untrained", "oracle", "gap_closed", "seconds", "env_steps", "before_training"} <= set(final)
    assert final["best_untrained"]["policy"] == "random"
    assert "best untrained: random" in got.stdout
    assert [point["iteration"] for point in read_lines(tmp_path / "run" / "curve.jsonl")] == [0, 2, 3]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


class _Built:
    """Stands for what `build_algo` gives."""

    def __init__(self) -> None:
        self.logdir, self.stopped = "/nonexistent", 0

    def stop(self) -> None:
        self.stopped += 1


def _start(monkeypatch: pytest.MonkeyPatch, out: Path, *, build: Any, restore: Any) -> Any:
    from types import SimpleNamespace

    from recoworld.training import run

    monkeypatch.setattr(run, "algorithm_config", lambda config, out: SimpleNamespace(build_algo=build))
    monkeypatch.setattr(Checkpoints, "restore", restore)
    return run._trained(tiny(), out, Notes())


def _raising(error: BaseException) -> Callable[..., Any]:
    def raises(*_: Any) -> Any:
        raise error

    return raises


@pytest.mark.parametrize("error", [ConfigError("no"), KeyboardInterrupt()])
def test_what_is_built_is_ended_where_the_start_fails(
    rllib: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    built = _Built()
    if isinstance(error, KeyboardInterrupt):
        assert _start(monkeypatch, tmp_path, build=lambda: built, restore=_raising(error)).interrupted
    else:
        with pytest.raises(ConfigError, match="no"):
            _start(monkeypatch, tmp_path, build=lambda: built, restore=_raising(error))
    assert built.stopped == 1


def test_interrupted_while_it_is_built_it_says_what_is_kept(rllib: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = Reached(iteration=7, env_steps=70, seconds=1.5)
    Checkpoints(tmp_path / "checkpoints", 2).save(_Counter(1), reached)
    ended = _start(monkeypatch, tmp_path, build=_raising(KeyboardInterrupt()), restore=_raising(AssertionError()))
    assert ended.interrupted
    assert ended.reached == reached


def test_weights_that_are_not_finite_are_an_error_before_they_are_kept(ray_here: None, tmp_path: Path) -> None:
    from recoworld.training.failures import check_weights

    run = _run(tiny(iterations=3), tmp_path, Notes())
    try:
        check_weights(run.algorithm.learner_group)
        run.algorithm.learner_group.foreach_learner(_poison)
        with pytest.raises(TrainingFailed, match=r"weights are no longer finite numbers: .*bias"):
            check_weights(run.algorithm.learner_group)
        with pytest.raises(TrainingFailed, match="finite"):
            run.go()
    finally:
        run.close()
    assert not list((tmp_path / "checkpoints").glob("iter-*"))


def _poison(learner: Any) -> None:
    module = next(iter(learner.module.values()))
    list(module.parameters())[-1].data.fill_(float("nan"))


def test_a_session_of_nan_is_an_error_in_the_runner() -> None:
    pytest.importorskip("ray")
    from recoworld.training.failures import LoudRunner

    with pytest.raises(TrainingFailed, match="a session of 3 turns returned nan"):
        LoudRunner._log_episode_metrics(object.__new__(LoudRunner), 3, float("nan"), 0.0)


def test_more_cores_than_there_are_is_an_error_not_a_wait(ray_here: None, tmp_path: Path) -> None:
    from recoworld.training.run import train

    with pytest.raises(ConfigError, match="reserve 64 cores, this machine has"):
        train(tiny(env_runners__num=64), tmp_path / "run")


def test_an_address_where_nothing_answers_is_an_error_not_a_wait() -> None:
    pytest.importorskip("ray")
    from recoworld.training.cluster import _check_answers

    with pytest.raises(ConfigError, match=r"cluster.address = 'ray://127.0.0.1:1': nothing answers"):
        _check_answers("ray://127.0.0.1:1")
    _check_answers("auto")
    _check_answers(None)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, r"Ray did not start on this machine \(.*timed out .* overloaded\.\); end what is left of other runs \(`ray stop`\)"),
        ("auto", r"cluster\.address = 'auto': Ray cannot join it \(.*timed out.*\); see with `ray status`"),
    ],
)
def test_a_cluster_that_does_not_come_up_in_time_is_told(address: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    from recoworld.training.cluster import cluster

    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup. This\ncould happen because the GCS has become overloaded.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ConfigError, match=words) as caught, cluster(tiny(cluster__address=address)):
        pass
    assert "\n" not in str(caught.value)


def test_settings_of_the_algorithm_and_its_runner_are_checked_early(ray_here: None, tmp_path: Path) -> None:
    from recoworld.training.launch import algorithm_config

    with pytest.raises(ConfigError, match="unknown setting of ppo 'lrr': did you mean 'lr'"):
        algorithm_config(tiny(settings__lrr=1))
    with pytest.raises(ConfigError, match=r"settings\.sizes: unknown setting 'widht': did you mean 'width'"):
        algorithm_config(TrainConfig.of("mini-slate-ppo", {"settings.sizes": {"widht": 8}}))
    with pytest.raises(ConfigError, match=r"settings.lr = -1"):
        algorithm_config(tiny(settings__lr=-1))
    with pytest.raises(ConfigError, match=r"UnheardRunner: expected .*Loud"):
        algorithm_config(tiny(algorithm="fakes_training:UNHEARD"))


# What is kept.


@pytest.mark.parametrize(("keep", "same_as"), [("best", 1), ("last", 3)])
def test_validation_users_choose_the_policy(rllib: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str, same_as: int) -> None:
    from recoworld.training.run import train

    means = {0: 1.0, 1: 5.0, 2: 3.0, 3: 4.0}
    monkeypatch.setattr("recoworld.training.final.point", lambda config, module: {"mean": measured.pop(0), "low": None, "high": None})
    weights = {}
    for name, iterations in (("run", 3), ("as then", same_as)):
        measured = [means[i] for i in range(iterations + 1)]
        train(tiny(iterations=iterations, evaluate_every=1, evaluation__keep=keep if name == "run" else "last"), tmp_path / name)
        weights[name] = (tmp_path / name / "policy" / "weights.npz").read_bytes()
    assert weights["run"] == weights["as then"]
    kept = json.loads((tmp_path / "run" / "final.json").read_text())["after_training"]
    assert (kept["iteration"], kept["mean"]) == (same_as, means[same_as])
