"""Many text sessions side by side over one world, so that a language model is asked for all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from recoworld.envs.sessions import fresh_seed, next_sessions
from recoworld.envs.text import AnyText, first_info, info_of, joined, text_sessions
from recoworld.envs.text_rules import POPULAR, TextRules, quarter
from recoworld.envs.text_words import MESSAGE
from recoworld.errors import ConfigError, SessionOver
from recoworld.llm.model import Message
from recoworld.tools.replies import LONGEST
from recoworld.types import Floats, Recommender

Texts = tuple[str, ...]


class TextVector(VectorEnv[Texts, Sequence[Any], NDArray[Any]]):
    """`num_envs` copies of `recoworld.envs.text.TextEnv` in lock-step; row `i` seeded with `seed + i` does what the single one does.

    Each step takes one reply a session. Those that recommend go on by one turn, in one call of the simulator; the others get their tools'
    answers. Autoreset is "NextStep": a session that ended is replaced on the next step, whose reply is ignored and whose reward is 0. The
    arguments are those of `TextEnv`.

    **Infos** what `TextEnv` tells, by key and as object arrays ``[n]``, each with its mask (``_messages`` and so on).
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  # Gymnasium declares it so

    def __init__(
        self,
        num_envs: int = 1,
        *,
        config: str | None = None,
        rankers: Mapping[str, Recommender] | Iterable[str] | None = None,
        embeddings: Floats | None = None,
        tool_calls: int = TextRules.tool_calls,
        wrong_replies: int = TextRules.wrong_replies,
        tokens: int = TextRules.tokens,
        count: Callable[[str], int] = quarter,
        fallback: str = POPULAR,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ConfigError(f"num_envs: got {num_envs!r}; expected an integer from 1 on")
        self.num_envs, self.render_mode = int(num_envs), None
        rules = TextRules(tool_calls=tool_calls, wrong_replies=wrong_replies, tokens=tokens, count=count, fallback=fallback)
        self._rules, self.sessions = text_sessions(rules, config, rankers, embeddings, render_mode, settings)
        self.world, self.toolbox = self.sessions.world, self.sessions.toolbox
        self.single_observation_space, self.single_action_space = AnyText(2 * MESSAGE + 2), AnyText(LONGEST)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._seeds = np.zeros(self.num_envs, np.int64)
        self._episodes = np.zeros(self.num_envs, np.int64)

    def reset(self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None) -> tuple[Texts, dict[str, Any]]:
        """Open all sessions. Raises ConfigError for options and for seeds that do not fit."""
        if options:
            raise ConfigError(f"reset options: got {options!r}; the text vector environment takes none")
        first = not self.sessions.talks
        if seed is None and not first:
            self._episodes += 1
        else:
            super().reset(seed=seed if isinstance(seed, int) else None)
            start = fresh_seed(self.np_random) if seed is None else seed
            seeds = np.asarray(start) + np.arange(self.num_envs) if isinstance(start, int | np.integer) else np.asarray(start)
            if seeds.shape != (self.num_envs,) or seeds.dtype.kind not in "iu" or (seeds < 0).any():
                raise ConfigError(f"seed: got {str(seed)[:80]}; expected an integer from 0 on, or one for each of {self.num_envs} sessions")
            self._seeds, self._episodes = seeds.astype(np.int64), np.zeros(self.num_envs, np.int64)
        messages = self.sessions.open(*next_sessions(self._rules.group, self._seeds, self._episodes))
        return self._seen(messages), self._infos([self._first(row, talk) for row, talk in enumerate(messages)])

    def step(self, actions: Sequence[Any]) -> tuple[Texts, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One reply a session, texts or chat messages. Raises SessionOver before the first reset, ConfigError for another number."""
        if not self.sessions.talks:
            raise SessionOver("no session is open; call reset() first")
        if len(actions) != self.num_envs:
            raise ConfigError(f"step: got {len(actions)} replies; expected {self.num_envs}, one a session")
        stale = [row for row, talk in enumerate(self.sessions.talks) if talk.over]
        going = [row for row, talk in enumerate(self.sessions.talks) if not talk.over]
        rewards, ended = np.zeros(self.num_envs), np.zeros((2, self.num_envs), np.bool_)
        messages: list[tuple[Message, ...]] = [()] * self.num_envs
        infos: list[dict[str, Any]] = [{}] * self.num_envs
        for row, step in zip(going, self.sessions.step(going, [actions[row] for row in going]), strict=True):
            messages[row], infos[row], rewards[row] = step.messages, info_of(step), step.reward
            ended[:, row] = step.terminated, step.truncated
        if stale:
            where = np.array(stale)
            self._episodes[where] += 1
            fresh = self.sessions.reopen(stale, *next_sessions(self._rules.group, self._seeds[where], self._episodes[where]))
            for row, talk in zip(stale, fresh, strict=True):
                messages[row], infos[row] = talk, self._first(row, talk)
        return self._seen(messages), rewards, ended[0], ended[1], self._infos(infos)

    def _seen(self, messages: list[tuple[Message, ...]]) -> Texts:
        return tuple(map(joined, messages))

    def _first(self, row: int, messages: tuple[Message, ...]) -> dict[str, Any]:
        return first_info(messages, str(self.world.dataset.users.ids[self.world.state.history.users[row]]))

    def _infos(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key in dict.fromkeys(key for info in rows for key in info):
            values = np.full(self.num_envs, None, dtype=object)
            for row, info in enumerate(rows):
                values[row] = info.get(key)
            out[key], out[f"_{key}"] = values, np.array([key in info for info in rows])
        return out
