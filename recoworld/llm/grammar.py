"""What a reply may be: the subset of JSON schema that all engines hold alike, checked, and as a regular expression without whitespace.

| kind | schema |
|---|---|
| object | ``{"type": "object", "properties": {...}}``: all of them, in this order |
| array | ``{"type": "array", "items": ..., "minItems": n, "maxItems": n}`` |
| string | ``{"type": "string", "pattern": "^...$"}``, see `recoworld.llm.patterns` |
| integer | ``{"type": "integer", "minimum": a, "maximum": b}`` |
| boolean | ``{"type": "boolean"}`` |
| choice | ``{"enum": ["a", "b"]}``: strings, integers, booleans or null |
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from recoworld.errors import ConfigError
from recoworld.llm.model import Schema
from recoworld.llm.patterns import parse
from recoworld.llm.trees import Chain, Chars, Choice, Literal, Repeat, Tree, longest, regex

_KEYS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"pattern"},
    "integer": {"minimum", "maximum"},
    "boolean": set[str](),
}
_WORDS = {"title", "description"}
"""Said to the reader, and to no engine."""


def grammar(schema: Schema, where: str = "schema") -> Tree:
    """The tree of all replies. Raises ConfigError, with the place, for what is outside the subset."""
    kind = _kind(schema, where)
    if kind == "enum":
        return Choice(tuple(Literal(_json(value)) for value in schema["enum"]))
    if kind == "boolean":
        return Choice((Literal("true"), Literal("false")))
    if kind == "integer":
        return integers(schema["minimum"], schema["maximum"])
    if kind == "string":
        try:
            return Chain((Literal('"'), parse(schema["pattern"]), Literal('"')))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    if kind == "array":
        item, n = grammar(schema["items"], f"{where}.items"), schema["minItems"]
        if n < 2:
            return Chain((Literal("["), item, Literal("]"))) if n else Literal("[]")
        return Chain((Literal("["), item, Repeat(Chain((Literal(","), item)), n - 1, n - 1), Literal("]")))
    parts: list[Tree] = []
    for name, inner in schema["properties"].items():
        parts += [Literal(("," if parts else "{") + _json(name) + ":"), grammar(inner, f"{where}.{name}")]
    return Chain((*parts, Literal("}")))


def reply_regex(schema: Schema) -> str:
    """Matches the replies that hold to the schema, compactly written, and nothing else. Raises ConfigError."""
    return regex(grammar(schema))


def longest_reply(schema: Schema) -> int:
    """Characters that a reply has at most, for choosing `Sampling.max_tokens`: a token is one letter at least. Raises ConfigError."""
    return longest(grammar(schema))


def mismatch(schema: Schema, value: Any, where: str = "reply") -> str:
    """What is wrong with a parsed reply, in words and with its place; "" if it holds to the schema. Raises ConfigError."""
    kind = _kind(schema, where)
    if kind == "enum":
        same = any(type(value) is type(option) and value == option for option in schema["enum"])
        return "" if same else f"{where} is {_shown(value)}; expected one of {_shown(schema['enum'])}"
    if kind == "boolean":
        return "" if isinstance(value, bool) else f"{where} is {_shown(value)}; expected true or false"
    if kind == "integer":
        low, high = schema["minimum"], schema["maximum"]
        right = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return "" if right else f"{where} is {_shown(value)}; expected an integer from {low} to {high}"
    if kind == "string":
        if not isinstance(value, str):
            return f"{where} is {_shown(value)}; expected a string"
        return "" if re.fullmatch(regex(parse(schema["pattern"])), value) else f"{where} is {_shown(value)}; expected {schema['pattern']}"
    if kind == "array":
        n = schema["minItems"]
        if not isinstance(value, list) or len(value) != n:
            got = f"has {len(value)} items" if isinstance(value, list) else f"is {_shown(value)}"
            return f"{where} {got}; expected {n} items"
        return next(filter(None, (mismatch(schema["items"], inner, f"{where}[{i}]") for i, inner in enumerate(value))), "")
    names = list(schema["properties"])
    if not isinstance(value, dict) or sorted(map(str, value)) != sorted(names):
        got = f"has {_shown(list(value))}" if isinstance(value, dict) else f"is {_shown(value)}"
        return f"{where} {got}; expected {', '.join(names)}"
    return next(filter(None, (mismatch(schema["properties"][name], value[name], f"{where}.{name}") for name in names)), "")


def integers(low: int, high: int) -> Tree:
    """Decimal numbers from `low` to `high`, without leading zeros, none of them in two ways."""
    options: list[Tree] = []
    if low < 0:
        options.append(Chain((Literal("-"), integers(max(1, -high), -low))))
    low = max(low, 0)
    while low <= high:
        step = 1  # the largest block low .. low + 10 * step - 1, or a part of it, whose last digits are free
        while low % (10 * step) == 0 and low + 10 * step - 1 <= high and low >= 10 * step:
            step *= 10
        first, digits = divmod(low // step, 10)
        last = min(9, (high + 1 - low) // step + digits - 1)
        lead: list[Tree] = [Literal(str(first))] if first else []
        free: list[Tree] = [Repeat(Chars(((48, 57),)), len(str(step)) - 1, len(str(step)) - 1)] if step > 1 else []
        options.append(Chain((*lead, Chars(((48 + digits, 48 + last),)), *free)))
        low += (last - digits + 1) * step
    return options[0] if len(options) == 1 else Choice(tuple(options))


def _kind(schema: Any, where: str) -> str:
    """The kind of this part of a schema, whose own keys are checked."""
    if not isinstance(schema, Mapping):
        raise ConfigError(f"{where} is {_shown(schema)}; expected a JSON schema")
    if "enum" in schema:
        options, extra = schema["enum"], schema.keys() - {"enum", "type"} - _WORDS
        if extra or not isinstance(options, list | tuple) or not options or not all(isinstance(o, str | int | None) for o in options):
            raise ConfigError(f"{where} is {_shown(dict(schema))}; expected an enum of strings, integers, booleans or null")
        return "enum"
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _KEYS:
        raise ConfigError(f"{where} has type {_shown(kind)}; expected {', '.join(_KEYS)}, or enum")
    if extra := schema.keys() - _KEYS[kind] - {"type"} - _WORDS:
        known = ", ".join(sorted(_KEYS[kind])) or "nothing more"
        raise ConfigError(f"{where} ({kind}) has {', '.join(sorted(map(str, extra)))}; engines differ in more than {known}")
    if kind == "object":
        names = schema.get("properties")
        if not isinstance(names, Mapping) or not names or schema.get("additionalProperties", False) is not False:
            raise ConfigError(f"{where}: expected properties, and no additional ones")
        if sorted(schema.get("required", names)) != sorted(names):
            raise ConfigError(f"{where} requires {_shown(schema['required'])}; expected all of {', '.join(names)}")
    elif kind == "string" and not isinstance(schema.get("pattern"), str):
        raise ConfigError(f"{where}: a string needs a pattern that bounds it, e.g. '^[a-z ]{{0,80}}$'")
    elif kind == "integer":
        low, high = schema.get("minimum"), schema.get("maximum")
        if type(low) is not int or type(high) is not int or low > high:
            raise ConfigError(f"{where}: minimum {low!r} and maximum {high!r}; expected two integers that bound it")
    elif kind == "array":
        low, high = schema.get("minItems"), schema.get("maxItems")
        if type(low) is not int or low != high or low < 0 or "items" not in schema:
            raise ConfigError(f"{where}: minItems {low!r} and maxItems {high!r}; expected the same number, and items")
    return kind


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
