"""When servers are asked again, how often, and in which words: arithmetic, with clocks of our own."""

from __future__ import annotations

import logging

import pytest

from recoworld.llm.model import Prompt, Sampling
from recoworld.llm.retry import LONGEST, Health, Pace, backoff, retry_after
from recoworld.llm.wire import Wire, strict


def test_waits_are_a_function_of_seed_and_attempt() -> None:
    waits = [backoff(3, attempt) for attempt in range(12)]
    assert waits == [backoff(3, attempt) for attempt in range(12)]
    for attempt, wait in enumerate(waits):
        assert 0.5 <= wait / min(LONGEST, 0.5 * 2**attempt) < 1
    assert len({backoff(seed, 0) for seed in range(100)}) == 100


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "2"}, 2.0), ({"retry-after-ms": "250", "retry-after": "9"}, 0.25), ({}, None), ({"retry-after": "soon"}, None),
     ({"retry-after": "-3"}, 0.0), ({"retry-after": "nan"}, None), ({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 20.0)],
)  # fmt: skip
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=lambda: 40.0) == seconds


def test_pace_holds_every_minute() -> None:
    """120 requests a minute: one each half second, whenever they are asked for."""
    now = [0.0]
    pace = Pace(120, "requests_per_minute", clock=lambda: now[0])
    assert [pace.take() for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]
    now[0] = 1.0
    assert pace.take() == 1.0
    now[0] = 100.0
    assert [pace.take(), pace.take()] == [0.0, 0.5], "nothing is saved up"
    tokens = Pace(600, "tokens_per_minute", clock=lambda: now[0])
    assert [tokens.take(100), tokens.take(1)] == [0.0, 10.0]
    tokens.settle(100, 20)
    assert tokens.take(1) == pytest.approx(2.1)
    assert Pace(None, "x").take(1e9) == 0.0


def test_health_speaks_once(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    health = Health("http://x/v1", 10.0, clock=lambda: now[0])
    with caplog.at_level(logging.WARNING, "recoworld.llm"):
        assert health.gone("refused") == 10.0
        now[0] = 4.0
        assert health.gone("refused") == 6.0
        health.back(sent=-1.0)  # an answer that was on its way when the server died
        health.back(sent=1.0)
        health.back(sent=2.0)
    assert [record.getMessage() for record in caplog.records] == [
        "http://x/v1 is gone (refused); waiting up to 10 s for it",
        "http://x/v1 is back after 4 s",
    ]
    health.pause(5.0)
    health.pause(1.0)
    assert health.paused() == 5.0


def test_a_setting_that_is_asked_for_is_not_given_up() -> None:
    wire = Wire("m", "json_schema")
    assert not wire.concede("response_format is not supported")


def test_a_reply_may_fill_a_context_that_is_shorter_than_the_longest_reply() -> None:
    wire = Wire("m")
    prompt = Prompt.of("Hello")
    assert "max_tokens" in wire.body(prompt, None, Sampling())
    refusal = "max_tokens is too large: 1219. This model's maximum context length is 2048 tokens and your request has 1024 input tokens"
    assert wire.concede(refusal)
    assert "max_tokens" not in wire.body(prompt, None, Sampling())
    assert not wire.concede(refusal), "the prompt alone is too long"


def test_strict_schemas() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "boolean"}}}
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": inner, "minItems": 1, "maxItems": 1}}}
    whole = {"required": ["b"], "additionalProperties": False}
    assert strict(schema) == {
        "type": "object",
        "properties": {"a": {"type": "array", "items": inner | whole, "minItems": 1, "maxItems": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert "required" not in inner
