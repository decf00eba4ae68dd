"""LLMRank: a language model re-ranks what a classic policy has found, without training.

Y. Hou et al., "Large Language Models are Zero-Shot Rankers for Recommender Systems", ECIR 2024, arXiv 2305.08845.

| departures from the paper | because |
|---|---|
| candidates come in the order of their generator, not shuffled, unless `bootstraps` > 1 | the generator knows something |
| they are ranked by number, not by title | nothing is to be matched by its wording |
| a sentence of reasoning comes before the ranking | sessions are read by people |
| the instruction in force is told | users here speak |

| file | is | gets |
|---|---|---|
| system.j2 | the task | |
| turn.j2 | history, the latest item once more (recency-focused prompting), candidates | history, latest, asked, items, wanted |
| retry.j2 | what was wrong with the last reply | error, wanted, shown |
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recoworld.llm.model import Prompt
from recoworld.luck import Luck
from recoworld.policies.agents.agent import Agent, Thought
from recoworld.policies.agents.config import AgentConfig
from recoworld.policies.agents.perceive import View
from recoworld.policies.agents.replies import Ranking, ranking_schema, read_ranking
from recoworld.types import Slates

_SHUFFLES = 40  # stream of luck


class LLMRankConfig(AgentConfig):
    """Settings of `LLMRank`."""

    bootstraps: Annotated[int, Field(ge=1, le=20)] = 1
    """How often each user is asked, the candidates in another order each time; ranks are averaged (against position bias)."""


class LLMRank(Agent):
    """Zero-shot re-ranking by a language model with a recency-focused prompt. See the module's docstring."""

    kind = "llmrank"
    version = "llmrank-v2"
    files = ("system.j2", "turn.j2", "retry.j2")
    Config = LLMRankConfig
    config: LLMRankConfig

    def think(self, views: list[View], pool: Slates, k: int, luck: Luck) -> list[Thought]:
        """See `Agent.think`."""
        times, shown = self.config.bootstraps, min(self.config.n_candidates, pool.shape[1])
        wanted = min(k, shown)
        orders = _orders(luck, shown, times)  # [n, times, shown]
        prompts = [self._prompt(view, pool[row, order].tolist(), wanted) for row, view in enumerate(views) for order in orders[row]]
        asked = self.asked(
            prompts,
            Luck(luck.bits(times, _SHUFFLES + 1).reshape(-1)),
            schema=ranking_schema(wanted, shown),
            read=lambda text: read_ranking(text, wanted, shown),
            wanted=wanted,
            shown=shown,
        )
        self.ledger.add("bent", sum(reply.bent for reply in asked if reply is not None))
        out = []
        for row, order in enumerate(orders):
            replies = asked[row * times : (row + 1) * times]
            places = mean_order(replies, order)
            words = next((reply.thought for reply in replies if reply is not None), "no reply could be read: the candidates' own order")
            out.append(Thought(items=tuple(pool[row, places].tolist()), words=words))
        return out

    def _prompt(self, view: View, items: list[int], wanted: int) -> Prompt:
        perception = self.perception
        history = [perception.told(met) for met in view.met[-self.config.history_items :]]
        latest = next((perception.items.title(met.item) for met in reversed(view.met) if met.good), "")
        lines = [perception.items.line(item) for item in items]
        turn = self.prompts.render("turn.j2", history=history, latest=latest, asked=view.asked, items=lines, wanted=wanted)
        return Prompt.of(turn, system=self.prompts.render("system.j2"))


def mean_order(replies: list[Ranking | None], orders: NDArray[np.int64]) -> NDArray[np.int64]:
    """Candidates by their mean rank over the replies, ties in the candidates' own order ``[m]``.

    orders: the candidate at each place of each list that was shown ``[times, m]``. What a ranking leaves out shares the mean of the ranks
    that are left; a reply that could not be read says nothing.
    """
    m = orders.shape[1]
    total = np.zeros(m)
    for reply, order in zip(replies, orders, strict=True):
        if reply is None:
            continue
        said = len(reply.places)
        ranks = np.full(m, (said + m - 1) / 2)
        ranks[order[list(reply.places)]] = np.arange(said)
        total += ranks
    return np.argsort(total, kind="stable")


def _orders(luck: Luck, m: int, times: int) -> NDArray[np.int64]:
    """The candidate at each place of each list ``[n, times, m]``: shuffled where there are several lists."""
    n = len(luck.keys)
    if times == 1:
        return np.tile(np.arange(m), (n, 1, 1))
    return np.argsort(luck.uniform(times * m, _SHUFFLES).reshape(n, times, m), axis=2, kind="stable")
