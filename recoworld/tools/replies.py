"""What a model said, read as tool calls. Whatever it says, the work is bounded and nothing is raised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from recoworld.tools.arguments import shown

LONGEST = 32_000
"""Characters of a reply that are read: longer ones are a problem."""
_CALLS, _STARTS, _LISTED = 8, 64, 100  # calls that are told apart, places where JSON is tried, entries of a list
_OBJECT = re.compile(r'\{(?=\s*")')
_LIST = re.compile(r'\[(?=\s*["\d])')
_NUMBERED = re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+(\S.*)$", re.MULTILINE)
_NAMES, _ARGUMENTS = ("tool", "name"), ("arguments", "parameters", "args")
_DECODER = json.JSONDecoder()
HOW = 'expected one JSON object {"tool": a tool\'s name, "arguments": {...}}'


@dataclass(frozen=True, kw_only=True)
class Call:
    """A tool that a model wants to use; nothing of it has been checked."""

    tool: str
    arguments: Any
    """An object, if all is well."""
    id: str = ""
    """By which a chat API wants the answer to be told, "" where there is none."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What was said."""

    calls: tuple[Call, ...] = ()
    """In their order, at most 8; an environment makes the first."""
    problem: str = ""
    """What is wrong where there is no call, in words for the model."""
    words: str = ""
    """What was said before the first call: the reasoning. Untrusted, at most `LONGEST` characters."""


def parsed(text: object) -> Reply:
    """The calls in a model's text, or in a chat message (``{"role", "content", "tool_calls"}``).

    Understood are objects ``{"tool": ..., "arguments": {...}}`` anywhere in the text, also with "name" and "parameters" and as OpenAI
    writes them; then, as `recommend`, a numbered list, and a JSON list of ids and titles.
    """
    if isinstance(text, Mapping):
        calls = text.get("tool_calls")
        words = text.get("content") if isinstance(text.get("content"), str) else ""
        if isinstance(calls, list | tuple) and calls:
            found = tuple(call for call in map(_call, calls[:_CALLS]) if call is not None)
            if found:
                return Reply(calls=found, words=str(words)[:LONGEST])
            return Reply(problem=f"the message's tool_calls name no function; {HOW}")
        text = words
    if not isinstance(text, str):
        return Reply(problem=f"got {shown(text)} for a reply; expected text")
    if len(text) > LONGEST:
        return Reply(problem=f"got {len(text):,} characters; expected at most {LONGEST:,}: {HOW}")
    found, start = _objects(text)
    if not found:
        listed, start = _list(text)
        found = (Call(tool="recommend", arguments={"items": listed}),) if listed else ()
    if found:
        return Reply(calls=found, words=text[:start].strip())
    if not text.strip():
        return Reply(problem=f"got an empty reply; {HOW}")
    return Reply(problem=f"found no tool call in {shown(text)}; {HOW}", words=text.strip())


def _objects(text: str) -> tuple[tuple[Call, ...], int]:
    """The calls among the JSON objects of the text, and where the first begins."""
    calls: list[Call] = []
    first = 0
    for start, value in _values(_OBJECT, text):
        call = _call(value)
        if call is not None:
            first = start if not calls else first
            calls.append(call)
    return tuple(calls[:_CALLS]), first


def _values(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, Any]]:
    """What can be read as JSON, and where it begins; objects that are no call are looked into."""
    position = 0
    for _ in range(_STARTS):
        match = pattern.search(text, position)
        if match is None:
            return
        position = match.end()
        try:
            value, end = _DECODER.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if pattern is _LIST or _call(value) is not None:
            position = end
        yield match.start(), value


def _call(value: object) -> Call | None:
    """The call that an object is; None for another object."""
    if not isinstance(value, Mapping):
        return None
    function, found = value.get("function"), value.get("id")
    if isinstance(function, Mapping):
        inner = _call(function)
        return None if inner is None else Call(tool=inner.tool, arguments=inner.arguments, id=found[:100] if isinstance(found, str) else "")
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    if name is None:
        return None
    given = next((key for key in _ARGUMENTS if key in value), None)
    if given is None:
        if "tool" not in value:
            return None  # any object may have a name
        return Call(tool=name, arguments={key: inner for key, inner in value.items() if key != "tool"})
    arguments = value[given]
    if isinstance(arguments, str) and len(arguments) <= LONGEST:
        with suppress(ValueError, RecursionError):  # the toolbox says that it is no object
            arguments = json.loads(arguments)
    return Call(tool=name, arguments={} if arguments is None else arguments)


def _list(text: str) -> tuple[list[Any], int]:
    """The entries of the first numbered or JSON list, and where it begins; none where there is neither."""
    entries: list[Any] = []
    start = 0
    for match in _NUMBERED.finditer(text):
        number = int(match[1])
        if number == 1 and not entries:
            start = match.start()
        if number == len(entries) + 1:
            entries.append(match[2].strip())
        elif entries:
            break
    if entries:
        return entries[:_LISTED], start
    for start, value in _values(_LIST, text):
        if 0 < len(value) <= _LISTED and all(isinstance(one, str | int) for one in value):
            return list(value), start
    return [], 0
