"""A reply's text as values; what cannot be read raises `recoworld.llm.asking.Unreadable`."""

from __future__ import annotations

import json
from typing import Any

from recoworld.llm.asking import Unreadable
from recoworld.text import plain

LONGEST = 100_000
"""Characters of a reply that are read."""


def object_in(text: str) -> dict[str, Any]:
    """The JSON object of a reply; what stands around its outermost braces (a fence, a greeting) is passed over.

    Raises Unreadable, of the kind "json".
    """
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start or len(text) > LONGEST:
        raise Unreadable("json", "it holds no JSON object" if len(text) <= LONGEST else "it is too long")
    try:
        found: dict[str, Any] = json.loads(text[start : end + 1])
    except (ValueError, RecursionError) as error:
        raise Unreadable("json", f"it is no JSON: {plain(error, 80)}") from None
    return found


def words_of(content: dict[str, Any], name: str, limit: int) -> str:
    """A string of the object on one line, "" where there is none."""
    value = content.get(name)
    return plain(value, limit) if isinstance(value, str) else ""


def record_of(properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these properties, all required."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
