"""Recommenders that think in words: a language model perceives, reasons, and chooses among what a classic policy has found.

    policy = STARec(llm="openai:gpt-4o-mini", candidates="ease", record="replies.sqlite")     # or make_policy("starec:openai:gpt-4o-mini")
    policy.fit(dataset, split)
    slates = policy.recommend(observations, luck)
    policy.reasons                                     # what it thought, a text a user, kept in the session's log
    policy.report()                                    # what became of all replies

One file an agent, and a folder ``prompts/NAME-vN`` with its words; `recoworld.policies.agents.agent.Agent` is the frame. docs/agents.md
shows how the next one is added.
"""

from __future__ import annotations

from recoworld.errors import ConfigError
from recoworld.registry import AGENTS
from recoworld.types import Recommender


def agent_of(spec: str) -> Recommender:
    """The agent that "AGENT" or "AGENT:LLM" names, LLM as `recoworld.llm.make.make_model` takes it.

    Raises UnknownName, ConfigError for a colon with nothing after it, and MissingExtra.
    """
    kind, colon, llm = spec.partition(":")
    if colon and not llm:
        raise ConfigError(f"policy {spec!r}: no language model is named; expected e.g. {kind}:scripted or {kind}:openai:gpt-4o-mini")
    agent: Recommender = AGENTS[kind](**({"llm": llm} if llm else {}))
    return agent
