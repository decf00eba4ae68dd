"""Calls that arrive at about the same time, asked of a language model as one batch. Asyncio alone: no Ray here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from recoworld.errors import LanguageModelError
from recoworld.llm.model import LanguageModel
from recoworld.training.calls import Answer, Call, Failure

MOST = 20
"""Windows in a row, where callers keep coming."""


@dataclass(frozen=True)
class _Asked:
    call: Call
    answer: asyncio.Future[Answer]


@dataclass(kw_only=True)
class Tally:
    """What a model was asked so far."""

    calls: int = 0
    prompts: int = 0
    batches: int = 0
    largest: int = 0
    """Prompts of the largest batch."""


@dataclass(kw_only=True)
class Gatherer:
    """A free model gets a batch when nobody has asked for `window` seconds, or after `MOST` windows; while it is busy, calls gather anyway.

    So callers that ask, wait and ask again come to share all their batches. A window of fixed length, however long the others' calls are on
    their way, would part them into two groups that take turns. A call is never divided; a batch has `max_batch` prompts at most, or is one
    call.
    """

    model: LanguageModel
    window: float
    max_batch: int
    at_once: int
    """Batches that the model is given side by side."""
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._lines: dict[str, list[_Asked]] = {}
        self._free, self._full = asyncio.Semaphore(self.at_once), asyncio.Event()
        self._threads = ThreadPoolExecutor(self.at_once, thread_name_prefix="recoworld-llm")
        self._tasks = set[asyncio.Task[None]]()
        self._arrived, self._sending = 0, False

    async def ask(self, call: Call) -> Answer:
        """The answer; what goes wrong is in it, and not raised."""
        asked = _Asked(call, asyncio.get_running_loop().create_future())
        self._lines.setdefault(call.kind, []).append(asked)
        self._arrived += 1
        if self._is_full(call.kind):
            self._full.set()
        if not self._sending:
            self._sending = True
            self._start(self._send())
        return await asked.answer

    async def _send(self) -> None:
        """Batch after batch, until nobody waits."""
        while self._lines:
            await self._free.acquire()
            if self.window:
                await self._company()
            self._start(self._serve(self._next()))
        self._sending = False

    async def _company(self) -> None:
        """Window after window, until nobody came in one."""
        seen, end = -1, time.monotonic() + MOST * self.window
        while self._arrived != seen and not self._full.is_set() and time.monotonic() < end:
            seen = self._arrived
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self.window)

    def _next(self) -> list[_Asked]:
        """Of the first kind that fills a batch, else of the one that waits longest."""
        kind = next(filter(self._is_full, self._lines), next(iter(self._lines)))
        line, size, n = self._lines.pop(kind), 0, 0
        for asked in line:
            size += len(asked.call.prompts)
            if n and size > self.max_batch:
                break
            n += 1
        if line[n:]:
            self._lines[kind] = line[n:]
        if not any(map(self._is_full, self._lines)):
            self._full.clear()
        return line[:n]

    async def _serve(self, batch: list[_Asked]) -> None:
        """Ask the model. A batch that fails is asked again call by call: one caller's bad prompt is not the others' affair."""
        calls = [asked.call for asked in batch]
        size = sum(len(call.prompts) for call in calls)
        self.tally.calls, self.tally.prompts = self.tally.calls + len(calls), self.tally.prompts + size
        self.tally.batches, self.tally.largest = self.tally.batches + 1, max(self.tally.largest, size)
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._threads, _answers, self.model, calls)
            failed = [place for place, answer in enumerate(answers) if answer.failure] if len(calls) > 1 else []
            # Side by side: where a server is gone, its patience is waited for once more and not once a caller.
            alone = await asyncio.gather(*(asyncio.to_thread(_answers, self.model, [calls[place]]) for place in failed))
            for place, [answer] in zip(failed, alone, strict=True):
                answers[place] = answer
        finally:
            self._free.release()
        for asked, answer in zip(batch, answers, strict=True):
            if not asked.answer.done():  # of a caller that is gone
                asked.answer.set_result(answer)

    def _is_full(self, kind: str) -> bool:
        return sum(len(asked.call.prompts) for asked in self._lines[kind]) >= self.max_batch

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _answers(model: LanguageModel, calls: Sequence[Call]) -> list[Answer]:
    """Of calls of one kind, asked as one batch; only those that lack a reply have failed."""
    prompts, replies, failure = [prompt for call in calls for prompt in call.prompts], dict[int, Any](), None
    first = calls[0]
    try:
        if first.continuations is None:
            out: Sequence[Any] = model.generate(prompts, schema=first.schema, sampling=first.sampling, on_reply=replies.__setitem__)
        else:
            texts = [each for call in calls for each in call.continuations or ()]
            out = model.score(prompts, texts, on_reply=replies.__setitem__)
        if len(out) != len(prompts):
            raise LanguageModelError(f"{model.name} gave {len(out)} replies to {len(prompts)} prompts; expected one each")
        replies = dict(enumerate(out))
    except (Exception, SystemExit) as error:
        failure = Failure.of(error)
    answers, at = [], 0
    for call in calls:
        n = len(call.prompts)
        own = {place - at: replies[place] for place in range(at, at + n) if place in replies}
        answers.append(Answer(replies=own, failure=failure if len(own) < n else None))
        at += n
    return answers
