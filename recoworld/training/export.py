"""The trained policy, out of RLlib: the module as it is now, and the folder ``policy/``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from recoworld.configs.training import TrainConfig

POLICY = "policy"


def live_module(algorithm: Any) -> Any:
    """The RLModule with the learners' newest weights: the driver's env runner's, or a copy of the learner's where nothing is sampled."""
    from ray.rllib.core import DEFAULT_MODULE_ID

    runner, group = algorithm.env_runner, algorithm.learner_group
    if runner is None or runner.module is None:
        return next(iter(group.foreach_learner(lambda learner: learner.module[DEFAULT_MODULE_ID]))).get()
    state = group.get_state(components="learner/rl_module", inference_only=True)
    runner.module.set_state(state["learner"]["rl_module"][DEFAULT_MODULE_ID])  # asynchronous algorithms leave it behind
    return runner.module


def export(config: TrainConfig, algorithm: Any, out: Path) -> None:
    """Write ``OUT/policy``. Where its weights change, what was measured of the one before is forgotten."""
    from recoworld.training import serving

    part, there = out / f".{POLICY}.part", out / POLICY
    shutil.rmtree(part, ignore_errors=True)
    serving.export(config, live_module(algorithm), part)
    if _weights(part) != _weights(there):
        for old in (*out.glob("results/rllib-*.npz"), out / "final.json"):
            old.unlink(missing_ok=True)
    shutil.rmtree(there, ignore_errors=True)
    part.rename(there)


def _weights(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*.npz"))]
