"""What every text environment must hold to, beside `EnvTests` for the slates. Subclass it in a test module of your own:

class TestMine(TextEnvTests):
text_id, slate_id = "RecoWorldText-Mini-v0", "RecoWorld-Mini-v0"
settings = {"simulator": "my_package.mine:build"}
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

from recoworld.catalog import Catalog
from recoworld.envs.text import TextEnv
from recoworld.envs.text_words import MESSAGE
from recoworld.testing.simulators import arrays
from recoworld.types import Observations


class TextEnvTests:
    """Conformance suite: pytest collects the tests of a subclass that names its `text_id` and `slate_id`."""

    text_id: ClassVar[str] = ""
    slate_id: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Arguments of `gym.make` for both."""
    text_settings: ClassVar[Mapping[str, Any]] = {"rankers": ["popularity"]}
    """Those that only the text environment takes."""
    n_envs: ClassVar[int] = 3
    n_steps: ClassVar[int] = 40
    """Steps of the comparisons; enough for several sessions."""

    def make(self, **settings: Any) -> TextEnv:
        """The text environment."""
        if not self.text_id or not self.slate_id:
            raise NotImplementedError(f"{type(self).__name__}: set text_id and slate_id to the ids of the environments under test")
        env = gym.make(self.text_id, disable_env_checker=True, **{**self.settings, **self.text_settings, **settings}).unwrapped
        assert isinstance(env, TextEnv)
        return env

    def test_gymnasium_accepts_it(self) -> None:
        """`check_env`, warnings being errors."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(self.make(), skip_render_check=True)

    def test_the_same_items_have_the_same_outcome_as_in_the_slate_environment(self) -> None:
        """Observations, rewards, ends and infos, bit for bit over several sessions, with tool calls and nonsense between."""
        text, slate = self.make(), gym.make(self.slate_id, **self.settings)
        slate.action_space.seed(0)
        _, info = text.reset(seed=11)
        seen, slate_info = slate.reset(seed=11)
        for _ in range(self.n_steps):
            assert info["user"] == slate_info["user"]
            for reply in ('{"tool": "top"}', "hm"):
                _, reward, *ends, info = text.step(reply)
                assert (reward, ends, info["items"]) == (0.0, [False, False], []), f"{reply!r} took the user's time"
            _same(text.sessions.view(0), seen)
            items = slate.action_space.sample()
            _, reward, *ends, info = text.step(recommending(items, text.world.catalog))
            seen, slate_reward, *slate_ends, slate_info = slate.step(items)
            assert (reward, ends) == (slate_reward, slate_ends)
            assert info["items"] == items.tolist()
            assert all(info[key] == slate_info[key] for key in ("user", "reward_parts", "instruction"))
            if any(ends):
                _, info = text.reset()
                seen, slate_info = slate.reset()

    def test_the_vector_environment_is_many_single_ones(self) -> None:
        """Texts, rewards, ends and infos, where some recommend and others do not, across resets."""
        made = {**self.settings, **self.text_settings}
        vector = gym.make_vec(self.text_id, num_envs=self.n_envs, vectorization_mode="vector_entry_point", **made)
        singles, rng = [self.make() for _ in range(self.n_envs)], np.random.default_rng(0)
        world = singles[0].world
        texts, _ = vector.reset(seed=7)
        assert texts == tuple(env.reset(seed=7 + i)[0] for i, env in enumerate(singles))
        ended = [False] * self.n_envs
        for _ in range(self.n_steps):
            slates = [rng.choice(len(world.catalog), world.slate_size, replace=False) for _ in singles]
            replies = [("?", '{"tool": "top"}', recommending(slate, world.catalog))[rng.integers(3)] for slate in slates]
            texts, rewards, terminated, truncated, infos = vector.step(replies)
            for i, env in enumerate(singles):
                if ended[i]:
                    text, info = env.reset()
                    reward, over = 0.0, [False, False]
                else:
                    text, reward, *over, info = env.step(replies[i])
                assert (texts[i], rewards[i], [terminated[i], truncated[i]]) == (text, reward, over)
                assert all(str(infos[key][i]) == str(value) for key, value in info.items())
                ended[i] = any(over)

    def test_nothing_hidden_is_told(self) -> None:
        """Other mindsets, the same words: until the next slate, which is another mind's to judge."""
        env = self.make()
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(5):
            state = env.world.snapshot()
            spoilt = {name: _spoilt(value) for name, value in arrays(state.mindset).items()}
            told = [env.toolbox.call(name, {}, env.sessions.view(0)) for name in ("top", "user_history")]
            env.world.restore(replace(state, mindset=replace(state.mindset, **spoilt)))
            assert told == [env.toolbox.call(name, {}, env.sessions.view(0)) for name in ("top", "user_history")]
            env.world.restore(state)
            slate = rng.choice(len(env.world.catalog), env.world.slate_size, replace=False)
            _, _, terminated, truncated, info = env.step(recommending(slate, env.world.catalog))
            hidden = env.world.state.mindset.texts
            assert hidden is None or not hidden[0] or hidden[0] not in str(info["messages"]), "a message tells the mindset"
            if terminated or truncated:
                env.reset()

    def test_broken_replies_are_data_and_budgets_hold(self) -> None:
        """No exception, no message beyond the bound, and a turn cannot be put off for ever."""
        env = self.make(tool_calls=2, wrong_replies=2)
        env.reset(seed=0)
        broken: list[Any] = ["", "?", "{" * 40_000, '{"tool": 3}', '{"tool": "nope"}', "\x00\ud800", {"content": None}, "1. \n2. "]
        waited = 0
        for number in range(60):
            text, reward, terminated, truncated, info = env.step(broken[number % len(broken)])
            assert len(text) <= MESSAGE
            assert np.isfinite(reward)
            waited = 0 if info["items"] else waited + 1
            assert waited <= 6
            if terminated or truncated:
                env.reset()
        assert info["fallbacks"] or env.sessions.talks[0].counts["fallbacks"] or not waited


def recommending(items: Any, catalog: Catalog) -> str:
    """A reply that shows these items (indices)."""
    return json.dumps({"tool": "recommend", "arguments": {"items": [str(catalog.ids[item]) for item in items]}})


def _spoilt(value: Any) -> Any:
    """Another value of the same shape."""
    return 1 - value if value.dtype.kind == "f" else value[::-1].copy()


def _same(got: Observations, expected: Observations) -> None:
    assert got.keys() == expected.keys()
    for key, value in got.items():
        np.testing.assert_array_equal(value, expected[key], err_msg=key, strict=True)
