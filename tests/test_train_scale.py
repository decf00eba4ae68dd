"""Slate-aware training spread over processes: two nodes, two learners, kills, checkpoints, and what an env runner brings."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killed_runs import assert_same_figures, killed_in_mid_run

from recoworld.configs.training import TrainConfig
from recoworld.errors import TrainingFailed
from recoworld.training.records import read_lines
from recoworld.training.watch import Watcher

pytest.importorskip("torch")
ray = pytest.importorskip("ray")

TESTS = Path(__file__).parent
TINY: dict[str, Any] = {
    "world.max_turns": 4,
    "settings": {"sizes": {"width": 8, "window": 4, "attention_heads": 1}, "minibatch": 16, "epochs": 1},
    "env_runners.envs": 8,
    "env_runners.fragment": 6,
    "evaluation.users": 4,
    "evaluate_every": 10_000,
    "final.users": 4,
    "final.against": ["random"],
    "iterations": 3,
}
TWO: dict[str, Any] = {"env_runners__num": 2, "iterations": 20, "keep_checkpoints": 4}


def tiny(algorithm: str = "slate-ppo", **changes: Any) -> TrainConfig:
    own = {"settings.peers": 4} if algorithm == "slate-ppo" else {}
    return TrainConfig.of(f"mini-{algorithm}", {**TINY, **own, **{name.replace("__", "."): value for name, value in changes.items()}})


class Watching(Watcher):
    """Calls a test after every iteration, and ends the run when that is true."""

    def __init__(self, then: Callable[[dict[str, Any]], Any]) -> None:
        self._then = then

    def iteration(self, record: dict[str, Any], share: float) -> None:
        if self._then(record):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def nodes() -> Iterator[None]:
    """A cluster of two nodes with a core each, joined as a user would."""
    from ray.cluster_utils import Cluster

    from recoworld.training.cluster import cluster, quiet

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent), before])  # for the runners
    with quiet(), tempfile.TemporaryDirectory(prefix="rw", dir="/tmp") as folder:
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "temp_dir": folder})
        try:
            made.add_node(num_cpus=1)
            with cluster(tiny(cluster__address=made.address)):
                yield
        finally:
            made.shutdown()
            os.environ["PYTHONPATH"] = before


def _run(config: TrainConfig, out: Path, then: Callable[[dict[str, Any]], Any] = lambda record: False) -> Any:
    """A run whose insides a test can reach."""
    from recoworld.training.cluster import quiet
    from recoworld.training.run import _Run

    with quiet():
        return _Run(config, out, Watching(then))


def _done(config: TrainConfig, out: Path) -> Path:
    run = _run(config, out)
    try:
        run.go()
    finally:
        run.close()
    return out


def _assert_same(one: Path, other: Path, apart_by: float = 0.0) -> None:
    """Figures of all iterations, and weights: bit for bit, or so far apart (figures: ten times as far, of their size)."""
    assert_same_figures(one / "metrics.jsonl", other / "metrics.jsonl", apart_by=10 * apart_by)
    with np.load(one / "policy" / "weights.npz") as here, np.load(other / "policy" / "weights.npz") as there:
        assert set(here) == set(there)
        for name in here:
            np.testing.assert_allclose(here[name], there[name], rtol=0, atol=apart_by, err_msg=name)


# Several processes.


@pytest.fixture(scope="module")
def whole(nodes: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two runners, each on a node of its own, that nobody disturbs."""
    out = tmp_path_factory.mktemp("whole")
    run = _run(tiny(**TWO), out)
    try:
        where = run.algorithm.env_runner_group.foreach_env_runner(
            lambda runner: (runner.worker_index, ray.get_runtime_context().get_node_id()), local_env_runner=False
        )
        assert {index for index, _ in where} == {1, 2}
        assert {node for _, node in where} == {node["NodeID"] for node in ray.nodes()}
        run.go()
    finally:
        run.close()
    return out


def test_runners_on_two_nodes(whole: Path) -> None:
    lines = read_lines(whole / "metrics.jsonl")
    assert [line["iteration"] for line in lines] == list(range(1, 21))
    assert all(np.isfinite([line["return"], line["loss"]]).all() for line in lines)
    assert all(48 * 2 * i <= line["env_steps"] < (48 + 8) * 2 * i for i, line in enumerate(lines, 1))  # both took part


def test_a_run_of_two_runners_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(whole: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(whole / "checkpoints" / "iter-00017", part / "checkpoints" / "iter-00017")
    for name in ("config.yaml", "metrics.jsonl"):
        if (whole / name).exists():
            shutil.copy(whole / name, part / name)
    run = _run(tiny(**TWO), part)
    try:
        assert run.reached.iteration == 17
        runners = run.algorithm.env_runner_group.foreach_env_runner(lambda runner: runner._weights_seq_no)
        assert runners == [17] * 3  # RLlib by itself would leave those two that sample at 0
        run.go()
    finally:
        run.close()
    _assert_same(part, whole)


@pytest.mark.parametrize("algorithm", ["slate-ppo", "slate-reinforce"])
def test_in_one_process_too_a_run_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(nodes: None, tmp_path: Path, algorithm: str) -> None:
    config = tiny(algorithm, evaluation__keep="last")  # the end of a part is a point of the curve, and might be the best
    _done(config.model_copy(update={"iterations": 2}), tmp_path / "parts")
    _assert_same(_done(config, tmp_path / "parts"), _done(config, tmp_path / "whole"))


def test_a_runner_is_killed_and_the_run_ends_as_if_it_had_not_been(whole: Path, tmp_path: Path) -> None:
    """The other plays its part, until the replacement does."""
    dead: list[int] = []
    back: list[int] = []

    def kill(record: dict[str, Any]) -> bool:
        if record["iteration"] == 2:
            dead.append(_pids(run)[1])
            os.kill(dead[0], signal.SIGKILL)
        if "restarted_runners" in record:
            back.append(record["iteration"])
        if dead and not back:
            time.sleep(1.0)  # a new process takes some seconds
        return False

    run = _run(tiny(**TWO), tmp_path, kill)
    try:
        run.go()
        assert 3 < back[0] < 20
        assert len(set(_pids(run))) == 2
        assert dead[0] not in _pids(run)
    finally:
        run.close()
    _assert_same(tmp_path, whole)


def _pids(run: Any) -> list[int]:
    return list(run.algorithm.env_runner_group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False))


def test_a_runner_that_raises_ends_the_training_with_its_own_words(nodes: None, tmp_path: Path) -> None:
    from recoworld.training.run import train

    broken = tiny(env_runners__num=1, world__simulator="fakes_training:falling", world__simulator_config={"where": "remote"})
    with pytest.raises(TrainingFailed, match=r"env runner 1: ZeroDivisionError: the users of process \d+ walked out"):
        train(broken, tmp_path / "run")


def test_two_learners_agree_and_are_near_to_one(nodes: None, tmp_path: Path) -> None:
    """Not equal: each standardises the advantages of its own half, and compares a session with those peers alone that are in it."""
    runs = [_run(tiny(env_runners__envs=32, learners__num=num), tmp_path / str(num)) for num in (0, 2)]
    try:
        start = _weights(runs[0])[0]
        episodes = runs[0].algorithm.env_runner.sample()
        turns = sum(len(one) for one in episodes)
        after = []
        for run, size in zip(runs, (None, turns // 2), strict=True):  # one gradient over all, or one of each half
            for begin in _weights(run):
                for name in start:
                    np.testing.assert_array_equal(start[name], begin[name], err_msg=name)
            run.algorithm.learner_group.update(episodes=[one[:] for one in episodes], timesteps={}, num_epochs=1, minibatch_size=size)
            after.append(_weights(run))
    finally:
        for run in runs:
            run.close()
    (one,), (left, right) = after
    moves = [np.concatenate([(weights[name] - start[name]).ravel() for name in start]) for weights in (one, left)]
    assert np.linalg.norm(moves[0]) > 0
    for name in start:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
    near = moves[0] @ moves[1] / np.linalg.norm(moves[0]) / np.linalg.norm(moves[1])
    assert near > 0.25  # 0.42; Adam's first step is nearly the gradient's sign, so small differences weigh as much as large ones


def _weights(run: Any) -> list[dict[str, Any]]:
    results = run.algorithm.learner_group.foreach_learner(
        lambda learner: {name: value.detach().cpu().numpy().copy() for name, value in learner.module["default_policy"].named_parameters()}
    )
    return [{name.removeprefix("module."): value for name, value in result.get().items()} for result in results]


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Here and in processes that a test starts: sums over several threads round otherwise, and earlier tests may have set how many."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(threads)


def test_the_driver_is_killed_and_the_run_that_goes_on_ends_as_if_it_had_not_been(nodes: None, one_thread: None, tmp_path: Path) -> None:
    out, endless = tmp_path / "killed", tiny(iterations=100_000)
    (tmp_path / "c.yaml").write_text(endless.yaml())
    done = killed_in_mid_run(tmp_path / "c.yaml", out)
    config = endless.model_copy(update={"iterations": len(done) + 2})
    run = _run(config, out)
    try:
        assert run.reached.iteration in (len(done) - 1, len(done), len(done) + 1)  # at most the running iteration is lost
        run.go()
    finally:
        run.close()
    # A process that starts alone may add up in another order than one that has run other tests: the last bit of a weight, of steps of 1e-3.
    _assert_same(out, _done(config, tmp_path / "whole"), apart_by=1e-6)


# One runner.


def _runner(index: int = 1, **changes: Any) -> Any:
    from recoworld.training.cluster import quiet
    from recoworld.training.launch import algorithm_config

    with quiet():
        config = algorithm_config(tiny(**changes))
        return config.env_runner_cls(config=config, worker_index=index)


def _arrays(episodes: list[Any]) -> list[dict[str, Any]]:
    return [
        {
            **{f"seen.{key}": value for key, value in episode.get_observations().items()},
            **{f"out.{key}": np.asarray(episode.get_extra_model_outputs(key)) for key in ("action_logp", "peers")},
            "actions": np.asarray(episode.get_actions()),
            "rewards": np.asarray(episode.get_rewards()),
            "ends": np.array([episode.is_terminated, episode.is_truncated]),
        }
        for episode in episodes
    ]


def _equal(one: list[Any], other: list[Any]) -> bool:
    mine, theirs = _arrays(one), _arrays(other)
    return len(mine) == len(theirs) and all(
        all(np.array_equal(a[name], b[name]) for name in a) for a, b in zip(mine, theirs, strict=True)
    )


def test_the_same_call_is_the_same_sample_whoever_makes_it() -> None:
    one, same, other = _runner(), _runner(), _runner(2)
    other.module.load_state_dict(one.module.state_dict())
    same.module.load_state_dict(one.module.state_dict())
    first, second = one.sample(), one.sample()
    assert not _equal(first, second)
    assert _equal(first, same.sample())
    assert not _equal(first, other.sample())
    with other.standing_in(1):
        assert _equal(first, other.sample())
    with pytest.raises(ZeroDivisionError), other.standing_in(1):
        raise ZeroDivisionError
    mine = other.sample()
    assert _equal(second, same.sample())
    fresh = _runner(2)
    fresh.module.load_state_dict(one.module.state_dict())
    fresh.sample()
    assert _equal(mine, fresh.sample())  # standing in for others leaves one's own place as it was


def test_a_sample_is_what_a_plain_loop_sees() -> None:
    from recoworld.envs.vector import SlateVectorEnv

    runner, played = _runner(), []
    env = runner.env.env
    reset, step = env.reset, env.step
    env.reset = lambda **words: (played.append(words), reset(**words))[1]
    env.step = lambda actions: (played.append(actions.copy()), step(actions))[1]
    episodes = _arrays(runner.sample())

    plain = SlateVectorEnv(8, dataset="mini", max_turns=4, users="train")
    seen, _ = plain.reset(**played[0])
    open_: list[dict[str, list[Any]] | None] = [_begun(seen, i) for i in range(8)]
    sessions: list[list[Any]] = [[] for _ in range(8)]
    steps = 0
    for actions in played[1:]:
        seen, rewards, terminated, truncated, _ = plain.step(actions)
        for i in range(8):
            session = open_[i]
            if session is None:  # the step in which the next one begins
                open_[i] = _begun(seen, i)
                continue
            steps += 1
            session["actions"].append(actions[i])
            session["rewards"].append(rewards[i])
            for key, value in seen.items():
                session[f"seen.{key}"].append(value[i].copy())
            session["ends"] = [bool(terminated[i]), bool(truncated[i])]
            if terminated[i] or truncated[i]:
                sessions[i].append(session)
                open_[i] = None
    for i in range(8):
        if open_[i] is not None and open_[i]["actions"]:
            sessions[i].append(open_[i])
    expected = [session for of_one in sessions for session in of_one]
    assert len(expected) == len(episodes) > 8
    for ours, theirs in zip(episodes, expected, strict=True):
        for name, value in theirs.items():
            np.testing.assert_array_equal(ours[name], np.asarray(value), err_msg=name)
    assert steps == sum(len(session["actions"]) for session in expected)
    assert 48 <= steps < 48 + 8
    metrics = runner.get_metrics()
    assert metrics["num_env_steps_sampled"].peek() == steps
    ended = [session for session in expected if any(session["ends"])]
    assert metrics["num_episodes"].peek() == len(ended)
    assert metrics["episode_return_mean"].peek() == pytest.approx(np.mean([sum(session["rewards"]) for session in ended]))
    assert metrics["episode_len_mean"].peek() == pytest.approx(np.mean([len(session["rewards"]) for session in ended]))


def _begun(seen: dict[str, Any], i: int) -> dict[str, Any]:
    return {"actions": [], "rewards": [], "ends": [False, False], **{f"seen.{key}": [value[i].copy()] for key, value in seen.items()}}


def test_peers_have_the_same_users_and_luck() -> None:
    """Four and four; who shows them equal slates finds them equal."""
    runner = _runner()
    episodes = _arrays(runner._sample(num_timesteps=48, explore=True))
    begins = [one for one in episodes if one["seen.turn"][0] == 0]
    groups: dict[int, list[dict[str, Any]]] = {}
    for one in begins:
        groups.setdefault(int(one["out.peers"][0]), []).append(one)
    assert sorted(len(group) for group in groups.values())[-2:] == [4, 4]  # the first sessions; later ones may be cut off
    for group in groups.values():
        for one in group[1:]:
            np.testing.assert_array_equal(one["seen.history"][0], group[0]["seen.history"][0])
            np.testing.assert_array_equal(one["seen.profile"][0], group[0]["seen.profile"][0])
            turns = min(len(one["out.peers"]), len(group[0]["out.peers"]))
            np.testing.assert_array_equal(one["out.peers"][:turns], group[0]["out.peers"][:turns])
    assert any(not np.array_equal(group[0]["actions"][0], one["actions"][0]) for group in groups.values() for one in group[1:])
    columns = [place for one in {id(group[0]): group[0] for group in groups.values()}.values() for place in one["out.peers"].tolist()]
    assert len(columns) == len(set(columns))  # every turn of every session has its own

    alike = runner._sample(num_timesteps=48, explore=False)  # the best items, so equal users get equal slates
    per = len(alike) // 2
    for start in (0, per):
        ones = alike[start : start + per]
        quarter = per // 4
        for j in range(1, 4):
            for mine, theirs in zip(ones[:quarter], ones[j * quarter : (j + 1) * quarter], strict=True):
                np.testing.assert_array_equal(mine.get_rewards(), theirs.get_rewards())
                np.testing.assert_array_equal(mine.get_actions(), theirs.get_actions())


def test_what_is_known_of_a_past_does_not_depend_on_who_else_asks() -> None:
    """Else a run that goes on, and has forgotten the pasts it met, rounds them otherwise."""
    from recoworld.training.slate_module import knowledge_of

    rng, knowledge = np.random.default_rng(0), knowledge_of("mini", None, 0)
    history = rng.integers(1, 800, (40, 30)).astype(np.int32)
    acts = rng.integers(2, 5, (40, 30)).astype(np.int8)
    together = knowledge.past(history, acts)
    for size in (1, 7):
        apart = [knowledge.past(history[i : i + size], acts[i : i + size]) for i in range(0, 40, size)]
        for whole, parts in zip(together, zip(*apart, strict=True), strict=True):
            np.testing.assert_array_equal(whole, np.concatenate(parts))


# The page.


def test_the_lines_of_plain_rllib_run(nodes: None) -> None:
    page = (TESTS.parent / "docs" / "training.md").read_text(encoding="utf-8")
    lines = page.partition("<!-- train -->")[2].partition("<!-- /train -->")[0].strip().removeprefix("```python").removesuffix("```")
    names: dict[str, Any] = {}
    try:
        exec(compile(lines, "docs/training.md", "exec"), names)
    finally:
        if "algorithm" in names:
            names["algorithm"].stop()


class _Fake:
    """Stands for an env runner that knows whose part it plays."""

    def __init__(self, index: int) -> None:
        self.worker_index = self.part = index

    @contextmanager
    def standing_in(self, index: int) -> Iterator[None]:
        self.part = index
        yield
        self.part = self.worker_index

    def sample(self) -> list[str]:
        return [f"part {self.part}"]

    def get_metrics(self) -> int:
        return self.part


class _Group:
    """Stands for RLlib's group of five runners, of which some live."""

    def __init__(self, *alive: int) -> None:
        self._alive = {index: _Fake(index) for index in alive}

    def num_remote_env_runners(self) -> int:
        return 5

    def healthy_worker_ids(self) -> list[int]:
        return list(self._alive)

    def foreach_env_runner(self, func: Any, *, remote_worker_ids: Any = None, **words: Any) -> list[Any]:
        ids = remote_worker_ids or list(self._alive)
        funcs = func if isinstance(func, list) else [func] * len(ids)
        return [one(self._alive[index]) for one, index in zip(funcs, ids, strict=True)]


@pytest.mark.parametrize("alive", [(1, 2, 3, 4, 5), (1, 3, 4, 5), (4, 2), (3,)])
def test_whoever_lives_all_parts_are_played_in_order(alive: tuple[int, ...]) -> None:
    from recoworld.training.playing import played

    episodes, metrics = played(_Group(*alive), 5)
    assert metrics == [1, 2, 3, 4, 5]
    assert episodes == [f"part {index}" for index in metrics]


def test_where_nobody_lives_nothing_is_played() -> None:
    from recoworld.training.playing import played

    assert played(_Group(), 5) == ([], [])
