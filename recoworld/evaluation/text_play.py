"""A language model plays many text sessions in lock-step: it is asked for all of them at once, and ended ones make room for the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recoworld.envs.text_rules import TextRules
from recoworld.envs.text_sessions import TextSessions
from recoworld.envs.text_words import plain_chat
from recoworld.errors import ConfigError
from recoworld.evaluation.table import Ints
from recoworld.llm.model import LanguageModel, Message, Prompt, Sampling, Usage
from recoworld.luck import combine
from recoworld.session import Mind, Session, SessionTurn
from recoworld.session_log import REASONING, mind_of
from recoworld.text import storable
from recoworld.tools.toolbox import Toolbox
from recoworld.world import World

SIDE = 256
"""Sessions side by side."""
CONTEXT = 24_000
"""Characters of a conversation that a model is shown; see `recoworld.envs.text_words.plain_chat`."""


@runtime_checkable
class TextAgent(Protocol):
    """Who reads conversations and says what comes next, for example `recoworld.policies.agents.react.ReAct`."""

    name: str

    def act_all(self, conversations: Sequence[Sequence[Message]], *, slots: int = 10) -> list[str]:
        """A reply to each, one batch for all; slots: items of a slate."""
        ...


@dataclass
class _Seat:
    """A place in the batch, and the session that sits there."""

    session: int = -1  # place in the queue, -1 for an empty seat
    opening: Mind | None = None
    turns: list[SessionTurn] = field(default_factory=list)
    replies: int = 0


class TextPlay:
    """Sessions of one model, or of one agent, in one world.

        play = TextPlay(world, toolbox, make_model("local"))
        for session in play.sessions(users, seeds):      # as they end
            ...
        play.report()["fill"]                            # how full the model's batches were

    A model is asked as it is, and may say anything; an agent (`TextAgent`, such as ``make_policy("react:local")``) asks its own. A session
    is the same however many are played side by side, as far as the replies are (`recoworld.llm.model`).
    """

    def __init__(
        self,
        world: World,
        toolbox: Toolbox,
        model: LanguageModel | TextAgent,
        *,
        rules: TextRules | None = None,
        side: int = SIDE,
        sampling: Sampling | None = None,
        context: int = CONTEXT,
        name: str | None = None,
    ) -> None:
        """sampling and context are of a model; name: of the policy in the sessions, by default "text:" and the model's.

        Raises ConfigError.
        """
        for what, value in (("side", side), ("context", context)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{what}: got {value!r}; expected an integer from 1 on")
        self.world, self.model, self.side, self.context = world, model, side, context
        self.talks = TextSessions(world, toolbox, rules, record=True)
        self.sampling, self.name = sampling or Sampling(), name or f"text:{model.name}"
        self._asked: list[int] = []  # prompts of each batch
        self._room = 0
        self._usage = Usage()
        self._counts = {"sessions": 0, "turns": 0, "tool_calls": 0, "invalid": 0, "fallbacks": 0}

    def sessions(self, users: Ints, seeds: NDArray[Any]) -> Iterator[Session]:
        """Play a session with each of `users` (indices ``[s]``) under `seeds` ``[s]``; they come in the order in which they end.

        The world's own sessions are replaced. Raises ConfigError, LanguageModelError; what was yielded stays good.
        """
        users, seeds = np.asarray(users), np.asarray(seeds)
        if users.ndim != 1 or users.shape != seeds.shape or not users.size:
            raise ConfigError(f"sessions: got users {users.shape} and seeds {seeds.shape}; expected one of each a session, at least 1")
        room = min(self.side, len(users))
        seats = [_Seat() for _ in range(room)]
        self.talks.open(users[:room], seeds[:room])
        self._seat(seats, list(range(room)), list(range(room)))
        waiting = room
        while rows := [row for row, seat in enumerate(seats) if seat.session >= 0]:
            self._asked.append(len(rows))
            self._room = max(self._room, room)
            free = []
            for row, step in zip(rows, self.talks.step(rows, self._replies(rows, seats, seeds)), strict=True):
                if step.turn is not None:
                    seats[row].turns.append(replace(step.turn, reasoning=step.reasoning[:REASONING]))
                if step.terminated or step.truncated:
                    yield self._ended(seats[row], row, users, seeds)
                    free.append(row)
            queue = list(range(waiting, min(waiting + len(free), len(users))))
            waiting += len(queue)
            if queue:
                self.talks.reopen(free[: len(queue)], users[queue], seeds[queue])
            self._seat(seats, free, queue)

    def report(self) -> dict[str, Any]:
        """Sessions that ended, with their turns, tool calls, invalid replies and fallbacks; batches, and how full they were on average.

        prompt_tokens, completion_tokens: of a model; an agent tells its own (`recoworld.policies.agents.agent.Agent.report`).
        """
        fill = float(np.mean(self._asked)) / self._room if self._asked else 0.0
        tokens = {"prompt_tokens": self._usage.prompt, "completion_tokens": self._usage.completion}
        return {"model": self.model.name, **self._counts, "batches": len(self._asked), "replies": sum(self._asked), "fill": fill, **tokens}

    def _replies(self, rows: Sequence[int], seats: list[_Seat], seeds: NDArray[Any]) -> list[str]:
        if isinstance(self.model, TextAgent):
            return self.model.act_all([self.talks.talks[row].messages for row in rows], slots=self.world.slate_size)
        prompts = []
        for row in rows:
            seed = int(combine(seeds[seats[row].session], seats[row].replies)[0] >> np.uint64(33))
            prompts.append(Prompt(messages=plain_chat(self.talks.talks[row].messages, self.context), seed=seed))
            seats[row].replies += 1
        replies = self.model.generate(prompts, sampling=self.sampling)
        self._usage = sum((reply.usage for reply in replies), self._usage)
        return [reply.text for reply in replies]

    def _seat(self, seats: list[_Seat], rows: list[int], queue: list[int]) -> None:
        """Give free seats to the next sessions, which stand open in the world already; the rest stay empty."""
        for place, row in enumerate(rows):
            seated = place < len(queue)
            opening = mind_of(self.world.catalog, self.world.state.mindset, row) if seated else None
            seats[row] = _Seat(session=queue[place] if seated else -1, opening=opening)

    def _ended(self, seat: _Seat, row: int, users: Ints, seeds: NDArray[Any]) -> Session:
        dataset, simulator, user = self.world.dataset, self.world.simulator, int(users[seat.session])
        self._counts["sessions"] += 1
        self._counts["turns"] += len(seat.turns)
        for name, number in self.talks.talks[row].counts.items():
            self._counts[name] += number
        return Session(
            dataset=storable(dataset.name),
            user=storable(dataset.users.ids[user]),
            user_index=user,
            seed=int(seeds[seat.session]),
            policy=storable(self.name),
            simulator=storable(getattr(simulator, "name", type(simulator).__name__)),
            opening=seat.opening,
            turns=tuple(seat.turns),
        )
