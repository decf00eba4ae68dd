"""Other ways to act and to see, each for the single and for the vector environment: wrap what `gym.make` or `gym.make_vec` gives.

- `TopK`: a continuous proto-action picks the nearest items (Dulac-Arnold et al. 2015, "Wolpertinger").
- `Candidates`: a retriever proposes, the agent chooses among its candidates.
- `Words`: the instruction in force as an embedding of its sentence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from recoworld.errors import ConfigError, InvalidSlate
from recoworld.instructions import sentence
from recoworld.luck import Luck, combine
from recoworld.slates import as_array
from recoworld.types import Floats, Recommender, Slates
from recoworld.world import World

Embedder = Callable[[list[str]], Floats]
AnyEnv = gym.Env[Any, Any] | VectorEnv[Any, Any, Any]


class TopK:
    """Action: a float32 vector ``[d]`` in [-1, 1]; shown are the k items whose vectors have the largest dot product with it."""

    def __new__(cls, env: AnyEnv, vectors: Floats | None = None) -> Any:
        """vectors: item embeddings ``[n_items, d]``, by default `Catalog.features`. Raises ConfigError for another shape."""
        world = _world(env)
        table = world.catalog.features if vectors is None else np.asarray(vectors, np.float32)
        if table.ndim != 2 or len(table) != len(world.catalog) or not np.isfinite(table).all():
            raise ConfigError(f"vectors: got shape {table.shape}; expected finite numbers ({len(world.catalog)}, d), one row an item")

        def act(proto: Any) -> Slates:
            array = np.atleast_2d(as_array(proto, "a proto-action"))
            if array.dtype.kind not in "iuf" or array.shape != (_users(world), table.shape[1]) or not np.isfinite(array).all():
                raise InvalidSlate(f"a proto-action is {array.dtype} {array.shape}; expected {table.shape[1]} finite numbers for each user")
            scores = array.astype(np.float32) @ table.T
            k = world.slate_size
            top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            return np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable"), axis=1)

        return _wrapped(env, action_space=spaces.Box(-1.0, 1.0, (table.shape[1],), np.float32), act=act)


class Candidates:
    """Action: positions ``[k]`` among `m` proposed items; "candidates" joins the observation, int32 ``[m]``, index + 1."""

    def __new__(cls, env: AnyEnv, retriever: Recommender, m: int = 100, *, seed: int = 0) -> Any:
        """retriever: a fitted policy; asked before every slate. Raises ConfigError for m out of range."""
        world = _world(env)
        if not world.slate_size <= m <= len(world.catalog):
            raise ConfigError(f"m: got {m}; expected {world.slate_size} (the slate) to {len(world.catalog)} (the catalogue) candidates")
        proposed = np.zeros((0, m), np.int64)

        def see(observation: dict[str, Any]) -> dict[str, Any]:
            nonlocal proposed
            n = len(observation["slate"])
            history = world.state.history
            luck = Luck(combine(seed, history.users, history.turn))
            proposed = retriever.recommend({**observation, "slate": np.zeros((n, m), np.int32)}, luck)  # a slate of m slots
            return {**observation, "candidates": (proposed + 1).astype(np.int32)}

        def act(positions: Any) -> Slates:
            chosen = np.atleast_2d(as_array(positions, "positions"))
            if chosen.dtype.kind not in "iu" or chosen.ndim != 2 or len(chosen) != len(proposed):
                raise InvalidSlate(f"positions are {chosen.dtype} {chosen.shape}; expected integers 0 to {m - 1}, a row for each user")
            outside = (chosen < 0) | (chosen >= m)
            taken = np.take_along_axis(proposed, np.where(outside, 0, chosen).astype(np.int64), axis=1)
            return np.where(outside, -1, taken)  # the environment judges those

        action = spaces.MultiDiscrete(np.full(world.slate_size, m))
        box = spaces.Box(0, len(world.catalog), (m,), np.int32)
        return _wrapped(env, action_space=action, act=act, see=see, seen={"candidates": box})


class Words:
    """The observation gains "instruction_words", float32 ``[e]``: the embedded sentence of the instruction in force, zeros for none."""

    def __new__(cls, env: AnyEnv, embed: Embedder | None = None) -> Any:
        """embed: sentences -> float32 ``[n, e]``, e.g. a sentence-transformer's encode; by default `hashed_words`."""
        world, embedder = _world(env), embed or hashed_words
        size = np.asarray(embedder(["how long?"])).shape[1]

        def see(observation: dict[str, Any]) -> dict[str, Any]:
            standing = world.state.history.standing
            out = np.zeros((len(standing.kind), size), np.float32)
            rows = np.flatnonzero(standing.kind)
            if rows.size:
                out[rows] = embedder([sentence(standing, int(row), world.catalog) for row in rows])
            return {**observation, "instruction_words": out}

        return _wrapped(env, see=see, seen={"instruction_words": spaces.Box(-np.inf, np.inf, (size,), np.float32)})


def hashed_words(sentences: list[str], size: int = 64) -> Floats:
    """Signed feature hashing of words (Weinberger et al. 2009), rows of length 1, float32 ``[n, size]``: an embedding without a model."""
    out = np.zeros((len(sentences), size), np.float32)
    for row, text in enumerate(sentences):
        for word in "".join(c if c.isalnum() else " " for c in text.lower()).split():
            code = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
            out[row, code % size] += 1 if code >> 63 else -1
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9).astype(np.float32)


Act = Callable[[Any], Slates]
See = Callable[[dict[str, Any]], dict[str, Any]]


def _world(env: AnyEnv) -> World:
    world = getattr(env.unwrapped, "world", None)
    if not isinstance(world, World):
        raise ConfigError(f"got {env}; expected an environment made by gym.make('RecoWorld-...') or gym.make_vec")
    return world


def _users(world: World) -> int:
    return len(world.state.history.users)


def _wrapped(
    env: AnyEnv, *, action_space: Any = None, act: Act | None = None, see: See | None = None, seen: dict[str, Any] | None = None
) -> Any:
    """`env` with other actions and a larger observation; `act` and `see` work on batches ``[n, ...]``."""
    if see is not None and isinstance(env, VectorEnv) and env.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP:
        raise ConfigError("autoreset_mode SameStep replaces the sessions whose last observation would be wrapped; expected NextStep")
    wrapper = _Vector(env, act, see) if isinstance(env, VectorEnv) else _Single(env, act, see)
    single = env.single_observation_space if isinstance(env, VectorEnv) else env.observation_space
    observation = spaces.Dict({**single.spaces, **(seen or {})})  # type: ignore[attr-defined]  # ours is a Dict
    if isinstance(wrapper, _Vector):
        wrapper.single_observation_space = observation
        wrapper.observation_space = batch_space(observation, wrapper.num_envs)
        if action_space is not None:
            wrapper.single_action_space, wrapper.action_space = action_space, batch_space(action_space, wrapper.num_envs)
    else:
        wrapper.observation_space = observation
        if action_space is not None:
            wrapper.action_space = action_space
    return wrapper


class _Single(gym.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: gym.Env[Any, Any], act: Act | None, see: See | None) -> None:
        super().__init__(env)
        self._act, self._see = act, see

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        return self._seen(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, *rest = self.env.step(action if self._act is None else self._act(action)[0])
        return (self._seen(observation), *rest)  # type: ignore[return-value]  # the rest is passed on

    def _seen(self, observation: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if self._see is None:
            return observation
        return {key: value[0] for key, value in self._see({key: value[None] for key, value in observation.items()}).items()}


class _Vector(VectorWrapper):
    def __init__(self, env: VectorEnv[Any, Any, Any], act: Act | None, see: See | None) -> None:
        super().__init__(env)
        self._act, self._see = act, see

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        return (observation if self._see is None else self._see(observation)), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observation, *rest = self.env.step(actions if self._act is None else self._act(actions))
        return (observation if self._see is None else self._see(observation), *rest)
