"""The environment of a training run as RLlib wants it: `SlateVectorEnv` seen through a view, made by name on whatever machine runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorWrapper
from gymnasium.vector.utils import batch_space

from recoworld.configs.training import TrainConfig
from recoworld.envs.slate import SlateEnv
from recoworld.envs.vector import SlateVectorEnv
from recoworld.errors import MissingExtra
from recoworld.luck import combine
from recoworld.training.views import View, known_catalog
from recoworld.types import Observations, Slates
from recoworld.world import World

NAME = "recoworld"
"""What RLlib knows the environment by, once `register` has run."""


def register() -> None:
    """Tell RLlib of `NAME`; before an Algorithm is built or restored. Remote runners find `create` by importing it."""
    try:
        from ray.tune.registry import register_env
    except ImportError as error:
        raise MissingExtra("ray", "rllib", "training") from error
    register_env(NAME, create)


def env_config(config: TrainConfig, view: View) -> dict[str, Any]:
    """The ``env_config`` of `NAME`: plain values, as RLlib ships them to its runners."""
    return {"world": {**config.world, "users": "train"}, "observation": view.observation, "action": view.action}


def create(context: Mapping[str, Any]) -> ViewedVectorEnv | ViewedEnv:
    """The environment of an `env_config`: `num_envs` sessions side by side where that is among the keys, else one.

    Raises ConfigError, UnknownName, DatasetError.
    """
    view, world = View(context["observation"], context["action"]), dict(context["world"])
    if "num_envs" in context:
        return ViewedVectorEnv(SlateVectorEnv(int(context["num_envs"]), **world), view)
    return ViewedEnv(SlateEnv(**world), view)


class ViewedVectorEnv(VectorWrapper):
    """Sessions side by side (autoreset NEXT_STEP), with the view's observations and actions. Infos are left out: nothing reads them,
    and RLlib would take each apart in Python.
    """

    env: SlateVectorEnv

    def __init__(self, env: SlateVectorEnv, view: View) -> None:
        super().__init__(env)
        self.view, self._catalog = view, known_catalog(env.world.dataset, env.world.split)
        self._last: Observations = {}
        self.single_observation_space, self.single_action_space = view.observation_space(env.world), view.action_space(env.world)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    @property
    def world(self) -> World:
        """The world behind it."""
        return self.env.world

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Open the sessions. One seed stands for `num_envs` unrelated ones, for RLlib gives runner `i` the seed ``seed + i``."""
        if isinstance(seed, int | np.integer):
            seeds = combine(int(seed), np.arange(self.num_envs)) >> np.uint64(1)
            seed = seeds.astype(np.int64).tolist()
        self._last, _ = self.env.reset(seed=seed, options=options)
        return self.view.encode(self._last, self._catalog), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Show what the actions ``[num_envs, ...]`` mean."""
        self._last, rewards, terminated, truncated, _ = self.env.step(self.view.decode(actions, self._last, self._catalog))
        return self.view.encode(self._last, self._catalog), rewards, terminated, truncated, {}


class ViewedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """One session, with the view's observations and actions."""

    env: SlateEnv

    def __init__(self, env: SlateEnv, view: View) -> None:
        super().__init__(env)
        self.view, self._catalog = view, known_catalog(env.world.dataset, env.world.split)
        self._last: Observations = {}
        self.observation_space, self.action_space = view.observation_space(env.world), view.action_space(env.world)

    @property
    def world(self) -> World:
        """The world behind it."""
        return self.env.world

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Open a session."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Show what the action means."""
        slates: Slates = self.view.decode(np.asarray(action)[None], self._last, self._catalog)
        observation, reward, terminated, truncated, info = self.env.step(slates[0])
        return self._seen(observation), reward, terminated, truncated, info

    def _seen(self, observation: Observations) -> Any:
        self._last = {key: value[None] for key, value in observation.items()}
        encoded = self.view.encode(self._last, self._catalog)
        return observation if isinstance(encoded, dict) else encoded[0]
