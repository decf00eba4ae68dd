"""Times SARDINE (https://github.com/naver/sardine) from inside its own virtual environment; `peers.py` runs this.

One simulated user, slates of 10 different random items drawn before the clock starts, resets included (an episode is 100
slates). Prints one line of JSON: {"version", "rows": [{"setting", "steps_per_s", "responses_per_s", "note"}]}.

    python benchmarks/peer_sardine.py --seconds 3 --windows 3
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version

import gymnasium
import numpy as np
import sardine  # noqa: F401  its import registers the environments

ENV_ID = "sardine/SlateTopK-Bored-v0"
SLATE_SIZE = 10
GENERATED = "the item vectors are drawn by sardine (NumPy seed 0), since those it ships are for at most 1,000 items"


def best_steps_per_s(env: gymnasium.Env, n_items: int, seconds: float, windows: int) -> float:
    """The fastest of `windows` windows of `seconds` each: interference from outside only ever slows a window."""
    rng = np.random.default_rng(0)
    slates = [rng.choice(n_items, SLATE_SIZE, replace=False) for _ in range(1_000)]
    env.reset(seed=0)
    best = 0.0
    for _ in range(windows):
        steps, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            _, _, terminated, truncated, _ = env.step(slates[steps % len(slates)])
            steps += 1
            if terminated or truncated:
                env.reset()
        best = max(best, steps / elapsed)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one window")
    parser.add_argument("--windows", type=int, default=3, help="windows per setting; the fastest counts")
    options = parser.parse_args()

    larger = {"num_items": 4_000, "env_embedds": None}
    settings = [
        (4_000, larger, False, f"{ENV_ID} with num_items=4000, env_embedds=None, as gymnasium.make returns it; {GENERATED}"),
        (4_000, larger, True, f"{ENV_ID} with num_items=4000, env_embedds=None, .unwrapped: without Gymnasium's wrappers; {GENERATED}"),
        (1_000, {}, False, f"{ENV_ID} exactly as registered"),
    ]
    rows = []
    for n_items, arguments, bare, note in settings:
        np.random.seed(0)  # noqa: NPY002  the item vectors come from NumPy's global generator
        env = gymnasium.make(ENV_ID, **arguments)
        env = env.unwrapped if bare else env
        steps_per_s = best_steps_per_s(env, n_items, options.seconds, options.windows)
        setting = f"1 user, {n_items:,} items, slate {SLATE_SIZE}" + (", unwrapped" if bare else "")
        rows.append({"setting": setting, "steps_per_s": steps_per_s, "responses_per_s": steps_per_s * SLATE_SIZE, "note": note})
    print(json.dumps({"version": version("sardine-rec"), "rows": rows}))


if __name__ == "__main__":
    main()
