"""Engines for `llm_users.py`: found, watched, asked for the same prompts again, and asked item by item."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_dir

from recoworld.errors import LanguageModelError
from recoworld.llm.convert import convert
from recoworld.llm.grammar import longest_reply
from recoworld.llm.local import find
from recoworld.llm.model import Completion, LanguageModel, Likelihood, OnReply, Prompt, Sampling, Schema, Usage
from recoworld.llm.replies import record_of
from recoworld.simulators.llm import LLMSimulator
from recoworld.simulators.llm.reply import schema_of
from recoworld.types import Slates
from recoworld.world import State

DEFAULT = Sampling()


def spec_of(backend: str, model: str | None) -> str:
    """What `recoworld.llm.make.make_model` is asked for; without a model the small one of `recoworld.llm.local`, which vLLM is given as a
    folder, made once. Raises LanguageModelError, MissingExtra.
    """
    if model is None and backend in ("openvino", "transformers"):
        model = str(find())
    elif model is None and backend == "vllm":
        source = find()
        folder = Path(user_cache_dir("recoworld")) / "models" / source.stem
        model = str(folder if (folder / "config.json").is_file() else convert(source, folder))
    return backend if model is None else f"{backend}:{model}"


@dataclass(kw_only=True)
class Call:
    """One call of `generate`: what was asked, and what it took."""

    prompts: Sequence[Prompt]
    schema: Schema | None
    sampling: Sampling
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    replies: Sequence[Completion] = ()

    def add(self, prompts: Sequence[Prompt], replies: Sequence[Completion], seconds: float) -> None:
        """Count one more request to what was asked and took."""
        self.prompts, self.replies = [*self.prompts, *prompts], [*self.replies, *replies]
        self.usage, self.seconds = self.usage + total(replies), self.seconds + seconds


class _Enough(LanguageModelError):
    """Raised in place of an answer, when the question alone was wanted."""


class Meter:
    """A language model that is watched: its calls and their time. `quiet` asks it nothing and keeps the question."""

    def __init__(self, model: LanguageModel) -> None:
        self.name, self.model = model.name, model
        self.calls: list[Call] = []
        self._quiet = False

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = DEFAULT,
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """The model's replies."""
        call = Call(prompts=prompts, schema=schema, sampling=sampling)
        self.calls.append(call)
        if self._quiet:
            raise _Enough("nobody was asked")
        start = time.perf_counter()
        replies = self.model.generate(prompts, schema=schema, sampling=sampling, on_reply=on_reply)
        call.seconds, call.replies, call.usage = time.perf_counter() - start, replies, total(replies)
        return replies

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """The model's likelihoods."""
        return self.model.score(prompts, continuations, on_reply=on_reply)

    def close(self) -> None:
        """Close the model."""
        self.model.close()

    def asked(self, act: Callable[[], object]) -> Call:
        """The first call that `act` makes, unanswered."""
        self._quiet = True
        try:
            act()
        except _Enough:
            return self.calls.pop()
        finally:
            self._quiet = False
        raise RuntimeError("no call of the model was made")


def engine_of(model: LanguageModel) -> LanguageModel:
    """The model without its record."""
    inner = getattr(model, "model", None)
    return inner if isinstance(inner, LanguageModel) else model


def forget(model: LanguageModel) -> bool:
    """Empty the engine's prefix cache; False where it has none, or none that can be emptied."""
    method = getattr(model, "forget", None)
    if method is not None:
        method()
    return method is not None


def warmed(model: LanguageModel, call: Call, met: set[Any]) -> None:
    """Give the engine the cache that a running session would have: nothing but the system messages that it met on earlier turns."""
    if not forget(model):
        return
    systems = {prompt.messages[0]["content"]: prompt for prompt in call.prompts if prompt.messages[0]["content"] in met}
    prompts = [Prompt.of("Go on.", system=system) for system in systems]
    if prompts:
        model.generate(prompts, sampling=Sampling(max_tokens=1))


def again(model: LanguageModel, call: Call) -> Call:
    """The same prompts, seeds, schema and sampling, in one call of the engine itself."""
    start = time.perf_counter()
    replies = model.generate(call.prompts, schema=call.schema, sampling=call.sampling)
    return replace(call, seconds=time.perf_counter() - start, usage=total(replies), replies=replies)


def naive(
    model: LanguageModel, simulator: LLMSimulator, state: State, slates: Slates, users: int, *, cached: bool = True
) -> tuple[Call, Call]:
    """One user at a time, one request an item: the whole context, a list of that item alone, and a reply about it alone. Then one request
    on how the user feels, which `LLMSimulator` has in the same reply. Returns what the items took, and what the mindsets took.

    cached: with the engine's prefix cache, which those who did it so had not; False empties it before each request.
    """
    temperature = simulator.config.temperature
    parts: Any = schema_of(1, simulator.config.thought_length)["properties"]
    about = (parts["items"]["items"], record_of({name: part for name, part in parts.items() if name != "items"}))
    items, minds = (
        Call(prompts=[], schema=schema, sampling=Sampling(max_tokens=longest_reply(schema), temperature=temperature))
        for schema in about
    )
    forget(model)
    for row in range(users):
        mindset, history, slate = state.mindset.take(np.array([row])), state.history.take(np.array([row])), slates[row : row + 1]
        for call, lists in ((items, slate.T), (minds, slate)):
            for shown in lists:
                prompts = simulator.prompts_for(mindset, history, shown[None])  # type: ignore[arg-type]  # an LLM user's
                if not cached:
                    forget(model)
                start = time.perf_counter()
                replies = model.generate(prompts, schema=call.schema, sampling=call.sampling)
                call.add(prompts, replies, time.perf_counter() - start)
    return items, minds


def total(replies: Sequence[Completion]) -> Usage:
    """Tokens of all replies."""
    return sum((reply.usage for reply in replies), Usage())
