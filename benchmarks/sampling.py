"""How fast RLlib samples: turns a second of the slate policy, beside a bare loop of the same network over the same environment.

    python benchmarks/sampling.py --json sampling.json [--config ml1m-slate-ppo] [--envs 256] [--seconds 3] [--rounds 7] [--remote 2]

| way | is |
|---|---|
| bare | the vector environment, opened as often and with as many peers, stepped with what the network draws; nothing is kept |
| slate_runner | `SlateRunner.sample()`, as slate-ppo and slate-reinforce train with |
| stock_runner | the same network under RLlib's own `SingleAgentEnvRunner`, with its connectors; sessions go on, without peers |
| remote | so many `SlateRunner` processes, their samples brought to the driver (`--remote`) |

The ways take turns, a window each, so that a busy machine slows them alike; `ratio` is the median over rounds of slate_runner's rate over
bare's in the same round. `where` says what share of `SlateRunner.sample()` each part takes. A turn is one slate shown to one user; steps in
which a session is replaced count for nobody. Torch has one thread: set OMP_NUM_THREADS=1 for NumPy too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import platform
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from recoworld.configs.training import TrainConfig
from recoworld.envs.vector import SlateVectorEnv
from recoworld.luck import combine
from recoworld.training import runner as slate_runner
from recoworld.training.cluster import cluster, quiet
from recoworld.training.launch import algorithm_config
from recoworld.training.playing import played

Way = Callable[[], int]


def measure(config: TrainConfig, *, seconds: float = 3.0, rounds: int = 7, remote: int = 0) -> dict[str, Any]:
    """All figures. seconds: of a window. remote: processes of the fourth way; 0 leaves it out, and Ray is not started."""
    built = algorithm_config(config)
    ours = built.env_runner_cls(config=built)
    theirs = SingleAgentEnvRunner(config=built)
    theirs.module.net._past = ours.module.net._past  # what is known of users' pasts is kept: none shall have met more users
    ways: dict[str, Way] = {"bare": _bare(config, ours.module), "slate_runner": _sample(ours), "stock_runner": _sample(theirs)}
    with ExitStack() as stack:
        if remote:
            runners = config.env_runners.model_copy(update={"num": remote})
            spread = config.model_copy(update={"env_runners": runners})
            stack.enter_context(cluster(spread))
            algorithm = algorithm_config(spread).build_algo()
            stack.callback(algorithm.stop)
            ways["remote"] = _remote(algorithm)
        for way in ways.values():  # caches are warm, threads are there
            way()
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                rates[name].append(_rate(way, seconds))
    ratios = np.array(rates["slate_runner"]) / np.array(rates["bare"])
    return {
        "turns_per_s": {name: {"best": max(each), "median": float(np.median(each))} for name, each in rates.items()},
        "ratio": float(np.median(ratios)),
        "ratio_of_best": max(rates["slate_runner"]) / max(rates["bare"]),
        "stock_ratio": float(np.median(np.array(rates["stock_runner"]) / np.array(rates["bare"]))),
        "where": where(ours, seconds),
        "bytes_per_turn": traffic(ours),
        "weights_bytes": len(pickle.dumps(ours.module.get_state(), protocol=5)),
    }


def _bare(config: TrainConfig, module: Any) -> Way:
    n = config.env_runners.envs
    env = SlateVectorEnv(n, **config.world, users="train")
    groups, opened = np.arange(n) // module.model_config.get("peers", 1), itertools.count()

    def way() -> int:
        seen, _ = env.reset(seed=[int(one) for one in combine(next(opened), groups) >> np.uint64(2)])
        ended, turns = np.zeros(n, np.bool_), 0
        while turns < config.env_runners.fragment * n:
            batch = {Columns.OBS: {key: torch.from_numpy(value) for key, value in seen.items()}}
            actions = module.forward_exploration(batch)[Columns.ACTIONS].numpy()
            turns += int((~ended).sum())
            seen, _, terminated, truncated, _ = env.step(actions)
            ended = terminated | truncated
        return turns

    return way


def _sample(runner: Any) -> Way:
    def way() -> int:
        turns = sum(len(episode) for episode in runner.sample())
        runner.get_metrics()
        return turns

    return way


def _remote(algorithm: Any) -> Way:
    return lambda: sum(len(episode) for episode in played(algorithm.env_runner_group, algorithm.config.total_train_batch_size)[0])


def _rate(way: Way, seconds: float) -> float:
    turns, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        turns += way()
    return turns / passed


def where(runner: Any, seconds: float) -> dict[str, float]:
    """Shares of the time of `SlateRunner.sample()`; `rest` is what no part accounts for."""
    spent: dict[str, float] = {}

    def timed(holder: Any, name: str, part: str) -> None:
        function = getattr(holder, name)

        def clocked(*arguments: Any, **words: Any) -> Any:
            start = time.perf_counter()
            answer = function(*arguments, **words)
            spent[part] = spent.get(part, 0.0) + time.perf_counter() - start
            return answer

        setattr(holder, name, clocked)
        undo.append(lambda: setattr(holder, name, function))

    undo: list[Callable[[], None]] = []
    timed(runner.env.env, "step", "environment steps")
    timed(runner.env.env, "reset", "opening all sessions")
    timed(runner.module, "forward_exploration", "network")
    timed(slate_runner._Tape, "see", "copies of observations")
    timed(slate_runner._Tape, "episodes", "cutting episodes")
    timed(runner, "_log_episode_metrics", "metrics of sessions")
    whole, start = 0.0, time.perf_counter()
    while whole < seconds:
        runner.sample()
        whole = time.perf_counter() - start
    for one in undo:
        one()
    return {**{part: took / whole for part, took in spent.items()}, "rest": 1 - sum(spent.values()) / whole}


def traffic(runner: Any) -> dict[str, float]:
    """Bytes a turn that a remote runner sends to the driver, by kind, and as pickled."""
    episodes = runner.sample()
    turns = sum(len(episode) for episode in episodes)
    kinds: dict[str, float] = {}
    for episode in episodes:
        parts = {f"observations.{key}": value for key, value in episode.get_observations().items()}
        parts |= {"actions": episode.get_actions(), "rewards": episode.get_rewards()}
        parts |= {key: episode.get_extra_model_outputs(key) for key in episode.extra_model_outputs}
        for key, value in parts.items():
            kinds[key] = kinds.get(key, 0.0) + np.asarray(value).nbytes / turns
    return {**kinds, "pickled": len(pickle.dumps(episodes, protocol=5)) / turns}


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "ray": ray.__version__,
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "torch_threads": torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="ml1m-slate-ppo", help="a slate-aware training config")
    parser.add_argument("--envs", type=int, default=256)
    parser.add_argument("--fragment", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--remote", type=int, default=0)
    parser.add_argument("--json", type=Path)
    words = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainConfig.of(words.config, {"env_runners.envs": words.envs, "env_runners.fragment": words.fragment, "env_runners.num": 0})
    with quiet():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # the network only reads
        out = {
            "config": words.config,
            "envs": words.envs,
            "fragment": words.fragment,
            "machine": machine(),
            **measure(config, seconds=words.seconds, rounds=words.rounds, remote=words.remote),
        }
    text = json.dumps(out, indent=1)
    print(text)
    if words.json:
        words.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
