"""From RLlib's nested results to the figures of one iteration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from recoworld.errors import TrainingFailed
from recoworld.training.records import Record


def figures(result: Mapping[str, Any], steps_before: int) -> Record:
    """`episodes` ended in the iteration, their mean `return` and `length` (None where there are none), `loss` and all else that the
    learners tell, and `new_steps` of the environments. Raises TrainingFailed for a return or a loss that is not finite.
    """
    runners = result.get("env_runners", {})
    episodes = _number(runners.get("num_episodes")) or 0
    total = _number(runners.get("num_env_steps_sampled_lifetime"))
    out: Record = {
        "new_steps": max(0, int(total or 0) - steps_before),
        "episodes": int(episodes),
        "return": _number(runners.get("episode_return_mean")) if episodes else None,
        "length": _number(runners.get("episode_len_mean")) if episodes else None,
    }
    learner = _learner(result.get("learners", {}))
    losses = {"return": out["return"], **{name: value for name, value in learner.items() if "loss" in name}}
    wrong = [f"{name} = {value}" for name, value in losses.items() if value is not None and not math.isfinite(value)]
    if wrong:
        raise TrainingFailed(f"{', '.join(wrong)}; expected finite numbers: try a lower settings.lr, or look at the rewards")
    return out | {"loss": learner.get("total_loss"), "learner": {name: value for name, value in learner.items() if math.isfinite(value)}}


def _learner(modules: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of the one module that is trained."""
    own = next((value for name, value in modules.items() if not name.startswith("__") and isinstance(value, Mapping)), {})
    numbers = {name: _number(value) for name, value in sorted(own.items()) if not name.endswith("_throughput")}
    return {name: value for name, value in numbers.items() if value is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None or isinstance(value, Mapping):
        return None
    try:
        return float(np.asarray(value.detach().cpu() if hasattr(value, "detach") else value))
    except (TypeError, ValueError):
        return None
