"""One user and an agent that writes: the Gymnasium environment of words and tools, and its asynchronous form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from recoworld.envs.sessions import PENALTY, Rules, fresh_seed, make_rules, next_sessions
from recoworld.envs.text_rules import POPULAR, TextRules, quarter, rankers_of
from recoworld.envs.text_sessions import Step, TextSessions
from recoworld.envs.text_words import MESSAGE
from recoworld.errors import ConfigError, SessionOver
from recoworld.llm.model import Message
from recoworld.tools.replies import LONGEST
from recoworld.tools.toolbox import Toolbox
from recoworld.types import Floats, Recommender

_PRINTABLE = "".join(map(chr, range(32, 127)))


class AnyText(spaces.Text):
    """Strings of whatever characters up to a length; samples are printable ASCII."""

    def __init__(self, max_length: int, *, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length, min_length=0, charset=_PRINTABLE, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether this is a string that is short enough."""
        return isinstance(x, str) and len(x) <= self.max_length


class TextEnv(gym.Env[str, str]):
    """A simulated user of a data set, served by an agent that reads and writes: the world of `recoworld.envs.slate.SlateEnv` in words.

    **Action** text of any kind, of which the first `recoworld.tools.replies.LONGEST` characters count; `recoworld.tools.parsed` tells
    what is understood: ``{"tool": "search", "arguments": {"query": "space"}}``, ``{"tool": "recommend", "arguments": {"items": [...]}}``.
    A chat message with tool_calls may be given instead.

    **Observation** the new messages as one string, at most 16,000 characters each. ``info["messages"]`` has them as chat messages: roles
    "system" (the task, the tools, the budgets) and "user" (who the user is, what it did and said) at the start, then "tool" for a tool's
    answer and "user" for the user's reply, or for an error where no tool was called. Nothing of the user's mindset.

    **Reward** that of `SlateEnv` for the same slate when the agent recommends, 0 for a tool call or a reply that is no valid call.

    **Start, end** as in `SlateEnv`: the same seeds open the same sessions, and the same items lead to the same outcome, bit for bit.
    Tools take none of the user's time.

    **Fallback** An agent that spends its `tool_calls` and calls one more, that gives `wrong_replies` in a row, or that recommends nothing
    when the session has taken its `tokens`, has a slate chosen for it: the best known items that the user has not met, or what the
    ranker `fallback` shows. A broken reply is data, never an error.

    **Info** ``messages``; ``user`` (its id); ``tool`` (what was called, "" for nothing); ``items`` shown by this step, [] for none;
    ``fallback``: "" or "tool calls", "wrong replies", "tokens"; ``tool_calls``, ``invalid``, ``fallbacks``: so far in this session;
    ``spent``: tokens of replies and answers so far; ``reward_parts``, ``instruction``, ``tokens`` (of a simulated user) as in `SlateEnv`.

    **Arguments** those of `recoworld.configs.WorldConfig`, config: a preset; rankers: names of registered policies, or fitted ones by name
    (None: EASE, or popularity for more than 20,000 items); embeddings: item vectors for search and similar; tool_calls, wrong_replies,
    tokens, count, fallback: see `recoworld.envs.text_rules.TextRules`.

    **Example**

        env = gym.make("RecoWorldText-Mini-v0", slate_size=3)
        text, info = env.reset(seed=0)
        text, reward, terminated, truncated, info = env.step('{"tool": "top", "arguments": {"genre": "Comedy"}}')
        text, reward, terminated, truncated, info = env.step('{"tool": "recommend", "arguments": {"items": ["593", "Heat", "Fargo"]}}')

    **Versions** v0: first.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # Gymnasium declares it so

    def __init__(
        self,
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
        rules = TextRules(tool_calls=tool_calls, wrong_replies=wrong_replies, tokens=tokens, count=count, fallback=fallback)
        self._rules, self.sessions = text_sessions(rules, config, rankers, embeddings, render_mode, settings)
        self.world, self.toolbox = self.sessions.world, self.sessions.toolbox
        self.observation_space = AnyText(2 * MESSAGE + 2)
        self.action_space = AnyText(LONGEST)
        self._seed: int | None = None
        self._episode = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Open the next session, as `SlateEnv` does. Raises UnknownName for a user that is not there."""
        if options is not None and (not isinstance(options, dict) or set(options) - {"user"}):
            raise ConfigError(f"reset options: got {options!r}; expected None or {{'user': an id}}")
        chosen = None if not options or options["user"] is None else self.world.dataset.users.index(options["user"])
        super().reset(seed=seed)
        if seed is not None or self._seed is None:
            self._seed, self._episode = (fresh_seed(self.np_random) if seed is None else seed), 0
        else:
            self._episode += 1
        users, keys = next_sessions(self._rules.group, np.array([self._seed]), np.array([self._episode]))
        (messages,) = self.sessions.open(users if chosen is None else np.array([chosen]), keys)
        user = str(self.world.dataset.users.ids[self.world.state.history.users[0]])
        return joined(messages), first_info(messages, user)

    def step(self, action: str | Mapping[str, Any]) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """What the agent says. Raises SessionOver, and nothing for whatever it says."""
        if not self.sessions.talks:
            raise SessionOver("no session is open; call reset() first")
        (step,) = self.sessions.step([0], [action])
        return joined(step.messages), step.reward, step.terminated, step.truncated, info_of(step)


class TextSession:
    """The same as coroutines that give chat messages, for frameworks that play many environments side by side.

        session = TextSession(TextEnv(dataset="mini"))
        messages = await session.reset(seed=0)
        messages, reward, terminated, truncated, info = await session.step(text)

    A user who asks something outside (a simulator with `close`, such as a language model) is waited for in a thread of its own, so that
    sessions side by side wait together.
    """

    def __init__(self, env: TextEnv) -> None:
        self.env = env
        self._waits = hasattr(env.world.simulator, "close")

    async def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Message, ...]:
        """The first messages of the next session."""
        _, info = await self._run(self.env.reset, seed=seed, options=options)
        messages: tuple[Message, ...] = info["messages"]
        return messages

    async def step(self, text: str | Mapping[str, Any]) -> tuple[tuple[Message, ...], float, bool, bool, dict[str, Any]]:
        """The new messages, reward, terminated, truncated and info."""
        _, reward, terminated, truncated, info = await self._run(self.env.step, text)
        return info["messages"], reward, terminated, truncated, info

    async def _run(self, function: Any, *args: Any, **settings: Any) -> Any:
        return await asyncio.to_thread(function, *args, **settings) if self._waits else function(*args, **settings)


def text_sessions(
    rules: TextRules,
    config: str | None,
    rankers: Mapping[str, Recommender] | Iterable[str] | None,
    embeddings: Floats | None,
    render_mode: str | None,
    settings: dict[str, Any],
) -> tuple[Rules, TextSessions]:
    """A world with its tools, and nobody in it yet, out of the arguments of `TextEnv`. Raises ConfigError, UnknownName, DatasetError."""
    if render_mode is not None:
        raise ConfigError(f"render_mode: got {render_mode!r}; the text environment is text already: read its messages")
    made = make_rules(config, "raise", PENALTY, settings)
    world = made.world
    toolbox = Toolbox(world.dataset, world.split, rankers=rankers_of(world, rankers), embeddings=embeddings)
    return made, TextSessions(world, toolbox, rules)


def joined(messages: Iterable[Message]) -> str:
    """Messages as one string, parted by an empty line."""
    return "\n\n".join(str(message["content"]) for message in messages)


def first_info(messages: tuple[Message, ...], user: str) -> dict[str, Any]:
    """The info of a session's beginning."""
    nothing: dict[str, Any] = {"tool": "", "items": [], "fallback": "", "spent": 0, "reward_parts": {}, "instruction": ""}
    return {"messages": messages, "user": user, **nothing, "tool_calls": 0, "invalid": 0, "fallbacks": 0}


def info_of(step: Step) -> dict[str, Any]:
    """The info of a step."""
    return {"messages": step.messages, **step.info}
