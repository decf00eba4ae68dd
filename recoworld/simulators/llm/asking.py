"""Asking for what users do with their slates; what cannot be read is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recoworld.llm.asking import ask as ask_for
from recoworld.llm.ledger import Ledger
from recoworld.llm.model import LanguageModel, Prompt, Sampling, Schema, Usage
from recoworld.simulators.llm.reply import Reply, read, salvaged

COUNTED = ("bent", "said", "not_understood")
"""What the ledger counts besides: valid replies that contradicted themselves (an act after an unseen item, watching without a click),
settled by rule; sentences to the recommender, and those of them that are no instruction."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A reply, and what it took with all that was asked anew."""

    reply: Reply
    usage: Usage


def ask(
    model: LanguageModel,
    prompts: list[Prompt],
    seeds: NDArray[np.int64],
    *,
    schema: Schema,
    sampling: Sampling,
    slots: int,
    thought_length: int,
    complaint: Callable[[str], str],
    ledger: Ledger,
) -> list[Answer]:
    """One answer a prompt, in order, as `recoworld.llm.asking.ask` has it.

    What is left unreadable is salvaged: the text with the most items that can be read stands, the later one of equals.
    Raises LanguageModelError.
    """
    asked = ask_for(
        model,
        prompts,
        seeds,
        schema=schema,
        sampling=sampling,
        read=lambda text: read(text, slots, thought_length),
        complaint=complaint,
        ledger=ledger,
    )
    out = []
    for one in asked:
        reply = one.reply
        if reply is None:
            tries = [salvaged(text, slots, thought_length) for text in reversed(one.unread)]
            reply = max(tries, key=lambda each: each.readable)
        out.append(Answer(reply=reply, usage=one.usage))
    return out


def absent(slots: int) -> Answer:
    """The answer of one who has left: nobody is asked."""
    nothing = Reply(
        thoughts=("",) * slots,
        deeds=("skip", *["unseen"] * (slots - 1)),  # type: ignore[arg-type]  # the literal is widened
        watch=(0,) * slots,
        levels=(None,) * 5,
        interest=None,
        intent=None,
        leave=True,
        say="",
        readable=slots,
    )
    return Answer(reply=nothing, usage=Usage())
