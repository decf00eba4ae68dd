"""How fast the environments are: steps and user-item responses a second at several batch sizes, memory, import and make times.

    python benchmarks/throughput.py --json throughput.json [--env RecoWorld-ML1M-v0] [--seconds 3]

A response is one slot of one slate answered by one user; users who are being reset do not count. Slates are random, which is the hardest
case: sessions are short, and a quarter of the turns end in an instruction. Every figure is the best of several windows, for other
programs can only slow one down; the median stands beside it. Memory, import (of `recoworld.world`, NumPy included) and make are measured
in processes of their own, with the caches warm. The first make of a data set fits the simulator; `cold_make_s` is that time where this
run was the first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import recoworld
from recoworld.catalog import build_catalog
from recoworld.errors import DatasetError
from recoworld.registry import DATASETS
from recoworld.users import Dataset, Interactions, Users

N_ITEMS, N_USERS, LOG = 4_000, 2_000, 60
SIZES = (1, 64, 4096)


def measure(env_id: str, *, slate_size: int = 10, seconds: float = 3.0, **settings: Any) -> dict[str, Any]:
    """All figures of one environment. Settings are those of `gym.make`."""
    start = time.perf_counter()
    gym.make(env_id, slate_size=slate_size, **settings)
    out: dict[str, Any] = {"env": env_id, "slate_size": slate_size, "cold_make_s": time.perf_counter() - start, "sizes": []}
    for n in SIZES:
        out["sizes"].append({"n": n, **_steps(env_id, n, slate_size, seconds, settings)})
    single, batched = out["sizes"][0], out["sizes"][-1]
    out["single_steps_per_s"], out["batched_responses_per_s"] = single["steps_per_s"], batched["responses_per_s"]
    out["simulator_share"] = batched["simulator_share"]
    out |= _memory_bound(env_id, SIZES[-1], slate_size, settings)
    return out


def _steps(env_id: str, n: int, k: int, seconds: float, settings: dict[str, Any]) -> dict[str, float]:
    """`n` users at once (the single environment for 1): calls and responses a second, and the simulator's share of the time."""
    rng = np.random.default_rng(0)
    env: Any = gym.make(env_id, slate_size=k, **settings) if n == 1 else gym.make_vec(env_id, num_envs=n, slate_size=k, **settings)
    n_items = len(env.unwrapped.world.catalog)
    slates = [np.stack([rng.choice(n_items, k, replace=False) for _ in range(n)]) for _ in range(512 if n == 1 else 4)]
    env.reset(seed=0)
    ended = np.zeros(n, np.bool_)

    def single(i: int) -> int:
        *_, terminated, truncated, _ = env.step(slates[i % len(slates)][0])
        if terminated or truncated:
            env.reset()
        return 1

    def together(i: int) -> int:
        nonlocal ended
        answering = n - int(ended.sum())
        *_, terminated, truncated, _ = env.step(slates[i % len(slates)])
        ended = terminated | truncated
        return answering

    rates = _windows(single if n == 1 else together, seconds, calls=2_000 // n + 1)
    world = env.unwrapped.world
    spent, respond = 0.0, world.simulator.respond

    def timed(*arguments: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        answer = respond(*arguments)
        spent += time.perf_counter() - start
        return answer

    world.simulator.respond = timed
    start, i = time.perf_counter(), 0
    while time.perf_counter() - start < min(1.0, seconds):
        (single if n == 1 else together)(i)
        i += 1
    share = spent / (time.perf_counter() - start)
    del world.simulator.respond  # the instance's, which hid the class's
    answered, calls = rates
    return {
        "steps_per_s": max(calls),
        "steps_per_s_median": float(np.median(calls)),
        "responses_per_s": max(answered) * k,
        "responses_per_s_median": float(np.median(answered)) * k,
        "simulator_share": share,
    }


def _windows(step: Callable[[int], int], seconds: float, calls: int) -> tuple[list[float], list[float]]:
    """Users answering, and calls, a second, in each window of so many calls."""
    answered, made, end = [], [], time.perf_counter() + seconds
    i = 0
    while time.perf_counter() < end or len(made) < 3:
        start, users = time.perf_counter(), 0
        for _ in range(calls):
            users += step(i)
            i += 1
        passed = time.perf_counter() - start
        answered.append(users / passed)
        made.append(calls / passed)
    return answered, made


def _memory_bound(env_id: str, n: int, k: int, settings: dict[str, Any]) -> dict[str, float]:
    """What memory traffic alone would allow: bytes that a step cannot avoid, over the bandwidth of a plain copy on this machine."""
    env: Any = gym.make_vec(env_id, num_envs=n, slate_size=k, **settings)
    seen, _ = env.reset(seed=0)
    env.step(env.action_space.sample())
    state = env.unwrapped.world.state
    line = 64  # a random read costs a cache line
    gathered = n * k * (2 * line + 2 * line)  # attraction and stars; exposures, read and written back
    features = n * k * env.unwrapped.world.catalog.features.shape[1] * 4
    written = sum(value.nbytes for value in seen.values())
    kept = 2 * sum(value.nbytes for value in vars(state.mindset).values() if isinstance(value, np.ndarray))  # read and written
    block = np.ones(2**25, np.float64)
    target = np.empty_like(block)
    best = min(_timed(lambda: np.copyto(target, block)) for _ in range(5))
    bandwidth = 2 * block.nbytes / best
    moved = gathered + features + 2 * written + kept
    return {
        "bytes_per_step": float(moved),
        "copy_bandwidth_gb_s": bandwidth / 1e9,
        "memory_bound_responses_per_s": n * k / (moved / bandwidth),
    }


def _timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def process_figures(env_id: str) -> dict[str, float]:
    """Import and make times and peak memory, each in a fresh process; the best of three for the times."""
    # without site, for recoworld.pth there would have imported it before the clock starts
    paths = [str(Path(module.__file__ or "").resolve().parent.parent) for module in (recoworld, np)]
    imports = f"import sys, time; sys.path[:0] = {paths!r}; t = time.perf_counter(); import recoworld.world; print(time.perf_counter() - t)"
    makes = f"import time, gymnasium; t = time.perf_counter(); gymnasium.make({env_id!r}); print(time.perf_counter() - t)"
    runs = (
        f"import gymnasium; e = gymnasium.make_vec({env_id!r}, num_envs=4096); e.reset(seed=0)\n"
        "for _ in range(20): e.step(e.action_space.sample())\n" + _PEAK
    )
    return {
        "import_s": min(_python(imports, "-S") for _ in range(3)),
        "warm_make_s": min(_python(makes) for _ in range(3)),
        "peak_rss_mb": _python(runs),
    }


# Linux keeps the largest size of the process that started this one in ru_maxrss, but not in VmHWM
_PEAK = """
import os, resource, sys
if os.path.exists("/proc/self/status"):
    print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024))
"""


def _python(code: str, *flags: str) -> float:
    root = Path(recoworld.__file__).resolve().parent.parent
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import gymnasium, recoworld\n{code}" if "gymnasium" in code else code
    done = subprocess.run(
        [sys.executable, *flags, "-W", "ignore", "-c", code], cwd=root, capture_output=True, text=True, timeout=600, check=True
    )
    return float(done.stdout.split()[-1])


def load_synthetic(*, data_dir: str | None = None) -> Dataset:
    """Users and items without a meaning: what counts here is the shapes. `data_dir` is ignored."""
    rng = np.random.default_rng(0)
    genres = [f"genre {i}" for i in range(18)]
    catalog = build_catalog(
        name="synthetic",
        ids=[str(i) for i in range(N_ITEMS)],
        titles=[f"item {i}" for i in range(N_ITEMS)],
        genres=[tuple(rng.choice(genres, 2, replace=False)) for _ in range(N_ITEMS)],
        years=rng.integers(1950, 2000, N_ITEMS).tolist(),
        popularity=rng.zipf(1.8, N_ITEMS),
    )
    users = Users(
        ids=np.arange(N_USERS).astype(str),
        features=np.zeros((N_USERS, 1), np.float32),
        feature_names=("none",),
        descriptions=np.full(N_USERS, ""),
    )
    log = Interactions(
        indptr=np.arange(N_USERS + 1, dtype=np.int64) * LOG,
        items=np.concatenate([rng.choice(N_ITEMS, LOG, replace=False) for _ in range(N_USERS)]).astype(np.int32),
        ratings=rng.integers(1, 6, N_USERS * LOG).astype(np.float32),
        times=np.tile(np.arange(LOG), N_USERS),
    )
    return Dataset(name="synthetic", catalog=catalog, users=users, interactions=log, explicit=True)


def synthetic_dataset_env(*, n_items: int = N_ITEMS, slate_size: int = 10) -> tuple[Callable[[], Any], Callable[[int], Any]]:
    """``make_single()`` and ``make_vector(num_envs)`` on a synthetic catalogue, for comparison with peers."""
    if n_items != N_ITEMS:
        raise ValueError(f"got n_items={n_items}; the synthetic catalogue has {N_ITEMS}")
    DATASETS.register("synthetic", f"{__name__}:load_synthetic")
    settings: dict[str, Any] = {"dataset": "synthetic", "slate_size": slate_size, "users": "all"}
    return (
        lambda: gym.make("RecoWorld-Mini-v0", **settings),
        lambda num_envs: gym.make_vec("RecoWorld-Mini-v0", num_envs=num_envs, **settings),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", default="RecoWorld-ML1M-v0")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring for each batch size")
    options = parser.parse_args()
    try:
        figures = measure(options.env, seconds=options.seconds)
    except DatasetError as error:
        print(f"{error}\n-> measuring RecoWorld-Mini-v0 instead", file=sys.stderr)
        figures = measure("RecoWorld-Mini-v0", seconds=options.seconds)
    figures |= process_figures(figures["env"])
    figures["machine"] = {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}
    figures["native"] = bool(getattr(gym.make(figures["env"]).unwrapped.world.simulator, "native", False))

    print(f"{figures['env']}, slates of {figures['slate_size']}, {figures['machine']}, compiled kernel: {figures['native']}\n")
    print(f"{'users':>6} {'step calls/s':>14} {'(median)':>12} {'responses/s':>14} {'(median)':>14} {'simulator':>10}")
    for row in figures["sizes"]:
        print(
            f"{row['n']:>6,} {row['steps_per_s']:>14,.0f} {row['steps_per_s_median']:>12,.0f} {row['responses_per_s']:>14,.0f} "
            f"{row['responses_per_s_median']:>14,.0f} {row['simulator_share']:>9.0%}"
        )
    bound = figures["memory_bound_responses_per_s"]
    print(
        f"\nmemory traffic alone would allow {bound:,.0f} responses/s at n = {SIZES[-1]:,} "
        f"({figures['bytes_per_step'] / 1e6:.1f} MB a step at {figures['copy_bandwidth_gb_s']:.1f} GB/s of copying)"
    )
    print(f"import {figures['import_s']:.3f} s, warm make {figures['warm_make_s']:.2f} s, peak memory {figures['peak_rss_mb']:.0f} MB")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


if __name__ == "__main__":
    sys.modules["throughput"] = sys.modules["__main__"]  # the registry imports load_synthetic by module name
    main()
