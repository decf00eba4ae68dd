"""What every language model must hold to. Subclass it in a test module of your own:

    class TestMine(LanguageModelTests):
        def make(self) -> LanguageModel:
            return make_model("my_package.mine:open_mine")

The model that `make` gives is made once for all tests; what its engine cannot promise is said by the class attributes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from threading import Lock, Thread
from typing import Any

import pytest

from recoworld.llm.grammar import longest_reply, mismatch
from recoworld.llm.model import Completion, LanguageModel, Likelihood, Prompt, Sampling, Schema

_WORDS = 3
_ROUNDING: Any = {"rel": 0.1, "abs": 0.4}  # of sums of a few log-probabilities in bfloat16, each of which was seen to be off by 0.2
_TEXT = {"type": "string", "pattern": "^[A-Za-z ,.']{1,40}$"}
_SCALE = {"type": "integer", "minimum": 0, "maximum": 10}
_ACT = {"enum": ["skip", "click", "like"]}
_ITEM = {"type": "object", "properties": {"thought": _TEXT, "act": _ACT, "watch": {**_SCALE, "maximum": 100}}}
SCHEMAS: dict[str, Schema] = {
    "boolean": {"type": "object", "properties": {"leave": {"type": "boolean"}}},
    "integers": {"type": "object", "properties": {"a": {**_SCALE, "minimum": -12}, "b": {**_SCALE, "minimum": 7, "maximum": 1234}}},
    "enum": {"type": "object", "properties": {"act": {"enum": ["skip it", 'a "quoted" one', "été", 3, True, None]}}},
    "string": {"type": "object", "properties": {"say": _TEXT, "era": {"type": "string", "pattern": "^(19|20)[0-9]0s?$"}}},
    "any characters": {"type": "object", "properties": {"say": {"type": "string", "pattern": '^[^"\\\\]{0,30}$'}}},
    "order": {"type": "object", "properties": {"zebra": _SCALE, "ant": _SCALE, "mole": _SCALE}},
    "array": {"type": "array", "items": _SCALE, "minItems": 5, "maxItems": 5},
    "slate": {
        "type": "object",
        "properties": {"items": {"type": "array", "items": _ITEM, "minItems": 3, "maxItems": 3}, "boredom": _SCALE, "say": _TEXT},
    },
}


class LanguageModelTests:
    """Conformance suite: pytest collects the tests of a subclass that implements `make`."""

    n_prompts = 64
    """Prompts side by side; fewer for a model that is slow."""
    exact = True
    """A reply and a likelihood are bit for bit the same in any batch; False where the engine's floating point depends on its size."""
    compact = True
    """A grammar holds replies to a schema, without optional whitespace; False for a server that promises JSON alone."""
    scores = True
    """False for a model that cannot tell likelihoods: it then says so with a LanguageModelError."""

    def make(self) -> LanguageModel:
        """The model under test."""
        raise NotImplementedError(f"{type(self).__name__}: implement make() so that it returns the language model under test")

    @pytest.fixture
    def model(self) -> LanguageModel:
        """What `make` gives, once for all tests."""
        suite = type(self)
        if suite not in _MODELS:
            for other in _MODELS.values():
                other.close()  # pytest is done with one class before it starts another
            _MODELS.clear()
            _MODELS[suite] = self.make()
        return _MODELS[suite]

    @pytest.fixture
    def prompts(self) -> list[Prompt]:
        """Alike in the beginning, and of different lengths."""
        films = ("a western", "a long film about a lighthouse", "a musical", "the third part of a heist", "two sisters by the sea")
        return [
            Prompt.of(f"You are shown {i + 1} films, among them {films[i % 5]}. What do you say?", system="You watch films.", seed=i)
            for i in range(self.n_prompts)
        ]

    def test_it_is_a_language_model_with_a_name(self, model: LanguageModel) -> None:
        """As the protocol says."""
        assert isinstance(model, LanguageModel)
        assert isinstance(model.name, str)
        assert model.name.strip()

    def test_replies_are_whole(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """One a prompt; text, end and counts fit together."""
        replies = model.generate(prompts, sampling=Sampling(max_tokens=12))
        assert len(replies) == len(prompts)
        for reply in replies:
            assert isinstance(reply, Completion)
            assert reply.finish in ("stop", "length")
            assert 0 <= reply.usage.cached <= reply.usage.prompt
            assert 0 <= reply.usage.completion <= 12
            if reply.prompt_ids is not None:
                assert len(reply.prompt_ids) == reply.usage.prompt
            if reply.token_ids is not None:
                assert len(reply.token_ids) == reply.usage.completion
                assert all(type(token) is int for token in reply.token_ids)
            if reply.logprobs is not None:
                assert reply.token_ids is not None
                assert len(reply.logprobs) == len(reply.token_ids)
                assert all(type(p) is float and p <= 0 for p in reply.logprobs)

    def test_no_prompts_no_replies(self, model: LanguageModel) -> None:
        """An empty batch is fine."""
        assert model.generate([]) == []
        assert model.generate([], schema=SCHEMAS["slate"]) == []
        if self.scores:
            assert model.score([], []) == []

    def test_the_same_seed_gives_the_same_reply(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """The same batch twice; and another seed gives another text to some."""
        first, second = (_texts(model, prompts) for _ in range(2))
        assert self._alike(first, second)
        others = [Prompt(messages=prompt.messages, seed=prompt.seed + 1000) for prompt in prompts]
        assert _texts(model, others) != first, "the seed changes nothing"

    def test_replies_come_in_the_order_of_the_prompts(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """A batch in another order is the same replies in that order."""
        order = [*range(1, len(prompts), 2), *range(0, len(prompts), 2)]
        first, shuffled = _texts(model, prompts), _texts(model, [prompts[i] for i in order])
        assert self._alike([first[i] for i in order], shuffled)

    @pytest.mark.parametrize("size", [1, 5])
    def test_a_reply_does_not_depend_on_the_batch(self, model: LanguageModel, prompts: list[Prompt], size: int) -> None:
        """Alone, and in small batches: the same texts."""
        parts = [text for i in range(0, len(prompts), size) for text in _texts(model, prompts[i : i + size])]
        assert self._alike(parts, _texts(model, prompts))

    def test_the_same_prompt_twice_in_a_batch(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """Equal seeds give equal replies."""
        texts = _texts(model, [prompts[0], prompts[1], prompts[0]])
        assert texts[0] == texts[2] or not self.exact

    def test_temperature_0_needs_no_seed(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """The likeliest reply is one."""
        others = [Prompt(messages=prompt.messages, seed=prompt.seed + 1) for prompt in prompts]
        first, second = (_texts(model, each, temperature=0.0) for each in (prompts, others))
        assert self._alike(first, second)

    @pytest.mark.parametrize("name", SCHEMAS)
    def test_replies_hold_to_the_schema(self, model: LanguageModel, prompts: list[Prompt], name: str) -> None:
        """Every one of them, and without a character too many."""
        schema = SCHEMAS[name]
        room = Sampling(max_tokens=4 * longest_reply(schema) + 8)  # bytes, and an end: a token is one byte at least
        for reply in model.generate(prompts[:8], schema=schema, sampling=room):
            assert reply.finish == "stop", f"{reply.text!r} was cut"
            value = json.loads(reply.text, object_pairs_hook=_ordered)
            assert mismatch(schema, value) == ""
            assert _names(value) == list(schema.get("properties", _names(value))), "the properties are in another order"
            if self.compact:
                assert reply.text == json.dumps(value, ensure_ascii=False, separators=(",", ":")), "optional whitespace, or escapes"

    def test_long_replies_are_cut(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """At `max_tokens`, and it says so."""
        for reply in model.generate(prompts[:4], schema=SCHEMAS["slate"], sampling=Sampling(max_tokens=2)):
            assert reply.finish == "length"
            assert reply.usage.completion == 2

    def test_replies_are_told_one_by_one(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """`on_reply` is called once for each, with what is returned."""
        told: list[tuple[int, Any]] = []
        replies = model.generate(prompts, sampling=Sampling(max_tokens=6), on_reply=lambda place, reply: told.append((place, reply)))
        assert Counter(place for place, _ in told) == Counter(range(len(prompts)))
        assert all(replies[place] == reply for place, reply in told)

    def test_errors_of_the_listener_come_through(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """A full disk must not be lost in a thread; and the model answers afterwards."""

        def full(place: int, reply: Any) -> None:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            model.generate(prompts[:4], sampling=Sampling(max_tokens=4), on_reply=full)
        assert len(_texts(model, prompts[:2])) == 2

    def test_threads_may_share_it(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """Two at once get what they would get alone."""
        halves = [prompts[::2], prompts[1::2]]
        got: list[list[str]] = [[], []]
        threads = [Thread(target=lambda i=i: got[i].extend(_texts(model, halves[i]))) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for texts, half in zip(got, halves, strict=True):
            assert len(texts) == len(half), "a thread failed"
            assert self._alike(texts, _texts(model, half))

    def test_likelihoods(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """One a continuation, in order; negative and finite; the same again, alone, and with others."""
        if not self.scores:
            pytest.skip("this model cannot tell likelihoods")
        texts = [[" yes", " no, thanks", f" I like film {i}"][: 1 + i % 3] for i in range(len(prompts))]
        lock, told = Lock(), Counter[int]()

        def tell(place: int, reply: Any) -> None:
            with lock:
                told[place] += 1

        scored = model.score(prompts, texts, on_reply=tell)
        assert [len(each) for each in scored] == [len(each) for each in texts]
        assert told == Counter(range(len(prompts)))
        for each in scored:
            assert all(isinstance(one, Likelihood) and math.isfinite(one.logprob) and one.logprob < 0 and one.tokens > 0 for one in each)
        self._close([model.score([prompt], [text])[0] for prompt, text in zip(prompts[:6], texts, strict=False)], scored[:6])
        backwards = model.score([prompts[2]], [texts[2][::-1]])[0]
        self._close([backwards[::-1]], [scored[2]])
        assert len({one.logprob for one in scored[2]}) == 3, "every continuation is as likely as the others"
        assert scored[0] != scored[3], "the prompt changes nothing"

    def test_likelihoods_are_those_of_generating(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """The log-probabilities of a reply sum to its likelihood, where its text is cut into the same tokens again."""
        if not self.scores:
            pytest.skip("this model cannot tell likelihoods")
        replies = model.generate(prompts, sampling=Sampling(max_tokens=4, temperature=0.0))
        compared = 0
        for prompt, reply in zip(prompts, replies, strict=True):
            if reply.logprobs is None or reply.finish != "length":
                continue
            one = model.score([prompt], [[reply.text]])[0][0]
            if one.tokens == len(reply.logprobs):
                assert one.logprob == pytest.approx(sum(reply.logprobs), **({"rel": 1e-9} if self.exact else _ROUNDING))
                compared += 1
        assert compared or all(reply.logprobs is None or reply.finish != "length" for reply in replies), "no reply could be compared"

    def test_closing_twice_is_fine(self, model: LanguageModel) -> None:
        """The last test: the model is not used again."""
        del _MODELS[type(self)]
        model.close()
        model.close()

    def _alike(self, one: list[str], other: list[str]) -> bool:
        """The same texts; of an engine that is not exact, the same first words for half of them: after one rounding all else differs."""
        if self.exact:
            return one == other
        pairs = zip(one, other, strict=True)
        return sum(a.split()[:_WORDS] != b.split()[:_WORDS] for a, b in pairs) <= len(one) // 2

    def _close(self, got: list[Any], expected: list[Any]) -> None:
        for mine, theirs in zip(got, expected, strict=True):
            assert [one.tokens for one in mine] == [one.tokens for one in theirs]
            for one, other in zip(mine, theirs, strict=True):
                assert one.logprob == (other.logprob if self.exact else pytest.approx(other.logprob, **_ROUNDING))


_MODELS: dict[type, LanguageModel] = {}


def _texts(model: LanguageModel, prompts: list[Prompt], *, temperature: float = 0.6) -> list[str]:
    return [reply.text for reply in model.generate(prompts, sampling=Sampling(max_tokens=12, temperature=temperature))]


def _ordered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "a property twice"
    return dict(pairs)


def _names(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []
