"""One user at a time: the Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from recoworld.envs.codec import observation_space, observe
from recoworld.envs.sessions import PENALTY, fresh_seed, make_rules, mended, next_sessions
from recoworld.envs.spaces import SlateSpace
from recoworld.errors import ConfigError, InvalidSlate, SessionOver
from recoworld.instructions import sentence
from recoworld.slates import as_array
from recoworld.types import Turn
from recoworld.world import World


class SlateEnv(gym.Env[dict[str, NDArray[Any]], NDArray[np.int64]]):
    """A simulated user of a data set is shown one slate a turn, until it leaves.

    **Action** ``SlateSpace`` (a ``MultiDiscrete([n_items] * slate_size)`` without repetition): the item indices to show, best first.

    **Observation** a Dict; `recoworld.envs.codec` lists its keys with shapes, ranges and units. It holds what a recommender may know:
    profile, history with actions, the last slate with feedback, the instruction in force. Nothing of the user's mindset.

    **Reward** a weighted sum of named parts (`recoworld.rewards`), by default clicks and more per slot + 0.1 a minute watched + 1 for
    staying + 0.25 for following an instruction. ``info["reward_parts"]`` has the parts before weighting.

    **Start** a user drawn from `users` by (seed, episode), after the visible part of its log; ``reset(options={"user": "1234"})``
    chooses one.
    **End** `terminated` when the user leaves, `truncated` after `max_turns` slates.

    **Info** ``user`` (its id), ``reward_parts``, ``instruction``: what the user said in reply to this slate, "" for nothing; from a user
    played by a language model also ``tokens``: prompt and completion tokens of the reply, int64 ``[2]``.

    **Arguments** those of `recoworld.configs.WorldConfig` (dataset, users, slate_size, max_turns, reward, simulator_config, ...), and
    config: a preset's name or a YAML file with such settings; on_invalid: "raise" InvalidSlate for a slate that cannot be shown, or
    "penalise": bad slots are filled with random items at `invalid_penalty` reward each; render_mode: "ansi" or "human".

    **Example**

        env = gym.make("RecoWorld-Mini-v0")
        observation, info = env.reset(seed=0)
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

    **Versions** v0: first.
    """

    metadata = {  # noqa: RUF012  # Gymnasium declares it so
        "render_modes": ["ansi", "human"],
        "render_fps": 1,
    }

    def __init__(
        self,
        *,
        config: str | None = None,
        on_invalid: str = "raise",
        invalid_penalty: float = PENALTY,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if render_mode is not None and (not isinstance(render_mode, str) or render_mode not in self.metadata["render_modes"]):
            raise ConfigError(f"render_mode: got {render_mode!r}; expected None, 'ansi' or 'human'")
        self.render_mode = render_mode
        self._rules = make_rules(config, on_invalid, invalid_penalty, settings)
        self.world: World = self._rules.world
        self.observation_space = observation_space(self.world)
        self.action_space = SlateSpace(len(self.world.catalog), self.world.slate_size)  # type: ignore[assignment]  # its integers are int64
        self._seed: int | None = None
        self._episode = 0
        self._over = True
        self._turn: Turn | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Open the next session. Raises UnknownName for a user that is not there."""
        users, world = None, self.world
        if options is not None and (not isinstance(options, dict) or set(options) - {"user"}):
            raise ConfigError(f"reset options: got {options!r}; expected None or {{'user': an id}}")
        if options and options["user"] is not None:
            users = np.array([world.dataset.users.index(options["user"])])
        super().reset(seed=seed)
        if seed is not None or self._seed is None:
            self._seed, self._episode = (fresh_seed(self.np_random) if seed is None else seed), 0
        else:
            self._episode += 1
        drawn, keys = next_sessions(self._rules.group, np.array([self._seed]), np.array([self._episode]))
        users = drawn if users is None else users
        world.reset(users, keys)
        self._over, self._turn = False, None
        self._user = str(world.dataset.users.ids[users[0]])
        if self.render_mode == "human":
            self.render()
        return self._observation(), {"user": self._user, "reward_parts": {}, "instruction": ""}

    def step(self, action: NDArray[np.int64]) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Show a slate ``[slate_size]``. Raises InvalidSlate (nothing has happened then) and SessionOver."""
        if self._over:
            raise SessionOver("no session is open: the user has left, max_turns is reached, or reset() was never called; call reset()")
        array = as_array(action, "a slate")
        if array.ndim != 1:
            raise InvalidSlate(f"a slate has shape {array.shape}; expected ({self.world.slate_size},): one item index a slot")
        slates, cost = mended(self._rules, array[None], 1)
        self._before = self.world.state.mindset
        turn = self._turn = self.world.step(slates)
        terminated = bool(turn.feedback.left[0])
        truncated = bool(self.world.cut[0]) and not terminated
        self._over = terminated or truncated
        instruction = turn.feedback.instruction
        info: dict[str, Any] = {
            "user": self._user,
            "reward_parts": dict(zip(self.world.reward.names, turn.parts[0].tolist(), strict=True)),
            "instruction": sentence(instruction, 0, self.world.catalog) if instruction.kind[0] else "",
        }
        if turn.feedback.tokens is not None:
            info["tokens"] = turn.feedback.tokens[0].copy()
        if self.render_mode == "human":
            self.render()
        return self._observation(), float(turn.reward[0]) - (0.0 if cost is None else float(cost[0])), terminated, truncated, info

    def render(self) -> str | None:  # type: ignore[override]  # Gymnasium's return type is a type variable
        """The last turn as a person would read it: a string for "ansi", printed for "human"."""
        if self.render_mode is None:
            gym.logger.warn("render() without a render_mode shows nothing; make the environment with render_mode='ansi' or 'human'")
            return None
        from recoworld.envs.render import opening, printed, turn_text
        from recoworld.session_log import mind_of

        before = None if self._turn is None else mind_of(self.world.catalog, self._before)
        if self.render_mode == "human":
            printed(self.world, self._turn, self._user, before=before)
            return None
        return opening(self.world, self._user) if self._turn is None else turn_text(self.world, self._turn, before=before)

    def _observation(self) -> dict[str, NDArray[Any]]:
        # copies: the world goes on from these arrays, whatever becomes of them outside
        return {key: value[0].copy() for key, value in observe(self.world).items()}
