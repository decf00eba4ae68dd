"""Times RecSim NG, or the original RecSim, from inside its own virtual environment; `peers.py` runs this.

RecSim NG: the interest evolution story of its `recsys_partially_observable_rl` application for 1,000 users at once, compiled
by its own TFRuntime (tf.function, all cores), with slates of 10 where the application ships 2. A run is `HORIZON` steps from a
fresh start. Two recommenders stand in it: the collaborative filter of the application, and one of ours which shows different
random items at next to no cost, so that what is timed is the simulated users.

RecSim (`--library recsim`): its interest evolution environment, one user, different random items drawn before the clock starts.

Prints one line of JSON: {"version", "rows": [{"setting", "steps_per_s", "responses_per_s", "note"}]}. A step of RecSim NG
answers one slate of every user.

    python benchmarks/peer_recsim_ng.py --library recsim-ng --seconds 3 --windows 3
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import cycle
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # a comparison of CPUs

import numpy as np

N_USERS = 1_000
SLATE_SIZE = 10
HORIZON = 100


def fastest(steps: Callable[[], int], seconds: float, windows: int) -> float:
    """Steps per second in the fastest of `windows` windows; `steps` makes some and says how many."""
    best = 0.0
    for _ in range(windows):
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            done += steps()
        best = max(best, done / elapsed)
    return best


def random_slates() -> type:
    """A RecSim NG recommender which shows every user `slate_size` different items, anew at each step."""
    import tensorflow as tf
    from recsim_ng.core.value import Value, ValueSpec
    from recsim_ng.entities.recommendation.recommender import BaseRecommender
    from recsim_ng.lib.tensorflow.field_spec import FieldSpec

    class RandomSlates(BaseRecommender):
        def specs(self) -> Any:
            shown = ("doc_id", "doc_topic", "doc_quality", "doc_features", "doc_length")
            slate = ValueSpec(**{field: FieldSpec() for field in shown})
            return ValueSpec(clock=FieldSpec()).prefixed_with("state").union(slate.prefixed_with("slate"))

        def initial_state(self) -> Any:
            return Value(clock=tf.zeros([], tf.int32))

        def next_state(self, previous_state: Any, user_response: Any, slate_docs: Any) -> Any:
            return Value(clock=previous_state.get("clock") + 1)

        def slate_docs(self, previous_state: Any, user_obs: Any, available_docs: Any) -> Any:
            first = tf.random.uniform([self._num_users, 1], maxval=self._num_docs, dtype=tf.int32)
            apart = self._num_docs // self._slate_size  # a shift of evenly spaced items: different ones, for one number a user
            chosen = (first + apart * tf.range(self._slate_size)[tf.newaxis, :]) % self._num_docs  # [num_users, slate_size]
            return available_docs.map(lambda field: tf.gather(field, chosen))

    return RandomSlates


def interest_evolution(n_items: int, recommender: type) -> Callable[[], int]:
    """The story with a fixed catalogue of `n_items`; the callable runs it once and says how many steps that was."""
    import tensorflow as tf
    from recsim_ng.applications.recsys_partially_observable_rl import corpus, metrics, user
    from recsim_ng.core.network import Network
    from recsim_ng.lib.tensorflow.runtime import TFRuntime
    from recsim_ng.stories.recommendation_simulation import recs_story

    tf.random.set_seed(0)
    config = {"num_users": N_USERS, "num_topics": 2, "num_docs": n_items, "slate_size": SLATE_SIZE, "history_length": 15}
    items = corpus.CorpusWithTopicAndQuality(config).initial_state()
    variables = recs_story(
        config,
        user.InterestEvolutionUser,
        lambda config: corpus.StaticCorpus(config, items),
        recommender,
        metrics.ConsumedTimeAsRewardMetrics,
    )
    runtime = TFRuntime(network=Network(variables=variables))

    def run() -> int:
        final = runtime.execute(num_steps=HORIZON)
        choice = final["user response"].get("choice").numpy()  # waits for the result
        if choice.shape != (N_USERS,) or choice.min() < 0 or choice.max() > SLATE_SIZE:
            raise RuntimeError(f"expected {N_USERS} choices among {SLATE_SIZE} items and none, got {choice.shape} {choice}")
        return HORIZON + 1  # the first slate, before any step, is answered too

    return run


def recsim_ng_rows(seconds: float, windows: int) -> list[dict[str, Any]]:
    from recsim_ng.applications.recsys_partially_observable_rl.recommender import CollabFilteringRecommender

    random = random_slates()
    one_choice = "a user picks one item of the slate, or none; TensorFlow uses all cores"
    rows = []
    for name, recommender, n_items in [
        ("random slates", random, 100),
        ("random slates", random, 1_000),
        ("random slates", random, 4_000),
        ("its own recommender", CollabFilteringRecommender, 100),
        ("its own recommender", CollabFilteringRecommender, 1_000),
    ]:
        print(f"  RecSim NG: {n_items:,} items, {name}", file=sys.stderr, flush=True)
        run = interest_evolution(n_items, recommender)
        run()  # compiles
        steps_per_s = fastest(run, seconds, windows)
        rows.append(
            {
                "setting": f"{N_USERS:,} users, {n_items:,} items, slate {SLATE_SIZE}, {name}",
                "steps_per_s": steps_per_s,
                "responses_per_s": steps_per_s * N_USERS * SLATE_SIZE,
                "note": f"interest evolution story, fixed catalogue, 2 topics, graphs of {HORIZON} steps; {one_choice}",
            }
        )
    return rows


def single_user(n_items: int) -> Callable[[], int]:
    """The interest evolution environment of RecSim; the callable makes one step, resets included."""
    from recsim.environments import interest_evolution as environment

    env = environment.create_environment({"num_candidates": n_items, "slate_size": SLATE_SIZE, "resample_documents": False, "seed": 0})
    env.reset()
    rng = np.random.default_rng(0)
    slates = cycle([rng.choice(n_items, SLATE_SIZE, replace=False) for _ in range(1_000)])

    def step() -> int:
        _, _, done, _ = env.step(next(slates))
        if done:
            env.reset()
        return 1

    return step


def recsim_rows(seconds: float, windows: int) -> list[dict[str, Any]]:
    rows = []
    for n_items in (100, 1_000, 4_000):
        steps_per_s = fastest(single_user(n_items), seconds, windows)
        rows.append(
            {
                "setting": f"1 user, {n_items:,} items, slate {SLATE_SIZE}",
                "steps_per_s": steps_per_s,
                "responses_per_s": steps_per_s * SLATE_SIZE,
                "note": "interest_evolution, resample_documents=False (every observation holds the whole catalogue); "
                "a user picks one item of the slate, or none",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", choices=["recsim-ng", "recsim"], default="recsim-ng")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one window")
    parser.add_argument("--windows", type=int, default=3, help="windows per setting; the fastest counts")
    options = parser.parse_args()
    measured = recsim_ng_rows if options.library == "recsim-ng" else recsim_rows
    rows = measured(options.seconds, options.windows)
    print(json.dumps({"version": version(options.library), "rows": rows}))


if __name__ == "__main__":
    main()
