"""Any server that speaks OpenAI's protocol: `vllm serve`, Ray Serve, Ollama, a provider.

    make_model("openai:gpt-4o-mini")                          # the key is in the environment variable OPENAI_API_KEY
    make_model("openai:Qwen/Qwen3-8B@http://host:8000/v1")    # a server of one's own

Failed requests are sent again (`recoworld.llm.transport`), one that was answered never is. What a server does not understand is left out,
with a warning (`recoworld.llm.wire`).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from recoworld.errors import ConfigError, LanguageModelError
from recoworld.llm.loop import Batch, Job, Loop
from recoworld.llm.model import Completion, Likelihood, OnReply, Prompt, Sampling, Schema
from recoworld.llm.retry import Pace
from recoworld.llm.transport import Refused, Transport, shown
from recoworld.llm.wire import LEVELS, Wire, completion

DEFAULT = Sampling()
OPENAI = "https://api.openai.com/v1"
_NO_SUCH_PATH = {404, 405, 501}


def open_openai(
    what: str,
    *,
    base_url: str | None = None,
    key_variable: str = "OPENAI_API_KEY",
    concurrency: int = 64,
    timeout: float = 60.0,
    retries: int = 6,
    patience: float = 600.0,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    structured: str = "auto",
) -> OpenAIModel:
    """A model behind a server, "MODEL" or "MODEL@BASE_URL"; asks nothing yet.

    `key_variable` names the environment variable that holds the key; a server of one's own may need none. `timeout`, in seconds, is for
    one reply, its time in the server's queue included. Errors of the server and timeouts are tried again `retries` times; a server that is
    gone, or busy, is waited for `patience` seconds. `structured` is how replies are held to schemas: one of `recoworld.llm.wire.LEVELS`, or
    "auto" for the strictest that the server takes.

    Raises ConfigError, LanguageModelError where the key is missing, and MissingExtra.
    """
    model, at, url = re.split(r"(@)(?=https?://)", what, maxsplit=1) if "@http" in what else (what, "", "")
    if at and base_url is not None:
        raise ConfigError(f"the server of language model 'openai:{model}' is named twice; leave out base_url")
    if "://" in model:
        raise ConfigError(f"language model 'openai:{shown(model)}' is a URL; expected openai:MODEL or openai:MODEL@http://host:8000/v1")
    url = url or base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    if not model:
        raise ConfigError("language model 'openai:' names no model; expected openai:MODEL or openai:MODEL@http://host:8000/v1")
    # The client of `openai` opens 1,000 connections at most.
    for name, value, low, high in (("concurrency", concurrency, 1, 1000), ("retries", retries, 0, 1000), ("patience", patience, 0, 1e9)):
        if not low <= value <= high:
            raise ConfigError(f"{name} of a language model is {value}; expected a number from {low:g} to {high:g}")
    if not timeout > 0:
        raise ConfigError(f"timeout of a language model is {timeout}; expected seconds above 0")
    if structured not in ("auto", *LEVELS):
        raise ConfigError(f"structured of a language model is {structured!r}; expected 'auto' or one of {', '.join(LEVELS)}")
    url, key = _whole(url), os.environ.get(key_variable)
    if not key and url == OPENAI:
        raise LanguageModelError(
            f"language model 'openai:{model}' needs a key of {OPENAI}: set the environment variable {key_variable}, "
            f"or name a server of your own: openai:{model}@http://host:8000/v1"
        )
    transport = Transport(
        url, key, concurrency=concurrency, timeout=timeout, retries=retries, patience=patience, key_variable=key_variable,
        requests=Pace(requests_per_minute, "requests_per_minute"), tokens=Pace(tokens_per_minute, "tokens_per_minute"),
    )  # fmt: skip
    return OpenAIModel(model, transport, Wire(model, structured))


class OpenAIModel:
    """A `LanguageModel` behind a server; `name` is of the model alone, so that a record stays good when the server moves."""

    def __init__(self, model: str, transport: Transport, wire: Wire) -> None:
        self.name, self._model = f"openai:{model}", model
        self._transport, self._wire = transport, wire
        self._greeting, self._greeted = asyncio.Lock(), False
        self._ids: dict[str, list[int]] = {}
        self._loop = Loop("recoworld-openai")

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r} at {self._transport.shown})"

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = DEFAULT,
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """See `LanguageModel.generate`. After an error the requests under way end, and their replies are told, before it is raised."""

        def job(prompt: Prompt) -> Job:
            async def one(batch: Batch) -> Completion:
                return await self._completed(batch, prompt, schema, sampling)

            return one

        return self._loop.gather([job(prompt) for prompt in prompts], on_reply)

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """See `LanguageModel.score`: vLLM's log-probabilities of prompts, one request a continuation. Other servers have no such thing."""
        if len(prompts) != len(continuations):
            raise ConfigError(f"{len(prompts)} prompts and {len(continuations)} lists of continuations; expected as many")

        def job(prompt: Prompt, texts: Sequence[str]) -> Job:
            async def one(batch: Batch) -> tuple[Likelihood, ...]:
                before = await self._tokenized(batch, {"messages": list(prompt.messages), "add_generation_prompt": True})
                return tuple(await asyncio.gather(*(self._likelihood(batch, before, text, prompt.seed) for text in texts)))

            return one

        return self._loop.gather([job(*pair) for pair in zip(prompts, continuations, strict=True)], on_reply)

    def close(self) -> None:
        """Close connections and end the thread; twice is fine."""
        if not self._loop.closed:
            self._loop.run(self._transport.close())
            self._loop.close()

    async def _completed(self, batch: Batch, prompt: Prompt, schema: Schema | None, sampling: Sampling) -> Completion:
        await self._greet(batch)
        guess = sum(len(str(message["content"])) for message in prompt.messages) / 4 + sampling.max_tokens
        while True:
            body, version = self._wire.body(prompt, schema, sampling), self._wire.version
            try:
                reply = await self._transport.post(batch, "/chat/completions", body, seed=prompt.seed, tokens=guess)
                break
            except Refused as refused:
                self._transport.tokens.settle(guess, 0)
                # Of many requests under way that are refused alike, the first teaches the wire.
                if refused.status not in (400, 422) or (version == self._wire.version and not self._wire.concede(refused.text)):
                    raise
        try:
            said = completion(reply)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise LanguageModelError(f"{self!r} answered what is no chat completion ({error!r}): {str(reply)[:200]!r}") from None
        self._transport.tokens.settle(guess, said.usage.prompt + said.usage.completion)
        return said

    async def _greet(self, batch: Batch) -> None:
        """Ask once which models there are: a server of vLLM says so, and a wrong key is found before anything is paid."""
        async with self._greeting:
            if self._greeted:
                return
            try:
                reply = await self._transport.get(batch, "/models")
                if any(model.get("owned_by") == "vllm" for model in reply["data"]):
                    self._wire.use_vllm()
            except (KeyError, TypeError, AttributeError):
                pass
            except Refused as refused:
                if refused.status not in _NO_SUCH_PATH:
                    raise
            self._greeted = True

    async def _tokenized(self, batch: Batch, body: dict[str, Any]) -> list[int]:
        """Token ids by vLLM's /tokenize, which lies beside /v1."""
        path = self._transport.url.removesuffix("/v1") + "/tokenize"
        try:
            reply = await self._transport.post(batch, path, {"model": self._model, **body})
            return [int(token) for token in reply["tokens"]]
        except (KeyError, TypeError, ValueError):
            raise self._cannot_score("its /tokenize gives no tokens") from None
        except Refused as refused:
            if refused.status not in _NO_SUCH_PATH or self._model in refused.text:
                raise
        raise self._cannot_score("it has no /tokenize")

    async def _likelihood(self, batch: Batch, before: list[int], text: str, seed: int) -> Likelihood:
        if text not in self._ids:
            self._ids[text] = await self._tokenized(batch, {"prompt": text, "add_special_tokens": False}) if text else []
        after = self._ids[text]
        if not after:
            return Likelihood(logprob=0.0, tokens=0)
        ids = before + after
        body = {"model": self._model, "prompt": ids, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        reply = await self._transport.post(batch, "/completions", body, seed=seed, tokens=len(ids) + 1)
        try:
            rows = reply["choices"][0]["prompt_logprobs"][-len(after) :]
            total = sum(float(row[str(token)]["logprob"]) for row, token in zip(rows, after, strict=True))
        except (KeyError, IndexError, TypeError, ValueError):
            raise self._cannot_score("its /completions gives no prompt_logprobs") from None
        return Likelihood(logprob=total, tokens=len(after))

    def _cannot_score(self, why: str) -> LanguageModelError:
        return LanguageModelError(f"{self!r} cannot score continuations: {why}; use a server of vLLM, or vllm:... or transformers:...")


def _whole(url: str) -> str:
    """With "/v1" where a URL has no path."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ConfigError(f"{shown(url)!r} is no URL of a server; expected e.g. http://host:8000/v1")
    if parts.username is not None or parts.query:
        # HTTP libraries log the URLs that they ask for.
        raise ConfigError(f"the URL {shown(url)} has a user or a query, which might be shown; put the key into an environment variable")
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") or "/v1"))
