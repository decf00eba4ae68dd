"""Many conversations over one world: the core of all text environments.

Tools answer without the user's noticing; the sessions that recommend, and no others, go on by one turn, all in one call of the simulator.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.envs.codec import observe
from recoworld.envs.text_rules import POPULAR, TextRules
from recoworld.envs.text_words import bounded, opening_text, reply_text
from recoworld.errors import ConfigError, SessionOver
from recoworld.instructions import sentence
from recoworld.llm.model import Message
from recoworld.session import SessionTurn
from recoworld.session_log import recorded
from recoworld.text import plain, storable
from recoworld.tools.replies import LONGEST, Call, Reply, parsed
from recoworld.tools.toolbox import Toolbox
from recoworld.types import Ints, Observations, Slates, Turn
from recoworld.world import State, World

THOUGHT, CALL, THOUGHTS = 400, 200, 3600
"""Characters that are kept as the agent's reasoning: of a reply's words, of its call or the first line of the answer, of a whole turn."""

_GONE = {
    "tool calls": "You had no tool calls left",
    "wrong replies": "Your replies were no valid calls",
    "tokens": "The session has taken its tokens",
}


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One conversation so far."""

    messages: tuple[Message, ...]
    """All of them; roles system, user, tool and assistant."""
    calls: int = 0
    """Tool calls in this turn."""
    wrong: int = 0
    """Replies in a row that were no valid call."""
    spent: int = 0
    """Tokens of replies and answers in this session, see `TextRules.count`."""
    thoughts: tuple[str, ...] = ()
    """What the agent said in this turn, and what it was answered."""
    over: bool = False
    counts: dict[str, int] = field(default_factory=lambda: {"tool_calls": 0, "invalid": 0, "fallbacks": 0})
    """In this session; never changed in place."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a reply led to."""

    messages: tuple[Message, ...]
    """The new ones, for the agent."""
    reward: float = 0.0
    """As in the slate environment; 0 where no slate was shown."""
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any]
    turn: SessionTurn | None = None
    """What happened, as it is kept, where a slate was shown and turns are recorded."""
    reasoning: str = ""
    """What the agent said in the turn, what it was answered, and why a slate was chosen for it, parted by bars; at the turn's end."""


@dataclass(frozen=True, kw_only=True)
class _Act:
    """What is to be done about a reply: an answer, or a slate."""

    talk: Talk
    tool: str = ""
    answer: Message | None = None
    slate: tuple[int, ...] = ()
    fallback: str = ""
    notes: tuple[str, ...] = ()


class TextSessions:
    """`n` conversations side by side; what becomes of one never depends on the others."""

    def __init__(self, world: World, toolbox: Toolbox, rules: TextRules | None = None, *, record: bool = False) -> None:
        """record: keep each turn (`Step.turn`). Raises UnknownName for a fallback that is not there."""
        self.world, self.toolbox, self.rules, self.record = world, toolbox, rules or TextRules(), record
        self._system: Message = {"role": "system", "content": self.rules.system(world, toolbox)}
        self.talks: list[Talk] = []
        """The conversations as they stand ``[n]``; values, so that keeping one is enough to come back to it."""

    def open(self, users: Ints, seeds: NDArray[Any]) -> list[tuple[Message, ...]]:
        """Begin a session with each of these users; their first messages."""
        self.world.reset(users, seeds)
        self.talks = [self._opened(user) for user in self.world.state.history.users.tolist()]
        return [talk.messages for talk in self.talks]

    def reopen(self, rows: Sequence[int], users: Ints, seeds: NDArray[Any]) -> list[tuple[Message, ...]]:
        """Replace the sessions in `rows` by new ones; the others go on untouched."""
        self.world.reopen(np.asarray(rows, np.int64), np.asarray(users, np.int64), seeds)
        for row, user in zip(rows, np.asarray(users).tolist(), strict=True):
            self.talks[row] = self._opened(user)
        return [self.talks[row].messages for row in rows]

    def step(self, rows: Sequence[int], replies: Sequence[object]) -> list[Step]:
        """What the agents of these sessions said, each a text or a chat message.

        Raises SessionOver, ConfigError, and what the simulator raises; then nothing has happened.
        """
        if len(rows) != len(replies) or len(set(rows)) != len(rows) or any(not 0 <= row < len(self.talks) for row in rows):
            got = f"{len(replies)} replies for the rows {str(list(rows))[:60]}"
            raise ConfigError(f"step: got {got}; expected one for each of some sessions from 0 to {len(self.talks) - 1}")
        if any(self.talks[row].over for row in rows):
            raise SessionOver("the user has left, or max_turns is reached; open the next session first")
        seen = observe(self.world)
        acts = [self._act(row, reply, {key: value[row] for key, value in seen.items()}) for row, reply in zip(rows, replies, strict=True)]
        going = sorted((row, act.slate) for row, act in zip(rows, acts, strict=True) if act.slate)
        before = self.world.state.history.standing
        turn = self._advance([row for row, _ in going], np.array([slate for _, slate in going], np.int64)) if going else None
        places = {row: place for place, (row, _) in enumerate(going)}
        out = []
        for row, act in zip(rows, acts, strict=True):
            if turn is None or row not in places:
                out.append(self._told(row, act))
            else:
                out.append(self._turned(row, act, turn, places[row], told=bool(before.kind[row])))
        return out

    def view(self, row: int) -> Observations:
        """What a recommender may see of one session, as the tools take it."""
        return {key: value[row] for key, value in observe(self.world).items()}

    def snapshot(self) -> tuple[State, tuple[Talk, ...]]:
        """All sessions as a value: restoring it continues identically, however often."""
        return self.world.snapshot(), tuple(self.talks)

    def restore(self, kept: tuple[State, tuple[Talk, ...]]) -> None:
        """Go back to a snapshot."""
        self.world.restore(kept[0])
        self.talks = list(kept[1])

    def _opened(self, user: int) -> Talk:
        return Talk(messages=(self._system, {"role": "user", "content": opening_text(self.world, user)}))

    def _act(self, row: int, reply: object, view: Observations) -> _Act:
        """Read a reply and answer it, or find the slate; changes nothing."""
        said, talk, rules = parsed(reply), self.talks[row], self.rules
        spoken = _spoken(reply, said)
        mine: Message = {"role": "assistant", "content": spoken}
        thoughts = (*talk.thoughts, _thought(said))
        talk = replace(talk, messages=(*talk.messages, mine), spent=talk.spent + rules.counted(spoken), thoughts=thoughts)
        call = said.calls[0] if said.calls else None
        notes = (f"You made {len(said.calls)} calls at once; only the first counts.",) if len(said.calls) > 1 else ()
        if call is not None and call.tool == "recommend":
            picked = self.toolbox.picked(call.arguments, view)
            if not picked.problem:
                return _Act(talk=talk, tool="recommend", slate=picked.items, notes=notes)
            text, good = f"Error: {picked.problem}", False
        elif call is not None and talk.calls >= rules.tool_calls:
            return self._fallback(talk, view, "tool calls", call.tool)
        elif call is not None:
            answer = self.toolbox.answer(call.tool, call.arguments, view)
            text, good = answer.text, answer.good
            talk = _counted(replace(talk, calls=talk.calls + 1), "tool_calls")
        else:
            text, good = f"Error: {said.problem}", False
        talk = replace(talk, wrong=0) if good else _counted(replace(talk, wrong=talk.wrong + 1), "invalid")
        heading = text.partition("\n")[0]
        talk = replace(talk, spent=talk.spent + rules.counted(text), thoughts=(*talk.thoughts, f"-> {plain(heading, CALL)}"))
        tool = "" if call is None else plain(call.tool, 40)
        if talk.wrong >= rules.wrong_replies:
            return self._fallback(talk, view, "wrong replies", tool)
        if talk.spent > rules.tokens:
            return self._fallback(talk, view, "tokens", tool)
        if not good:
            notes = (*notes, f"Wrong reply {talk.wrong} of {rules.wrong_replies}.")
        left = rules.tool_calls - talk.calls
        notes = (*notes, f"{left} tool calls left in this turn." if left else "No tool calls left: recommend now.")
        return _Act(talk=talk, tool=tool, answer=_answer(tool, call.id if call else "", "\n".join([text, *notes])))

    def _fallback(self, talk: Talk, view: Observations, why: str, tool: str) -> _Act:
        by = self.rules.fallback
        slate = self.toolbox.popular(view) if by == POPULAR else tuple(self.toolbox.ranked(by, view)[: len(view["slate"])])
        notes = (f"{_GONE[why]}: a slate was chosen for you.",)
        return _Act(talk=_counted(talk, "fallbacks"), tool=plain(tool, 40), slate=slate, fallback=why, notes=notes)

    def _advance(self, rows: list[int], slates: Slates) -> Turn:
        """Show the slates to these users, in ascending order; for the others no time passes."""
        world = self.world
        if len(rows) == len(self.talks):
            return world.step(slates)
        whole, where = world.state, np.array(rows, np.int64)
        world.restore(whole.take(where))
        try:
            turn = world.step(slates)
        except BaseException:
            world.restore(whole)
            raise
        world.restore(_merged(whole, where, world.state))
        return turn

    def _told(self, row: int, act: _Act) -> Step:
        """A session that waits for the next reply."""
        assert act.answer is not None  # an act is an answer or a slate
        self.talks[row] = replace(act.talk, messages=(*act.talk.messages, act.answer))
        return Step(messages=(act.answer,), info=self._info(row, act))

    def _turned(self, row: int, act: _Act, turn: Turn, place: int, *, told: bool) -> Step:
        """A session that was shown a slate."""
        world, history = self.world, self.world.state.history
        left, cut = bool(turn.feedback.left[place]), bool(world.cut[row])
        standing, number = history.standing.take(np.array([row])), int(history.turn[row])
        over = "left" if left else "cut" if cut else ""
        text = reply_text(world, turn, place, standing, int(history.age[row]), number, over=over)
        message: Message = {"role": "user", "content": bounded("\n".join([*act.notes, text]))}
        reasoning = " | ".join([plain(" | ".join(act.talk.thoughts), THOUGHTS), *act.notes])
        self.talks[row] = replace(act.talk, messages=(*act.talk.messages, message), calls=0, wrong=0, thoughts=(), over=bool(over))
        said, info = turn.feedback.instruction, self._info(row, act)
        info["items"] = turn.slates[place].tolist()
        info["reward_parts"] = dict(zip(world.reward.names, turn.parts[place].tolist(), strict=True))
        info["instruction"] = sentence(said, place, world.catalog) if said.kind[place] else ""
        if turn.feedback.tokens is not None:
            info["tokens"] = turn.feedback.tokens[place].copy()
        kept = recorded(world, turn, place, told=told) if self.record else None
        reward = float(turn.reward[place])
        return Step(
            messages=(message,), reward=reward, terminated=left, truncated=cut and not left, info=info, turn=kept, reasoning=reasoning
        )

    def _info(self, row: int, act: _Act) -> dict[str, Any]:
        user = str(self.world.dataset.users.ids[self.world.state.history.users[row]])
        nothing: dict[str, Any] = {"items": [], "reward_parts": {}, "instruction": ""}
        return {"user": user, **nothing, "tool": act.tool, "fallback": act.fallback, "spent": act.talk.spent, **act.talk.counts}


def _answer(tool: str, call_id: str, text: str) -> Message:
    """A tool's answer as a chat API has it; to a reply without a call, a user's message."""
    if not tool:
        return {"role": "user", "content": bounded(text)}
    return {"role": "tool", "name": tool, "content": bounded(text), **({"tool_call_id": plain(call_id, 100)} if call_id else {})}


def _spoken(reply: object, said: Reply) -> str:
    """The agent's words as they stay in the conversation: without what no tokenizer takes, and no longer than what was read."""
    if not isinstance(reply, str):
        reply = "\n".join([said.words, *map(_written, said.calls)])
    kept = storable(reply[:LONGEST])
    return "".join(c for c in kept if c >= " " or c in "\n\t")


def _thought(said: Reply) -> str:
    """A reply in a reader's log: its words and its first call."""
    call = plain(_written(said.calls[0]), CALL) if said.calls else ""
    return f"{plain(said.words, THOUGHT)} {call}".strip() or "(nothing)"


def _written(call: Call) -> str:
    try:
        return json.dumps({"tool": call.tool, "arguments": call.arguments}, ensure_ascii=False)[:LONGEST]
    except (TypeError, ValueError, RecursionError):
        return json.dumps({"tool": plain(call.tool, 40)})


def _counted(talk: Talk, what: str) -> Talk:
    return replace(talk, counts={**talk.counts, what: talk.counts[what] + 1})


def _merged(whole: State, rows: NDArray[np.int64], part: State) -> State:
    """The sessions with `rows` as they are in `part`."""
    mine, theirs = whole.history.standing, part.history.standing
    if (mine.texts is None) != (theirs.texts is None):  # one user speaks in words of its own, the others have not yet
        blank = [np.full(len(each.kind), "", dtype=object) if each.texts is None else each.texts for each in (mine, theirs)]
        whole = replace(whole, history=replace(whole.history, standing=replace(mine, texts=blank[0])))
        part = replace(part, history=replace(part.history, standing=replace(theirs, texts=blank[1])))
    return whole.put(rows, part)
