"""The environments against their conformance suite, and the ways in: entry point, `gym.make_vec`, spaces."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from recoworld.envs.register import IDS
from recoworld.envs.slate import SlateEnv
from recoworld.envs.spaces import SlateSpace
from recoworld.envs.vector import SlateVectorEnv
from recoworld.errors import ConfigError, SessionOver, UnknownName
from recoworld.testing.envs import EnvTests
from recoworld.types import LEVELS

MINI = "RecoWorld-Mini-v0"


class TestMini(EnvTests):
    env_id = MINI


class TestShortSlates(EnvTests):
    """One slot, few turns, no past."""

    env_id = MINI
    settings: ClassVar[dict[str, Any]] = {"slate_size": 1, "max_turns": 3, "history_length": 0, "users": "all"}


class TestML1M(EnvTests):
    env_id = "RecoWorld-ML1M-v0"
    n_steps = 40

    @pytest.fixture(autouse=True)
    def _real(self, ml1m_dir: Path) -> None:
        """Skips without the data."""

    def test_the_catalogue_is_the_real_one(self) -> None:
        world = self.make().unwrapped.world
        assert (len(world.dataset.users), len(world.catalog)) == (6040, 3883)


# ways in


def test_gym_make_needs_no_import_of_ours(tmp_path: Path) -> None:
    """Gymnasium finds the ids by itself where the package is installed."""
    try:
        importlib.metadata.distribution("recoworld")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("recoworld is on the path, but not installed as a distribution: there is no entry point to test")
    script = f"import gymnasium as gym; env = gym.make('{MINI}'); env.reset(seed=0); env.step(env.action_space.sample())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(IDS))
def test_every_id_is_registered_with_both_ways_in(name: str) -> None:
    spec = gym.spec(name)
    assert spec.entry_point == "recoworld.envs.slate:SlateEnv"
    assert spec.vector_entry_point == "recoworld.envs.vector:SlateVectorEnv"


def test_make_vec_makes_the_native_vector_environment() -> None:
    env = gym.make_vec(MINI, num_envs=5)
    assert isinstance(env.unwrapped, SlateVectorEnv)
    assert env.num_envs == 5
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    observations, infos = env.reset(seed=0)
    assert observations["slate"].shape == (5, 10)
    assert infos["user"].shape == (5,)
    actions = env.action_space.sample()
    assert actions.shape == (5, 10)
    _, rewards, terminated, truncated, infos = env.step(actions)
    assert rewards.dtype == np.float64
    assert terminated.dtype == truncated.dtype == np.bool_
    assert set(infos["reward_parts"]) == {"engagement", "watch", "retention", "instruction"}


def test_make_vec_with_copies_of_the_single_environment_does_the_same() -> None:
    native, copies = gym.make_vec(MINI, num_envs=2), gym.make_vec(MINI, num_envs=2, vectorization_mode="sync")
    seen, _ = native.reset(seed=3)
    theirs, _ = copies.reset(seed=3)
    native.action_space.seed(0)
    for _ in range(20):
        for key, value in seen.items():
            np.testing.assert_array_equal(value, theirs[key], err_msg=key, strict=True)
        actions = native.action_space.sample()
        seen, rewards, *ends, _ = native.step(actions)
        theirs, others, *their_ends, _ = copies.step(actions)
        np.testing.assert_array_equal(rewards, others)
        np.testing.assert_array_equal(ends, their_ends)


def test_autoreset_disabled_waits_for_a_masked_reset() -> None:
    env = SlateVectorEnv(4, autoreset_mode="Disabled", dataset="mini", max_turns=2, simulator_config={"leave_base": -30.0})
    with pytest.raises(SessionOver):
        env.step(np.tile(np.arange(10), (4, 1)))
    with pytest.raises(ConfigError, match="all environments first"):
        env.reset(options={"reset_mask": np.array([True, False, False, False])})
    env.reset(seed=0)
    slates = np.tile(np.arange(10), (4, 1))
    env.step(slates)
    before, _, _, truncated, _ = env.step(slates)
    assert truncated.all()
    with pytest.raises(SessionOver, match="reset_mask"):
        env.step(slates)
    mask = np.array([True, False, True, False])
    after, infos = env.reset(options={"reset_mask": mask})
    assert (after["turn"][mask] == 0).all()
    np.testing.assert_array_equal(after["turn"][~mask], before["turn"][~mask])
    single = gym.make(MINI, max_turns=2)
    single.reset(seed=2)
    assert single.reset()[1]["user"] == infos["user"][2]


def test_sessions_end_by_leaving_or_at_max_turns() -> None:
    loyal, gone = {"leave_base": -30.0}, {"leave_base": 20.0, "talkative": 0.0}
    env = gym.make(MINI, max_turns=3, simulator_config=loyal)
    env.reset(seed=0)
    assert [env.step(np.arange(10))[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    env = gym.make(MINI, max_turns=1, simulator_config=gone)
    env.reset(seed=0)
    assert env.step(np.arange(10))[2:4] == (True, False)  # who leaves with the last slate has left


def test_rewards_are_chosen_by_config() -> None:
    env = gym.make(MINI, reward={"diversity": 2.0, "engagement": 0.0})
    env.reset(seed=0)
    _, reward, *_, info = env.step(np.arange(10))
    assert set(info["reward_parts"]) == {"diversity", "engagement"}
    assert reward == pytest.approx(2 * info["reward_parts"]["diversity"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"slate_sise": 5}, "did you mean 'slate_size'"),
        ({"slate_size": 0}, "slate_size"),
        ({"slate_size": 10**6}, "slate_size"),
        ({"max_turns": 2.5}, "max_turns"),
        ({"on_invalid": "ignore"}, "penalise"),
        ({"invalid_penalty": float("nan")}, "invalid_penalty"),
        ({"users": "testing"}, "test"),
        ({"reward": {"click": 1.0}}, "engagement"),
        ({"simulator_config": {"click_bias": 1}}, "did you mean 'click_base'"),
        ({"config": "impatiens"}, "did you mean 'impatient'"),
        ({"dataset": "minni"}, "did you mean 'mini'"),
    ],
)
def test_wrong_settings_say_what_was_expected(settings: dict[str, Any], said: str) -> None:
    with pytest.raises((ConfigError, UnknownName), match=said):
        gym.make(MINI, **settings)


def test_an_unknown_render_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="'ansi' or 'human'"):
        SlateEnv(dataset="mini", render_mode="rgb_array")
    with pytest.raises(ConfigError, match=r"gym\.make"):
        SlateVectorEnv(dataset="mini", render_mode="ansi")


def test_the_observation_tells_the_instruction_in_force() -> None:
    """Kind as one of six, its content, its age; the text is in the info when it is said."""
    env = gym.make_vec(MINI, num_envs=128)
    env.reset(seed=0)
    catalog, told = env.unwrapped.world.catalog, 0
    for _ in range(8):
        seen, _, terminated, truncated, infos = env.step(env.action_space.sample())
        code, features = seen["instruction_code"], seen["instruction"]
        given = code[:, 0] > 0
        assert not features[~given].any()
        np.testing.assert_array_equal(features[given, :6].argmax(axis=1) + 1, code[given, 0])
        np.testing.assert_allclose(features[given, -1], 1 / (1 + code[given, 3]))
        fresh = (infos["instruction"] != "") & ~terminated & ~truncated
        assert (code[fresh, 3] == 0).all()
        assert given[fresh].all()
        for row in np.flatnonzero(given & (code[:, 1] == 1)):
            assert features[row, 6:-2].argmax() == code[row, 2] < len(catalog.genre_names)
        told += int(given.sum())
    assert told > 50


def test_info_and_observation_name_no_level_of_the_mindset() -> None:
    env = gym.make(MINI, simulator_config={"leave_base": -30.0})
    seen, info = env.reset(seed=0)
    for _ in range(3):
        assert not {*LEVELS, "mindset", "taste", "persona", "hazard", "interest", "satiation"} & {*seen, *info}
        seen, *_, info = env.unwrapped.step(np.arange(10))


# spaces


@pytest.mark.parametrize(("n_items", "k"), [(3883, 10), (10, 10), (12, 10), (2, 1)])
def test_samples_are_slates(n_items: int, k: int) -> None:
    space = SlateSpace(n_items, k, seed=0)
    samples = [space.sample() for _ in range(300)]
    for sample in samples:
        assert sample.dtype == np.int64
        assert sample in space
        assert len(set(sample.tolist())) == k
    assert set(np.concatenate(samples).tolist()) <= set(range(n_items))
    counts = np.bincount(np.concatenate(samples), minlength=n_items)
    if n_items <= 12:
        assert counts.min() > 0.5 * counts.mean()


def test_batched_samples_are_slates_too() -> None:
    space = SlateSpace(50, 10, n=64, seed=1)
    sample = space.sample()
    assert sample.shape == (64, 10)
    assert sample in space
    again = SlateSpace(50, 10, n=64, seed=1).sample()
    np.testing.assert_array_equal(sample, again)


@pytest.mark.parametrize("slate", [[0, 0, 1], [0, 1, 5], [-1, 1, 2], [0, 1], [0, 1, 2, 3], [0.5, 1, 2], "abc", None])
def test_what_is_no_slate_is_outside_the_space(slate: Any) -> None:
    assert not SlateSpace(5, 3).contains(slate if slate is None or isinstance(slate, str) else np.array(slate))
    assert SlateSpace(5, 3).contains(np.array([4, 0, 2]))
