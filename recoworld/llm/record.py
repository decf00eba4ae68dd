"""Replies kept for good: a run is repeated without the model, shared, and resumed after a crash without paying twice.

    model = Recorded(make_model("openai:gpt-4o-mini"), "replies.sqlite")     # or make_model(..., record="replies.sqlite")
    model = Replay("replies.sqlite")                                         # or make_model("replay:replies.sqlite")

A reply is found by what it depends on: the model's name, the messages, the seed, the schema, and the sampling or the continuations. The
file holds these as a hash; no prompt and no key of an API is in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recoworld.errors import ConfigError, LanguageModelError
from recoworld.llm.model import Completion, LanguageModel, Likelihood, OnReply, Prompt, Sampling, Schema
from recoworld.llm.store import Reply, Store
from recoworld.text import plain

DEFAULT = Sampling()
VERSION = 1
"""Of the keys."""


class _Kept:
    """What `Recorded` and `Replay` share: all replies of a batch are looked up at once, the missing ones are somebody's."""

    def __init__(self, store: Store, name: str) -> None:
        self.name, self._store = name, store

    @property
    def path(self) -> Path:
        """The file."""
        return self._store.path

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = DEFAULT,
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """The kept replies, and new ones for the rest; what is equal within the batch, seeds too, is asked once."""
        settings = [sampling.max_tokens, sampling.temperature, sampling.top_p]
        keys = [_key("generate", self.name, prompt, schema, settings) for prompt in prompts]

        def ask(rows: list[int], tell: OnReply) -> Sequence[Reply]:
            return self._model(prompts, rows).generate([prompts[row] for row in rows], schema=schema, sampling=sampling, on_reply=tell)

        return self._all(keys, ask, on_reply)

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """Likewise."""
        pairs = zip(prompts, continuations, strict=True)
        keys = [_key("score", self.name, Prompt(messages=prompt.messages), None, list(texts)) for prompt, texts in pairs]

        def ask(rows: list[int], tell: OnReply) -> Sequence[Reply]:
            model = self._model(prompts, rows)
            return model.score([prompts[row] for row in rows], [continuations[row] for row in rows], on_reply=tell)

        return self._all(keys, ask, on_reply)

    def _all(self, keys: list[bytes], ask: Callable[[list[int], OnReply], Sequence[Reply]], on_reply: OnReply | None) -> list[Any]:
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, []).append(place)
        replies: dict[bytes, Reply] = {}

        def arrived(key: bytes, reply: Reply) -> None:
            replies[key] = reply
            if on_reply:
                for place in places[key]:
                    on_reply(place, reply)

        for key, reply in self._store.get(places).items():
            arrived(key, reply)
        missing = [key for key in places if key not in replies]
        if missing:

            def tell(row: int, reply: Reply) -> None:
                if missing[row] not in replies:
                    arrived(missing[row], self._store.put(missing[row], self.name, reply))

            for row, reply in enumerate(ask([places[key][0] for key in missing], tell)):
                tell(row, reply)  # of a model that tells nothing before the end
        return [replies[key] for key in keys]

    def _model(self, prompts: Sequence[Prompt], rows: list[int]) -> LanguageModel:
        """Who answers the prompts of these rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        self._store.close()


class Recorded(_Kept):
    """A model whose replies are written to a file as soon as they arrive, and are not asked for again."""

    def __init__(self, model: LanguageModel, path: str | Path) -> None:
        """Raises LanguageModelError for a file that is no record, CacheUnwritable where it cannot be written."""
        super().__init__(Store(path), model.name)
        self.model = model

    def _model(self, prompts: Sequence[Prompt], rows: list[int]) -> LanguageModel:
        return self.model

    def close(self) -> None:
        """Close the model, and the file."""
        self.model.close()
        super().close()


class Replay(_Kept):
    """A record without its model, which is not written to; a reply that is not there is a LanguageModelError."""

    def __init__(self, path: str | Path, *, model: str | None = None) -> None:
        """model: whose replies, where the file has those of several. Raises LanguageModelError, ConfigError."""
        store = Store(path, readonly=True)
        self.models = store.models()
        if model is None and len(self.models) > 1:
            raise ConfigError(f"{path} has replies of {', '.join(self.models)}; say whose: model=...")
        if model is not None and model not in self.models:
            raise ConfigError(f"{path} has no replies of {model!r}; it has those of {', '.join(self.models) or 'nobody'}")
        super().__init__(store, model or next(iter(self.models), "replay"))

    def _model(self, prompts: Sequence[Prompt], rows: list[int]) -> LanguageModel:
        first = prompts[rows[0]]
        words = " | ".join(str(message.get("content")) for message in first.messages)
        raise LanguageModelError(
            f"{self.path} has no reply to prompt {rows[0] + 1} of {len(prompts)} (seed {first.seed}): {plain(words, 80)!r} ... "
            f"{plain(words[-200:], 80)!r}; {len(rows)} are missing; it has {self.models.get(self.name, 0)} replies of {self.name}. "
            "Messages, seed, schema and sampling must be those of the recorded run; for new ones use the model itself, with record="
        )


def open_replay(what: str, *, model: str | None = None) -> Replay:
    """What "replay:FILE" names. Raises LanguageModelError, ConfigError."""
    if not what:
        raise ConfigError("replay: expected 'replay:FILE', with a file that record= wrote")
    return Replay(what, model=model)


def merge(into: str | Path, others: Sequence[str | Path]) -> int:
    """Copy the replies of other records into one, which may be new: how many were added; where keys are equal the first stays.

    Raises LanguageModelError for a file that is no record, CacheUnwritable where `into` cannot be written.
    """
    sources = [Store(path, readonly=True) for path in others]
    store = Store(into)
    try:
        return sum(store.add(source) for source in sources)
    finally:
        for each in (store, *sources):
            each.close()


def _key(what: str, model: str, prompt: Prompt, schema: Schema | None, settings: list[Any]) -> bytes:
    """16 bytes. The order of a schema's properties matters, that of a message's keys does not."""
    try:
        messages = json.dumps(prompt.messages, default=dict, sort_keys=True, allow_nan=False)
        text = json.dumps([VERSION, what, model, messages, prompt.seed, schema, settings], default=dict, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a prompt or schema is no JSON, so that its reply cannot be recorded: {error}") from error
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
