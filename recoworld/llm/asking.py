"""Asking the model, and asking again: from prompts to replies that can be used.

A reply that cannot be read is data: it is counted (`recoworld.llm.ledger`), asked for anew with what was wrong, and then left to whoever
asked, with all that the model said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import LanguageModelError
from recoworld.llm.ledger import Ledger
from recoworld.llm.model import LanguageModel, Message, Prompt, Sampling, Schema, Usage
from recoworld.text import clean

T = TypeVar("T")


class Unreadable(ValueError):
    """What is wrong with a reply, in words for who wrote it; `kind` is a word for the report, e.g. "json"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class Asked(Generic[T]):
    """What came of one prompt."""

    reply: T | None
    """None where nothing could be read."""
    unread: tuple[str, ...]
    """What could not be read, the first reply first."""
    usage: Usage
    """All that was asked anew included."""


def ask(
    model: LanguageModel,
    prompts: list[Prompt],
    seeds: NDArray[np.int64],
    *,
    schema: Schema | None,
    sampling: Sampling,
    read: Callable[[str], T],
    complaint: Callable[[str], str],
    ledger: Ledger,
) -> list[Asked[T]]:
    """One answer a prompt, in order.

    seeds ``[n, tries]``: a row for each prompt, a column for each time that it may be asked. read: makes a reply of a text, or raises
    `Unreadable`. complaint: what is added to a prompt whose reply could not be read, given what was wrong. Raises LanguageModelError.
    """
    n = len(prompts)
    usage: list[Usage] = [Usage()] * n
    replies: list[T | None] = [None] * n
    unread: list[tuple[str, ...]] = [()] * n
    batch, places = prompts, list(range(n))
    for attempt in range(seeds.shape[1]):
        if not places:
            break
        asked = [replace(prompt, seed=int(seeds[place, attempt])) for prompt, place in zip(batch, places, strict=True)]
        completions = model.generate(asked, schema=schema, sampling=sampling)
        if len(completions) != len(asked):
            raise LanguageModelError(f"{model.name}: got {len(completions)} replies to {len(asked)} prompts; expected one each, in order")
        batch, again = [], []
        for place, completion in zip(places, completions, strict=True):
            usage[place] += completion.usage
            ledger.call(completion.usage)
            try:
                replies[place] = read(completion.text)
            except Unreadable as wrong:
                error = f"{wrong}, since it was cut" if completion.finish == "length" else str(wrong)
                ledger.problem("cut" if completion.finish == "length" else wrong.kind, error, completion.text)
                unread[place] += (completion.text,)
                batch.append(with_words(prompts[place], complaint(clean(error, 200))))
                again.append(place)
            else:
                ledger.add("valid_again" if attempt else "valid_first")
        places = again
    ledger.add("replies", n)
    ledger.add("filled", len(places))
    return [Asked(reply=reply, unread=texts, usage=used) for reply, texts, used in zip(replies, unread, usage, strict=True)]


def with_words(prompt: Prompt, words: str) -> Prompt:
    """The prompt with words added to its last message: all before them stays in the engine's cache."""
    *before, last = prompt.messages
    said = last["content"]
    more: Message = {**last, "content": f"{said}\n\n{words}" if isinstance(said, str) else [*said, {"type": "text", "text": words}]}
    return replace(prompt, messages=(*before, more))
