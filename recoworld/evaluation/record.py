"""Sessions in full, for reading and replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.evaluation.table import Ints
from recoworld.types import Recommender
from recoworld.world import World


def record(path: Path, world: World, policy: Recommender, users: Ints, seeds: NDArray[Any], *, policy_seed: int = 0) -> None:
    raise NotImplementedError
