"""The reply to a slate: the schema that an engine's grammar holds it to, and how a text is read.

A text that cannot be read is data: `read` says what is wrong with it (`Unreadable`), so that it can be asked for anew, and `salvaged`
makes the best of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recoworld.llm.asking import Unreadable
from recoworld.llm.model import Schema
from recoworld.llm.replies import LONGEST, object_in, record_of
from recoworld.llm.words import PLAIN
from recoworld.text import plain
from recoworld.types import LEVELS

Deed = Literal["unseen", "skip", "click", "like", "comment", "share"]
DEEDS: tuple[Deed, ...] = get_args(Deed)
"""What can happen to an item, each but the first two a click too."""
WORDS, SENTENCE = 40, 100
"""Characters of interest and intent, and of what is said, at most."""
_HALFWAY = 50  # per cent watched where a click's watching cannot be read
_OBJECT = re.compile(r"\{[^{}]*\}")
_Ten = Annotated[int, Field(ge=0, le=10)]


@lru_cache(maxsize=16)
def schema_of(slots: int, thought_length: int) -> Schema:
    """The JSON schema of the reply to a slate of `slots` items."""
    level = {"type": "integer", "minimum": 0, "maximum": 10}
    item = record_of(
        {
            "thought": {"type": "string", "pattern": f"^{PLAIN}{{1,{thought_length}}}$"},
            "act": {"enum": list(DEEDS)},
            "watch": {"type": "integer", "minimum": 0, "maximum": 100},
        }
    )
    return record_of(
        {"items": {"type": "array", "items": item, "minItems": slots, "maxItems": slots}}
        | dict.fromkeys(LEVELS, level)
        | {name: {"type": "string", "pattern": f"^{PLAIN}{{1,{WORDS}}}$"} for name in ("interest", "intent")}
        | {"leave": {"type": "boolean"}, "say": {"type": "string", "pattern": f"^{PLAIN}{{0,{SENTENCE}}}$"}}
    )


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a user did with a slate of `k` items and how it felt, one entry a slot; untrusted words, cut to length."""

    thoughts: tuple[str, ...]
    deeds: tuple[Deed, ...]
    watch: tuple[int, ...]
    """Per cent."""
    levels: tuple[int | None, ...]
    """`LEVELS` from 0 to 10; None where they could not be read."""
    interest: str | None
    intent: str | None
    leave: bool
    say: str
    readable: int
    """Items that could be read, `k` for a valid reply."""


class _Item(BaseModel):
    thought: str
    act: Deed
    watch: Annotated[int, Field(ge=0, le=100)]


class _Whole(BaseModel):
    model_config = ConfigDict(extra="ignore")

    items: list[_Item]
    satisfaction: _Ten
    boredom: _Ten
    fatigue: _Ten
    patience: _Ten
    trust: _Ten
    interest: str
    intent: str
    leave: bool
    say: str


def read(text: str, slots: int, thought_length: int) -> Reply:
    """A valid reply; what stands around its outermost braces (a fence, a greeting) is passed over.

    Raises Unreadable, of the kind "json", "slots" or "fields".
    """
    content = object_in(text)
    items = content.get("items")
    if isinstance(items, list) and len(items) != slots:
        raise Unreadable("slots", f'"items" has {len(items)} entries; expected {slots}, one for each item of the list')
    try:
        whole = _Whole.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the reply"
        raise Unreadable("fields", f"{plain(where, 40)}: {plain(first['msg'], 120)}") from None
    return Reply(
        thoughts=tuple(plain(item.thought, thought_length) for item in whole.items),
        deeds=tuple(item.act for item in whole.items),
        watch=tuple(item.watch for item in whole.items),
        levels=tuple(getattr(whole, level) for level in LEVELS),
        interest=plain(whole.interest, WORDS),
        intent=plain(whole.intent, WORDS),
        leave=whole.leave,
        say=plain(whole.say, SENTENCE),
        readable=slots,
    )


def salvaged(text: str, slots: int, thought_length: int) -> Reply:
    """What can be made of a text that `read` refuses; never raises.

    The objects in it that hold an "act" are taken as the items in their order, surplus ones left out; an item that is missing, or whose
    act means nothing, is skipped without a thought; watching out of range is clipped, and without a number a click is watched
    halfway. A level out of range is clipped, one without a number stays unknown, as do words; nobody leaves or speaks who does not say
    so clearly.
    """
    text = text[:LONGEST]
    found = [_loaded(match) for match in _OBJECT.findall(text)]
    items = [item for item in found if "act" in item][:slots]
    deeds = [_deed(item["act"]) for item in items]
    missing = slots - len(items)
    thoughts = [plain(item.get("thought", ""), thought_length) if isinstance(item.get("thought"), str) else "" for item in items]
    watched = [_percent(item.get("watch"), deed) for item, deed in zip(items, deeds, strict=True)]
    levels = [re.search(rf'"{level}"\s*:\s*(-?\d{{1,3}})\b', text) for level in LEVELS]
    return Reply(
        thoughts=(*thoughts, *[""] * missing),
        deeds=(*(deed or "skip" for deed in deeds), *["skip"] * missing),  # type: ignore[arg-type]  # the literal is widened
        watch=(*watched, *[0] * missing),
        levels=tuple(None if level is None else min(max(int(level[1]), 0), 10) for level in levels),
        interest=_string(text, "interest", WORDS),
        intent=_string(text, "intent", WORDS),
        leave=re.search(r'"leave"\s*:\s*true', text) is not None,
        say=_string(text, "say", SENTENCE) or "",
        readable=sum(deed is not None for deed in deeds),
    )


def _loaded(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {}


def _deed(act: object) -> Deed | None:
    """The act that a word stands for: "Clicked" is a click."""
    word = act.strip().casefold() if isinstance(act, str) else ""
    return next((deed for deed in DEEDS if word.startswith(deed)), None)


def _percent(watch: object, deed: Deed | None) -> int:
    if deed in (None, "unseen", "skip"):
        return 0
    if isinstance(watch, bool) or not isinstance(watch, int | float) or watch != watch:
        return _HALFWAY
    return int(min(max(watch, 0), 100))


def _string(text: str, name: str, limit: int) -> str | None:
    found = re.search(rf'"{name}"\s*:\s*"([^"\\]{{0,1000}})"', text)
    return None if found is None else plain(found[1], limit)
