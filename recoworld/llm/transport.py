"""Requests to one server, each sent until it is answered: bounded concurrency, pace, and what to do about each kind of failure.

What failed:

    no connection, 502, 503, 504      the server is gone: waited for, `patience` seconds in all
    429                               it is busy: all wait as long as it says, each request `patience` seconds at most
    408, 409, 500, no answer in time  tried again, `retries` times
    everything else                   refused: an error at once
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from recoworld.errors import LanguageModelError, MissingExtra
from recoworld.llm.loop import Batch
from recoworld.llm.retry import Health, Pace, backoff, retry_after
from recoworld.text import plain

_GONE = {502, 503, 504}
_AGAIN = {408, 409, *range(500, 600)} - _GONE
_SPENT = "insufficient_quota"
"""A 429 that no waiting helps against."""


class Refused(LanguageModelError):
    """A server's final no."""

    def __init__(self, message: str, status: int, text: str) -> None:
        super().__init__(message)
        self.status, self.text = status, text


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What went wrong with one try: the HTTP status, 0 where nothing came back."""

    status: int = 0
    why: str
    """In words, without the key."""
    slow: bool = False
    """No answer in time, from a server that took the request."""
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str = ""


class Transport:
    """A client of `openai` that sends again. Its coroutines run in one event loop."""

    def __init__(
        self, url: str, key: str | None, *, concurrency: int, timeout: float, retries: int, patience: float, requests: Pace, tokens: Pace,
        key_variable: str, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        try:
            import openai
        except ImportError as error:
            raise MissingExtra("openai", "llm", "a language model behind a server") from error
        # Some servers want the header though they have no keys.
        self._client: Any = openai.AsyncOpenAI(api_key=key or "none", base_url=url, timeout=timeout, max_retries=0)
        self._openai, self._key, self._key_variable = openai, key, key_variable
        self.url, self.shown = url, shown(url)
        self._timeout, self._retries, self._patience = timeout, retries, patience
        self._requests, self.tokens, self._clock = requests, tokens, clock
        self._health = Health(self.shown, patience, clock)
        self._slots = asyncio.Semaphore(concurrency)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def get(self, batch: Batch, path: str) -> Any:
        """The JSON that answers a GET, which costs nothing. Raises LanguageModelError."""
        return await self._until_answered(batch, path, lambda: self._client.get(path, cast_to=object), 0)

    async def post(self, batch: Batch, path: str, body: dict[str, Any], *, seed: int = 0, tokens: float = 0.0) -> Any:
        """The JSON that answers a POST of about so many tokens. Raises LanguageModelError: `Refused` for a final no."""
        async with self._slots:
            if batch.trouble is None:
                await asyncio.sleep(max(self._requests.take(), self.tokens.take(tokens)))
            return await self._until_answered(batch, path, lambda: self._client.post(path, cast_to=object, body=body), seed)

    async def _until_answered(self, batch: Batch, path: str, send: Callable[[], Any], seed: int) -> Any:
        tries, busy_since = 0, None
        while True:
            await asyncio.sleep(self._health.paused())
            if batch.trouble is not None:
                raise batch.trouble
            failure, reply, sent = None, None, self._clock()
            try:
                reply = await send()
            except self._openai.APIError as error:
                failure = self._failure(error)
            if failure is None:
                self._health.back(sent)
                return reply
            asked = retry_after(failure.headers)
            wait = backoff(seed, tries) if asked is None else asked + backoff(seed, 0)
            if failure.status in _GONE or (not failure.status and not failure.slow):
                if (left := self._health.gone(failure.why)) <= 0:
                    raise self._given_up(path, f"has not answered for {self._patience:.0f} s", failure)
                wait = min(wait, left)
            elif failure.status == 429 and failure.code != _SPENT:
                self._health.back(sent)
                busy_since = self._clock() if busy_since is None else busy_since
                if self._clock() + wait > busy_since + self._patience:
                    raise self._given_up(path, f"has been busy for {self._patience:.0f} s", failure)
                if asked is not None:
                    self._health.pause(asked)
            elif failure.slow or failure.status in _AGAIN:
                if failure.status:
                    self._health.back(sent)
                if tries >= self._retries:
                    raise self._given_up(path, f"failed {tries + 1} times", failure)
            else:
                self._health.back(sent)
                raise Refused(self._refusal(path, failure), failure.status, failure.why)
            tries += 1
            await asyncio.sleep(wait)

    def _failure(self, error: Any) -> Failure:
        if isinstance(error, self._openai.APITimeoutError):
            # A connection that cannot be made in time is a server that is gone, not one that is slow.
            slow = "Connect" not in type(error.__cause__).__name__
            return Failure(why=f"no answer within {self._timeout:g} s" if slow else "no connection in time", slow=slow)
        if isinstance(error, self._openai.APIStatusError):
            body = error.body if isinstance(error.body, dict) else {}
            text = str(body.get("message") or error.body or error.response.reason_phrase)
            status, headers, code = error.status_code, error.response.headers, str(error.code or "")
            return Failure(status=status, why=f"{status}: {self._safe(text)}", headers=headers, code=code)
        cause = error.__cause__ or error
        return Failure(why=self._safe(f"{type(cause).__name__}: {cause}"))

    def _safe(self, text: str) -> str:
        """One line without the key, whole or as servers shorten it."""
        if self._key:
            text = text.replace(self._key, "***")
            text = " ".join("***" if "*" in word and word[:3] == self._key[:3] else word for word in text.split())
        return plain(text, 400)

    def _given_up(self, path: str, what: str, last: Failure) -> LanguageModelError:
        hint = (
            "a slow server needs a larger timeout or less concurrency"
            if last.slow
            else "see to the server, or raise patience and retries; what was answered is not lost where replies are recorded"
        )
        return LanguageModelError(f"{self.shown} {what} (POST {path}; last: {last.why}); {hint}")

    def _refusal(self, path: str, failure: Failure) -> str:
        hint = {
            401: f"the key in the environment variable {self._key_variable} is "
            + ("not what it wants" if self._key else "not set; servers of one's own may need none, this one does"),
            403: f"the key in the environment variable {self._key_variable} may not do this",
            404: "see that the model's name and the URL, with its /v1, are right",
            429: "the account has no quota left",
        }.get(failure.status, "the same request would be refused again")
        # Providers repeat parts of a wrong key.
        why = "401" if failure.status == 401 else failure.why
        return f"{self.shown} refused {path} with {why}; {hint}"


def shown(url: str) -> str:
    """A URL without user, password and query, which may hold keys."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
