"""Sessions in full, for reading and replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from recoworld.evaluation.rollout import play
from recoworld.evaluation.table import Ints
from recoworld.session import SessionLog, reasons_of
from recoworld.session_io import write_jsonl
from recoworld.types import Recommender
from recoworld.world import World


def record(path: Path, world: World, policy: Recommender, users: Ints, seeds: NDArray[Any], *, name: str, policy_seed: int = 0) -> None:
    """Play these sessions once more, which come out as in `recoworld.evaluation.rollout`, and write them as JSON lines."""
    world.reset(users, seeds)
    log = SessionLog(world, seeds, policy=name)
    for rows, turn, _ in play(world, policy, users, seeds, policy_seed=policy_seed):
        log.add(rows, turn, reasons=reasons_of(policy))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_jsonl(path, log)


def stored(path: Path) -> int:
    """How many sessions a file of them holds, 0 where there is none."""
    return sum(1 for line in path.open("rb") if line.strip()) if path.exists() else 0
