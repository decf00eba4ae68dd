"""ReAct: a tool agent with the blueprint's four modules, for the slate environments and for the text environment.

S. Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models", ICLR 2023, arXiv 2210.03629; the modules are RecoWorld's
(arXiv 2509.10397, section 4):

- **perception**: who the user is, what it did with the last slates and what it asked for, in words (`perceive`);
- **reasoning and planning**: a thought before each step;
- **action**: a tool of `recoworld.tools` with its argument, whose answer is read before the next step, until it recommends;
- **memory**: the steps of this turn, and the slates of this session.

After `steps` tools, when it says "recommend", and when it would use a tool as it has already in this turn, it chooses from a numbered list
of what its tools have shown it. A step that cannot be read ends the exploration; a choice that cannot be read leaves the order of the
candidates. `top` with words that are no genre becomes a `search` for them.

| departures from the paper | because |
|---|---|
| a step is a JSON object with one argument, not free text | a grammar can hold a small model to it |
| no examples of other episodes are in the prompt | zero-shot; put them into a folder of your own (`prompts`) |

| file | is | gets |
|---|---|---|
| system.j2 | the task, the tools, how to reply | slots, genres |
| turn.j2 | what is perceived at the start of a turn | about, history, tastes, turns, asked, slots |
| choose.j2 | the list to recommend from | items, wanted |
| retry.j2 | what was wrong with the last reply | error |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated

import numpy as np
from pydantic import Field

from recoworld.catalog import NO_GENRE
from recoworld.llm.model import Message, Prompt
from recoworld.llm.words import NAME
from recoworld.luck import Keys, Luck
from recoworld.policies.agents.agent import Agent, Thought
from recoworld.policies.agents.config import AgentConfig
from recoworld.policies.agents.perceive import View
from recoworld.policies.agents.replies import Ranking, ranking_schema, read_ranking
from recoworld.policies.agents.steps import SCHEMA, Step, genres_in, listed, outcome, read_step, said, turn_of, within
from recoworld.text import clean
from recoworld.tools import Toolbox
from recoworld.types import Slates
from recoworld.users import Dataset, Split

_CHOICE = 30  # the question after all steps
_GENRES = 40  # named in the prompt


class ReActConfig(AgentConfig):
    """Settings of `ReAct`."""

    steps: Annotated[int, Field(ge=0, le=20)] = 4
    """Tools that it may use before it recommends."""
    remembered: Annotated[int, Field(ge=0, le=100)] = 3
    """Slates of this session that it is told of at the start of a turn."""
    context: Annotated[int, Field(ge=1000, le=10_000_000)] = 16_000
    """Characters of a conversation that it is shown: the first message and the latest ones."""


@dataclass(kw_only=True)
class _Work:
    """One user's turn while it is thought about."""

    view: View
    messages: list[Message]
    answers: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    calls: set[str] = field(default_factory=set)
    over: bool = False


class ReAct(Agent):
    """Thought, tool, observation, until it recommends. See the module's docstring."""

    kind = "react"
    version = "react-v2"
    files = ("system.j2", "turn.j2", "choose.j2", "retry.j2")
    Config = ReActConfig
    config: ReActConfig
    _genres: tuple[str, ...] = ()

    def fit(self, dataset: Dataset, split: Split) -> None:
        """See `Agent.fit`."""
        super().fit(dataset, split)
        known = self.perception
        self.toolbox = Toolbox(known.dataset, known.split, rankers={self.generator.name: self.generator})
        self._items = {clean(item_id, 40): item for item, item_id in reversed(list(enumerate(known.catalog.ids.tolist())))}
        self._genres = tuple(clean(name, NAME) for name in known.catalog.genre_names if name != NO_GENRE)

    def think(self, views: list[View], pool: Slates, k: int, luck: Luck) -> list[Thought]:
        """See `Agent.think`."""
        works = [_Work(view=view, messages=[self._perceived(view, k)]) for view in views]
        for number in range(self.config.steps):
            here = [row for row, work in enumerate(works) if not work.over]
            if here:
                self._stepped([works[row] for row in here], k, number, Luck(luck.keys[here]))
        shown = min(self.config.n_candidates, pool.shape[1])
        lists = [self._list(work, row, shown) for work, row in zip(works, pool.tolist(), strict=True)]
        lines = [[self.perception.items.line(item) for item in items] for items in lists]
        replies = self._choices([work.messages for work in works], lines, min(k, shown), shown, k, luck.keys)
        return [self._thought(work, items, reply) for work, items, reply in zip(works, lists, replies, strict=True)]

    def act(self, messages: Sequence[Message], *, slots: int = 10) -> str:
        """`act_all` of one conversation."""
        return self.act_all([messages], slots=slots)[0]

    def act_all(self, conversations: Sequence[Sequence[Message]], *, slots: int = 10) -> list[str]:
        """The next reply in each conversation of a text environment, a thought and a call of a tool, one batch for all.

        slots: items of a slate. Tools and seeds are those of the conversations, so nothing is remembered between calls, and `fit` need not
        have been called. An agent that recommends before its tools have shown it enough items is given `top` first.
        Raises LanguageModelError.
        """
        talks = list(conversations)
        turns = [turn_of(talk) for talk in talks]
        keys = np.array([_seed(talk) for talk in talks], np.uint64)
        asks = [row for row, (said_before, _) in enumerate(turns) if len(said_before) < self.config.steps]
        steps = dict(zip(asks, self._steps([talks[row] for row in asks], slots, keys[asks]), strict=True)) if asks else {}
        out, chosen = [""] * len(talks), []
        for row, (said_before, answers) in enumerate(turns):
            step = steps.get(row)
            reply = "" if step is None or step.tool == "recommend" else said(step.thought, step.tool, step.arguments)
            if reply and reply.rpartition("\n")[2] not in said_before:
                out[row] = reply
            elif len(listed(answers)) < slots:
                out[row] = said(step.thought if step is not None else "", "top", {"limit": 20})
            else:
                chosen.append(row)
        shown = max(self.config.n_candidates, slots)
        lists = [list(listed(turns[row][1]).items())[-shown:] for row in chosen]
        lines = [[f"[{item_id}] {line}" for item_id, line in items] for items in lists]
        rankings = self._choices([talks[row] for row in chosen], lines, slots, shown, slots, keys[chosen]) if chosen else []
        for row, items, ranking in zip(chosen, lists, rankings, strict=True):
            first = [items[place][0] for place in ranking.places if place < len(items)] if ranking is not None else []
            ids = list(dict.fromkeys([*first, *(item_id for item_id, _ in items)]))[:slots]
            out[row] = said(ranking.thought if ranking is not None else "", "recommend", {"items": ids})
        return out

    def _perceived(self, view: View, k: int) -> Message:
        """Perception, and the memory of this session."""
        perception, config = self.perception, self.config
        told = [[perception.told(met) for met in turn] for turn in view.turns]
        turns = list(enumerate(told, 1))[len(told) - min(config.remembered, len(told)) :]
        history = [perception.told(met) for met in view.past[-config.history_items :]]
        facts = {"about": view.about, "history": history, "tastes": perception.tastes(view), "turns": turns, "asked": view.asked}
        return {"role": "user", "content": self.prompts.render("turn.j2", slots=k, **facts)}

    def _stepped(self, works: list[_Work], k: int, number: int, luck: Luck) -> None:
        """One thought and one action of everyone who still explores."""
        steps = self._steps([work.messages for work in works], k, luck.keys, number)
        for work, step in zip(works, steps, strict=True):
            again = step is not None and step.call in work.calls
            if step is None or step.tool == "recommend" or again:
                work.over = True
                work.words.append(("no step could be read" if step is None else step.words) + ", as before" * again)
                continue
            work.calls.add(step.call)
            answer = self.toolbox.call(step.tool, step.arguments, work.view.row)
            work.words.append(f"{step.words}: {outcome(answer)}")
            if step.tool != "user_history":
                work.answers.append(answer)
            work.messages += [
                {"role": "assistant", "content": step.text},
                {"role": "tool", "name": step.tool, "content": answer},
            ]

    def _steps(self, talks: Sequence[Sequence[Message]], slots: int, keys: Keys, number: int = 0) -> list[Step | None]:
        """Reasoning and planning: what each wants to do next."""
        prompts = [self._prompt(talk, slots) for talk in talks]
        steps = self.asked(prompts, Luck(keys), schema=SCHEMA, read=read_step, question=1 + number)
        return [step and step.meant(self._known(talk)) for step, talk in zip(steps, talks, strict=True)]

    def _choices(
        self, talks: Sequence[Sequence[Message]], lines: list[list[str]], wanted: int, shown: int, slots: int, keys: Keys
    ) -> list[Ranking | None]:
        """The rankings of the lists at the end of a turn."""
        asks: list[Message] = [{"role": "user", "content": self.prompts.render("choose.j2", items=items, wanted=wanted)} for items in lines]
        replies = self.asked(
            [self._prompt([*talk, ask], slots) for talk, ask in zip(talks, asks, strict=True)],
            Luck(keys),
            schema=ranking_schema(wanted, shown),
            read=lambda text: read_ranking(text, wanted, shown),
            question=_CHOICE,
        )
        self.ledger.add("bent", sum(reply.bent for reply in replies if reply is not None))
        return replies

    def _prompt(self, talk: Sequence[Message], slots: int) -> Prompt:
        genres = ", ".join(self._known(talk)[:_GENRES])
        system: Message = {"role": "system", "content": self.prompts.render("system.j2", slots=slots, genres=genres)}
        return Prompt(messages=(system, *within((message for message in talk if message["role"] != "system"), self.config.context)))

    def _known(self, talk: Sequence[Message]) -> tuple[str, ...]:
        """The genres that the tools know: those of the conversation where it is a text environment's, else those of the catalogue."""
        return genres_in(talk) if talk and talk[0]["role"] == "system" else self._genres

    def _list(self, work: _Work, pool: list[int], shown: int) -> list[int]:
        """What is chosen from: the latest items that the tools have listed, filled up from the candidates."""
        found = [self._items[item_id] for item_id in listed(work.answers) if item_id in self._items]
        return list(dict.fromkeys([*found[-shown:], *pool]))[:shown]

    def _thought(self, work: _Work, items: list[int], reply: Ranking | None) -> Thought:
        if reply is None:
            return Thought(items=(), words=" | ".join([*work.words, "no choice could be read: the candidates' own order"]))
        chosen = [items[place] for place in reply.places]
        return Thought(items=tuple(dict.fromkeys([*chosen, *items])), words=" | ".join([*work.words, reply.thought]))


def _seed(talk: Sequence[Message]) -> int:
    """A seed out of what has been said, and how much of it."""
    last = str(talk[-1]["content"]) if talk else ""
    return int.from_bytes(blake2b(f"{len(talk)}:{last}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
