"""STARec: an agent that thinks fast to recommend and slowly to learn who it serves.

C. Wu et al., "STARec: An Efficient Agent Framework for Recommender Systems via Autonomous Deliberate Reasoning", CIKM 2025,
arXiv 2508.18812.

- **Fast thinking**, before each slate: demographics, preference memory, history and candidates with what is known of them become a ranked
  list with brief reasons.
- **Slow thinking**, after each slate: the list is compared with what the user did, the discrepancy is reflected on, and the preference
  memory is rewritten (`recoworld.policies.agents.memories`).

| departures from the paper | because |
|---|---|
| the memory is folded anew over the turns that the observation shows | an agent is a function of observations |
| a positive is what was clicked, several or none a slate | users here see slates |
| the instruction in force is told in fast thinking | users here speak |
| the model is used as it is; `recoworld.policies.agents.reward` is the reward to train it by | training has a room of its own |

| file | is | gets |
|---|---|---|
| system.j2 | who the agent is, and how it replies when it thinks fast | |
| fast.j2 | fast thinking | about, memory, history, last, asked, items, wanted |
| reflect.j2 | how it replies when it thinks slowly | |
| begin.j2 | slow thinking before the session | about, history, tastes |
| slow.j2 | slow thinking after a slate | about, memory, slate |
| retry.j2 | what was wrong with the last reply | error |
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from recoworld.llm.model import Prompt
from recoworld.luck import Luck
from recoworld.policies.agents.agent import Agent, Thought
from recoworld.policies.agents.config import AgentConfig
from recoworld.policies.agents.memories import Memories, Memory
from recoworld.policies.agents.perceive import View
from recoworld.policies.agents.replies import Ranking, ranking_schema, read_ranking
from recoworld.types import Slates


class STARecConfig(AgentConfig):
    """Settings of `STARec`."""

    introduce: bool = True
    """Whether the first memory is written by the model, out of the history; else it names the genres that were liked most often."""
    memory_turns: Annotated[int, Field(ge=1, le=1000)] = 50
    """Slates that are reflected on: a session that is longer begins its memory anew after as many, one such span back."""
    cached: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Memories that are kept, so that a session's next turn costs one reflection a user, not all of them."""


class STARec(Agent):
    """Fast thinking to rank, slow thinking to remember. See the module's docstring."""

    kind = "starec"
    version = "starec-v2"
    files = ("system.j2", "fast.j2", "reflect.j2", "begin.j2", "slow.j2", "retry.j2")
    Config = STARecConfig
    config: STARecConfig

    def think(self, views: list[View], pool: Slates, k: int, luck: Luck) -> list[Thought]:
        """See `Agent.think`."""
        memories = self._memories.of(views)
        shown = min(self.config.n_candidates, pool.shape[1])
        wanted = min(k, shown)
        prompts = [
            self._prompt(view, memory, items, wanted) for view, memory, items in zip(views, memories, pool[:, :shown].tolist(), strict=True)
        ]
        asked = self.asked(
            prompts,
            luck,
            schema=ranking_schema(wanted, shown, reasons=True),
            read=lambda text: read_ranking(text, wanted, shown),
        )
        self.ledger.add("bent", sum(reply.bent for reply in asked if reply is not None))
        return [
            self._thought(memory, reply, items) for memory, reply, items in zip(memories, asked, pool[:, :shown].tolist(), strict=True)
        ]

    @property
    def _memories(self) -> Memories:
        if self._memory is None or self._memory.perception is not self.perception:
            self._memory = Memories(self)
        return self._memory

    _memory: Memories | None = None

    def _prompt(self, view: View, memory: Memory, items: list[int], wanted: int) -> Prompt:
        """Fast thinking."""
        perception = self.perception
        fast = self.prompts.render(
            "fast.j2",
            about=view.about,
            memory=memory.text,
            history=[perception.told(met) for met in view.past[-self.config.history_items :]],
            last=[perception.told(met) for met in view.turns[-1]] if view.turns else [],
            asked=view.asked,
            items=[perception.items.line(item) for item in items],
            wanted=wanted,
        )
        return Prompt.of(fast, system=self.prompts.render("system.j2"))

    def _thought(self, memory: Memory, reply: Ranking | None, items: list[int]) -> Thought:
        said = [f"It reflects: {memory.reflection}"] * bool(memory.reflection) + [f"It remembers: {memory.text}"] * bool(memory.text)
        if reply is None:
            return Thought(items=(), words=" | ".join([*said, "no ranking could be read: the candidates' own order"]))
        chosen = [items[place] for place in reply.places]
        titles = [f"{self.perception.items.title(item)} {why}" for item, why in zip(chosen, reply.whys, strict=True) if why]
        return Thought(items=tuple(chosen), words=" | ".join([*said, *[reply.thought] * bool(reply.thought), *titles]))
