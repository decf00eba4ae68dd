"""Messages for engines that are given text: words alone, and none that the engine would take for its own marks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from recoworld.errors import LanguageModelError
from recoworld.llm.model import Prompt

ENDS_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|return|>")
"""What GGUF files often forget to call an end."""
_MARK = re.compile(r"<\|[^<>|]*\|>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]")


class Marks:
    """The marks of a tokenizer, by which a title could pretend that a message ends and another begins."""

    def __init__(self, vocabulary: Iterable[str], known: Iterable[str] = ()) -> None:
        """known: those that the tokenizer names itself; others are found by their form."""
        marks = {*known, *(word for word in vocabulary if _MARK.fullmatch(word))}
        self._pattern = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or "(?!)")

    def messages(self, prompt: Prompt, backend: str) -> list[dict[str, Any]]:
        """The messages as words, marks pulled apart (``< |im_end|>``). Raises LanguageModelError for pictures."""
        return [{**message, "content": self._plain(message["content"], backend)} for message in prompt.messages]

    def _plain(self, content: Any, backend: str) -> str:
        if not isinstance(content, str):
            kinds = {str(part.get("type")) for part in content}
            if kinds - {"text"}:
                raise LanguageModelError(f"{backend}: a message has parts of type {', '.join(sorted(kinds))}; this backend reads text only")
            content = "\n".join(part["text"] for part in content)
        return self._pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", str(content))
