"""A call's arguments, held against the schema of its tool."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recoworld.text import plain

LONGEST = 200
"""Characters of a word of an argument that are read."""


class Mistake(Exception):
    """What a model got wrong, in words for the model. It never leaves this room."""


def checked(tool: str, schema: Mapping[str, Any], arguments: object) -> dict[str, Any]:
    """The arguments with what the schema gives by default. Raises Mistake.

    Numbers may be written as strings, and a single value may stand for a list of one: both are said by small models, and clear.
    """
    properties: Mapping[str, Any] = schema["properties"]
    if not isinstance(arguments, Mapping):
        raise Mistake(f"{tool}: got {shown(arguments)} as arguments; expected an object with {', '.join(properties) or 'nothing in it'}")
    for name in list(arguments)[:20]:
        if name not in properties:
            raise Mistake(f"{tool}: unknown argument {shown(name)}; {meant(name, properties)}")
    out = {}
    for name, rule in properties.items():
        if arguments.get(name) is not None:
            out[name] = _value(f"{tool}: {name}", rule, arguments[name])
        elif name in schema["required"]:
            raise Mistake(f"{tool}: {name} is missing; expected {expected(rule)}")
        else:
            out[name] = rule.get("default")
    return out


def expected(rule: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "enum" in rule:
        return f"one of {', '.join(shown(value) for value in rule['enum'][:24])}"
    if rule["type"] == "integer":
        return f"an integer from {rule['minimum']} to {rule['maximum']}"
    return "a list of item ids or titles" if rule["type"] == "array" else "text"


def meant(name: object, known: Iterable[object]) -> str:
    """What was perhaps meant, and what there is."""
    options = [plain(option, 40) for option in known]
    folded = {option.casefold(): option for option in options}
    near = [folded[key] for key in difflib.get_close_matches(plain(name, 40).casefold(), folded, n=2, cutoff=0.5)]
    more = f", ... ({len(options)} in all)" if len(options) > 24 else ""
    return (f"did you mean {' or '.join(map(repr, near))}? " if near else "") + f"known: {', '.join(options[:24]) or 'none'}{more}"


def shown(value: object) -> str:
    """A value that somebody gave, short, on one line, its text in quotation marks."""
    if isinstance(value, str):
        return f"“{plain(value, 60).replace('“', '‘').replace('”', '’')}”"
    if value is None or isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**18 else "a huge number"
    return f"a {'list' if isinstance(value, list | tuple) else 'object' if isinstance(value, Mapping) else type(value).__name__}"


def _value(where: str, rule: Mapping[str, Any], value: object) -> Any:
    kind, problem = rule["type"], f"{where}: got {shown(value)}; expected {expected(rule)}"
    if kind == "array":
        values = value if isinstance(value, list | tuple) else [value]
        if not all(_scalar(one) for one in values[: rule["maxItems"]]) or not values:
            raise Mistake(f"{where}: got {_of(values)}; expected {expected(rule)}")
        if len(values) > rule["maxItems"]:
            raise Mistake(f"{where}: got {len(values)} items; expected at most {rule['maxItems']}")
        return [one[:LONGEST] if isinstance(one, str) else one for one in values]
    if kind == "integer":
        number = _integer(value)
        if number is None or not rule["minimum"] <= number <= rule["maximum"]:
            raise Mistake(problem)
        return number
    if not _scalar(value) or not str(value).strip():
        raise Mistake(problem)
    text = str(value)[: rule.get("maxLength", LONGEST)]
    if "enum" in rule:
        found = {str(option).casefold(): option for option in rule["enum"]}.get(plain(text, 60).casefold())
        if found is None:
            raise Mistake(f"{where}: got {shown(text)}; {meant(text, rule['enum'])}")
        return found
    return text


def _of(values: Sequence[object]) -> str:
    """The first entry of a list that is neither text nor a number."""
    odd = [value for value in values[:100] if not _scalar(value)]
    return f"a list with {shown(odd[0])} in it" if odd else "an empty list"


def _integer(value: object) -> int | None:
    if isinstance(value, str) and value.strip().removeprefix("-").isascii() and value.strip().removeprefix("-").isdigit():
        return int(value.strip()[:18])
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _scalar(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18)
