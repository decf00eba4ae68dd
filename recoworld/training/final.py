"""What a trained policy is worth: points of the curve on validation users, and the judgement on test users."""

from __future__ import annotations

import json
import math
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recoworld.assembly import make_world
from recoworld.configs.training import TrainConfig
from recoworld.errors import MissingExtra
from recoworld.evaluation import Leaderboard, evaluate
from recoworld.evaluation.intervals import resample
from recoworld.evaluation.plan import plan
from recoworld.evaluation.rollout import rollout
from recoworld.files import replacing
from recoworld.policies import make_policy
from recoworld.policies.rllib import PREFIX
from recoworld.training.checkpoints import Reached
from recoworld.training.records import Record
from recoworld.training.watch import Watcher

FINAL = "final.json"


def point(config: TrainConfig, module: Any) -> Record:
    """Sessions of validation users with a module as it is: ``{"mean", "low", "high"}`` of the return, and `turns`.

    The bounds are None where there are none: of a single user.
    """
    from recoworld.training.serving import policy_of

    points, settings = config.evaluation, config.world_config("validation")
    world = make_world(settings)
    todo = plan(settings, world, users=points.users, seeds=1, seed=points.seed, group="validation")
    policy = policy_of(config, module)
    policy.fit(world.dataset, world.split)
    table = rollout(world, policy, *todo.sessions, policy_seed=points.seed)
    interval = resample(table.returned, table.user, seed=points.seed).interval()
    low, high = (bound if math.isfinite(bound) else None for bound in (interval.low, interval.high))
    return {"mean": interval.mean, "low": low, "high": high, "turns": float(table.turns.mean())}


def best(curve: list[Record]) -> Record:
    """The point of the highest mean, the later of two equal ones: validation users choose among the policies of a run."""
    return max(reversed(curve), key=lambda point: point["mean"])


def kept(config: TrainConfig, curve: list[Record]) -> Record:
    """The point whose policy is kept."""
    return best(curve) if config.evaluation.keep == "best" else curve[-1]


def opponents(config: TrainConfig) -> tuple[list[str], list[str]]:
    """The policies to be held against, and a note for each that is not installed. Raises UnknownName, ConfigError."""
    names, notes = [], []
    for name in config.final.against:
        try:
            make_policy(name)
        except MissingExtra as error:
            notes.append(f"{name} is left out of the final evaluation: {error}")
        else:
            names.append(name)
    return list(dict.fromkeys(names)), notes


def judge(
    config: TrainConfig, out: Path, reached: Reached, curve: list[Record], watcher: Watcher
) -> tuple[dict[str, Any] | None, Leaderboard]:
    """Evaluate ``OUT/policy`` beside its opponents and write leaderboard.json, leaderboard.csv and final.json; None if interrupted."""
    names, _ = opponents(config)
    board = evaluate(
        config.world_config("test"),
        [f"rllib:{out}", *names],
        users=config.final.users,
        seeds=config.final.seeds,
        seed=config.final.seed,
        group="test",
        out=out,
        fresh=_judged_otherwise(config, out),
        progress=watcher.judging,
    )
    if board.interrupted:
        return None, board
    final = verdict(config, board.rows, f"rllib:{out}") | {
        "seconds": curve[-1]["seconds"] if curve else reached.seconds,
        "env_steps": reached.env_steps,
        "iterations": reached.iteration,
        "before_training": curve[0] | {"users": "validation"} if curve else None,
        "after_training": kept(config, curve) | {"users": "validation"} if curve else None,
        "seed": config.seed,
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("ray", "torch", "numpy")},
        },
    }
    with replacing(out / FINAL) as part:
        part.write_text(json.dumps(final, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.chmod(0o644)
    return final, board


def verdict(config: TrainConfig, rows: list[Record], trained: str) -> dict[str, Any]:
    """A leaderboard's rows as final.json sums them up: the trained policy's and those of `Final.against`; others may lie there, too.

    `gap_closed` is (trained - best untrained) / (oracle - best untrained), by means: 1 is the oracle, below 0 is worse than the best
    untrained; None where there is no oracle, no untrained policy, or no gap.
    """

    def line(row: Record | None) -> Record | None:
        return None if row is None else {"policy": row["policy"], **row["return"]}

    ours = next(row for row in rows if row["policy"] == trained)
    rows = [row for row in rows if row["policy"] in config.final.against]
    best = next((row for row in rows if not row["policy"].startswith(PREFIX) and not row["privileged"]), None)  # rows are in order
    oracle = next((row for row in rows if row["policy"] == "oracle"), None)
    closed = None
    if best is not None and oracle is not None and oracle["return"]["mean"] > best["return"]["mean"]:
        gap = oracle["return"]["mean"] - best["return"]["mean"]
        closed = (ours["return"]["mean"] - best["return"]["mean"]) / gap
    return {
        "policy": config.algorithm,
        "return": ours["return"],
        "best_untrained": line(best),
        "oracle": line(oracle),
        "gap_closed": closed,
    }


def _judged_otherwise(config: TrainConfig, out: Path) -> bool:
    """Whether an evaluation under other settings lies there: then it is made anew."""
    from recoworld.version import __version__

    try:
        there = json.loads((out / "leaderboard.json").read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    final = config.final
    world = make_world(config.world_config("test"))
    now = plan(config.world_config("test"), world, users=final.users, seeds=final.seeds, seed=final.seed, group="test").settings
    return bool(there != json.loads(json.dumps(now)) or there.get("version") != __version__)
