"""REINFORCE with top-K correction and SlateQ: what they compute, against closed forms and brute force, and that both learn on `mini`."""

# ruff: noqa: E402  # nothing of this can be imported without the extra

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")
pytest.importorskip("ray.rllib")

from gymnasium import spaces
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.learner import AddOneTsToEpisodesAndTruncate
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from recoworld.assembly import make_world
from recoworld.configs.training import TrainConfig
from recoworld.envs.codec import observe
from recoworld.policies.neural import choice
from recoworld.training import launch, slate_q
from recoworld.training.export import live_module
from recoworld.training.final import point
from recoworld.training.reinforce import top_k_loss
from recoworld.training.responses import RESPONSE, responses_connector
from recoworld.training.seeding import seed_everything
from recoworld.training.serving import chosen
from recoworld.training.views import SLATE

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


# REINFORCE


def drawn(n: int, n_items: int, k: int) -> tuple[torch.Tensor, ...]:
    """Scores ``[n, n_items]`` that want a gradient, slates, advantages, and log-probabilities under somewhat other scores."""
    rng = np.random.default_rng(n_items)
    scores = torch.tensor(rng.normal(0, 1, (n, n_items)), requires_grad=True)
    slates = torch.tensor(np.argsort(rng.random((n, n_items)), axis=1)[:, :k])
    before = scores.detach() + torch.tensor(rng.normal(0, 0.7, (n, n_items)))
    return scores, slates, torch.tensor(rng.normal(0, 1, n)), before.log_softmax(1).gather(1, slates)


def test_the_gradient_is_the_papers() -> None:
    scores, slates, advantages, behaviour = drawn(20, 6, 3)
    cap, k, caps = 1.2, 3, 0
    top_k_loss(scores, slates, torch.zeros_like(scores, dtype=torch.bool), advantages, behaviour, cap).sum().backward()
    for row in range(20):
        pi = np.exp(scores.detach().numpy()[row])
        pi /= pi.sum()
        expected = np.zeros(6)
        for slot, item in enumerate(slates[row].tolist()):
            ratio = pi[item] / np.exp(behaviour[row, slot].item())
            caps += ratio > cap
            weight = min(ratio, cap) * k * (1 - pi[item]) ** (k - 1) * advantages[row].item()
            expected += weight * (np.eye(6)[item] - pi) / k  # weight * grad log pi(item)
        np.testing.assert_allclose(-scores.grad[row], expected, atol=1e-12)
    assert 5 < caps < 55


def test_one_slot_and_fresh_data_are_plain_reinforce() -> None:
    scores, slates, advantages, _ = drawn(20, 6, 1)
    logs = scores.log_softmax(1).gather(1, slates)
    (plain,) = torch.autograd.grad(-(advantages * logs[:, 0]).sum(), scores, retain_graph=True)
    one_sort = torch.zeros_like(scores, dtype=torch.bool)
    (ours,) = torch.autograd.grad(top_k_loss(scores, slates, one_sort, advantages, logs.detach(), 20.0).sum(), scores)
    np.testing.assert_allclose(ours, plain, atol=1e-12)


# SlateQ's module


def small(name: str, **changes: Any) -> TrainConfig:
    """A training of seconds."""
    settings = {"epochs": 2, "minibatch": 40, "sizes": {"width": 8, "window": 8}, **changes}
    world = {"dataset": "mini", "max_turns": 5, "history_length": 50, "slate_size": 3}
    return TrainConfig.of(
        None,
        {"algorithm": name, "world": world, "settings": settings, "env_runners": {"envs": 16, "fragment": 5}, "iterations": 2},
    )


def module(**changes: Any) -> Any:
    """SlateQ's, untrained, and with weights that are not zero."""
    config = small("slate-q", **changes)
    algorithm, settings = launch.algorithm_of(config)
    world = make_world(config.world_config())
    made = {DEFAULT_MODULE_ID: (SLATE.observation_space(world), SLATE.action_space(world))}
    torch.manual_seed(0)
    module = algorithm.build(config, settings).get_rl_module_spec(spaces=made).build()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return module


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """Observations of four users after two turns, the last of whom is at the end."""
    world = make_world(dataset="mini", slate_size=3, max_turns=5, history_length=50)
    world.reset(np.array([3, 11, 40, 7]), np.array([1, 2, 3, 4]))
    for turn in range(2):
        world.step(np.arange(12).reshape(4, 3) * 7 + turn)
    seen = {key: torch.tensor(value) for key, value in observe(world).items()}
    seen["turn"][3] = 1.0
    return seen


def test_the_choice_is_one_of_the_clicked_or_none() -> None:
    clicked = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(slate_q.choices(clicked), [[0, 0.5, 0.5, 0], [0, 0, 0, 1], [1, 0, 0, 0]])


@pytest.mark.parametrize("learns", ["best", "shown"])
def test_the_value_of_a_turn(seen: dict[str, Any], learns: str) -> None:
    ours = module(learns=learns, optimiser="lp", shortlist=1000)
    shown, real = torch.tensor([[1, 2, 3]] * 4), torch.tensor([True, False, True, True])
    values = ours.compute_values({Columns.OBS: seen, Columns.ACTIONS: shown, Columns.LOSS_MASK: real})
    with torch.no_grad():
        parts = [part.double().numpy() for part in ours.judge(seen, target=True)]
        best = choice.lp(*ours.judge(seen, target=True), 3)
    for row in range(4):
        slate = shown[row] if learns == "shown" and real[row] else best[row]
        expected = worth(slate.tolist(), *(part[row] for part in parts)) if row < 3 else 0.0
        assert values[row].item() == pytest.approx(expected, rel=1e-4)


def test_the_target_network_follows_and_stays_with_the_learner(seen: dict[str, Any]) -> None:
    ours = module()
    before, learned = ours.judge(seen, target=True), ours.judge(seen)
    assert not any(parameter.requires_grad for parameter in ours.target.parameters())
    assert not torch.allclose(before[1], learned[1])
    old, new = ours.target["none"].weight.clone(), ours.none.weight
    ours.follow(0.25)
    np.testing.assert_allclose(ours.target["none"].weight, (0.75 * old + 0.25 * new).detach(), rtol=1e-6, atol=1e-8)
    ours.follow(1.0)
    for now, then in zip(ours.judge(seen, target=True), learned, strict=True):
        np.testing.assert_allclose(now, then.detach(), rtol=1e-5)
    acting = ours.get_state(inference_only=True)
    assert not any(name.startswith("target") for name in acting)
    assert any(name.startswith("target") for name in ours.get_state())


def test_exploration_is_noise_on_the_choice(seen: dict[str, Any]) -> None:
    calm, curious = module(temperature=0.0), module(temperature=2.0)
    batch = {Columns.OBS: seen}
    best = chosen(calm, {key: value.numpy() for key, value in seen.items()})
    np.testing.assert_array_equal(calm.forward_exploration(batch)[Columns.ACTIONS], best)
    slates = []
    for seed in (1, 1, 2):
        curious.reseed(seed)
        slates.append(curious.forward_exploration(batch)[Columns.ACTIONS].numpy())
    np.testing.assert_array_equal(slates[0], slates[1])
    assert (slates[0] != slates[2]).any()
    met = seen["history"].numpy() - 1
    assert not any(np.isin(slate, past).any() for slate, past in zip(slates[0], met, strict=True))


# training


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray, once for the module."""
    folder = tempfile.mkdtemp(prefix="rw-")  # short: sockets lie in it
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    yield
    ray.shutdown()


def iterate(algorithm: Any, iteration: int) -> dict[str, Any]:
    seed_everything(algorithm, 0, iteration)
    result: dict[str, Any] = algorithm.train()
    return result


def weights_of(algorithm: Any) -> dict[str, Any]:
    state: dict[str, Any] = algorithm.learner_group.get_state(components="learner/rl_module")["learner"]["rl_module"][DEFAULT_MODULE_ID]
    return {key: np.array(value) for key, value in state.items()}


CASES = [
    ("slate-reinforce", {}),
    ("slate-reinforce", {"replay": 1}),
    ("slate-q", {}),
    ("slate-q", {"replay": 1, "learns": "shown", "optimiser": "greedy", "shortlist": 20, "tau": 0.5, "target_every": 2, "lambda_": 0.5}),
]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_training_goes_on_identically_from_a_checkpoint(cluster: None, tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    config = launch.algorithm_config(small(name, **settings))
    first = config.copy().build_algo()
    before = weights_of(first)
    for iteration in range(2):
        learned = iterate(first, iteration)["learners"][DEFAULT_MODULE_ID]
        assert all(np.isfinite(float(value)) for key, value in learned.items() if "loss" in key)
    first.save_to_path(str(tmp_path))
    iterate(first, 2)
    after = weights_of(first)
    assert all(np.isfinite(value).all() for value in after.values())
    assert {key for key in before if (before[key] != after[key]).any()} >= {"net.wide", "net.items", "net.encoder.item.weight"}
    first.stop()
    second = config.copy().build_algo()
    second.restore_from_path(str(tmp_path))
    iterate(second, 2)
    for key, value in weights_of(second).items():
        np.testing.assert_array_equal(value, after[key], err_msg=key)
    second.stop()


@pytest.mark.parametrize(("name", "iterations", "lr"), [("slate-q", 4, 1e-3), ("slate-ppo", 12, 3e-4), ("slate-reinforce", 8, 1e-3)])
def test_who_knows_nothing_of_taste_learns_it(cluster: None, name: str, iterations: int, lr: float) -> None:
    """Something small to a threshold: intervals before and after are disjoint. A wrong sign anywhere would not pass."""
    config = TrainConfig.of(
        f"mini-{name}",
        {"settings.minibatch": 128, "settings.lr": lr, "env_runners": {"envs": 64, "fragment": 20}, "evaluation.users": 60},
    )
    algorithm = launch.algorithm_config(config).build_algo()

    def forget(learner: Any) -> None:
        """What the network knows of taste before it is trained."""
        net = learner.module[DEFAULT_MODULE_ID].net
        net.wide.data.zero_()

    algorithm.learner_group.foreach_learner(forget)
    algorithm.env_runner_group.sync_weights(from_worker_or_learner_group=algorithm.learner_group, inference_only=True)
    before = point(config, live_module(algorithm))
    for iteration in range(iterations):
        iterate(algorithm, iteration)
    after = point(config, live_module(algorithm))
    algorithm.stop()
    assert after["low"] > before["high"], f"{before} -> {after}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Data's, of itself
@pytest.mark.parametrize("name", ["slate-reinforce", "slate-q"])
def test_two_learners_and_two_remote_runners(cluster: None, name: str) -> None:
    config = small(name).model_dump()
    config["learners"]["num"] = config["env_runners"]["num"] = 2
    algorithm = launch.algorithm_config(TrainConfig.of(None, config)).build_algo()
    before = weights_of(algorithm)
    for iteration in range(2):
        result = iterate(algorithm, iteration)
    after = weights_of(algorithm)
    assert result["env_runners"]["num_env_steps_sampled_lifetime"] >= 2 * 2 * 16 * 5
    assert any((before[key] != after[key]).any() for key in before)
    states = [found.get() for found in algorithm.learner_group.foreach_learner(lambda one: one.module[DEFAULT_MODULE_ID].get_state())]
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key], err_msg=key)
    algorithm.stop()
