"""What a language model is here: batches of prompts in, texts or likelihoods out.

    model = make_model("local")                       # recoworld.llm.make
    replies = model.generate([Prompt.of("Hello")], schema=None, sampling=Sampling(max_tokens=20))
    model.score([Prompt.of("The capital of France is")], [[" Paris", " Rome"]])

A reply never depends on the others in the batch: each prompt carries its own seed. Prompts that begin alike share an engine's prefix cache,
so what changes goes last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

Message = Mapping[str, Any]
"""``{"role": "system" | "user" | "assistant", "content": str}``; content may also be a list of chat content parts (text, image_url), for
models that see."""
Schema = Mapping[str, Any]
"""A JSON schema: objects whose properties are all required, in their order; strings with a pattern; integers with bounds; enums; booleans;
arrays with minItems = maxItems. What engines' grammars differ in is left out."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One conversation to be continued by the assistant."""

    messages: tuple[Message, ...]
    seed: int = 0
    """Of sampling, in [0, 2**31)."""

    @classmethod
    def of(cls, text: str, *, system: str | None = None, seed: int = 0) -> Prompt:
        """A user's message, with a system message before it if given."""
        first = ({"role": "system", "content": system},) if system else ()
        return cls(messages=(*first, {"role": "user", "content": text}), seed=seed)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How replies are drawn."""

    max_tokens: int = 512
    temperature: float = 0.8
    """0: the likeliest token, always."""
    top_p: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one call; the cached ones are among those of the prompt."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(prompt=self.prompt + other.prompt, cached=self.cached + other.cached, completion=self.completion + other.completion)


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a model said to one prompt."""

    text: str
    finish: str = "stop"
    """ "stop", or "length" where `Sampling.max_tokens` cut it."""
    usage: Usage = field(default_factory=Usage)
    prompt_ids: tuple[int, ...] | None = None
    """The tokens that the model saw, where the engine tells; likewise those that it sampled and their log-probabilities in nats."""
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """How likely a continuation is after a prompt."""

    logprob: float
    """Sum over its tokens, in nats."""
    tokens: int


OnReply = Callable[[int, Any], None]
"""Called with the place in the batch and the reply (a `Completion`, or a tuple of `Likelihood`) as soon as it is there."""


@runtime_checkable
class LanguageModel(Protocol):
    """Thread-safe; `name` tells models apart in records, and holds no key."""

    name: str

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = Sampling(),
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """One reply a prompt, in order. With `schema` the engine's grammar holds replies to it, compactly, without optional whitespace.

        Raises LanguageModelError when the model cannot be reached any more; `on_reply` was called for all that came before.
        """
        ...

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """For each prompt how likely each of its continuations would be as the beginning of the reply. Raises LanguageModelError."""
        ...

    def close(self) -> None:
        """Give back memory, connections and processes; calling it twice is fine."""
        ...
