"""REINFORCE with top-K correction and SlateQ: what they compute, against closed forms and brute force, and that both learn on `mini`."""

from __future__ import annotations

import os

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

from itertools import combinations
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
rllib = pytest.importorskip("ray.rllib")

from gymnasium import spaces
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.learner import AddOneTsToEpisodesAndTruncate
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from recoworld.policies.neural import choice
from recoworld.training.responses import RESPONSE, responses_connector

# RLlib registers its environment anew with each Algorithm, and leaves files open
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Overriding environment:UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

K = 2
SPACE = spaces.Dict({"turn": spaces.Box(0, 99, (1,), np.float32), "feedback": spaces.Box(0, 99, (K, 6), np.float32)})
ACTIONS = spaces.MultiDiscrete([50] * K)


def episode(first: int, turns: int, *, terminated: bool = False, id_: str | None = None) -> SingleAgentEpisode:
    """Observation t holds ``first + t`` everywhere, action t ``first + t``."""

    def seen(t: int) -> dict[str, Any]:
        return {"turn": np.full(1, first + t, np.float32), "feedback": np.full((K, 6), first + t, np.float32)}

    return SingleAgentEpisode(
        id_=id_,
        observations=[seen(t) for t in range(turns + 1)],
        actions=[np.full(K, first + t) for t in range(turns)],
        rewards=[float(first + t) for t in range(turns)],
        terminated=terminated,
        observation_space=SPACE,
        action_space=ACTIONS,
        len_lookback_buffer=0,
    ).to_numpy()


# responses


@pytest.mark.parametrize("longer", [False, True])
def test_responses_stand_beside_their_actions(longer: bool) -> None:
    config = PPOConfig().learners(learner_connector=responses_connector)
    pipeline = config.build_learner_connector(SPACE, ACTIONS)
    if longer:
        pipeline.prepend(AddOneTsToEpisodesAndTruncate())
    whole = episode(30, 5)
    episodes = [whole[:2], episode(10, 3, terminated=True), whole[2:]]  # two parts of one, as a group of learners may get them
    shared: dict[str, Any] = {}
    spec = RLModuleSpec(module_class=_NoMemory, observation_space=SPACE, action_space=ACTIONS)
    module = MultiRLModule(rl_module_specs={DEFAULT_MODULE_ID: spec})
    batch = pipeline(rl_module=module, batch={}, episodes=episodes, shared_data=shared)[DEFAULT_MODULE_ID]
    response, actions = batch[RESPONSE].numpy(), batch[Columns.ACTIONS].numpy()
    real = batch[Columns.LOSS_MASK].numpy() if longer else np.ones(8, np.bool_)
    assert response.shape == (11 if longer else 8, K, 6)
    assert response.dtype == np.float32
    np.testing.assert_array_equal(actions[real][:, 0], [30, 31, 10, 11, 12, 32, 33, 34])
    np.testing.assert_array_equal(response[real][:, 0, 0], actions[real][:, 0] + 1)
    np.testing.assert_array_equal(batch[Columns.OBS]["turn"].numpy()[real][:, 0], actions[real][:, 0])


class _NoMemory(TorchRLModule):
    def setup(self) -> None:
        pass


# slates under the conditional logit


def choices(seed: int, n: int = 40, n_items: int = 7) -> tuple[torch.Tensor, ...]:
    """Logits and values of items, and of none: float64 ``[n, n_items]`` and ``[n]``."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(0, 2, (n, n_items)), rng.normal(1, 2, (n, n_items)), rng.normal(0, 2, n), rng.normal(1, 2, n)
    return tuple(torch.as_tensor(part) for part in parts)


def worth(slate: Any, logits: Any, values: Any, null: Any, null_value: Any) -> float:
    """Q(A) of one row's slate, by its definition."""
    v = np.exp(logits[list(slate)])
    return float((v @ values[list(slate)] + np.exp(null) * null_value) / (v.sum() + np.exp(null)))


def rows(parts: tuple[torch.Tensor, ...]) -> Any:
    return zip(*(part.numpy() for part in parts), strict=True)


def test_choice_probabilities() -> None:
    logits, null = torch.tensor([[0.0, np.log(2.0)]]), torch.tensor([np.log(5.0)])
    np.testing.assert_allclose(choice.log_choice(logits, null).exp(), [[1 / 8, 2 / 8, 5 / 8]], rtol=1e-6)
    value = choice.slate_value(logits, torch.tensor([[8.0, 4.0]]), null, torch.tensor([16.0]))
    np.testing.assert_allclose(value, [1 + 1 + 10], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_the_linear_program_finds_the_best_slate(k: int) -> None:
    parts = choices(k)
    slates = choice.lp(*parts, k).numpy()
    for slate, row in zip(slates, rows(parts), strict=True):
        assert len(set(slate)) == k
        assert worth(slate, *row) == pytest.approx(max(worth(other, *row) for other in combinations(range(7), k)))


def test_the_linear_program_is_one() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    parts, k = choices(11, n=10, n_items=30), 4
    for slate, row in zip(choice.lp(*parts, k).numpy(), rows(parts), strict=True):
        logits, values, null, null_value = row
        v, v_0 = np.exp(logits), np.exp(null)
        # over y = t x and t: maximise sum v Q y + v_0 Q_0 t with sum v y + v_0 t = 1, sum y = k t, 0 <= y <= t
        solved = optimize.linprog(
            -np.append(v * values, v_0 * null_value),
            A_ub=np.hstack([np.eye(30), -np.ones((30, 1))]),
            b_ub=np.zeros(30),
            A_eq=np.vstack([np.append(v, v_0), np.append(np.ones(30), -k)]),
            b_eq=[1, 0],
        )
        assert worth(slate, *row) == pytest.approx(-solved.fun)
        assert set(slate) == set(np.flatnonzero(solved.x[:-1] > solved.x[-1] / 2))


def test_greedy_takes_the_best_next_item() -> None:
    parts = choices(3)
    for slate, row in zip(choice.greedy(*parts, 3).numpy(), rows(parts), strict=True):
        taken: list[int] = []
        for _ in range(3):
            taken.append(max(set(range(7)) - set(taken), key=lambda item: worth([*taken, item], *row)))
        assert list(slate) == taken


def test_greedy_is_not_always_best() -> None:
    parts = choices(4, n=200)
    greedy, best = choice.greedy(*parts, 3).numpy(), choice.lp(*parts, 3).numpy()
    gaps = [worth(b, *row) - worth(g, *row) for g, b, row in zip(greedy, best, rows(parts), strict=True)]
    assert min(gaps) > -1e-9
    assert max(gaps) > 1e-3


def test_top_sorts_by_weight_times_value() -> None:
    logits, values, null, null_value = choices(5)
    slates = choice.top(logits, values.abs(), null, null_value, 3).numpy()
    np.testing.assert_array_equal(slates, np.argsort(-(logits.exp() * values.abs()).numpy(), axis=1)[:, :3])


@pytest.mark.parametrize("name", ["top", "greedy", "lp"])
def test_what_is_out_of_the_question_comes_last(name: str) -> None:
    logits, values, null, null_value = choices(6)
    logits[:, :4] = -1e4  # met; the other three are worth less than nothing
    values[:, 4:] = -5.0
    slates = choice.OPTIMISERS[name](logits.float(), values.float(), null.float(), null_value.float(), 4).numpy()
    assert all({4, 5, 6} < set(slate) and len(set(slate)) == 4 for slate in slates.tolist())
