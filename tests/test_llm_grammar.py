"""Schemas as trees and regular expressions; checked against Python's own `re`, and counted by hand."""

from __future__ import annotations

import json
import random
import re
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoworld.errors import ConfigError
from recoworld.llm.grammar import grammar, integers, longest_reply, mismatch, reply_regex
from recoworld.llm.patterns import parse
from recoworld.llm.trees import count, draw, longest, regex
from recoworld.testing.language_models import SCHEMAS


def texts(pattern: str, n: int = 300, seed: int = 0) -> list[str]:
    tree, rng = parse(pattern), random.Random(seed)
    return [draw(tree, rng.randrange) for _ in range(n)]


@pytest.mark.parametrize(
    "pattern",
    ["^abc$", "^a|bc$", "^(19|20)[0-9]0s?$", "^[a-c]{2,4}$", "^x?(y{0,2}|z)$", "^[^a-z]$", "^.{0,3}$", "^\\d{2}:\\d$", "^[\\w -]{9}$"],
)
def test_draws_match_what_python_reads(pattern: str) -> None:
    """Both the pattern itself and the expression that engines get; and nothing that JSON would escape is drawn."""
    for text in texts(pattern):
        assert re.fullmatch(pattern, text, re.ASCII), text
        assert re.fullmatch(regex(parse(pattern)), text), text
        assert json.dumps(text, ensure_ascii=False) == f'"{text}"'
        assert len(text) <= longest(parse(pattern))


@pytest.mark.parametrize(
    ("pattern", "alphabet", "length"),
    [("^(ab?|c){1,2}$", "abcd", 5), ("^a|b{2}$", "ab", 3), ("^[^b]?[b-d]$", "abcde", 3), ("^a{0}b$", "ab", 3), ("^\\.[.]a?$", ".ab", 4)],
)
def test_the_expression_of_engines_says_the_same_as_the_pattern(pattern: str, alphabet: str, length: int) -> None:
    """On all texts of an alphabet up to a length."""
    ours = re.compile(regex(parse(pattern)))
    for n in range(length + 1):
        for letters in product(alphabet, repeat=n):
            text = "".join(letters)
            assert bool(ours.fullmatch(text)) == bool(re.fullmatch(pattern.replace("^", "^(?:", 1)[:-1] + ")$", text)), text


def test_everything_that_a_pattern_allows_is_drawn() -> None:
    assert set(texts("^(a|b)[0-2]?$")) == {a + b for a in "ab" for b in ("", "0", "1", "2")}
    assert count(parse("^(a|b)[0-2]{1,2}$")) == 2 * (3 + 9)


def test_quotes_backslashes_and_control_characters_never_match() -> None:
    for pattern in ("^.$", "^[^x]$", '^["a]$', "^[\\u0000-\\u00ff]$"):
        ours = re.compile(regex(parse(pattern)))
        assert not any(ours.fullmatch(bad) for bad in '"\\\n\t\x00\x1f\x7f\x85')
        assert ours.fullmatch("a")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("abc", r"expected \^\.\.\.\$"),
        ("^abc", r"expected \^\.\.\.\$"),
        ("^abc\\$", r"expected \^\.\.\.\$"),
        ("^a*$", "no upper bound"),
        ("^[a-z]+$", "no upper bound"),
        ("^a{2,}$", "expected {n} or {m,n}"),
        ("^a{3,2}$", "expected {n} or {m,n}"),
        ("^a{x}$", "expected {n} or {m,n}"),
        ("^(a$", "ends too early"),
        ("^a)$", "cannot read"),
        ("^[a$", "ends too early"),
        ("^[z-a]$", "is no range"),
        ('^"$', "escaped in JSON"),
        ('^["]$', "without any character"),
        ("^\\s$", "cannot read"),
        ("^(?=a)b$", "cannot read"),
        ("^a**$", "no upper bound"),
        ("^[\\uzzzz]$", "cannot read"),
        ("^((a{99}){99}){9}$", "expected 4096 at most"),
    ],
)
def test_patterns_outside_the_subset_are_refused(pattern: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(pattern)


@given(st.text(alphabet="ab(|)[]{}^-,?12\\.*+d$", max_size=12))
def test_any_pattern_is_read_or_refused(inner: str) -> None:
    """With a ConfigError, and nothing else; what is read means the same to Python."""
    try:
        tree = parse(f"^{inner}$")
    except ConfigError:
        return
    rng = random.Random(0)
    for _ in range(5):
        assert re.fullmatch(f"(?:{inner})", draw(tree, rng.randrange), re.ASCII)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (0, 10), (1, 5), (7, 1234), (-12, 10), (-99, -9), (95, 105), (100, 1000), (-1, 0), (8, 12), (0, 100)]
)
def test_integers_are_those_between_the_bounds(low: int, high: int) -> None:
    tree = integers(low, high)
    ours = re.compile(regex(tree))
    assert [i for i in range(low - 120, high + 120) if ours.fullmatch(str(i))] == list(range(low, high + 1))
    assert count(tree) == high - low + 1
    assert not any(ours.fullmatch(bad) for bad in ("", "-", "00", "01", "-0", "+1", "1.0", " 1"))


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**12), st.integers(-(10**13), 10**13))
def test_large_bounds(low: int, width: int, value: int) -> None:
    tree = integers(low, low + width)
    assert count(tree) == width + 1
    for number in (value, low, low - 1, low + width, low + width + 1):
        assert bool(re.fullmatch(regex(tree), str(number))) == (low <= number <= low + width)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_expression_of_a_schema(name: str) -> None:
    """Drawn replies are compact JSON that holds; whitespace, another order, and a missing end do not match."""
    schema, rng = SCHEMAS[name], random.Random(1)
    ours = re.compile(reply_regex(schema))
    for _ in range(100):
        text = draw(grammar(schema), rng.randrange)
        value = json.loads(text)
        assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert mismatch(schema, value) == ""
        assert ours.fullmatch(text)
        assert len(text) <= longest_reply(schema)
        assert not ours.fullmatch(text[:-1])
        assert not ours.fullmatch(text + " ")
        assert not ours.fullmatch(text[0] + " " + text[1:])
        if isinstance(value, dict) and len(value) > 1:
            assert not ours.fullmatch(json.dumps(dict(reversed(value.items())), separators=(",", ":")))


def test_the_longest_reply_by_hand() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": -5, "maximum": 100}, "b": {"enum": ["x", "long"]}}}
    assert longest_reply(schema) == len('{"a":100,"b":"long"}')
    assert longest_reply({"type": "array", "items": {"type": "boolean"}, "minItems": 3, "maxItems": 3}) == len("[false,false,false]")
    assert longest_reply({"type": "array", "items": {"type": "boolean"}, "minItems": 0, "maxItems": 0}) == 2


GOOD: dict[str, Any] = {"items": [{"thought": "no", "act": "skip", "watch": 0}] * 3, "boredom": 10, "say": "more"}
TWO = GOOD["items"][:2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"boredom": 11}, "reply.boredom is 11; expected an integer from 0 to 10"),
        ({"boredom": True}, "reply.boredom is True; expected an integer"),
        ({"boredom": 3.0}, "reply.boredom is 3.0; expected an integer"),
        ({"items": TWO}, "reply.items has 2 items; expected 3 items"),
        ({"items": {}}, "reply.items is {}; expected 3 items"),
        ({"items": [*TWO, {"thought": "no", "act": "SKIP", "watch": 0}]}, "reply.items[2].act is 'SKIP'; expected one of"),
        ({"items": [*TWO, {"thought": "no", "act": "skip"}]}, "reply.items[2] has ['thought', 'act']; expected thought, act, watch"),
        ({"say": ""}, "reply.say is ''; expected ^[A-Za-z ,.']{1,40}$"),
        ({"say": None}, "reply.say is None; expected a string"),
        ({"more": 1}, "reply has ["),
    ],
)
def test_what_is_wrong_is_said_with_its_place(changes: dict[str, Any], words: str) -> None:
    said = mismatch(SCHEMAS["slate"], GOOD | changes)
    assert said.startswith(words)
    assert bool(said) == bool(words)


def test_true_is_not_one() -> None:
    assert mismatch({"enum": [1]}, True)
    assert mismatch({"enum": [True]}, 1)
    assert not mismatch({"enum": [None, 1]}, None)
    assert mismatch({"type": "boolean"}, 0)
    assert mismatch({"type": "boolean"}, "true")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "schema is []; expected a JSON schema"),
        ({}, "schema has type None; expected object"),
        ({"type": "number"}, "schema has type 'number'"),
        ({"type": ["string", "null"]}, "schema has type ['string', 'null']"),
        ({"type": "string"}, "a string needs a pattern"),
        ({"type": "string", "pattern": "^a$", "maxLength": 3}, "schema (string) has maxLength; engines differ"),
        ({"type": "integer"}, "minimum None and maximum None"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "minimum 3 and maximum 2"),
        ({"type": "integer", "minimum": 0.0, "maximum": 2}, "minimum 0.0"),
        ({"type": "array", "items": {"type": "boolean"}}, "minItems None and maxItems None"),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, "minItems 1 and maxItems 2"),
        ({"type": "array", "minItems": 1, "maxItems": 1}, "and items"),
        ({"type": "object"}, "expected properties"),
        ({"type": "object", "properties": {}}, "expected properties"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": True}, "no additional ones"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": []}, "schema requires []; expected all of a"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {}, "minItems": 1, "maxItems": 1}}}, "schema.a.items has"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "^a*$"}}}, "schema.a: pattern '^a*$'"),
        ({"enum": []}, "expected an enum"),
        ({"enum": [1.5]}, "expected an enum"),
        ({"enum": ["a"], "default": "a"}, "expected an enum"),
    ],
)
def test_schemas_outside_the_subset_are_refused(schema: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        reply_regex(schema)
    assert words in str(caught.value)


def test_titles_and_descriptions_are_for_readers() -> None:
    schema = {"type": "object", "title": "T", "properties": {"a": {"type": "boolean", "description": "d"}}, "required": ["a"]}
    assert re.fullmatch(reply_regex(schema | {"additionalProperties": False}), '{"a":true}')
