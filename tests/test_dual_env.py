"""Both views of a session: PettingZoo's own tests, the slate environment's outcomes, and a user played from outside."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from pettingzoo.test import api_test, seed_test

from recoworld.envs.dual import RECOMMENDER, USER, DualEnv
from recoworld.errors import ConfigError, InvalidSlate, SessionOver, UnknownName
from recoworld.instructions import FORMS
from recoworld.policies import make_policy
from recoworld.types import Act, Aspect, Kind

SIDES = {"both": {}, "recommender": {"user": "behavioral"}, "user": {"recommender": "popularity"}}


def made(**settings) -> DualEnv:
    return DualEnv(**{"dataset": "mini", "slate_size": 4, "max_turns": 5, **settings})


def action(**changes):
    return {"acts": [1, 2, 0, 3], "watch": [0.0, 0.5, 0.9, 1.0], "leave": 0, "form": 0, "value": 0, **changes}


@pytest.mark.parametrize("sides", SIDES)
def test_pettingzoo_accepts_it(sides: str) -> None:
    with warnings.catch_warnings():
        for advice in ("Observation is not a NumPy array", ".*should be gymnasium.spaces", "We recommend agents", ".*different"):
            warnings.filterwarnings("ignore", advice, UserWarning)
        api_test(made(**SIDES[sides]), num_cycles=30)
        seed_test(lambda: made(**SIDES[sides]), num_cycles=20)


def test_with_the_user_given_it_is_the_slate_environment() -> None:
    dual, slate = made(user="behavioral"), gym.make("RecoWorld-Mini-v0", slate_size=4, max_turns=5)
    slate.action_space.seed(0)
    for episode in range(4):
        dual.reset(seed=3 if episode == 0 else None)
        seen, info = slate.reset(seed=3 if episode == 0 else None)
        over = False
        while not over:
            mine, *_ = dual.last()
            for key, value in seen.items():
                np.testing.assert_array_equal(mine[key], value, strict=True)
            items = slate.action_space.sample()
            dual.step(items)
            seen, reward, terminated, truncated, info = slate.step(items)
            _, dual_reward, *ends, dual_info = dual.last()
            assert dual_reward == reward
            assert ends == [terminated, truncated]
            assert dual_info == {key: info[key] for key in dual_info}
            over = terminated or truncated


def test_what_the_user_does_is_what_the_recommender_sees() -> None:
    env = made()
    env.reset(seed=0)
    env.step(np.array([5, 6, 7, 8]))
    assert env.agent_selection == USER
    seen = env.observe(USER)
    np.testing.assert_array_equal(seen["slate"], [6, 7, 8, 9])
    np.testing.assert_array_equal(seen["slate_features"][:, :-1], env.world.catalog.features[5:9])
    assert env.observe(RECOMMENDER)["slate"].tolist() == [0, 0, 0, 0]
    genre = 1 + FORMS.index((Kind.MORE, Aspect.GENRE))
    env.step(action(form=genre, value=2))
    seen, reward, *_, info = env.last()
    np.testing.assert_allclose(seen["feedback"], [[0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0.5, 0], [0] * 6, [1, 1, 0, 0, 1, 0]], atol=1e-6)
    acts = seen["history_acts"][seen["history"] > 0][-4:]
    assert acts.tolist() == [Act.SKIPPED, Act.CLICKED, Act.UNSEEN, Act.LIKED]
    assert seen["instruction_code"].tolist() == [Kind.MORE, Aspect.GENRE, 2, 0]
    assert env.world.catalog.genre_names[2].lower() in info["instruction"].lower()
    assert reward == pytest.approx(sum(info["reward_parts"][name] * weight for name, weight in env.world.reward.weights.items()))


def test_a_user_may_speak_in_its_own_words() -> None:
    env = made(recommender="popularity")
    env.reset(seed=0)
    env.step(action(words="More comedy, please, by all means."))
    code = env.observe(USER)["instruction_code"].tolist()
    assert code[:3] == [Kind.MORE, Aspect.GENRE, env.world.catalog.genre_names.index("Comedy")]
    env.step(action(words="Mumble."))
    assert env.observe(USER)["instruction_code"].tolist() == [*code[:3], 1]


def test_leaving_ends_the_session_for_both_and_says_nothing() -> None:
    env = made()
    env.reset(seed=0)
    env.step(np.arange(4))
    env.step(action(leave=1, form=1))
    assert env.terminations == {RECOMMENDER: True, USER: True}
    assert env.observe(RECOMMENDER)["instruction_code"].tolist() == [0, 0, 0, 0]
    env.step(None)
    env.step(None)
    assert env.agents == []
    with pytest.raises(SessionOver):
        env.step(None)


def test_the_user_is_rewarded_for_doing_as_its_log_says() -> None:
    """By hand: two liked and two disliked items of the user's log; taking what it liked and leaving the rest is worth 1."""
    env = made()
    env.reset(seed=1)
    user = int(env.world.state.history.users[0])
    log = env.world.dataset.interactions
    rows = np.arange(log.indptr[user], log.indptr[user + 1])
    liked, disliked = (log.items[rows[env.world.dataset.liked[rows] == good]][:2].tolist() for good in (True, False))
    for acts, worth in (([2, 3, 1, 0], 1.0), ([1, 0, 2, 2], -1.0), ([2, 1, 1, 1], 0.5)):
        env.step(np.array([*liked, *disliked]))
        env.step(action(acts=acts))
        assert env.rewards[USER] == worth
    stranger = [item for item in range(50) if item not in log.items[rows]][:4]
    env.step(np.array(stranger))
    env.step(action())
    assert env.rewards[USER] == 0.0
    shared = made(user_reward="shared")
    shared.reset(seed=1)
    shared.step(np.arange(4))
    shared.step(action())
    assert shared.rewards[USER] == shared.rewards[RECOMMENDER] != 0


def test_it_is_rendered_as_text() -> None:
    env = made(render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == ""
    env.step(np.arange(4))
    env.step(action())
    assert "Turn 1 of 5" in env.render()


def test_a_fitted_policy_may_be_given() -> None:
    by_name = made(recommender="popularity")
    policy = make_policy("popularity")
    policy.fit(by_name.world.dataset, by_name.world.split)
    given = made(recommender=policy)
    for env in (by_name, given):
        env.reset(seed=4)
    np.testing.assert_array_equal(by_name.observe(USER)["slate"], given.observe(USER)["slate"])


def test_two_environments_with_users_from_outside_do_not_share_them() -> None:
    one, two = made(), made()
    for env in (one, two):
        env.reset(seed=0)
        env.step(np.arange(4))
    one.step(action(acts=[5, 5, 5, 5]))
    two.step(action(acts=[1, 1, 1, 1]))
    assert one.observe(RECOMMENDER)["feedback"][:, 3].tolist() == [1, 1, 1, 1]
    assert two.observe(RECOMMENDER)["feedback"][:, 3].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"acts": [1, 2]}, "acts"),
        ({"acts": [1, 2, 6, 0]}, "from 0 to 5"),
        ({"watch": [0.0, 0.0, 0.0, np.nan]}, "watch"),
        ({"watch": ["a"] * 4}, "watch"),
        ({"leave": 2}, "leave"),
        ({"form": 99}, "form"),
        ({"value": -1}, "value"),
        ({"words": 3}, "words"),
        ({"sing": 1}, "sing"),
    ],
)
def test_actions_that_are_none_are_told_and_nothing_has_happened(changes, what: str) -> None:
    env = made()
    env.reset(seed=0)
    env.step(np.arange(4))
    before = env.observe(USER)
    with pytest.raises(ConfigError, match=what):
        env.step(action(**changes))
    for key, value in env.observe(USER).items():
        np.testing.assert_array_equal(value, before[key])
    env.step(action())


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(ConfigError, match="nobody to play"):
        made(recommender="popularity", user="behavioral")
    with pytest.raises(ConfigError, match="user_reward"):
        made(user_reward="love")
    with pytest.raises(ConfigError, match="user='behavioral'"):
        made(simulator="behavioral")
    with pytest.raises(UnknownName):
        made(user="behavioural!")
    env = made()
    with pytest.raises(SessionOver):
        env.step(np.arange(4))
    with pytest.raises(UnknownName):
        env.reset(options={"user": "nobody of this name"})
    env.reset(seed=0)
    with pytest.raises(InvalidSlate):
        env.step(np.zeros(4, np.int64))
