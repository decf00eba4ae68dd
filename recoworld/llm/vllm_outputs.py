"""What `vllm.RequestOutput` says, and when the likelihoods of several continuations can be read off one request.

Continuations such as "I click" and "I skip" differ in their last token alone. Then one request does for all of them: one step a token,
held to what they share, at which the engine tells the log-probabilities of the tokens that are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recoworld.llm.model import Completion, Likelihood, Usage

MOST_TOLD = 128
"""Tokens that vLLM tells the log-probabilities of at a step."""


def shared_lead(continuations: Sequence[Sequence[int]]) -> Sequence[int] | None:
    """The token, or none, before the last ones of all continuations (token ids); None where they cannot be read off one request."""
    leads = {tuple(ids[:-1]) for ids in continuations}
    if len(leads) != 1 or not all(continuations):
        return None
    lead = leads.pop()
    return lead if len(lead) <= 1 and len(told(continuations)) <= MOST_TOLD else None


def told(continuations: Sequence[Sequence[int]]) -> list[int]:
    """The tokens whose log-probabilities are asked for."""
    return sorted({token for ids in continuations for token in ids})


def weighed(output: Any, continuations: Sequence[Sequence[int]]) -> list[Likelihood | None]:
    """One likelihood a continuation, of a request that told each step's log-probabilities."""
    steps = output.outputs[0].logprobs
    return [
        Likelihood(logprob=sum(float(step[token].logprob) for step, token in zip(steps, ids, strict=True)), tokens=len(ids))
        for ids in continuations
    ]


def likelihood(output: Any, start: int) -> Likelihood:
    """Of the prompt's own tokens from `start` on."""
    ids = output.prompt_token_ids
    total = sum(float(output.prompt_logprobs[at][ids[at]].logprob) for at in range(start, len(ids)))
    return Likelihood(logprob=total, tokens=len(ids) - start)


def completion(output: Any) -> Completion:
    """A reply."""
    said = output.outputs[0]
    ids = tuple(map(int, said.token_ids))
    return Completion(
        text=said.text,
        finish="length" if said.finish_reason == "length" else "stop",
        usage=Usage(prompt=len(output.prompt_token_ids), cached=output.num_cached_tokens or 0, completion=len(ids)),
        prompt_ids=tuple(map(int, output.prompt_token_ids)),
        token_ids=ids,
        logprobs=tuple(float(row[token].logprob) for row, token in zip(said.logprobs, ids, strict=True)),
    )
