"""One engine in a Ray actor, for threads, actors, drivers and env runners."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError, LanguageModelError, UnknownName
from recoworld.llm.make import make_model
from recoworld.llm.model import Completion, LanguageModel, Prompt, Sampling
from recoworld.llm.scripted import Scripted
from recoworld.testing import LanguageModelTests
from recoworld.testing.language_models import SCHEMAS
from recoworld.training.records import read_lines
from recoworld.training.watch import Watcher

pytest.importorskip("torch")
ray = pytest.importorskip("ray")

TESTS = Path(__file__).parent
LOGGED = f"ray:{Path(__file__).stem}:open_logged"


class Logged(Scripted):
    """Writes to a file when it is opened and closed, and the size of every batch; takes its time; dies when it is told to."""

    def __init__(self, log: Path, latency: float) -> None:
        super().__init__(name="logged")
        self._log, self._latency = log, latency
        self._write(f"open {os.getpid()}")

    def generate(self, prompts: Sequence[Prompt], **kwargs: Any) -> list[Completion]:
        if any("die" in prompt.messages[-1]["content"] for prompt in prompts):
            os._exit(1)
        if any("cannot" in prompt.messages[-1]["content"] for prompt in prompts):
            raise LanguageModelError("the engine cannot go on; wait for better days")
        self._write(str(len(prompts)))
        time.sleep(self._latency)
        return super().generate(prompts, **kwargs)

    def close(self) -> None:
        self._write("closed")

    def _write(self, line: str) -> None:
        with self._log.open("a") as file:
            file.write(line + "\n")


def open_logged(what: str, *, log: str, latency: float = 0.0) -> LanguageModel:
    return Logged(Path(log), latency)


@pytest.fixture(scope="module")
def nodes() -> Iterator[str]:
    """A cluster of two cores: its address."""
    from recoworld.training.cluster import cluster, quiet

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent), before])  # for the actors
    with quiet(), tempfile.TemporaryDirectory(prefix="rw", dir="/tmp") as folder:
        try:
            with cluster(TrainConfig.of("mini-ppo", {"cluster.cpus": 2, "cluster.temp_dir": folder})):
                yield ray.get_runtime_context().gcs_address
        finally:
            os.environ["PYTHONPATH"] = before


@pytest.fixture
def log(nodes: str, tmp_path: Path) -> Iterator[Path]:
    _end_all()
    yield tmp_path / "log"
    _end_all()


def engines() -> list[str]:
    """Names of the actors that are there."""
    return [each["name"] for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == "recoworld"]


def _end_all() -> None:
    for name in engines():
        ray.kill(ray.get_actor(name, namespace="recoworld"))
    until(lambda: not engines())


def sizes(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split("\n") if line.isdigit()]


def opened(log: Path) -> list[int]:
    """The processes in which an engine was opened."""
    return [int(line.split()[1]) for line in log.read_text().split("\n") if line.startswith("open")]


def until(there: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.1)


class TestShared(LanguageModelTests):
    """What is shared is a language model like the one that it shares."""

    n_prompts = 24

    @pytest.fixture(autouse=True)
    def _cluster(self, nodes: str) -> None:
        pass

    def make(self) -> LanguageModel:
        return make_model("ray:scripted", window_ms=0)


# Many callers.


def _converse(model: LanguageModel, number: int, turns: int) -> list[str]:
    """One caller's calls, each waiting for the last."""
    said = []
    for turn in range(turns):
        prompts = [Prompt.of(f"caller {number}, turn {turn}, user {i}", seed=100 * number + i) for i in range(1 + number % 3)]
        schema = SCHEMAS["order"] if number % 2 else None
        said += [reply.text for reply in model.generate(prompts, schema=schema, sampling=Sampling(max_tokens=20))]
        said += [str(one.logprob) for each in model.score(prompts, [[" a", " b c"]] * len(prompts)) for one in each]
    return said


def _threads(model: LanguageModel, numbers: Sequence[int], turns: int) -> list[list[str]]:
    """What callers get that ask at the same time."""
    got: dict[int, list[str]] = {}
    threads = [Thread(target=lambda i=i: got.update({i: _converse(model, i, turns)})) for i in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [got[i] for i in numbers]


def test_threads_and_processes_get_what_they_would_get_alone(log: Path) -> None:
    settings = {"log": str(log), "latency": 0.01, "window_ms": 20}
    here = make_model(LOGGED, **settings)

    @ray.remote(num_cpus=0)
    def there(model: LanguageModel, numbers: list[int]) -> list[list[str]]:
        return _threads(model, numbers, 4)

    others = [there.remote(here, [8, 9, 10, 11]), there.remote(make_model(LOGGED, **settings), [12, 13, 14, 15])]
    got = _threads(here, range(8), 4) + [texts for each in ray.get(others) for texts in each]
    assert got == [_converse(Scripted(), number, 4) for number in range(16)]
    assert len(opened(log)) == 1
    assert len(engines()) == 1
    report = here.report()
    assert report["engine"] == "logged"
    assert report["calls"] == 16 * 4 * 2


def test_the_engine_sees_larger_batches_than_its_callers_send(log: Path) -> None:
    model = make_model(LOGGED, log=str(log), latency=0.1, window_ms=50)
    prompts = [[Prompt.of(f"{i} {turn}") for turn in range(3)] for i in range(8)]
    threads = [Thread(target=lambda i=i: [model.generate([prompt]) for prompt in prompts[i]]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sizes(log)) == 24
    assert max(sizes(log)) >= 4
    assert len(sizes(log)) <= 12


def test_other_settings_are_another_engine(log: Path) -> None:
    for settings in ({}, {"window_ms": 1}, {"latency": 0.001}, {"window_ms": 1}):
        make_model(LOGGED, log=str(log), **settings).generate([Prompt.of("Hello")])
    assert len(set(opened(log))) == len(engines()) == 3


def test_it_can_be_pickled_open(log: Path) -> None:
    model = make_model(LOGGED, log=str(log))
    first = model.generate([Prompt.of("Hello")])
    assert pickle.loads(pickle.dumps(model)).generate([Prompt.of("Hello")]) == first
    assert len(opened(log)) == 1


# Records.


def test_one_record_beside_the_engine(log: Path, tmp_path: Path) -> None:
    file = tmp_path / "replies.sqlite"
    model = make_model(LOGGED, log=str(log), shared_record=file)
    prompts = [Prompt.of(f"film {i}", seed=i) for i in range(5)]
    first = model.generate(prompts)
    assert pickle.loads(pickle.dumps(model)).generate(prompts[::-1]) == first[::-1]
    assert sizes(log) == [5], "asked once"
    assert make_model(f"replay:{file}").generate(prompts) == first
    assert make_model(f"replay:{file}", model="logged").score([], []) == []


def test_a_record_in_the_callers_process(log: Path, tmp_path: Path) -> None:
    file, prompts = tmp_path / "replies.sqlite", [Prompt.of("film")]
    model = make_model(LOGGED, log=str(log), record=file)
    first = model.generate(prompts)
    assert make_model(LOGGED, log=str(log), record=file).generate(prompts) == first
    assert sizes(log) == [1]
    assert make_model(f"replay:{file}").generate(prompts) == first


# What goes wrong.


def test_an_error_of_the_engine_comes_through(log: Path) -> None:
    model = make_model(LOGGED, log=str(log))
    with pytest.raises(LanguageModelError, match=r"^the engine cannot go on; wait for better days$"):
        model.generate([Prompt.of("you cannot")])
    assert len(model.generate([Prompt.of("you can")])) == 1
    assert len(opened(log)) == 1


def test_an_engine_that_is_killed_is_replaced(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = make_model(LOGGED, log=str(log), latency=0.5)
    prompts, told = [Prompt.of(f"film {i}", seed=i) for i in range(4)], []
    model.generate(prompts)
    asks = Thread(target=lambda: told.extend(model.generate(prompts)))
    asks.start()
    until(lambda: len(sizes(log)) == 2)
    os.kill(opened(log)[0], signal.SIGKILL)  # in mid-call
    asks.join()
    assert told == Scripted().generate(prompts)
    assert len(set(opened(log))) == 2
    assert len([record for record in caplog.records if "has died; opening another" in record.message]) == 1


def test_an_engine_that_dies_again_and_again_is_given_up(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recoworld.training.shared_model._WAITS", (0.2,))
    model = make_model(LOGGED, log=str(log))
    with pytest.raises(LanguageModelError, match=r"died 2 times, at last: .*; look for memory that ran out"):
        model.generate([Prompt.of("die")])
    assert len(model.generate([Prompt.of("live")])) == 1, "the next call opens another"


def test_the_model_can_be_ended_for_all(log: Path) -> None:
    model = make_model(LOGGED, log=str(log))
    model.end()  # there is none
    model.generate([Prompt.of("a")])
    model.close()
    assert len(engines()) == 1, "close leaves it to the others"
    model.end()
    until(lambda: not engines())
    assert len(model.generate([Prompt.of("a")])) == 1


@pytest.mark.parametrize(
    ("spec", "settings", "error", "words"),
    [
        ("ray:", {}, ConfigError, "names no model; expected another behind it"),
        ("ray", {}, ConfigError, "names no model"),
        ("ray:ray:scripted", {}, ConfigError, "leave out one 'ray:'"),
        ("ray:scriptde", {}, UnknownName, "did you mean 'scripted'"),
        ("ray:vlm:Qwen/Qwen3-0.6B", {}, UnknownName, "did you mean 'vllm'"),
        ("ray:scripted", {"window_ms": -1}, ConfigError, "window_ms .* is -1; expected a number from 0"),
        ("ray:scripted", {"max_batch": 0}, ConfigError, "max_batch .* is 0; expected a number from 1"),
        ("ray:scripted", {"lifetime": "for ever"}, ConfigError, "expected 'detached'"),
        ("ray:scripted", {"shared_record": "replies.sqlite"}, ConfigError, "expected an absolute path"),
        ("ray:scripted", {"politeness": {1}}, ConfigError, "expected what YAML can say"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_started(spec: str, settings: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make_model(spec, **settings)


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        ("ray:scripted:brokn", {}, "unknown script 'brokn': did you mean 'broken'"),
        ("ray:scripted", {"politeness": 1}, "unknown setting of language model 'scripted' 'politeness'"),
        ("ray:/nowhere/model.gguf", {}, "there is no such file or folder"),
        ("ray:Qwen/Qwen3-0.6B", {}, "of a model on a hub say who runs it"),
    ],
)
def test_what_only_the_engine_can_tell_comes_with_the_first_call(nodes: str, spec: str, settings: Any, words: str) -> None:
    model = make_model(spec, **settings)
    with pytest.raises(ConfigError, match=words):
        model.generate([Prompt.of("Hello")])
    until(lambda: not engines() or model.plan.actor not in engines())  # type: ignore[attr-defined]  # of SharedModel


def test_no_room_on_the_cluster(log: Path) -> None:
    model = make_model(LOGGED, log=str(log), num_gpus=1, patience=1.0)
    with pytest.raises(LanguageModelError, match=r"no room .* wants 1 GPUs and 0 cores; it has 0 GPUs and 2 cores, .*; lower num_gpus"):
        model.generate([Prompt.of("Hello")])
    assert not log.exists()


def test_no_cluster(nodes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(**kwargs: Any) -> None:
        assert kwargs["address"] == "auto"
        raise ConnectionError("Could not find any running Ray instance.")

    model = make_model("ray:scripted")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", nobody)
    with pytest.raises(LanguageModelError, match=r"no Ray cluster runs on this machine; start one .* or name 'scripted' without 'ray:'"):
        model.generate([Prompt.of("Hello")])


def test_without_ray() -> None:
    code = """
import sys
sys.modules["ray"] = None
from recoworld.errors import MissingExtra
from recoworld.llm.make import make_model
try:
    make_model("ray:scripted")
except MissingExtra as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TESTS.parent).stdout
    assert "language model 'ray:scripted' needs ray, which is not installed: pip install 'recoworld[rllib]'" in said


# Jobs.

DRIVER = """
import sys
from recoworld.llm.make import make_model
from recoworld.llm.model import Prompt
spec, log = sys.argv[1:]
for lifetime in (None, "detached"):
    print(make_model(spec, log=log, lifetime=lifetime).generate([Prompt.of("Hello")])[0].text)
"""


@pytest.mark.slow
def test_drivers_share_an_engine_which_ends_with_the_last_of_them(nodes: str, log: Path) -> None:
    """A driver that knows nothing of Ray joins the cluster that is there."""
    environment = {**os.environ, "RAY_ADDRESS": nodes}
    command = [sys.executable, "-c", DRIVER, LOGGED, str(log)]
    model = make_model(LOGGED, log=str(log))
    first = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    second = model.generate([Prompt.of("Hello")])[0].text  # a second job
    assert first.stdout.split("\n")[:2] == [second] * 2
    assert len(opened(log)) == 2
    model.end()
    until(lambda: len(engines()) == 1)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert len(opened(log)) == 3, "the detached one was still there"
    until(lambda: "closed" in log.read_text() and len(engines()) == 1)
    make_model(LOGGED, log=str(log), lifetime="detached").end()  # type: ignore[attr-defined]  # of SharedModel
    until(lambda: not engines())


# Training.


class Watching(Watcher):
    """Calls a test after every iteration."""

    def __init__(self, then: Callable[[dict[str, Any]], Any]) -> None:
        self._then = then

    def iteration(self, record: dict[str, Any], share: float) -> None:
        self._then(record)


def _trained(llm: str, out: Path, then: Callable[[dict[str, Any]], Any] = lambda record: None) -> list[dict[str, Any]]:
    """What two env runners and three iterations come to."""
    from recoworld.training.run import train

    config = TrainConfig.of(
        "mini-slate-ppo",
        {
            "world.max_turns": 4,
            "world.simulator": "llm",
            "world.simulator_config": {"llm": llm},
            "settings": {"sizes": {"width": 8, "window": 4, "attention_heads": 1}, "minibatch": 16, "epochs": 1, "peers": 4},
            "env_runners": {"num": 2, "envs": 8, "fragment": 6},
            "evaluation.users": 4,
            "evaluate_every": 10_000,
            "final.users": 4,
            "final.against": ["random"],
            "iterations": 3,
            "minutes": None,
        },
    )
    train(config, out, watcher=Watching(then))
    apart = ("seconds", "steps_per_second", "restarted_runners")
    return [{name: value for name, value in line.items() if name not in apart} for line in read_lines(out / "metrics.jsonl")]


@pytest.fixture(scope="module")
def alone(nodes: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Each process with a model of its own."""
    return _trained("scripted", tmp_path_factory.mktemp("alone") / "out")


@pytest.mark.slow
def test_env_runners_share_one_engine_and_play_the_same_sessions(alone: list[dict[str, Any]], log: Path, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    assert _trained("ray:scripted", tmp_path / "out", lambda record: seen.append(engines())) == alone
    assert len(alone) == 3
    assert [len(each) for each in seen] == [1, 1, 1]
    assert len({name for each in seen for name in each}) == 1
    report = make_model("ray:scripted").report()  # type: ignore[attr-defined]  # of SharedModel
    assert report["prompts"] >= 3 * 2 * 8 * 4, "nobody asked it"


@pytest.mark.slow
def test_training_goes_on_when_the_engine_is_killed(alone: list[dict[str, Any]], log: Path, tmp_path: Path) -> None:
    def kill(record: dict[str, Any]) -> None:
        [name] = engines()
        engine = ray.get_actor(name, namespace="recoworld")
        killed.append(ray.get(engine.hello.remote()))
        os.kill(killed[-1], signal.SIGKILL)
        until(lambda: not engines())

    killed: list[int] = []
    assert _trained("ray:scripted", tmp_path / "out", kill) == alone
    assert len(set(killed)) == 3
