"""What every slate environment must hold to. Subclass it in a test module of your own:

    class TestMine(EnvTests):
        env_id = "RecoWorld-Mini-v0"
        settings = {"simulator": "my_package.mine:build"}

The single environment is made by `gym.make`, the vector environment by `gym.make_vec`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from recoworld.envs.codec import observe
from recoworld.errors import ConfigError, InvalidSlate, SessionOver, UnknownName
from recoworld.testing.simulators import arrays
from recoworld.types import Observations
from recoworld.world import World

_TRIVIAL = np.array([-1, 0, 0.5, 1], np.float32)  # a hidden and a visible array may share them by chance


class EnvTests:
    """Conformance suite: pytest collects the tests of a subclass that names its `env_id`."""

    env_id: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Arguments of `gym.make`."""
    n_envs: ClassVar[int] = 3
    n_steps: ClassVar[int] = 60
    """Steps of the comparison between the vector and the single environment; enough for several sessions."""

    def make(self, **settings: Any) -> gym.Env[Any, Any]:
        """The single environment."""
        if not self.env_id:
            raise NotImplementedError(f"{type(self).__name__}: set env_id to the id of the environment under test")
        return gym.make(self.env_id, **{**self.settings, **settings})

    def make_vec(self, num_envs: int, **settings: Any) -> Any:
        """The native vector environment."""
        return gym.make_vec(self.env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **{**self.settings, **settings})

    def test_gymnasium_accepts_it(self) -> None:
        """`check_env`, warnings being errors."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(self.make().unwrapped, skip_render_check=True)

    def test_the_same_seed_gives_the_same_sessions(self) -> None:
        """Two environments, bit for bit, over several sessions each; another seed gives others."""
        one, two, other = (_played(self.make(), seed, self.n_steps) for seed in (3, 3, 4))
        for mine, theirs in zip(one, two, strict=True):
            _same(mine, theirs)
        assert any(not np.array_equal(mine[0]["history"], theirs[0]["history"]) for mine, theirs in zip(one, other, strict=True))

    def test_resetting_without_a_seed_goes_on_to_other_sessions(self) -> None:
        """Episodes of one seed differ, and come in the same order each time."""

        def users() -> list[str]:
            env = self.make()
            return [env.reset(seed=5)[1]["user"], *(env.reset()[1]["user"] for _ in range(7))]

        first = users()
        assert len(set(first)) > 1
        assert first == users()

    @pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
    def test_the_vector_environment_is_many_single_ones(self, mode: AutoresetMode) -> None:
        """Observations, rewards, ends and infos, step by step and bit for bit, across resets."""
        vector, singles = self.make_vec(self.n_envs, autoreset_mode=mode), [self.make() for _ in range(self.n_envs)]
        together, infos = vector.reset(seed=7)
        ended, ends = np.zeros(self.n_envs, bool), 0
        for i, env in enumerate(singles):
            _same(env.reset(seed=7 + i)[0], _row(together, i))
        vector.action_space.seed(0)
        for _ in range(self.n_steps):
            actions = vector.action_space.sample()
            together, rewards, terminated, truncated, infos = vector.step(actions)
            for i, env in enumerate(singles):
                if mode == AutoresetMode.NEXT_STEP and ended[i]:
                    observation, info = env.reset()
                    reward, over = 0.0, (False, False)
                else:
                    observation, reward, *over, info = env.step(actions[i])  # type: ignore[assignment]  # two booleans
                    _same_info(info, infos["final_info"] if any(over) and mode == AutoresetMode.SAME_STEP else infos, i)
                assert reward == rewards[i]
                assert tuple(over) == (terminated[i], truncated[i])
                if mode == AutoresetMode.SAME_STEP and any(over):
                    _same(observation, infos["final_obs"][i])
                    observation, info = env.reset()
                _same(observation, _row(together, i))
                assert info["user"] == infos["user"][i]
            ended = terminated | truncated
            ends += int(ended.sum())
        assert ends > self.n_envs, "too few sessions ended to tell; raise n_steps"

    def test_observations_are_inside_the_space(self) -> None:
        """Of the single environment and of the vector environment, dtypes included."""
        env = self.make()
        for observation, *_ in _played(env, 1, self.n_steps):
            _inside(observation, env.observation_space)
        vector = self.make_vec(16)
        seen, _ = vector.reset(seed=0)
        for _ in range(self.n_steps // 2):
            _inside(seen, vector.observation_space)
            seen, *_ = vector.step(vector.action_space.sample())

    @pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
    def test_observations_are_never_written_to_again(self, mode: AutoresetMode) -> None:
        """Who keeps them for training need not copy them."""
        vector = self.make_vec(8, autoreset_mode=mode)
        seen, infos = vector.reset(seed=0)
        kept = [(seen, _copied(seen))]
        for _ in range(30):
            seen, rewards, _, _, infos = vector.step(vector.action_space.sample())
            kept.append((seen, _copied(seen)))
            kept.append(({"rewards": rewards}, {"rewards": rewards.copy()}))
            kept += [(final, _copied(final)) for final in infos.get("final_obs", []) if final is not None]
        for given, copy in kept:
            _same(given, copy)
        env = self.make()
        for observation, copy in [(turn[0], _copied(turn[0])) for turn in _played(env, 0, 5)]:
            env.reset()
            _same(observation, copy)

    def test_nothing_hidden_is_observed(self) -> None:
        """Other mindsets give the same observations, and no number of a mindset appears in any."""
        vector = self.make_vec(16)
        seen, _ = vector.reset(seed=0)
        vector.action_space.seed(0)
        for _ in range(6):
            seen, *_ = vector.step(vector.action_space.sample())
            world: World = vector.unwrapped.world
            hidden = arrays(world.state.mindset)
            for name, value in hidden.items():
                secret = value.reshape(len(value), 1, -1)
                for key in seen.keys() - {"profile"}:
                    found = (seen[key].reshape(len(value), -1, 1) == secret).any(axis=1) & ~np.isin(secret[:, 0], _TRIVIAL)
                    assert value.dtype != np.float32 or found.mean(axis=0).max() < 0.5, f"{key} holds numbers of the mindset's {name}"
            np.testing.assert_array_equal(seen["profile"], world.dataset.users.features[world.state.history.users])
            state, shown = world.snapshot(), observe(world)
            other = {name: value[::-1].copy() for name, value in hidden.items()}
            world.restore(replace(state, mindset=replace(state.mindset, **other)))
            _same(observe(world), shown)
            world.restore(state)

    def test_slates_that_cannot_be_shown_are_refused(self) -> None:
        """InvalidSlate, and nothing has happened."""
        env, twin = self.make(), self.make()
        env.reset(seed=0)
        twin.reset(seed=0)
        world: World = env.unwrapped.world  # type: ignore[attr-defined]  # of our environments
        k, n_items = world.slate_size, len(world.catalog)
        good = np.arange(k)
        for bad in _broken(k, n_items):
            with pytest.raises(InvalidSlate):
                env.unwrapped.step(bad)
        _same(env.step(good)[0], twin.step(good)[0])
        vector = self.make_vec(2)
        vector.reset(seed=0)
        for bad in _broken(k, n_items):
            with pytest.raises(InvalidSlate):
                vector.step(np.stack([good, bad]) if np.shape(bad) == (k,) and np.asarray(bad).dtype != bool else bad)

    def test_bad_slots_cost_reward_where_that_is_asked_for(self) -> None:
        """With on_invalid="penalise" each costs `invalid_penalty`; the rest of the slate is shown as it is."""
        env = self.make(on_invalid="penalise", invalid_penalty=2.0)
        env.reset(seed=0)
        world: World = env.unwrapped.world  # type: ignore[attr-defined]  # of our environments
        k, n_items = world.slate_size, len(world.catalog)
        good = np.arange(k)
        cases = [(good, 0), (np.concatenate([[n_items], good[1:]]), 1), (good[:-1], 1)]
        cases += [(np.zeros(k, np.int64), k - 1), (np.full(k, -5), k), (np.arange(k + 2), 2)]
        for slate, faults in cases:
            env.reset(seed=0)
            observation, reward, _, _, info = env.unwrapped.step(slate)
            worth = sum(info["reward_parts"][name] * weight for name, weight in world.reward.weights.items())
            assert reward == pytest.approx(worth - 2.0 * faults, abs=1e-4)
            shown = observation["slate"] - 1
            assert len(set(shown.tolist())) == k
            kept = [i for i in range(min(k, len(slate))) if 0 <= slate[i] < n_items and slate[i] not in slate[:i]]
            np.testing.assert_array_equal(shown[kept], slate[kept])

    def test_no_step_before_the_first_reset_or_after_the_end(self) -> None:
        """SessionOver."""
        env = self.make().unwrapped
        slate = np.arange(env.world.slate_size)  # type: ignore[attr-defined]  # of our environments
        with pytest.raises(SessionOver):
            env.step(slate)
        env.reset(seed=0)
        while not any(env.step(env.action_space.sample())[2:4]):
            pass
        with pytest.raises(SessionOver):
            env.step(slate)
        env.reset()
        env.step(slate)

    def test_a_user_can_be_chosen(self) -> None:
        """By id; an unknown one and an unknown option are told."""
        env = self.make().unwrapped
        ids = env.world.dataset.users.ids  # type: ignore[attr-defined]  # of our environments
        for user in (ids[0], ids[-1], ids[len(ids) // 2]):
            assert env.reset(seed=0, options={"user": str(user)})[1]["user"] == user
        with pytest.raises(UnknownName):
            env.reset(options={"user": "nobody of this name"})
        with pytest.raises(ConfigError):
            env.reset(options={"users": "1"})


def _played(env: gym.Env[Any, Any], seed: int, steps: int) -> list[tuple[Observations, float, bool, bool]]:
    """Random slates, a new session after each end."""
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(0)
    out = [(observation, 0.0, False, False)]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        out.append((observation, float(reward), terminated, truncated))
        if terminated or truncated:
            out.append((env.reset()[0], 0.0, False, False))
    return out


def _broken(k: int, n_items: int) -> list[Any]:
    good = np.arange(k)
    out = [good[:-1], np.arange(k + 1), good.astype(np.float64), good[None], np.int64(0), np.array(["a"] * k), np.full(k, None), good > 0]
    for slot, item in ((0, n_items), (k - 1, -1), (0, 2**62), (k - 1, -(2**62))):
        bad = good.copy()
        bad[slot] = item
        out.append(bad)
    return out if k == 1 else [*out, np.zeros(k, np.int64), np.concatenate([good[:-1], good[:1]])]


def _inside(observation: Observations, space: Any) -> None:
    assert observation.keys() == space.spaces.keys()
    for key, value in observation.items():
        assert space[key].dtype == value.dtype, f"{key} is {value.dtype}; its space says {space[key].dtype}"
        assert space[key].contains(value), f"{key} is outside {space[key]}: {value}"


def _row(observations: Observations, i: int) -> Observations:
    return {key: value[i] for key, value in observations.items()}


def _copied(observation: Observations) -> Observations:
    return {key: value.copy() for key, value in observation.items()}


def _same(got: Any, expected: Any) -> None:
    if isinstance(got, tuple):
        assert got[1:] == expected[1:]
        got, expected = got[0], expected[0]
    assert got.keys() == expected.keys()
    for key, value in got.items():
        same: bool = value.dtype == expected[key].dtype and value.tobytes() == expected[key].tobytes()
        if not same:
            np.testing.assert_array_equal(value, expected[key], err_msg=key, strict=True)
            pytest.fail(f"{key} differs in its bytes")


def _same_info(info: dict[str, Any], infos: dict[str, Any], i: int) -> None:
    assert info["instruction"] == infos["instruction"][i]
    assert info["user"] == infos["user"][i]
    parts: dict[str, NDArray[Any]] = infos["reward_parts"]
    assert info["reward_parts"] == {name: float(values[i]) for name, values in parts.items()}
