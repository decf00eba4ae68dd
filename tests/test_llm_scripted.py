"""The scripted model, and how models are named."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from recoworld.errors import ConfigError, UnknownName
from recoworld.llm.make import make_model
from recoworld.llm.model import Completion, LanguageModel, Prompt, Sampling, Schema
from recoworld.llm.scripted import Scripted
from recoworld.registry import LANGUAGE_MODELS
from recoworld.testing import LanguageModelTests
from recoworld.testing.language_models import SCHEMAS


class TestScripted(LanguageModelTests):
    """The default: a valid reply to any schema."""

    def make(self) -> LanguageModel:
        return make_model("scripted")


class Mine(Scripted):
    """Somebody else's, without arguments."""

    def __init__(self) -> None:
        super().__init__(["yes", "no"], name="mine")


READY = Scripted(name="ready")
A_NUMBER = 3


def open_mine(what: str, *, politeness: int = 0) -> LanguageModel:
    return Scripted([f"{what}{politeness}"], name="opened")


def open_any(what: str, **settings: object) -> LanguageModel:
    return Scripted([json.dumps(settings)])


def open_nothing(what: str) -> str:
    return "nothing"


def said(model: LanguageModel, text: str = "Hello", **kind: int) -> str:
    return model.generate([Prompt.of(text, **kind)])[0].text


def test_a_function_is_asked_once_for_each_prompt() -> None:
    asked: list[tuple[str, Schema | None]] = []

    def reply(prompt: Prompt, schema: Schema | None) -> str:
        asked.append((prompt.messages[-1]["content"], schema))
        return prompt.messages[-1]["content"].upper()

    replies = Scripted(reply).generate([Prompt.of("a b"), Prompt.of("c")], schema=SCHEMAS["array"])
    assert [each.text for each in replies] == ["A B", "C"]
    assert asked == [("a b", SCHEMAS["array"]), ("c", SCHEMAS["array"])]


def test_tokens_are_words() -> None:
    prompt = Prompt.of("one two", system="three")
    reply = Scripted(["four five  six\n"]).generate([prompt], sampling=Sampling(max_tokens=2))[0]
    assert (reply.text, reply.finish) == ("four five", "length")
    assert (reply.usage.prompt, reply.usage.completion, reply.usage.cached) == (3, 2, 0)
    assert reply.prompt_ids is not None
    assert len(reply.prompt_ids) == 3
    whole = Scripted(["four five  six\n"]).generate([prompt])[0]
    assert (whole.text, whole.finish, whole.usage.completion) == ("four five  six\n", "stop", 3)
    assert whole.logprobs is not None
    assert whole.logprobs[:2] == reply.logprobs


def test_texts_are_chosen_by_prompt_and_seed() -> None:
    model = Scripted(["a", "b", "c"])
    texts = [said(model, seed=seed) for seed in range(60)]
    assert set(texts) == {"a", "b", "c"}
    assert texts == [said(model, seed=seed) for seed in range(60)]


@pytest.mark.parametrize("bad", ["one text", [], ()])
def test_a_script_without_texts_is_refused(bad: Sequence[str]) -> None:
    with pytest.raises(ConfigError, match="expected a function"):
        Scripted(bad)


def test_a_script_that_gives_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="the script gave int; expected str"):
        Scripted(lambda prompt, schema: 3).generate([Prompt.of("x")])  # type: ignore[arg-type,return-value]


def test_made_up_replies_go_through_all_values() -> None:
    """Integers evenly: 11 values, 2,200 draws, about 200 each; five standard deviations are 67."""
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": -2, "maximum": 8}}}
    counts = dict.fromkeys(range(-2, 9), 0)
    for reply in make_model("scripted").generate([Prompt.of("x", seed=seed) for seed in range(2200)], schema=schema):
        counts[json.loads(reply.text)["a"]] += 1
    assert min(counts.values()) > 133
    assert max(counts.values()) < 267


def test_broken_replies_are_broken_in_many_ways_and_always_alike() -> None:
    prompts = [Prompt.of("What do you do?", seed=seed) for seed in range(400)]
    first, again = (make_model("scripted:broken").generate(prompts, schema=SCHEMAS["slate"]) for _ in range(2))
    assert first == again
    whole = make_model("scripted").generate(prompts, schema=SCHEMAS["slate"])
    spoilt = [reply.text for reply, fine in zip(first, whole, strict=True) if reply.text != fine.text]
    assert len(spoilt) > 380
    assert len(set(spoilt)) > 300
    kinds = {_kind(text) for text in spoilt}
    assert {"RecursionError", "JSONDecodeError", "dict", "list", "ValueError"} <= kinds


def _kind(text: str) -> str:
    try:
        return type(json.loads(text)).__name__
    except (ValueError, RecursionError) as error:
        return type(error).__name__


def test_models_by_name() -> None:
    assert said(make_model(f"{__name__}:Mine")) in ("yes", "no")
    assert make_model(f"{__name__}:READY") is READY
    assert make_model(READY) is READY
    assert said(make_model(f"{__name__}:open_mine", politeness=3)) == "3"
    assert said(make_model(f"{__name__}:open_any", x=1)) == '{"x": 1}'


def test_every_registered_name_is_known_to_the_errors() -> None:
    with pytest.raises(UnknownName) as caught:
        make_model("llama")
    assert all(name in str(caught.value) for name in LANGUAGE_MODELS)


@pytest.mark.parametrize(
    ("spec", "settings", "words"),
    [
        ("scriptd", {}, "did you mean 'scripted'?"),
        ("opnai:gpt-4o-mini", {}, "did you mean 'openai' or"),
        ("openia:x", {}, "did you mean 'openai' or"),
        ("rya:scripted", {}, "did you mean 'ray'?"),
        ("ray:scriptd", {}, "did you mean 'scripted'?"),
        ("", {}, "unknown language model ''"),
        ("http://localhost:8000/v1", {}, "expected openai:MODEL@http://localhost:8000/v1"),
        ("scripted:brokn", {}, "unknown script 'brokn': did you mean 'broken'?"),
        ("no_such_module:thing", {}, "cannot import 'no_such_module'"),
        ("Qwen/Qwen3-0.6B", {}, "vllm:Qwen/Qwen3-0.6B"),
        ("/no/such/folder", {}, "no such file or folder"),
        ("small.gguf", {}, "no such file or folder"),
        ("replay:", {}, "expected 'replay:FILE'"),
        ("scripted", {"patience": 3}, "unknown setting of language model 'scripted' 'patience'"),
        (f"{__name__}:open_mine", {"politenes": 3}, "did you mean 'politeness'?"),
        (f"{__name__}:open_nothing", {}, "got str; expected a recoworld.llm.model.LanguageModel"),
        (f"{__name__}:A_NUMBER", {}, "got int; expected a model, or a function"),
        (READY, {"patience": 3}, "patience: settings are for a model that is named"),
        (3, {}, "got int; expected a recoworld.llm.model.LanguageModel"),
        (Scripted, {}, "expected a recoworld.llm.model.LanguageModel"),
    ],
)
def test_wrong_names_are_told(spec: str, settings: dict[str, int], words: str) -> None:
    with pytest.raises((UnknownName, ConfigError)) as caught:
        make_model(spec, **settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a \.gguf file, or a folder with config\.json"):
        make_model(str(tmp_path))


def test_record_wraps_the_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[Prompt] = []

    def reply(prompt: Prompt, schema: Schema | None) -> str:
        asked.append(prompt)
        return "here"

    with caplog.at_level(logging.DEBUG):
        model = make_model(Scripted(reply), record=tmp_path / "replies.sqlite")
        first, second = (model.generate([Prompt.of("a")]) for _ in range(2))
    assert first == second
    assert isinstance(first[0], Completion)
    assert len(asked) == 1
    assert said(make_model(f"replay:{tmp_path / 'replies.sqlite'}"), "a") == "here"
