"""Wrappers: continuous actions, candidate sets, embedded instructions; single and vector alike."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from recoworld.envs.wrappers import Candidates, TopK, Words, hashed_words
from recoworld.errors import ConfigError, InvalidSlate
from recoworld.policies import make_policy

ENV = "RecoWorld-Mini-v0"
KINDS = ["top-k", "candidates", "words"]


def wrapped(kind: str, env):
    if kind == "top-k":
        return TopK(env)
    if kind == "words":
        return Words(env)
    world = env.unwrapped.world
    retriever = make_policy("popularity")
    retriever.fit(world.dataset, world.split)
    return Candidates(env, retriever, m=50)


@pytest.mark.parametrize("kind", ["top-k", "words"])
def test_gymnasium_accepts_the_wrapped_environment(kind: str) -> None:
    env = gym.wrappers.PassiveEnvChecker(wrapped(kind, gym.make(ENV)))  # check_env would make the environment anew, without the wrapper
    env.reset(seed=0)
    env.action_space.seed(0)
    env.step(env.action_space.sample())


@pytest.mark.parametrize("kind", KINDS)
def test_the_vector_environment_does_what_the_single_one_does(kind: str) -> None:
    single, vector = wrapped(kind, gym.make(ENV)), wrapped(kind, gym.make_vec(ENV, num_envs=3))
    seen, _ = single.reset(seed=5)
    together, _ = vector.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(6):
        for key, value in seen.items():
            np.testing.assert_array_equal(value, together[key][2])
        assert seen in single.observation_space
        assert together in vector.observation_space
        if kind == "top-k":
            actions = rng.uniform(-1, 1, (3, single.action_space.shape[0])).astype(np.float32)
        else:
            actions = np.stack([rng.choice(50, 10, replace=False) for _ in range(3)])
        seen, reward, terminated, truncated, _ = single.step(actions[2])
        together, rewards, *_ = vector.step(actions)
        assert reward == rewards[2]
        if terminated or truncated:
            break


def test_top_k_shows_the_items_nearest_to_the_proto_action_best_first() -> None:
    env = TopK(gym.make(ENV))
    env.reset(seed=0)
    features = env.unwrapped.world.catalog.features
    proto = features[7]
    seen, *_ = env.step(proto)
    scores = features @ proto
    shown = scores[seen["slate"] - 1]
    assert (np.diff(shown) <= 1e-6).all()
    assert shown.min() >= np.sort(scores)[-10] - 1e-6


def test_candidates_are_the_retrievers_and_are_what_is_shown() -> None:
    env = wrapped("candidates", gym.make(ENV))
    seen, _ = env.reset(seed=0)
    assert len(set(seen["candidates"].tolist())) == 50
    after, *_ = env.step(np.arange(10, 20))
    np.testing.assert_array_equal(after["slate"], seen["candidates"][10:20])


def test_positions_beyond_the_candidates_are_an_invalid_slate() -> None:
    env = wrapped("candidates", gym.make(ENV))
    env.reset(seed=0)
    with pytest.raises(InvalidSlate):
        env.step(np.arange(45, 55))


def test_words_embed_the_instruction_in_force_and_nothing_else() -> None:
    env = Words(gym.make_vec(ENV, num_envs=64))
    seen, _ = env.reset(seed=0)
    assert not seen["instruction_words"].any()
    for _ in range(5):
        seen, *_ = env.step(env.action_space.sample())
        given = seen["instruction_code"][:, 0] > 0
        np.testing.assert_array_equal(seen["instruction_words"].any(axis=1), given)
    assert given.any()


def test_hashed_words_tell_sentences_apart_and_know_the_same_one_again() -> None:
    a, b, c = hashed_words(["More comedy, please.", "more COMEDY please", "Please stop showing me horror."])
    np.testing.assert_array_equal(a, b)
    assert a @ c < 0.6
    assert np.linalg.norm(a) == pytest.approx(1.0)


def test_wrong_wrappings_say_what_was_expected() -> None:
    with pytest.raises(ConfigError, match="expected an environment made by"):
        TopK(gym.make("CartPole-v1"))
    with pytest.raises(ConfigError, match="one row an item"):
        TopK(gym.make(ENV), np.ones((3, 4)))
    with pytest.raises(ConfigError, match="candidates"):
        Candidates(gym.make(ENV), make_policy("random"), m=3)


@pytest.mark.parametrize("kind", ["top-k", "candidates"])
@pytest.mark.parametrize("action", [None, "x", [[1, 2], [3]], np.ones(3), np.full(28, np.nan), [], np.ones((2, 28))])
def test_broken_actions_are_refused_in_our_own_words(kind: str, action: object) -> None:
    env = wrapped(kind, gym.make(ENV))
    env.reset(seed=0)
    with pytest.raises(InvalidSlate):
        env.step(action)


def test_one_users_bad_position_is_its_own_affair() -> None:
    env = wrapped("candidates", gym.make_vec(ENV, num_envs=3, on_invalid="penalise"))
    env.reset(seed=0)
    actions = np.stack([np.arange(10)] * 3)
    actions[1, 4] = 99
    other = wrapped("candidates", gym.make_vec(ENV, num_envs=3, on_invalid="penalise"))
    other.reset(seed=0)
    _, fine, *_ = other.step(np.stack([np.arange(10)] * 3))
    _, rewards, *_ = env.step(actions)
    assert rewards[[0, 2]].tolist() == fine[[0, 2]].tolist()
    assert rewards[1] < fine[1]


def test_what_is_seen_of_ended_sessions_is_not_wrapped_wrongly() -> None:
    with pytest.raises(ConfigError, match="NextStep"):
        Words(gym.make_vec(ENV, num_envs=2, autoreset_mode="SameStep"))
