"""Language models behind servers: order, bounds, failures that pass and that do not, keys that are never shown."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes_openai import FakeServer, Reply, refused, said

from recoworld.errors import ConfigError, LanguageModelError
from recoworld.llm.model import Completion, LanguageModel, Likelihood, Prompt, Sampling, Usage
from recoworld.llm.retry import backoff

pytest.importorskip("openai")

from recoworld.llm.http import OpenAIModel, open_openai

KEY = "sk-test-0123456789abcdefghij"
SCHEMA = {"type": "object", "properties": {"act": {"enum": ["skip", "click"]}}}


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    made = Servers()
    yield made
    made.end()


class Servers:
    """Makes servers and models, and ends them."""

    def __init__(self) -> None:
        self.all: list[FakeServer] = []
        self.models: list[OpenAIModel] = []

    def make(self, *args: Any, **more: Any) -> FakeServer:
        self.all.append(FakeServer(*args, **more))
        return self.all[-1]

    def model(self, server: FakeServer, **settings: Any) -> OpenAIModel:
        self.models.append(open_openai(f"m@{server.url}", **settings))
        return self.models[-1]

    def end(self) -> None:
        for model in self.models:
            model.close()
        for server in self.all:
            server.kill()


def prompts(n: int) -> list[Prompt]:
    return [Prompt.of(f"word{i}", seed=i) for i in range(n)]


def chat(server: FakeServer) -> list[dict[str, Any]]:
    return [body for path, body in server.asked if path == "/v1/chat/completions"]


def slept(monkeypatch: pytest.MonkeyPatch, factor: float = 0.0) -> list[float]:
    """Waits between tries are noted, and made `factor` times as long."""
    waits: list[float] = []
    whole = backoff

    def short(seed: int, attempt: int) -> float:
        waits.append(whole(seed, attempt))
        return waits[-1] * factor

    monkeypatch.setattr("recoworld.llm.transport.backoff", short)
    return waits


def test_replies_are_in_order_and_told_once(servers: Servers) -> None:
    def answer(path: str, body: dict[str, Any]) -> Reply:
        text = body["messages"][-1]["content"]
        time.sleep(0.05 * (2 - int(text[4:]) % 3))
        return 200, said(text.upper()), {}

    model = servers.model(servers.make(answer))
    assert isinstance(model, LanguageModel)
    assert model.name == "openai:m"
    told: list[tuple[int, str, int]] = []
    replies = model.generate(prompts(12), on_reply=lambda place, reply: told.append((place, reply.text, threading.get_ident())))
    assert [reply.text for reply in replies] == [f"WORD{i}" for i in range(12)]
    assert sorted(told) == [(i, f"WORD{i}", threading.get_ident()) for i in range(12)]
    assert [place for place, *_ in told] != list(range(12)), "told as they come, not at the end"
    assert replies[0].usage == Usage(prompt=7, cached=3, completion=2)


def test_what_is_sent(servers: Servers) -> None:
    server = servers.make()
    servers.model(server).generate([Prompt.of("Hello", system="Be short.", seed=5)], sampling=Sampling(max_tokens=9, temperature=0.5))
    (body,) = chat(server)
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 1.0,
        "seed": 5,
        "logprobs": True,
    }
    assert server.keys == [f"Bearer {KEY}"]


def test_what_vllm_is_asked_and_tells(servers: Servers) -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1.5}]}
    reply = {**said("{}", logprobs=logprobs, token_ids=[4, 5]), "prompt_token_ids": [1, 2, 3]}
    server = servers.make(lambda path, body: (200, reply, {}), owner="vllm")
    (got,) = servers.model(server).generate(prompts(1), schema=SCHEMA)
    assert got == Completion(
        text="{}", usage=Usage(prompt=7, cached=3, completion=2), prompt_ids=(1, 2, 3), token_ids=(4, 5), logprobs=(-0.5, -1.5)
    )
    (body,) = chat(server)
    assert body["return_token_ids"] is True
    assert re.fullmatch(body["structured_outputs"]["regex"], '{"act":"skip"}')
    assert not re.fullmatch(body["structured_outputs"]["regex"], '{"act": "skip"}')
    assert "response_format" not in body


def test_no_more_at_a_time_than_allowed(servers: Servers) -> None:
    def answer(path: str, body: dict[str, Any]) -> Reply:
        for _ in range(1000):
            if server.most >= 3:
                break
            time.sleep(0.01)
        time.sleep(0.05)
        return 200, said("x"), {}

    server = servers.make(answer)
    model = servers.model(server, concurrency=3)
    threads = [threading.Thread(target=model.generate, args=(prompts(8),)) for _ in range(2)]  # the bound is the model's, not a call's
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.most == 3
    assert len(server.paid) == 16


@pytest.mark.parametrize("status", [500, 503, 429, 408, 409])
def test_failures_that_pass_are_tried_again(servers: Servers, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    waits, failures = slept(monkeypatch), iter(range(3))

    def answer(path: str, body: dict[str, Any]) -> Reply:
        return refused(status, "not now") if next(failures, None) is not None else (200, said("fine"), {})

    server = servers.make(answer)
    assert servers.model(server).generate([Prompt.of("Hello", seed=7)])[0].text == "fine"
    assert len(chat(server)) == 4
    assert waits == [backoff(7, 0), backoff(7, 1), backoff(7, 2)]


def test_failures_that_stay_end_in_an_error(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    slept(monkeypatch)
    server = servers.make(lambda path, body: refused(500, "the disk is full"))
    with pytest.raises(LanguageModelError, match=r"failed 3 times .*500: the disk is full"):
        servers.model(server, retries=2).generate(prompts(1))
    assert len(chat(server)) == 3


def test_timeouts_are_tried_again(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    slept(monkeypatch)
    server = servers.make(delay=2.0)
    with pytest.raises(LanguageModelError, match=r"failed 2 times .*no answer within 0.5 s.*larger timeout"):
        servers.model(server, timeout=0.5, retries=1).generate(prompts(1))


@pytest.mark.parametrize(
    ("status", "said_to"),
    [(400, "too long"), (401, "environment variable OPENAI_API_KEY"), (403, "may not do this"), (404, "model's name and the URL")],
)
def test_a_final_no_is_an_error_at_once(servers: Servers, status: int, said_to: str) -> None:
    server = servers.make(lambda path, body: refused(status, "the prompt is too long"))
    with pytest.raises(LanguageModelError, match=said_to) as error:
        servers.model(server).generate(prompts(1))
    assert server.url in str(error.value)
    assert len(chat(server)) == 1


def test_no_quota_is_final(servers: Servers) -> None:
    server = servers.make(lambda path, body: refused(429, "You exceeded your quota", code="insufficient_quota"))
    with pytest.raises(LanguageModelError, match="no quota left"):
        servers.model(server).generate(prompts(1))


def test_after_a_final_no_nothing_is_begun_and_what_came_is_told(servers: Servers) -> None:
    def answer(path: str, body: dict[str, Any]) -> Reply:
        text = body["messages"][-1]["content"]
        while len(chat(server)) < 4:
            time.sleep(0.01)
        time.sleep(0.0 if text == "word2" else 0.5)
        return refused(400, "bad prompt") if text == "word2" else (200, said(text), {})

    server, told = servers.make(answer), list[int]()
    with pytest.raises(LanguageModelError, match="bad prompt"):
        servers.model(server, concurrency=4).generate(prompts(40), on_reply=lambda place, reply: told.append(place))
    assert sorted(told) == [0, 1, 3], "paid for, and under way when the error came"
    assert len(server.paid) == 3


def test_retry_after_is_honoured_by_all(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    slept(monkeypatch)
    times: list[tuple[float, int]] = []

    def answer(path: str, body: dict[str, Any]) -> Reply:
        times.append((time.monotonic(), len(times)))
        return refused(429, "slow down", {"Retry-After": "0.7"}) if len(times) == 1 else (200, said("fine"), {})

    server = servers.make(answer)
    servers.model(server, concurrency=1).generate(prompts(3))
    assert times[1][0] - times[0][0] >= 0.69
    assert len(chat(server)) == 4


def test_a_server_killed_and_restarted(servers: Servers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on, says so once, and no prompt is answered twice."""
    slept(monkeypatch, factor=0.2)
    server = servers.make(delay=0.05)
    model = servers.model(server, concurrency=4)

    def accident() -> None:
        while len(server.paid) < 10:
            time.sleep(0.005)
        server.kill()
        time.sleep(1.0)
        server.start()

    killer = threading.Thread(target=accident)
    killer.start()
    with caplog.at_level(logging.WARNING, "recoworld.llm"):
        replies = model.generate(prompts(40))
    killer.join()
    assert [reply.text for reply in replies] == [f"WORD{i}" for i in range(40)]
    assert len(server.paid) == len(set(server.paid)) == 40
    lines = [record.getMessage() for record in caplog.records if record.name == "recoworld.llm"]
    assert len(lines) == 2, lines
    assert f"{server.url} is gone" in lines[0]
    assert f"{server.url} is back after" in lines[1]


def test_patience_ends(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    slept(monkeypatch, factor=0.1)
    server, told = servers.make(), list[int]()
    model = servers.model(server, patience=0.5)
    model.generate(prompts(2))
    server.kill()
    begun = time.monotonic()
    with pytest.raises(LanguageModelError, match=rf"{server.url} has not answered for 0 s .*last: \w+.*raise patience") as error:
        model.generate(prompts(8), on_reply=lambda place, reply: told.append(place))
    assert 0.4 < time.monotonic() - begun < 5
    assert told == []
    assert error.value.__cause__ is None
    server.start()
    assert model.generate(prompts(1))[0].text == "WORD0", "the model is as good as before"


@pytest.mark.parametrize("where", ["echoed", "shortened"])
def test_the_key_is_never_shown(servers: Servers, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    slept(monkeypatch)
    part = KEY if where == "echoed" else f"{KEY[:7]}****{KEY[-4:]}"
    server = servers.make(lambda path, body: refused(400 if where == "echoed" else 401, f"Incorrect API key provided: {part}."))
    with caplog.at_level(logging.DEBUG):
        model = servers.model(server)
        with pytest.raises(LanguageModelError) as error:
            model.generate(prompts(1), schema=SCHEMA)
    chain: BaseException | None = error.value
    while chain is not None:
        for secret in (KEY, KEY[-4:], part):
            assert secret not in f"{chain!r} {chain}"
        chain = chain.__cause__ or chain.__context__
    for text in (repr(model), model.name, *(record.getMessage() for record in caplog.records if record.name == "recoworld.llm")):
        assert KEY[-4:] not in text
    assert KEY not in caplog.text


@pytest.mark.parametrize("url", [f"http://user:{KEY}@127.0.0.1:9/v1", f"http://127.0.0.1:9/v1?api-key={KEY}"])
def test_a_key_in_a_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="put the key into an environment variable") as error:
        open_openai(f"m@{url}")
    assert KEY not in str(error.value)


def test_a_server_that_refuses_schemas(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    """response_format json_schema, then json_object with the schema in words; learnt once, whatever is under way."""

    def answer(path: str, body: dict[str, Any]) -> Reply:
        if body.get("response_format", {}).get("type") == "json_schema":
            return refused(400, "response_format of type json_schema is not supported by this model", param="response_format")
        return 200, said('{"act":"skip"}'), {}

    server = servers.make(answer)
    model = servers.model(server)
    with caplog.at_level(logging.WARNING, "recoworld.llm"):
        model.generate(prompts(6), schema=SCHEMA)
        asked = len(chat(server))
        model.generate(prompts(6), schema=SCHEMA)
    assert len(chat(server)) == asked + 6
    assert len(server.paid) == 12
    last = chat(server)[-1]
    assert last["response_format"] == {"type": "json_object"}
    assert json.dumps(SCHEMA) in last["messages"][-1]["content"]
    assert [record.getMessage() for record in caplog.records if "refused" in record.getMessage()] == [
        "model m: the server refused what was asked, so replies are held to schemas by json_object"
    ]


def test_settings_that_a_server_does_not_know_are_left_out(servers: Servers) -> None:
    def answer(path: str, body: dict[str, Any]) -> Reply:
        if "max_tokens" in body:
            return refused(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        for name in ("logprobs", "temperature", "seed"):
            if name in body:
                return refused(422, f"Unsupported value: {name!r} is not supported with this model.")
        return 200, said("fine"), {}

    server = servers.make(answer)
    model = servers.model(server)
    assert model.generate(prompts(1), sampling=Sampling(max_tokens=3))[0].text == "fine"
    assert chat(server)[-1] == {"model": "m", "messages": [{"role": "user", "content": "word0"}], "top_p": 1.0, "max_completion_tokens": 3}


@pytest.mark.parametrize("reply", [{}, {"choices": []}, "hello", None, {"choices": [{"message": None}]}], ids=repr)
def test_what_is_no_completion_is_an_error(servers: Servers, reply: Any) -> None:
    server = servers.make(lambda path, body: (200, reply, {}))
    with pytest.raises(LanguageModelError, match="no chat completion"):
        servers.model(server).generate(prompts(1))


def test_ctrl_c_ends_a_batch(servers: Servers, tmp_path: Path) -> None:
    """Soon, cleanly, and with all told that had come."""

    def answer(path: str, body: dict[str, Any]) -> Reply:
        time.sleep(0.0 if body["messages"][-1]["content"] < "word3" else 30.0)
        return 200, said("x"), {}

    server = servers.make(answer)
    script = f"""
import sys
from recoworld.llm.http import open_openai
from recoworld.llm.model import Prompt
model = open_openai({f"m@{server.url}"!r})
try:
    model.generate([Prompt.of(f"word{{i}}") for i in range(8)], on_reply=lambda place, reply: print(place, flush=True))
except KeyboardInterrupt:
    model.close()
    print("interrupted", flush=True)
    sys.exit(3)
"""
    running = subprocess.Popen([sys.executable, "-W", "error", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    told = sorted(running.stdout.readline().strip() for _ in range(3))
    begun = time.monotonic()
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=120)
    *again, last = out.split()
    assert (told, last, err, running.returncode) == (["0", "1", "2"], "interrupted", "", 3)
    assert len(again) <= 1, "only the one that was being told"
    assert time.monotonic() - begun < 25, "it waited for the server, whose replies take 30 s"


def test_errors_of_the_listener_end_the_batch(servers: Servers) -> None:
    model = servers.model(servers.make(delay=0.05), concurrency=1)

    def full(place: int, reply: Any) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        model.generate(prompts(20), on_reply=full)
    assert len(servers.all[0].asked) < 20
    assert model.generate(prompts(1))[0].text == "WORD0"


def test_scores_by_vllms_log_probabilities(servers: Servers) -> None:
    """Tokens are characters here; the log-probability of each is minus its code."""

    def answer(path: str, body: dict[str, Any]) -> Reply:
        if path == "/tokenize":
            return 200, {"tokens": [ord(c) for c in body.get("prompt", "ab")], "count": 2}, {}
        assert path == "/v1/completions"
        assert (body["max_tokens"], body["prompt_logprobs"]) == (1, 0)
        rows = [None, *({str(token): {"logprob": -float(token)}} for token in body["prompt"][1:])]
        return 200, {"choices": [{"text": "", "prompt_logprobs": rows}], "usage": {}}, {}

    model = servers.model(servers.make(answer, owner="vllm"))
    told: list[int] = []
    scores = model.score(prompts(2), [["x", "yz"], [""]], on_reply=lambda place, reply: told.append(place))
    assert scores == [(Likelihood(logprob=-120.0, tokens=1), Likelihood(logprob=-243.0, tokens=2)), (Likelihood(logprob=0.0, tokens=0),)]
    assert sorted(told) == [0, 1]


def test_servers_that_cannot_score_say_so(servers: Servers) -> None:
    model = servers.model(servers.make(lambda path, body: refused(404, "Not Found")))
    with pytest.raises(LanguageModelError, match="cannot score continuations: it has no /tokenize"):
        model.score(prompts(1), [["x"]])


def test_a_closed_model_says_so(servers: Servers) -> None:
    model = servers.model(servers.make())
    model.generate(prompts(1))
    model.close()
    model.close()
    with pytest.raises(LanguageModelError, match="was closed"):
        model.generate(prompts(1))


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(LanguageModelError, match="set the environment variable OPENAI_API_KEY"):
        open_openai("gpt-4o-mini")
    here = "m@http://127.0.0.1:9"
    wrong: list[tuple[str, dict[str, Any], str]] = [
        (here, {"concurrency": 0}, "concurrency"),
        (here, {"timeout": 0}, "timeout"),
        (here, {"structured": "yaml"}, "'auto' or one of regex, json_schema"),
        (here, {"requests_per_minute": 0}, "requests_per_minute"),
        (here, {"base_url": "http://127.0.0.1:9"}, "named twice"),
        ("", {"base_url": "http://127.0.0.1:9"}, "names no model"),
        ("m", {"base_url": "localhost"}, "no URL"),
        ("http://127.0.0.1:9/v1", {}, "is a URL; expected openai:MODEL"),
    ]
    for what, settings, message in wrong:
        with pytest.raises(ConfigError, match=message):
            open_openai(what, **settings)


def test_pace_of_a_model(servers: Servers) -> None:
    model = servers.model(servers.make(), requests_per_minute=600)
    begun = time.monotonic()
    model.generate(prompts(6))
    assert time.monotonic() - begun >= 0.5
