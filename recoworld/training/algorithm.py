"""What `recoworld train` knows of a training algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from recoworld.configs.training import TrainConfig
from recoworld.training.views import View


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """One entry of `recoworld.registry.ALGORITHMS`."""

    settings: type[BaseModel]
    """What `TrainConfig.settings` may hold."""
    view: View
    """How the environment looks to it."""
    build: Callable[[TrainConfig, Any], Any]
    """(config, its settings) -> RLlib's AlgorithmConfig with module, losses and learning rates; `recoworld.training.launch` adds
    environment, runners, learners, seed and fault tolerance."""
    prepare: Callable[[Any, TrainConfig, Any, Path], None] | None = None
    """(that AlgorithmConfig, config, settings, the run's folder), before the algorithm is built: makes what it needs there."""
