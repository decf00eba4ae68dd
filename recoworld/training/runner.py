"""An env runner that keeps whole batches: native vector environment and module meet in arrays, and episodes are cut out at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from recoworld.luck import combine
from recoworld.training.failures import Loud
from recoworld.training.peers import PEERS
from recoworld.training.slate_module import SlateModule

_SEEDS = np.uint64(2**62)
_GROUP = 0x9EE5


class SlateRunner(Loud, SingleAgentEnvRunner):  # type: ignore[misc]  # Ray has no types
    """`SingleAgentEnvRunner` for a `SlateModule` on the native vector environment, without a Python step per session and turn.

    Every call of `sample` begins all sessions anew, under seeds that follow from (config.seed, worker index, version of the weights,
    calls since they came): what is sampled is a function of these alone. So training goes on identically from a checkpoint, and any
    runner can play the part of one that died (`standing_in`). Sessions that are under way at the end are cut there; value
    functions bootstrap them.

    The module's ``model_config["peers"]`` sessions each are of the same users under the same luck (`recoworld.training.peers`).

    Connectors between environment and module are not run, and callbacks on single steps are not called.
    """

    _calls = 0
    _version = -1
    _part: int | None = None

    def _sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[SingleAgentEpisode]:
        assert isinstance(self.module, SlateModule)
        n, seed = self.num_envs, self._next_seed()
        self.module.reseed(seed)
        env = self.env.env  # without RLlib's wrapper, which makes a list of dicts out of each step's infos
        groups = np.arange(n) // int(self.module.model_config.get("peers", 1))
        observations, _ = env.reset(seed=[int(one) for one in combine(seed, groups) % _SEEDS])
        tape = _Tape(n, combine(seed, groups, _GROUP))
        while tape.steps < num_timesteps if num_timesteps is not None else tape.finished < (num_episodes or n):
            seen = tape.see(observations)
            if random_actions:
                out: dict[str, Any] = {Columns.ACTIONS: env.action_space.sample()}
            else:
                forward = self.module.forward_exploration if explore else self.module.forward_inference
                batch = {Columns.OBS: {key: torch.from_numpy(value).to(self._device) for key, value in seen.items()}}
                out = {key: value.cpu().numpy() for key, value in forward(batch).items()}
            observations, rewards, terminated, truncated, _ = env.step(out[Columns.ACTIONS])
            tape.add(out, rewards, terminated, truncated)
        tape.see(observations)
        episodes = tape.episodes(whole=num_episodes is not None)
        steps = sum(len(episode) for episode in episodes)
        for length, total in tape.sessions:
            self._log_episode_metrics(length, total, 0.0)
        self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=steps)
        self._increase_sampled_metrics(steps, len(tape.sessions))
        return episodes

    @contextmanager
    def standing_in(self, index: int) -> Iterator[None]:
        """Within, `sample` brings what runner `index` brings in the round of this one's last sample."""
        self._part = index
        try:
            yield
        finally:
            self._part = None

    def _next_seed(self) -> int:
        if self._version != self._weights_seq_no:
            self._version, self._calls = self._weights_seq_no, 0
        index, call = self._part or self.worker_index or 0, max(0, self._calls - 1)
        if self._part is None:
            call, self._calls = self._calls, self._calls + 1
        keys = (self.config.seed or 0, index, self._version, call)
        return int(combine(*(np.array([key]) for key in keys))[0] % _SEEDS)


class _Tape:
    """Everything that passed between `n` environments and the module, a row a turn."""

    def __init__(self, n: int, groups: NDArray[np.uint64]) -> None:
        """groups: equal for environments that play the same users under the same luck ``[n]``."""
        self._n, self._groups = n, groups
        self._seen: list[dict[str, NDArray[Any]]] = []
        self._out: list[dict[str, NDArray[Any]]] = []
        self._rewards: list[NDArray[Any]] = []
        self._terminated: list[NDArray[np.bool_]] = []
        self._truncated: list[NDArray[np.bool_]] = []
        self._stale = np.zeros(n, np.bool_)
        self.steps, self.finished = 0, 0
        self.sessions: list[tuple[int, float]] = []
        """Turns and return of each finished session."""

    @property
    def turns(self) -> int:
        return len(self._rewards)

    def see(self, observations: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Keep a copy, for the environment goes on from its arrays."""
        self._seen.append({key: value.copy() for key, value in observations.items()})
        return self._seen[-1]

    def add(self, out: dict[str, NDArray[Any]], rewards: NDArray[Any], terminated: NDArray[np.bool_], truncated: NDArray[np.bool_]) -> None:
        self._out.append(out)
        self._rewards.append(rewards)
        self._terminated.append(terminated)
        self._truncated.append(truncated)
        self.steps += self._n - int(self._stale.sum())  # a session that ended is replaced in a step of its own
        self._stale = terminated | truncated
        self.finished += int(self._stale.sum())

    def episodes(self, *, whole: bool) -> list[SingleAgentEpisode]:
        """One a session; those still under way only if not `whole`."""
        seen = {key: np.stack([one[key] for one in self._seen]) for key in self._seen[0]}
        out = {key: np.stack([one[key] for one in self._out]) for key in self._out[0]}
        rewards, terminated = np.stack(self._rewards), np.stack(self._terminated)
        ended = terminated | np.stack(self._truncated)
        made = []
        for i in range(self._n):
            start = session = 0
            for last in [*np.flatnonzero(ended[:, i]).tolist(), None]:
                stop = self.turns if last is None else last + 1
                if start < stop and not (whole and last is None):
                    made.append(_episode(seen, out, rewards, start, stop, i, last is not None, bool(terminated[stop - 1, i])))
                    if last is not None:
                        self.sessions.append((stop - start, float(rewards[start:stop, i].sum())))
                    made[-1].extra_model_outputs[PEERS] = _kept(self._places(i, session, stop - start))
                start, session = stop + 1, session + 1  # the step after an end opens the next session, its action is ignored
        return made

    def _places(self, i: int, session: int, length: int) -> NDArray[np.int64]:
        return (combine(self._groups[i], session, np.arange(length)) >> np.uint64(1)).astype(np.int64)


def _kept(data: Any) -> InfiniteLookbackBuffer:
    return InfiniteLookbackBuffer(data, lookback=0)


def _episode(
    seen: dict[str, NDArray[Any]],
    out: dict[str, NDArray[Any]],
    rewards: NDArray[Any],
    start: int,
    stop: int,
    i: int,
    ended: bool,
    left: bool,
) -> SingleAgentEpisode:
    """Turns `start` to `stop` of environment `i`, in RLlib's finished form."""
    length = stop - start
    episode = SingleAgentEpisode(
        observations=_kept({key: value[start : stop + 1, i] for key, value in seen.items()}),
        infos=_kept([{} for _ in range(length + 1)]),
        actions=_kept(out[Columns.ACTIONS][start:stop, i]),
        rewards=_kept(rewards[start:stop, i]),
        terminated=ended and left,
        truncated=ended and not left,
        extra_model_outputs={key: _kept(value[start:stop, i]) for key, value in out.items() if key != Columns.ACTIONS},
        t_started=0,
        len_lookback_buffer=0,
    )
    episode.t = length
    return episode
