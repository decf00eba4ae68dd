"""The prompt of the language-model user: what its templates get, and how a conversation is made of them (`recoworld.llm.prompts`).

| file | is | gets |
|---|---|---|
| system.j2 | the task; who the user is, and what it met before | slots, person (`recoworld.simulators.llm.people.Person`) |
| turn.j2 | what changes: memory, mindset, moment, what was asked, the list | number, story, recent, when, feelings, interest, intent, |
| | | asked, followed, items |
| retry.j2 | what was wrong with the last reply, added to the turn | slots, error |
"""

from __future__ import annotations

from typing import Any

from recoworld.llm.model import Message

PACKAGE = "recoworld.simulators.llm"
VERSION = "user-v2"
FILES = ("system.j2", "turn.j2", "retry.j2")


def messages(system: str, turn: str, images: list[tuple[int, str]]) -> tuple[Message, ...]:
    """A conversation; images: numbers in the list and URLs, which go behind the text as chat content parts."""
    content: Any = turn
    if images:
        content = [{"type": "text", "text": turn}]
        for number, url in images:
            content += [{"type": "text", "text": f"Item {number}:"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"role": "system", "content": system}, {"role": "user", "content": content}
