"""A step of the tool agent: a thought and a tool, out of a reply and into a call that `recoworld.tools` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from recoworld.llm.asking import Unreadable
from recoworld.llm.model import Message
from recoworld.llm.replies import object_in, record_of, words_of
from recoworld.policies.agents.replies import THOUGHT, WANTS, words
from recoworld.text import clean, plain

TOOLS = ("search", "similar", "lookup", "top", "user_history", "rank", "recommend")
ARGUMENT = 60
SCHEMA = record_of({"thought": words(THOUGHT, begin=WANTS), "tool": {"enum": list(TOOLS)}, "argument": words(ARGUMENT, 0)})
_WHICH = ("liked", "disliked", "session", "all")
_FAME = ("well known", "little known")
_LISTED = re.compile(r"^\[([^\]\s]{1,60})\] (.*)$", re.MULTILINE)
_BRACES = str.maketrans("{}", "()")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a model wants to do next."""

    thought: str
    tool: str
    argument: str

    @property
    def arguments(self) -> dict[str, Any]:
        """As the tool takes them, out of the one word or two that were said."""
        said = self.argument.strip()
        match self.tool:
            case "search":
                return {"query": said}
            case "similar":
                return {"item": said}
            case "lookup":
                return {"items": [said]}
            case "user_history":
                return {"which": said.casefold()} if said.casefold() in _WHICH else {}
            case "top":
                return _sort(said)
            case _:
                return {}  # `rank` takes its first ranker

    def meant(self, genres: Iterable[str]) -> Step:
        """The same, or `search` where `top` was given words that are none of these genres; without any genres the same."""
        known = {genre.casefold() for genre in genres}
        genre = self.arguments.get("genre") if self.tool == "top" and known else None
        return self if genre is None or genre.casefold() in known else replace(self, tool="search")

    @property
    def text(self) -> str:
        """As it was said."""
        content = {"thought": clean(self.thought, THOUGHT), "tool": self.tool, "argument": clean(self.argument, ARGUMENT)}
        return json.dumps(content, ensure_ascii=False)

    @property
    def call(self) -> str:
        """By which it is known again, in any case of letters."""
        return json.dumps([self.tool, self.arguments], sort_keys=True).casefold()

    @property
    def words(self) -> str:
        """For a log."""
        return f"{self.thought} ({self.tool}{': ' + self.argument if self.argument else ''})".strip()


def read_step(text: str) -> Step:
    """Raises Unreadable, of the kind "json" or "tool"."""
    content = object_in(text)
    tool = content.get("tool")
    if not isinstance(tool, str) or tool not in TOOLS:
        raise Unreadable("tool", f'"tool" is not one of {", ".join(TOOLS)}')
    several = content.get("arguments")  # as the tools have them: of a model that no grammar holds, the first will do
    given = next((value for value in several.values() if isinstance(value, str)), "") if isinstance(several, dict) else ""
    argument = words_of(content, "argument", ARGUMENT) or plain(given, ARGUMENT)
    return Step(thought=words_of(content, "thought", THOUGHT), tool=tool, argument=argument)


def said(thought: str, tool: str, arguments: Mapping[str, Any]) -> str:
    """A thought, and a call on a line of its own."""
    call = json.dumps({"tool": tool, "arguments": arguments}, ensure_ascii=False)
    return f"{clean(thought, THOUGHT).translate(_BRACES)}\n{call}".strip()


def listed(answers: Iterable[str]) -> dict[str, str]:
    """The items that tools have listed: id -> line, in the order in which they came first."""
    out: dict[str, str] = {}
    for answer in answers:
        for item_id, line in _LISTED.findall(answer):
            out.setdefault(item_id, line)
    return out


def outcome(answer: str) -> str:
    """What a tool said, for a log: what was wrong, or how many items it listed."""
    found = len(_LISTED.findall(answer))
    return plain(answer, 120) if answer.startswith("Error") else f"{found} item{'s' * (found != 1)}"


def genres_in(messages: Iterable[Message]) -> tuple[str, ...]:
    """The genres that a text environment's tools know, as its first message tells; none where it names none."""
    told = (str(message["content"]) for message in messages if message["role"] == "system")
    for line in (line for content in told for line in content.splitlines() if line.startswith('{"name": "top"')):
        with suppress(ValueError, LookupError, TypeError):  # somebody else's words for it
            return tuple(map(str, json.loads(line)["parameters"]["properties"]["genre"]["enum"]))
    return ()


def turn_of(messages: Iterable[Message]) -> tuple[list[str], list[str]]:
    """The last line of each of the agent's replies since its last slate, and what the tools answered, the user's history left out."""
    replies, answers = list[str](), list[str]()
    for message in messages:
        content = message["content"] if isinstance(message["content"], str) else ""
        if message["role"] == "assistant":
            replies.append(content.rpartition("\n")[2])
        elif message["role"] == "tool" and message.get("name") != "user_history":
            answers.append(content)
        elif message["role"] == "user" and not content.startswith("Error"):
            replies, answers = [], []
    return replies, answers


def within(messages: Iterable[Message], room: int) -> list[Message]:
    """The first message of a user and the latest ones that fit into `room` characters, as a conversation of two: what tools say is told
    by the user, and what follows the same speaker is added to its words.
    """
    plain = [("assistant" if message["role"] == "assistant" else "user", str(message["content"])) for message in messages]
    first, rest = plain[:1], plain[1:]
    room -= sum(len(content) for _, content in first)
    kept: list[tuple[str, str]] = []
    for role, content in reversed(rest):
        if kept and len(content) > room:
            break
        room -= len(content)
        kept.append((role, content))
    out: list[dict[str, str]] = []
    for role, content in [*first, *reversed(kept)]:
        if out and out[-1]["role"] == role:
            out[-1]["content"] += f"\n\n{content}"
        else:
            out.append({"role": role, "content": content})
    return list(out)


def _sort(words: str) -> dict[str, Any]:
    """``Comedy, 1990s, little known`` as arguments of `top`."""
    out: dict[str, Any] = {}
    for part in (part.strip() for part in words.split(",")):
        if re.fullmatch(r"\d{4}'?s?", part):
            out["era"] = f"{part[:3]}0s"
        elif part.casefold() in _FAME:
            out["popularity"] = part.casefold()
        elif part:
            out["genre"] = part
    return out
