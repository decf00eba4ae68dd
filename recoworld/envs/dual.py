"""Both views of a session: a PettingZoo environment in which a recommender and a user act in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import AECEnv

from recoworld.envs.codec import observation_space, observe
from recoworld.envs.dual_user import Action, OutsideUser, feedback_of, user_action_space
from recoworld.envs.sessions import PENALTY, fresh_seed, make_rules, next_sessions
from recoworld.envs.spaces import SlateSpace
from recoworld.errors import ConfigError, SessionOver
from recoworld.instructions import sentence
from recoworld.luck import Luck, combine
from recoworld.registry import POLICIES
from recoworld.slates import as_array
from recoworld.types import Observations, Recommender, Slates, Turn
from recoworld.world import World

RECOMMENDER, USER = "recommender", "user"
UserReward = Callable[[World, Turn], float]


class DualEnv(AECEnv[str, Any, Any]):  # type: ignore[misc]  # PettingZoo has no types
    """A recommender shows a slate, a user goes through it, and so on until the user leaves. Each side is played from outside unless it is
    given: `recommender` by a policy, `user` by a simulator. With the user given it is `recoworld.envs.slate.SlateEnv`.

    **Agents** ``recommender`` and ``user``, in this order each turn; who is given is no agent.

    **Actions** of the recommender: a slate, as in `SlateEnv`; of the user: what it does with each slot, whether it leaves, what it says,
    see `recoworld.envs.dual_user.user_action_space`. A user in words, a language model or a person, adds "words".

    **Observations** of the recommender: those of `SlateEnv`. Of the user: ``profile``, ``history``, ``history_acts`` (its own),
    ``instruction_code`` and ``turn`` as the recommender's, ``slate`` int32 ``[k]`` (the one to judge, index + 1; 0 after the user's turn)
    and ``slate_features`` float32 ``[k, d + 1]``: content vectors (`Catalog.features`) and popularity rank.

    **Rewards** after the user's turn. The recommender's is that of `SlateEnv`. The user's is `user_reward`: "log": how well its taking
    agrees with its log, held-out part included: the mean, over the slots whose item it has rated or met there, of 1 where it took what it
    liked or left what it did not, else -1; 0 where it knows none; "shared": the recommender's; or a function (world, turn) -> float.

    **Start, end** as in `SlateEnv`; ``reset(options={"user": id})`` chooses a user, other options are ignored.

    **Infos** ``user`` (its id); the recommender's also ``reward_parts`` and ``instruction`` (the sentence said in reply).

    **Arguments** recommender: a registered policy's name, fitted here, or a fitted `Recommender`; user: a name in
    `recoworld.registry.SIMULATORS`; policy_seed: of the recommender's luck; the rest as in `SlateEnv`.

    **Example**

        env = DualEnv(dataset="mini", recommender="popularity")        # you are the user
        env.reset(seed=0)
        env.step({"acts": [2] + [1] * 9, "watch": [0.5] * 10, "leave": 0, "form": 0, "value": 0, "words": "More comedy, please."})

    **Versions** v0: first.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "recoworld_dual_v0", "render_modes": ["ansi"], "is_parallelizable": False}

    def __init__(
        self,
        *,
        recommender: str | Recommender | None = None,
        user: str | None = None,
        user_reward: str | UserReward = "log",
        policy_seed: int = 0,
        config: str | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if recommender is not None and user is not None:
            raise ConfigError("both sides are given, so there is nobody to play; expected recommender=None, user=None or both")
        if "simulator" in settings:
            raise ConfigError("simulator is no setting of this environment; say who the user is with user='behavioral'")
        if render_mode not in (None, "ansi"):
            raise ConfigError(f"render_mode: got {render_mode!r}; expected None or 'ansi'")
        if not callable(user_reward) and user_reward not in ("log", "shared"):
            raise ConfigError(f"user_reward: got {user_reward!r}; expected 'log', 'shared' or a function (world, turn) -> float")
        simulator = user if user is not None else "recoworld.envs.dual_user:build"
        self._rules = make_rules(config, "raise", PENALTY, {**settings, "simulator": simulator})
        self.world, self.render_mode = self._rules.world, render_mode
        self._outside = OutsideUser() if user is None else None
        if self._outside is not None:
            self.world.simulator = self._outside  # the one that was built is shared by all worlds of these settings
        self._policy, self._policy_seed, self._user_reward = self._made(recommender), policy_seed, user_reward
        self.possible_agents = [name for name, given in ((RECOMMENDER, recommender), (USER, user)) if given is None]
        seen = observation_space(self.world)
        k, d = self.world.slate_size, self.world.catalog.features.shape[1]
        kept = {key: seen[key] for key in ("profile", "history", "history_acts", "instruction_code", "turn", "slate")}
        judged = spaces.Dict({**kept, "slate_features": spaces.Box(0.0, 1.0, (k, d + 1), np.float32)})
        self.observation_spaces = {RECOMMENDER: seen, USER: judged}
        self.action_spaces = {RECOMMENDER: SlateSpace(len(self.world.catalog), k), USER: user_action_space(self.world)}
        self.agents: list[str] = []
        self._seed: int | None = None
        self._episode = 0
        self._slate: Slates | None = None
        self._turn: Turn | None = None
        self._key = np.zeros(1, np.uint64)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The same object at each call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The same object at each call."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Open the next session. Raises UnknownName for a user that is not there."""
        chosen = None if not options or options.get("user") is None else self.world.dataset.users.index(options["user"])
        if seed is not None or self._seed is None:
            self._seed, self._episode = (fresh_seed(np.random.default_rng()) if seed is None else seed), 0
        else:
            self._episode += 1
        users, self._key = next_sessions(self._rules.group, np.array([self._seed]), np.array([self._episode]))
        self.world.reset(users if chosen is None else np.array([chosen]), self._key)
        self.agents = list(self.possible_agents)
        self.rewards, self._cumulative_rewards = dict.fromkeys(self.agents, 0.0), dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        name = str(self.world.dataset.users.ids[self.world.state.history.users[0]])
        self.infos: dict[str, dict[str, Any]] = {agent: {"user": name} for agent in self.agents}
        self._slate, self._turn = self._shown(), None
        self.agent_selection = self.agents[0]

    def observe(self, agent: str) -> Observations:
        """What an agent sees now."""
        seen = {key: value[0].copy() for key, value in observe(self.world).items()}
        if agent == RECOMMENDER:
            return seen
        catalog, k = self.world.catalog, self.world.slate_size
        seen = {key: seen[key] for key in ("profile", "history", "history_acts", "instruction_code", "turn")}
        features = np.zeros((k, catalog.features.shape[1] + 1), np.float32)
        if self._slate is not None:
            features[:, :-1], features[:, -1] = catalog.features[self._slate[0]], catalog.popularity_rank[self._slate[0]]
        slate = np.zeros(k, np.int32) if self._slate is None else (self._slate[0] + 1).astype(np.int32)
        return {**seen, "slate": slate, "slate_features": features}

    def step(self, action: NDArray[np.int64] | Action | None) -> None:
        """Let the agent whose turn it is act. Raises InvalidSlate, ConfigError (nothing has happened then) and SessionOver."""
        if not self.agents:
            raise SessionOver("no session is open; call reset() first")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        turn = None
        if agent == USER:
            assert self._slate is not None
            assert self._outside is not None  # it is the user's turn, and nobody else's
            given: Any = action
            self._outside.reply = feedback_of(given, self._slate, self.world.state.history.standing, self.world.catalog)
            turn = self.world.step(self._slate)
        else:
            slate = self.world.checked(as_array(action, "a slate")[None])
            if self._outside is None:
                turn = self.world.step(slate)
            else:
                self._slate = slate
        self._cumulative_rewards[agent] = 0.0
        self._clear_rewards()
        if turn is None:
            self.agent_selection = USER
            return
        self._book(turn)
        self._accumulate_rewards()

    def render(self) -> str | None:
        """The last turn as a person would read it, with what is hidden from the recommender; "" before the first."""
        if self.render_mode is None:
            return None
        from recoworld.envs.render import turn_text

        return "" if self._turn is None else turn_text(self.world, self._turn)

    def close(self) -> None:
        """Nothing is held."""

    def _book(self, turn: Turn) -> None:
        """What the turn means to both, and who is next."""
        self._turn = turn
        world, left = self.world, bool(turn.feedback.left[0])
        cut = bool(world.cut[0]) and not left
        worth = {RECOMMENDER: float(turn.reward[0]), USER: 0.0 if USER not in self.agents else self._worth(turn)}
        said = turn.feedback.instruction
        parts = dict(zip(world.reward.names, turn.parts[0].tolist(), strict=True))
        told = {"reward_parts": parts, "instruction": sentence(said, 0, world.catalog) if said.kind[0] else ""}
        for agent in self.agents:
            self.rewards[agent], self.terminations[agent], self.truncations[agent] = worth[agent], left, cut
            self.infos[agent] = {"user": self.infos[agent]["user"], **(told if agent == RECOMMENDER else {})}
        self._slate = None if left or cut else self._shown()
        self.agent_selection = self.agents[0]

    def _worth(self, turn: Turn) -> float:
        """The user's reward."""
        if callable(self._user_reward):
            return float(self._user_reward(self.world, turn))
        return float(turn.reward[0]) if self._user_reward == "shared" else agreement(self.world, turn)

    def _shown(self) -> Slates | None:
        """The slate of a recommender that is given."""
        if self._policy is None:
            return None
        history = self.world.state.history
        luck = Luck(combine(self._policy_seed, self._key, history.users, history.turn))
        return self.world.checked(self._policy.recommend(observe(self.world), luck))

    def _made(self, recommender: str | Recommender | None) -> Recommender | None:
        if recommender is None or not isinstance(recommender, str):
            return recommender
        policy: Recommender = POLICIES[recommender]()
        if hasattr(policy, "attach"):
            policy.attach(self.world)
        policy.fit(self.world.dataset, self.world.split)
        return policy


def agreement(world: World, turn: Turn) -> float:
    """How well the first user of a turn took what its log says it liked, in [-1, 1]; see `DualEnv`."""
    log, user = world.dataset.interactions, int(world.state.history.users[0])
    rows = slice(log.indptr[user], log.indptr[user + 1])
    liked = dict(zip(log.items[rows].tolist(), world.dataset.liked[rows].tolist(), strict=True))
    taken = zip(turn.slates[0].tolist(), turn.feedback.clicked[0].tolist(), strict=True)
    found = [1.0 if took == liked[item] else -1.0 for item, took in taken if item in liked]
    return sum(found) / len(found) if found else 0.0
