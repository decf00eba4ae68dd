"""A thousand broken inputs: actions, settings, ids, seeds, presets. Each gives one of our own errors, and nothing has happened then.

Broken files are in the tests of their loaders.
"""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.configs import WorldConfig
from recoworld.envs.slate import SlateEnv
from recoworld.errors import RecoWorldError
from recoworld.policies import make_policy
from recoworld.rewards import Reward
from recoworld.simulators.config import BehavioralConfig

ENV = "RecoWorld-Mini-v0"


def junk(rng: random.Random, depth: int = 0) -> Any:
    """Any value that a user, a config file or a buggy policy may hand over."""
    makers = [
        lambda: None,
        lambda: rng.choice([True, False]),
        lambda: rng.choice([0, -1, 1, 7, 2**31, 2**63, -(2**63), 2**70, 10**30]),
        lambda: rng.choice([0.0, -0.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")]),
        lambda: "".join(rng.choice(string.printable) for _ in range(rng.randrange(12))),
        lambda: rng.choice(["", "raise", "test", "../../etc/passwd", "a:b", ":", "a:b:c", "os:system", "ease+instruct", "\x00", "é" * 40]),
        lambda: b"\xff\xfe",
        lambda: object(),
        lambda: np.float32(rng.random()),
        lambda: np.array(rng.choice([[], [1, 2, 3], [[1], [2]], ["a"], [None], [1.5]]), dtype=object if rng.random() < 0.2 else None),
    ]
    if depth < 2:
        makers.append(lambda: [junk(rng, depth + 1) for _ in range(rng.randrange(4))])
        makers.append(lambda: {str(junk(rng, 2))[:12]: junk(rng, depth + 1) for _ in range(rng.randrange(3))})
    return rng.choice(makers)()


def broken_slate(rng: random.Random, n_items: int) -> Any:
    """Nearly a slate: one thing about it is wrong."""
    good = np.array(rng.sample(range(n_items), 10))
    how = rng.randrange(9)
    if how == 0:
        return good[: rng.randrange(10)]
    if how == 1:
        return np.append(good, good[: rng.randrange(1, 5)])
    if how == 2:
        good[rng.randrange(10)] = rng.choice([-1, n_items, n_items + 5, -(2**62), 2**62])
        return good
    if how == 3:
        good[3] = good[rng.choice([0, 1, 2, 4, 9])]
        return good
    if how == 4:
        return good.astype(rng.choice([np.float32, np.float64, np.complex64, np.str_, object, "datetime64[s]", np.bool_]))
    if how == 5:
        return good[None].repeat(rng.randrange(2, 4), axis=0)
    if how == 6:
        return good.astype(np.uint64) + np.uint64(2**63)
    if how == 7:
        return [*good[:9].tolist(), rng.choice([None, "x", 1.5, [], object(), 10**30])]
    return junk(rng)


def state_of(world: Any) -> tuple[Any, ...]:
    state = world.state
    return state.history.turn.tolist(), state.history.items.tobytes(), state.mindset.levels.tobytes(), state.history.exposures.tobytes()


@pytest.mark.parametrize("on_invalid", ["raise", "penalise"])
def test_no_broken_slate_gets_past_the_environment(on_invalid: str) -> None:
    rng = random.Random(1)
    env = gym.make(ENV, on_invalid=on_invalid).unwrapped
    env.reset(seed=0)
    refused = 0
    for case in range(400):
        before = state_of(env.world)
        try:
            _, reward, terminated, truncated, _ = env.step(broken_slate(rng, len(env.world.catalog)))
        except RecoWorldError:
            refused += 1
            assert state_of(env.world) == before
        else:
            assert on_invalid == "penalise"
            assert reward < 10
            if terminated or truncated:
                env.reset(seed=case)
    assert refused == 400 if on_invalid == "raise" else refused > 50


def test_no_broken_batch_gets_past_the_vector_environment() -> None:
    rng = random.Random(2)
    env = gym.make_vec(ENV, num_envs=3).unwrapped
    env.reset(seed=0)
    for _ in range(200):
        before = state_of(env.world)
        good = np.stack([np.array(rng.sample(range(len(env.world.catalog)), 10)) for _ in range(3)])
        bad: Any = [good[0], good[1], broken_slate(rng, len(env.world.catalog))]
        with pytest.raises(RecoWorldError):
            env.step(bad if rng.random() < 0.5 else junk(rng))
        assert state_of(env.world) == before


def test_no_broken_setting_makes_a_world() -> None:
    rng = random.Random(3)
    names = [*WorldConfig.model_fields, "on_invalid", "invalid_penalty", "render_mode", "slate_sise", "config"]
    made = 0
    for _ in range(400):
        settings = {rng.choice(names): junk(rng) for _ in range(rng.randrange(1, 3))}
        settings.pop("dataset", None) if rng.random() < 0.5 else None
        try:
            SlateEnv(**settings)  # gym.make looks at render_mode itself
            made += 1  # None and the like are what the defaults say
        except RecoWorldError as error:
            assert len(str(error)) > 15
    assert made < 150


def test_no_broken_coefficient_makes_a_simulator_and_no_broken_weight_a_reward() -> None:
    rng = random.Random(4)
    fields = [*BehavioralConfig.model_fields, "leave_bse", ""]
    for _ in range(300):
        for build in (BehavioralConfig.of, Reward):
            try:
                build({rng.choice(fields if build is not Reward else ["engagement", "watch", "wach", ""]): junk(rng)})
            except RecoWorldError as error:
                assert len(str(error)) > 15


def test_no_broken_name_makes_a_policy_a_data_set_or_a_preset(tmp_path: Path) -> None:
    rng = random.Random(5)
    for _ in range(300):
        name = rng.choice([str(junk(rng)), "ease+", "+instruct", "random+instruct", "os:getcwd", "json:nothing", "no_such_module:X"])
        for make in (make_policy, lambda name: make_world(dataset=name), lambda name: WorldConfig.of(name or "x")):
            try:
                make(name)
            except RecoWorldError as error:
                assert len(str(error)) > 15
    for content in (b"", b"- 1\n- 2", b"a: [", b"\xff\xff", b"1: 2", b"slate_size: x", b"!!python/object/apply:os.system ['true']"):
        preset = tmp_path / "preset.yaml"
        preset.write_bytes(content)
        with pytest.raises(RecoWorldError):
            WorldConfig.of(str(preset))


def test_no_broken_reset_opens_a_session() -> None:
    rng = random.Random(6)
    env = gym.make(ENV).unwrapped
    for _ in range(100):
        with pytest.raises(RecoWorldError):
            env.reset(options={"user": f"nobody {junk(rng)!r}"})
        with pytest.raises(RecoWorldError):
            env.reset(options={"usr": junk(rng)})
    world = env.world
    for _ in range(200):
        try:
            world.reset(junk(rng), junk(rng))
        except RecoWorldError as error:
            assert len(str(error)) > 15
