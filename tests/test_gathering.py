"""Calls that become batches: who is asked with whom, and what goes wrong for whom."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from recoworld.errors import CacheUnwritable, ConfigError, LanguageModelError, MissingExtra, UnknownName
from recoworld.llm.model import Completion, Likelihood, Prompt, Sampling
from recoworld.llm.scripted import Scripted, made_up
from recoworld.testing.language_models import SCHEMAS
from recoworld.training.calls import Answer, Call, Failure
from recoworld.training.gathering import Gatherer


class Watched(Scripted):
    """Keeps the sizes of its batches, and how many ran side by side; refuses prompts that say so."""

    def __init__(self, latency: float = 0.0) -> None:
        super().__init__(self._say)
        self.sizes: list[int] = []
        self.latency, self.running, self.most = latency, 0, 0
        self._lock = threading.Lock()

    def _say(self, prompt: Prompt, schema: Any) -> str:
        word = prompt.messages[-1]["content"]
        if word == "too long":
            raise ConfigError("this prompt is too long")
        if word == "die":
            raise LanguageModelError("the engine is gone")
        return made_up(prompt, schema)

    def generate(self, prompts: Sequence[Prompt], **kwargs: Any) -> list[Completion]:
        with self._lock:
            self.sizes.append(len(prompts))
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.latency)
        try:
            return super().generate(prompts, **kwargs)
        finally:
            with self._lock:
                self.running -= 1

    def score(self, prompts: Sequence[Prompt], continuations: Any, **kwargs: Any) -> list[tuple[Likelihood, ...]]:
        self.sizes.append(len(prompts))
        return super().score(prompts, continuations, **kwargs)


def asked(model: Any, *calls: Call, window: float = 0.05, max_batch: int = 100, at_once: int = 1) -> list[Answer]:
    """All calls at the same moment."""

    async def together() -> list[Answer]:
        gatherer = Gatherer(model=model, window=window, max_batch=max_batch, at_once=at_once)
        return await asyncio.gather(*map(gatherer.ask, calls))

    return _run(together())


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 60))


def call(*words: str, n: int = 1, **kind: Any) -> Call:
    return Call(prompts=tuple(Prompt.of(word, seed=i) for word in words for i in range(n)), **kind)


def test_what_comes_together_is_asked_together() -> None:
    model = Watched()
    calls = [call(f"film {i}", n=1 + i % 3) for i in range(9)]
    answers = asked(model, *calls)
    assert model.sizes == [18]
    for one, answer in zip(calls, answers, strict=True):
        assert answer.failure is None
        assert list(answer.replies.values()) == Scripted().generate(one.prompts)


def test_each_kind_has_batches_of_its_own() -> None:
    model = Watched()
    calls = [
        call("a", n=1),
        call("a", n=2, schema=SCHEMAS["order"]),
        call("a", n=4, schema={"type": "object", "properties": dict(reversed(SCHEMAS["order"]["properties"].items()))}),
        call("a", n=8, sampling=Sampling(temperature=0.0)),
        call("a", n=16, continuations=((" b",),) * 16),
    ]
    answers = asked(model, *calls, *calls)
    assert model.sizes == [2, 4, 8, 16, 32]
    assert answers[:5] == answers[5:]
    assert answers[4].replies == dict(enumerate(Scripted().score(calls[4].prompts, [[" b"]] * 16)))


def test_a_batch_is_filled_up_to_its_size_and_no_call_is_divided() -> None:
    model = Watched()
    asked(model, *(call(str(i), n=n) for i, n in enumerate([3, 3, 3, 3, 20, 1])), max_batch=8)
    assert model.sizes == [6, 6, 20, 1]


def test_a_full_batch_does_not_wait() -> None:
    began = time.monotonic()
    asked(Watched(), *(call(str(i)) for i in range(8)), window=30.0, max_batch=4)
    assert time.monotonic() - began < 10


async def _trickle(gatherer: Gatherer, n: int, apart: float) -> None:
    async with asyncio.TaskGroup() as tasks:
        for i in range(n):
            tasks.create_task(gatherer.ask(call(str(i))))
            await asyncio.sleep(apart)


def test_a_batch_waits_for_those_who_are_on_their_way() -> None:
    """All five take longer to come than a window."""
    model = Watched()

    async def together() -> None:
        await _trickle(Gatherer(model=model, window=0.5, max_batch=100, at_once=1), 5, 0.2)

    _run(together())
    assert model.sizes == [5]


def test_but_not_for_ever() -> None:
    """1.6 s of callers, of whom the first are served after 20 windows of 40 ms."""
    model = Watched()

    async def together() -> None:
        await _trickle(Gatherer(model=model, window=0.04, max_batch=1000, at_once=1), 160, 0.01)

    _run(together())
    assert len(model.sizes) > 1
    assert sum(model.sizes) == 160


def test_while_the_model_is_busy_calls_gather() -> None:
    model = Watched(latency=0.1)
    asked(model, *(call(str(i)) for i in range(8)), window=0.0)
    assert model.sizes in ([1, 7], [8])
    assert model.most == 1


def test_batches_side_by_side_where_the_model_takes_them() -> None:
    model = Watched(latency=0.2)
    asked(model, *(call(str(i)) for i in range(6)), max_batch=1, at_once=3)
    assert (model.sizes, model.most) == ([1] * 6, 3)


def test_callers_that_ask_again_and_again_come_to_share_their_batches() -> None:
    """Without a window those that came first and the others would take turns for ever."""
    model = Watched(latency=0.02)

    async def together() -> None:
        gatherer = Gatherer(model=model, window=0.1, max_batch=100, at_once=1)

        async def caller(number: int) -> None:
            await asyncio.sleep(0.15 * (number == 0))
            for turn in range(5):
                await gatherer.ask(call(f"{number} {turn}"))

        await asyncio.gather(*map(caller, range(4)))

    _run(together())
    assert sum(model.sizes) == 20
    assert model.sizes.count(4) >= 3


def test_a_bad_prompt_is_its_callers_affair() -> None:
    model = Watched()
    good, bad = call("film", n=3), call("fine", "too long")
    first, second, third = asked(model, good, bad, good)
    assert model.sizes[0] == 8
    assert first.failure is None
    assert third.failure is None
    assert list(third.replies.values()) == Scripted().generate(good.prompts)
    assert second.failure is not None
    assert second.failure.raised().args == ("this prompt is too long",)
    assert isinstance(second.failure.raised(), ConfigError)
    assert list(second.replies) == [0], "the reply that came before is there"


def test_who_was_done_before_the_error_has_not_failed() -> None:
    model = Watched()
    early, late = asked(model, call("film"), call("die"))
    assert early.failure is None
    assert late.failure == Failure(message="the engine is gone")
    assert model.sizes == [2, 1], "the first is not asked again"


def test_too_few_replies_are_an_error() -> None:
    class Short(Scripted):
        def generate(self, prompts: Sequence[Prompt], **kwargs: Any) -> list[Completion]:
            return super().generate(prompts)[1:]

    [answer] = asked(Short(), call("film", n=3))
    assert answer.failure is not None
    assert answer.failure.message == "scripted gave 2 replies to 3 prompts; expected one each"


def test_a_caller_that_leaves_takes_nothing_with_it() -> None:
    async def together() -> Answer:
        gatherer = Gatherer(model=Watched(latency=0.1), window=0.01, max_batch=100, at_once=1)
        leaves = asyncio.create_task(gatherer.ask(call("film")))
        stays = asyncio.create_task(gatherer.ask(call("other")))
        await asyncio.sleep(0.05)
        leaves.cancel()
        await stays
        return await gatherer.ask(call("later"))

    assert _run(together()).failure is None


@pytest.mark.parametrize(
    ("error", "told", "words"),
    [
        (LanguageModelError("gone"), LanguageModelError, "gone"),
        (ConfigError("wrong"), ConfigError, "wrong"),
        (CacheUnwritable("full"), CacheUnwritable, "full"),
        (UnknownName("setting", "sede", ["seed"]), ConfigError, "did you mean 'seed'"),
        (MissingExtra("vllm", "vllm", "a model"), LanguageModelError, "pip install 'recoworld"),
        (SystemExit(3), LanguageModelError, "raised SystemExit: 3"),
    ],
)
def test_errors_travel(error: BaseException, told: type[Exception], words: str) -> None:
    raised = Failure.of(error).raised()
    assert type(raised) is told
    assert words in str(raised)


def test_foreign_errors_come_with_their_place() -> None:
    def script(prompt: Prompt, schema: Any) -> str:
        raise ZeroDivisionError("by zero")

    [answer] = asked(Scripted(script), call("film"))
    assert answer.failure is not None
    assert "raised ZeroDivisionError: by zero (in script, " in answer.failure.message
