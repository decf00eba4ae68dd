"""Many users side by side: the native vector environment, one batched simulator call a step."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from recoworld.envs.codec import observation_space, observe
from recoworld.envs.sessions import PENALTY, fresh_seed, make_rules, mended, next_sessions
from recoworld.envs.spaces import SlateSpace
from recoworld.errors import ConfigError, SessionOver
from recoworld.instructions import sentences
from recoworld.slates import as_array
from recoworld.types import Observations


class SlateVectorEnv(VectorEnv[Observations, NDArray[np.int64], NDArray[Any]]):
    """`num_envs` copies of `SlateEnv` in lock-step; row `i` seeded with `seed + i` does what the single environment does, bit for bit.

    autoreset_mode: "NextStep" (a session that ended is replaced on the next step, whose action is ignored and whose reward is 0) or
    "SameStep" (replaced at once; the last observation and info are ``infos["final_obs"]`` and ``infos["final_info"]``, marked by
    ``infos["_final_obs"]``), as in Gymnasium. The other arguments are those of `SlateEnv`.

    **Infos** ``user`` ids ``[n]``, ``reward_parts``: name -> float32 ``[n]``, ``instruction``: what each user said in reply, str ``[n]``;
    from users played by a language model also ``tokens``, those of prompt and completion, int64 ``[n, 2]``. Each comes with its mask,
    ``_user`` and so on.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        config: str | None = None,
        on_invalid: str = "raise",
        invalid_penalty: float = PENALTY,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ConfigError(f"num_envs: got {num_envs!r}; expected an integer from 1 on")
        if render_mode is not None:
            raise ConfigError(f"render_mode: got {render_mode!r}; the vector environment renders nothing, use gym.make")
        try:
            self.autoreset_mode = AutoresetMode(autoreset_mode)
        except ValueError:
            raise ConfigError(f"autoreset_mode: got {autoreset_mode!r}; expected 'NextStep', 'SameStep' or 'Disabled'") from None
        self.render_mode = None
        self.num_envs = int(num_envs)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self._rules = make_rules(config, on_invalid, invalid_penalty, settings)
        self.world = self._rules.world
        self.single_observation_space = observation_space(self.world)
        self.single_action_space = SlateSpace(len(self.world.catalog), self.world.slate_size)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._seeds: NDArray[np.int64] | None = None
        self._episodes = np.zeros(self.num_envs, np.int64)
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._everyone = np.ones(self.num_envs, np.bool_)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Open all sessions anew, or those of ``options["reset_mask"]`` (bool ``[num_envs]``)."""
        if options is not None and not isinstance(options, dict):
            raise ConfigError(f"reset options: got {options!r}; expected None or a dict")
        options = options or {}
        mask = options.get("reset_mask", self._everyone)
        masked = isinstance(mask, np.ndarray) and mask.shape == (self.num_envs,) and mask.dtype == np.bool_ and mask.any()
        if set(options) - {"reset_mask"} or not masked:
            raise ConfigError(f"reset options: got {options}; expected none, or 'reset_mask': bool [{self.num_envs}], true somewhere")
        if self._seeds is None and not mask.all():
            raise ConfigError("reset_mask: no session is open yet; expected a reset of all environments first")
        seeds = self._seed_list(seed)
        super().reset(seed=int(seed) if isinstance(seed, int | np.integer) else None)
        first = self._seeds is None
        if self._seeds is None:
            self._seeds = np.zeros(self.num_envs, np.int64)
        for i in np.flatnonzero(mask):
            given = seeds[i]
            if first or given is not None:
                self._seeds[i] = fresh_seed(self.np_random) if given is None else given
                self._episodes[i] = 0
            else:
                self._episodes[i] += 1
        if mask.all():
            self.world.reset(*next_sessions(self._rules.group, self._seeds, self._episodes))
        else:
            self.world.restore(self.world.state)  # a copy: the last observations are not ours to write to
            self._open(np.flatnonzero(mask), next_episode=False)
        self._ended[mask] = False
        return self._observe(), self._infos(None)

    def step(self, actions: NDArray[np.int64]) -> tuple[Observations, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Show the slates ``[num_envs, slate_size]``. Raises InvalidSlate (nothing has happened then) and SessionOver."""
        if self._seeds is None:
            raise SessionOver("no session is open; call reset() first")
        stale = self._ended
        if stale.any():
            if self.autoreset_mode == AutoresetMode.DISABLED:
                raise SessionOver(f"{int(stale.sum())} sessions have ended; reset them with options={{'reset_mask': mask}} first")
            actions = self._spared(as_array(actions, "slates"), stale)
        slates, cost = mended(self._rules, actions, self.num_envs)
        turn = self.world.step(slates)
        rewards = turn.reward.astype(np.float64) if cost is None else turn.reward.astype(np.float64) - cost
        terminated, truncated = turn.feedback.left.copy(), self.world.cut & ~turn.feedback.left
        parts, said = turn.parts, turn.feedback.instruction
        spoken = np.full(self.num_envs, "", dtype=object)
        talking = np.flatnonzero(said.kind)
        spoken[talking] = sentences(said, talking, self.world.catalog)
        tokens = None if turn.feedback.tokens is None else turn.feedback.tokens.copy()
        if stale.any():
            rows = np.flatnonzero(stale)
            self._open(rows)
            rewards[rows], terminated[rows], truncated[rows], parts[rows], spoken[rows] = 0.0, False, False, 0.0, ""
            if tokens is not None:
                tokens[rows] = 0
        infos = self._infos(parts, spoken)
        if tokens is not None:
            infos["tokens"], infos["_tokens"] = tokens, self._everyone.copy()
        ended = terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            rows = np.flatnonzero(ended)
            if rows.size:
                infos |= self._final(rows, ended, infos)
                self._open(rows)
                infos["user"] = self._users()
        else:
            self._ended = ended
        return self._observe(), rewards, terminated, truncated, infos

    def _seed_list(self, seed: Any) -> list[int | None]:
        """One seed an environment. Raises ConfigError."""
        if isinstance(seed, int | np.integer):
            seeds: list[Any] = [int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = [None] * self.num_envs if seed is None else list(seed) if isinstance(seed, list | tuple | np.ndarray) else [seed]
        fits = all(one is None or (isinstance(one, int | np.integer) and 0 <= one < 2**63) for one in seeds)
        if len(seeds) != self.num_envs or not fits:
            raise ConfigError(
                f"seed: got {str(seed)[:80]}; expected an integer from 0 to 2**63 - 1, or one for each of {self.num_envs} environments"
            )
        return seeds

    def _spared(self, actions: NDArray[Any], stale: NDArray[np.bool_]) -> NDArray[Any]:
        """The actions with those of ended sessions, which nobody will see, made harmless."""
        if actions.shape != (self.num_envs, self.world.slate_size) or actions.dtype.kind not in "iu":
            return actions  # the world says what is wrong
        return np.where(stale[:, None], np.arange(self.world.slate_size), actions)

    def _open(self, rows: NDArray[np.int64], *, next_episode: bool = True) -> None:
        """Replace the sessions in `rows` by their environments' next ones."""
        if next_episode:
            self._episodes[rows] += 1
        assert self._seeds is not None  # reset() has run
        self.world.reopen(rows, *next_sessions(self._rules.group, self._seeds[rows], self._episodes[rows]))

    def _observe(self) -> Observations:
        """Views that cannot be written to: the world goes on from these arrays."""
        seen = {key: value.view() for key, value in observe(self.world).items()}
        for value in seen.values():
            value.flags.writeable = False
        return seen

    def _users(self) -> NDArray[np.str_]:
        return self.world.dataset.users.ids[self.world.state.history.users]

    def _infos(self, parts: NDArray[np.float32] | None, spoken: NDArray[np.object_] | None = None) -> dict[str, Any]:
        infos: dict[str, Any] = {"user": self._users(), "_user": self._everyone.copy()}
        if parts is not None and spoken is not None:
            infos["reward_parts"] = {name: parts[:, i] for i, name in enumerate(self.world.reward.names)}
            infos["_reward_parts"] = self._everyone.copy()
            infos["instruction"], infos["_instruction"] = spoken, self._everyone.copy()
        return infos

    def _final(self, rows: NDArray[np.int64], ended: NDArray[np.bool_], infos: dict[str, Any]) -> dict[str, Any]:
        """The last observation and info of the sessions in `rows`, as Gymnasium's SAME_STEP mode gives them."""
        last = {key: value[rows] for key, value in self._observe().items()}
        final = np.full(self.num_envs, None, dtype=object)
        for j, row in enumerate(rows):
            final[row] = {key: value[j] for key, value in last.items()}
        return {
            "final_obs": final,
            "_final_obs": ended.copy(),
            "final_info": {**infos, "reward_parts": {name: part.copy() for name, part in infos["reward_parts"].items()}},
            "_final_info": ended.copy(),
        }
