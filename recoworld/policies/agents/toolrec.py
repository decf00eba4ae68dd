"""ToolRec: a language model takes the user's place, explores attributes with tools, and ends with a ranking.

Y. Zhao et al., "Let Me Do It For You: Towards LLM Empowered Recommendation via Tool Learning", SIGIR 2024, arXiv 2405.15114.

The surrogate user begins with a short list of a classic policy. In each of `rounds` it looks at its list, says what it misses, and uses
a tool by an attribute, or finishes:

- **retrieve** puts the next items that have the attribute, in the classic policy's order, on the list;
- **rank** moves the items of the list that have it to the front.

A memory of the rounds is told in each. At the end the list is ranked. All users explore in lock-step: a batch a round.

| departures from the paper | because |
|---|---|
| tools sort by the classic policy; no encoder is trained, no model ranks within a round | one call a round, nothing to train |
| attributes are genres, decades and how well known items are | what every catalogue here has |
| the instruction in force is told | users here speak |

| file | is | gets |
|---|---|---|
| system.j2 | the task of a round | |
| round.j2 | a round | about, history, asked, memory, items, names, left |
| judge.j2, final.j2 | the ranking at the end | about, history, asked, memory, items, wanted |
| retry.j2 | what was wrong with the last reply | error |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from recoworld.llm.asking import Unreadable
from recoworld.llm.model import Prompt
from recoworld.llm.replies import object_in, record_of, words_of
from recoworld.luck import Luck
from recoworld.policies.agents.agent import Agent, Thought
from recoworld.policies.agents.attributes import attributes
from recoworld.policies.agents.config import AgentConfig
from recoworld.policies.agents.perceive import View
from recoworld.policies.agents.replies import THOUGHT, ranking_schema, read_ranking, words
from recoworld.types import Bools, Slates
from recoworld.users import Dataset, Split

ACTIONS = ("retrieve", "rank", "finish")


class ToolRecConfig(AgentConfig):
    """Settings of `ToolRec`."""

    rounds: Annotated[int, Field(ge=0, le=20)] = 3
    """Tools that the surrogate user may use before it ranks."""
    pool_items: Annotated[int, Field(ge=1, le=10_000)] = 200
    """The classic policy's best items: what can be retrieved."""
    retrieved: Annotated[int, Field(ge=1, le=100)] = 5
    """Items that one retrieval adds."""


@dataclass(kw_only=True)
class _Search:
    """One surrogate user's exploration while it lasts."""

    view: View
    pool: list[int]
    items: list[int]
    """The list so far."""
    memory: list[str] = field(default_factory=list)
    """A line for each round."""
    over: bool = False


@dataclass(frozen=True, kw_only=True)
class _Step:
    thought: str
    action: str
    by: str


class ToolRec(Agent):
    """A surrogate user that explores attributes with retrieval and rank tools. See the module's docstring."""

    kind = "toolrec"
    version = "toolrec-v2"
    files = ("system.j2", "round.j2", "judge.j2", "final.j2", "retry.j2")
    Config = ToolRecConfig
    config: ToolRecConfig

    def fit(self, dataset: Dataset, split: Split) -> None:
        """See `Agent.fit`."""
        super().fit(dataset, split)
        self._attributes: dict[str, Bools] = attributes(self.perception.catalog)
        self._schema = record_of({"thought": words(THOUGHT), "action": {"enum": list(ACTIONS)}, "by": {"enum": list(self._attributes)}})

    @property
    def pool_size(self) -> int:
        """See `Agent.pool_size`."""
        return max(self.config.pool_items, self.config.n_candidates)

    def think(self, views: list[View], pool: Slates, k: int, luck: Luck) -> list[Thought]:
        """See `Agent.think`."""
        room = min(self.config.n_candidates, pool.shape[1])
        first = room if pool.shape[1] == room else (room + 1) // 2  # given items are all on the list: nothing else can be retrieved
        searches = [_Search(view=view, pool=row, items=row[:first]) for view, row in zip(views, pool.tolist(), strict=True)]
        for number in range(self.config.rounds):
            self._round(searches, number, room, luck)
        return self._ranked(searches, room, k, luck)

    def _round(self, searches: list[_Search], number: int, room: int, luck: Luck) -> None:
        """One step of everyone who still explores."""
        here = [row for row, search in enumerate(searches) if not search.over]
        if not here:
            return
        prompts = [
            Prompt.of(
                self.prompts.render(
                    "round.j2", names=list(self._attributes), left=self.config.rounds - number, **self._facts(searches[row])
                ),
                system=self.prompts.render("system.j2"),
            )
            for row in here
        ]
        steps = self.asked(prompts, Luck(luck.keys[here]), schema=self._schema, read=self._read, question=1 + number)
        for row, step in zip(here, steps, strict=True):
            self._done(searches[row], step, room)

    def _done(self, search: _Search, step: _Step | None, room: int) -> None:
        """What a step comes to; one that cannot be read ends the exploration."""
        if step is None or step.action == "finish":
            search.over = True
            search.memory += [f"{step.thought} Finish."] if step is not None else ["Finish: no step could be read."]
            return
        fits, before = self._attributes[step.by], len(search.items)
        if step.action == "retrieve":
            fresh = [item for item in search.pool if fits[item] and item not in search.items][: self.config.retrieved]
            search.items = (search.items + fresh)[:room]
            found = len(search.items) - before
            search.memory.append(f"{step.thought} Retrieved {step.by}: {found} new {'item' if found == 1 else 'items'}.")
        else:
            search.items.sort(key=lambda item: not fits[item])
            search.memory.append(f"{step.thought} Ranked by {step.by}: {sum(bool(fits[item]) for item in search.items)} items have it.")

    def _ranked(self, searches: list[_Search], room: int, k: int, luck: Luck) -> list[Thought]:
        """The rankings at the end; lists are filled up from the classic policy, so that all have the same length."""
        shown, wanted = room, min(k, room)
        for search in searches:
            search.items = list(dict.fromkeys([*search.items, *search.pool]))[:shown]
        prompts = [
            Prompt.of(self.prompts.render("final.j2", wanted=wanted, **self._facts(search)), system=self.prompts.render("judge.j2"))
            for search in searches
        ]
        schema = ranking_schema(wanted, shown)
        replies = self.asked(prompts, luck, schema=schema, read=lambda text: read_ranking(text, wanted, shown))
        self.ledger.add("bent", sum(reply.bent for reply in replies if reply is not None))
        out = []
        for search, reply in zip(searches, replies, strict=True):
            last = "no ranking could be read: the list as it is" if reply is None else reply.thought
            order = [search.items[place] for place in reply.places] if reply is not None else []
            out.append(Thought(items=tuple(dict.fromkeys([*order, *search.items])), words=" | ".join([*search.memory, last])))
        return out

    def _facts(self, search: _Search) -> dict[str, Any]:
        perception = self.perception
        return {
            "about": search.view.about,
            "history": [perception.told(met) for met in search.view.met[-self.config.history_items :]],
            "asked": search.view.asked,
            "memory": search.memory,
            "items": [perception.items.line(item) for item in search.items],
        }

    def _read(self, text: str) -> _Step:
        """Raises Unreadable, of the kind "json" or "action"."""
        content = object_in(text)
        action, by = content.get("action"), content.get("by")
        if not isinstance(action, str) or action not in ACTIONS:
            raise Unreadable("action", f'"action" is not one of {", ".join(ACTIONS)}')
        if action != "finish" and (not isinstance(by, str) or by not in self._attributes):
            raise Unreadable("action", '"by" is none of the attributes')
        return _Step(thought=words_of(content, "thought", THOUGHT), action=action, by=by if isinstance(by, str) else "")
