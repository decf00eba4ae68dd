"""Asking the model, and asking again: from prompts to replies that can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import LanguageModelError
from recoworld.llm.model import LanguageModel, Message, Prompt, Sampling, Schema, Usage
from recoworld.simulators.llm.ledger import Ledger
from recoworld.simulators.llm.reply import Reply, Unreadable, read, salvaged
from recoworld.simulators.llm.words import clean


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
    """One answer a prompt, in order.

    seeds ``[n, tries]``: a row for each prompt, a column for each time that it may be asked. complaint: what is added to a prompt whose
    reply could not be read, given what was wrong. Raises LanguageModelError.
    """
    n = len(prompts)
    usage: list[Usage] = [Usage()] * n
    replies: list[Reply | None] = [None] * n
    rest: list[list[str]] = [[] for _ in prompts]  # what could not be read
    batch, places = prompts, list(range(n))
    for attempt in range(seeds.shape[1]):
        asked = [replace(prompt, seed=int(seeds[place, attempt])) for prompt, place in zip(batch, places, strict=True)]
        completions = model.generate(asked, schema=schema, sampling=sampling)
        if len(completions) != len(asked):
            raise LanguageModelError(f"{model.name}: got {len(completions)} replies to {len(asked)} prompts; expected one each, in order")
        batch, again = [], []
        for place, completion in zip(places, completions, strict=True):
            usage[place] += completion.usage
            ledger.call(completion.usage)
            try:
                replies[place] = read(completion.text, slots, thought_length)
            except Unreadable as wrong:
                error = f"{wrong}, since it was cut" if completion.finish == "length" else str(wrong)
                ledger.problem("cut" if completion.finish == "length" else wrong.kind, error, completion.text)
                rest[place].append(completion.text)
                batch.append(_with(prompts[place], complaint(clean(error, 200))))
                again.append(place)
            else:
                ledger.add("valid_again" if attempt else "valid_first")
        places = again
        if not places:
            break
    ledger.add("replies", n)
    ledger.add("filled", len(places))
    for place in places:
        tries = [salvaged(text, slots, thought_length) for text in reversed(rest[place])]
        replies[place] = max(tries, key=lambda reply: reply.readable)
    return [Answer(reply=reply, usage=used) for reply, used in zip(replies, usage, strict=True) if reply is not None]


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


def _with(prompt: Prompt, words: str) -> Prompt:
    """The prompt with words added to its last message: all before them stays in the engine's cache."""
    *before, last = prompt.messages
    said = last["content"]
    more: Message = {**last, "content": f"{said}\n\n{words}" if isinstance(said, str) else [*said, {"type": "text", "text": words}]}
    return replace(prompt, messages=(*before, more))
