"""Parameter-exploring gradients: the estimate against closed forms, the pairs it is made of, and that it learns on `mini`."""

# ruff: noqa: E402  # nothing of this can be imported without the extra

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")
pytest.importorskip("ray.rllib")

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.policies.neural.scorer import WIDE
from recoworld.training import launch
from recoworld.training.export import live_module
from recoworld.training.final import point
from recoworld.training.playing import played
from recoworld.training.seeding import seed_everything
from recoworld.training.slate_search import APART, pairs

# RLlib registers its environment anew with each Algorithm, and leaves files open
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Overriding environment:UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
CLICK = list(WIDE).index("click")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="rw", dir="/tmp") as folder:
        ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False, _temp_dir=folder)
        yield
        ray.shutdown()


def small(**changes: Any) -> TrainConfig:
    own = {"env_runners": {"envs": 32, "fragment": 20}, "evaluation.users": 60, "iterations": 3}
    return TrainConfig.of("mini-slate-search", own | changes)


def built(**changes: Any) -> Any:
    return launch.algorithm_config(small(**changes)).build_algo()


def session(draw: list[float], rewards: list[float], *, over: bool = True) -> SingleAgentEpisode:
    draws = [np.array(draw, np.float32)] * len(rewards)
    return SingleAgentEpisode(
        observations=[0] * (len(rewards) + 1),
        actions=[0] * len(rewards),
        rewards=rewards,
        extra_model_outputs={APART: draws},
        terminated=over,
        len_lookback_buffer=0,
    )


def test_pairs_are_the_sessions_opened_first_and_count_half_their_difference() -> None:
    up, down, other = [0.0, 1.0, -2.0], [0.0, -1.0, 2.0], [0.0, 0.5, 0.5]
    minus = [-0.0, -0.5, -0.5]
    rows = [
        session(up, [1.0, 2.0, 4.0]),
        session(up, [100.0]),  # the same row's second session
        session(up, [5.0], over=False),  # and its third, cut
        session(down, [1.0]),
        session(other, [2.0, 2.0]),
        session(other, [50.0], over=False),
        session(minus, [8.0]),
    ]
    draws, differences = pairs(rows)
    np.testing.assert_array_equal(draws, [up, other])
    np.testing.assert_array_equal(differences, [(7 - 1) / 2, (4 - 8) / 2])


@pytest.mark.parametrize(
    "rows", [[([0.0, 1.0], True), ([0.0, 1.5], True)], [([0.0, 1.0], True), ([0.0, -1.0], False)], [([0.0, 1.0], True)]]
)
def test_what_is_no_pair_is_refused(rows: list[tuple[list[float], bool]]) -> None:
    with pytest.raises(AssertionError, match="pairs"):
        pairs([session(draw, [1.0], over=over) for draw, over in rows])


def test_sessions_of_a_pair_have_opposite_draws_and_the_same_user(cluster: None) -> None:
    algorithm = built()
    episodes, _ = played(algorithm.env_runner_group, 1)
    draws, differences = pairs(episodes)
    assert draws.shape == (16, len(WIDE))
    assert not draws[:, CLICK].any()
    others = np.delete(draws, CLICK, axis=1)
    assert abs(others.mean()) < 4 / others.size**0.5
    assert others.std() == pytest.approx(1, abs=4 / (2 * others.size) ** 0.5)
    assert differences.any()
    firsts = [one for before, one in zip([None, *episodes], episodes, strict=False) if before is None or _draw(before) != _draw(one)]
    assert len(firsts) == 32
    for left, right in zip(firsts[::2], firsts[1::2], strict=True):
        for key in ("profile", "history"):
            np.testing.assert_array_equal(left.get_observations(0)[key], right.get_observations(0)[key], err_msg=key)
    assert all(_draw(one) == tuple(one.get_extra_model_outputs(APART, turn)) for one in episodes for turn in range(len(one)))
    algorithm.stop()


def _draw(one: SingleAgentEpisode) -> tuple[float, ...]:
    return tuple(one.get_extra_model_outputs(APART, 0))


def test_what_is_shown_follows_from_the_draw(cluster: None) -> None:
    """The slates of a session are the best ones of a policy whose weights are apart by just its draw."""
    algorithm = built(**{"settings.spread": 0.05})
    module = live_module(algorithm)
    episodes, _ = played(algorithm.env_runner_group, 1)
    wide, other = module.net.wide.detach().clone(), 0
    for one in episodes[:6]:
        seen = {key: torch.as_tensor(np.asarray(value))[None] for key, value in one.get_observations(0).items()}
        with torch.no_grad():
            usual = module.forward_inference({Columns.OBS: seen})[Columns.ACTIONS]
            module.net.wide.copy_(wide + 0.05 * torch.as_tensor(np.asarray(one.get_extra_model_outputs(APART, 0))))
            shown = module.forward_inference({Columns.OBS: seen})[Columns.ACTIONS]
            module.net.wide.copy_(wide)
        np.testing.assert_array_equal(shown[0], one.get_actions(0))
        other += int((shown != usual).any())
    assert other > 0
    algorithm.stop()


def test_a_step_is_the_least_squares_gradient(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns linear in the draws, and noise that pairs share: weights move by step * spread * slope / (1 + iteration / halve)."""
    slope = np.array([0.0, 2.0, -1.0, 0.5, 0.0, 3.0])
    algorithm = built(**{"settings.step": 2.0, "settings.halve": 4.0, "settings.spread": 0.02})
    rng = np.random.default_rng(0)
    episodes = []
    for draw in rng.normal(size=(20, len(WIDE))):
        draw[CLICK] = 0
        luck = rng.normal() * 100
        for sign in (1, -1):
            held = (sign * draw).astype(np.float32)
            episodes.append(session(held.tolist(), [luck, float(held @ slope)]))
    before = _wide(algorithm)
    algorithm._with_earlier(episodes)
    np.testing.assert_allclose(_wide(algorithm) - before, 2.0 * 0.02 * slope[None], atol=1e-6)
    monkeypatch.setattr(type(algorithm), "iteration", property(lambda self: 8))
    before = _wide(algorithm)
    algorithm._with_earlier(episodes)
    np.testing.assert_allclose(_wide(algorithm) - before, 2.0 * 0.02 / 3 * slope[None], atol=1e-6)
    monkeypatch.undo()
    algorithm.stop()


def _wide(algorithm: Any) -> Any:
    found = algorithm.learner_group.foreach_learner(lambda one: one.module[DEFAULT_MODULE_ID].net.wide.detach().numpy().copy())
    return next(iter(found)).get()


def test_training_goes_on_identically_from_a_checkpoint(cluster: None, tmp_path: Path) -> None:
    config = launch.algorithm_config(small())
    first = config.copy().build_algo()
    for iteration in range(3):
        if iteration == 2:
            first.save_to_path(str(tmp_path))
        seed_everything(first, 0, iteration)
        first.train()
    second = config.copy().build_algo()
    second.restore_from_path(str(tmp_path))
    seed_everything(second, 0, 2)
    second.train()
    there, here = (live_module(one).state_dict() for one in (first, second))
    for key, value in there.items():
        assert torch.equal(value, here[key]), key
    assert (there["net.wide"] != built_wide(config)).any()
    first.stop()
    second.stop()


def built_wide(config: Any) -> Any:
    algorithm = config.copy().build_algo()
    wide = live_module(algorithm).net.wide.detach().clone()
    algorithm.stop()
    return wide


def test_bad_weights_are_left_behind(cluster: None) -> None:
    """Something small to a threshold: who shows what is little known, or known by heart, unlearns it; intervals are disjoint."""
    config = small(**{"env_runners": {"envs": 128, "fragment": 20}, "settings.spread": 0.03})
    algorithm = launch.algorithm_config(config).build_algo()

    def spoil(learner: Any) -> None:
        for name in ("popularity", "known"):
            learner.module[DEFAULT_MODULE_ID].net.wide.data[0, list(WIDE).index(name)] = -0.1

    algorithm.learner_group.foreach_learner(spoil)
    algorithm.env_runner_group.sync_weights(from_worker_or_learner_group=algorithm.learner_group, inference_only=True)
    before = point(config, live_module(algorithm))
    for iteration in range(8):
        seed_everything(algorithm, 0, iteration)
        algorithm.train()
    after = point(config, live_module(algorithm))
    algorithm.stop()
    assert after["low"] > before["high"], f"{before} -> {after}"


@pytest.mark.parametrize("runners", [{"envs": 31, "fragment": 20}, {"envs": 32, "fragment": 19}])
def test_sessions_that_cannot_be_paired_are_refused(runners: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"env_runners: got envs .* expected an even number of sessions, played to their end in 20 steps"):
        launch.algorithm_config(small(env_runners=runners))
