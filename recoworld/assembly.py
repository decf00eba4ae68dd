"""A world put together from names: the one place where data sets, simulators and the core meet."""

from __future__ import annotations

import json
from functools import lru_cache
from inspect import isclass, isfunction
from typing import Any

from recoworld.configs import WorldConfig
from recoworld.datasets import load_dataset
from recoworld.datasets.cache import cached_arrays
from recoworld.errors import ConfigError
from recoworld.registry import SIMULATORS
from recoworld.types import UserSimulator
from recoworld.users import Dataset, Split
from recoworld.world import World


def make_world(config: WorldConfig | None = None, **settings: Any) -> World:
    """A world out of a config or of settings by name (`recoworld.configs.WorldConfig`).

    The data set and the fitted simulator are kept for the next call. Raises ConfigError, UnknownName, DatasetError.
    """
    config = config or WorldConfig.of(**settings)
    settings_of = json.dumps(_simulator_settings(config), sort_keys=True)
    dataset, split, simulator = _people(config.dataset, config.data_dir, config.split_seed, config.simulator, settings_of)
    return World(
        dataset,
        split,
        simulator,
        reward=config.reward,
        slate_size=config.slate_size,
        max_turns=config.max_turns,
        history_length=config.history_length,
        instruction_turns=config.instruction_turns,
    )


def _simulator_settings(config: WorldConfig) -> dict[str, Any]:
    """The simulator's own settings. Raises ConfigError where `llm` is said twice, differently."""
    own = config.simulator_config
    if config.llm is None:
        return own
    if own.get("llm", config.llm) != config.llm:
        raise ConfigError(f"llm: got {config.llm!r} and simulator_config['llm'] = {own['llm']!r}; expected one of them")
    return {**own, "llm": config.llm}


@lru_cache(maxsize=2)
def _people(dataset: str, data_dir: str | None, seed: int, simulator: str, settings: str) -> tuple[Dataset, Split, UserSimulator]:
    data = load_dataset(dataset, data_dir=data_dir)
    split = data.split(seed=seed)
    build: Any = SIMULATORS[simulator]
    makes: bool = isfunction(build) or isclass(build)
    if not makes and "llm" in json.loads(settings):
        raise ConfigError(f"llm: simulator {simulator!r} is made already; expected a function that takes settings")
    people = build(data, split, json.loads(settings), cached=cached_arrays) if makes else build
    if not isinstance(people, UserSimulator):
        got = type(people).__name__
        raise ConfigError(f"simulator {simulator!r}: got {got}; expected a function (dataset, split, settings, *, cached) -> UserSimulator")
    return data, split, people
