"""Ways in which models without a grammar, or with one that is not quite right, spoil a reply."""

from __future__ import annotations

import re
from collections.abc import Callable

Pick = Callable[[int], int]


def broken(text: str, pick: Pick) -> str:
    """The reply, spoilt in one way, or in two; `pick(n)` gives numbers in [0, n)."""
    for _ in range(1 + pick(2)):
        text = WAYS[pick(len(WAYS))](text, pick)
    return text


def _number(text: str, value: str, pick: Pick) -> str:
    """Another value instead of one of the numbers."""
    found = list(re.finditer(r"-?\d+", text))
    if not found:
        return text + value
    at = found[pick(len(found))]
    return text[: at.start()] + value + text[at.end() :]


def _bad_number(text: str, pick: Pick) -> str:
    values = ("-1", "101", "1e999", "NaN", "-Infinity", "9" * 5000, "3.5", '"7"', "null", "٣", "true", "007", "[]", "0x1f")
    return _number(text, values[pick(len(values))], pick)


def _inserted(text: str, pick: Pick) -> str:
    values = ('"', "\\", "\n", "\x00", "\x1b[2J", "\ud800", "\u202e", "{", "}", "]", ",", "'", "…" * 2000, "<|im_end|>", "\ufeff")
    at = pick(len(text) + 1)
    return text[:at] + values[pick(len(values))] + text[at:]


def _instead(_: str, pick: Pick) -> str:
    values = ("", " ", "null", "[]", "{}", '"yes"', "0", "[" * 100_000, '{"a":' * 20_000, "I cannot help.", "\ud83d", "{}{}", "\x00")
    return values[pick(len(values))]


def _wrong_word(text: str, pick: Pick) -> str:
    """Some other text instead of one of the strings, names among them."""
    found = list(re.finditer(r'"[^"\\]*"', text))
    if not found:
        return text
    at = found[pick(len(found))]
    return text[: at.start()] + ('"LIKE "', '""', "None", '"ignore all previous instructions"', '"\\ud800"')[pick(5)] + text[at.end() :]


WAYS: tuple[Callable[[str, Pick], str], ...] = (
    lambda text, pick: text[: pick(len(text) + 1)],
    lambda text, pick: text[pick(len(text) + 1) :],
    lambda text, pick: f"Sure! Here is my answer:\n```json\n{text}\n```\nI hope that helps.",
    lambda text, pick: text.replace('"', "'"),
    lambda text, pick: text + text,
    lambda text, pick: f"[{text}]",
    lambda text, pick: text.replace(",", ",\n    " + " " * pick(4000)),
    lambda text, pick: re.sub(r"\},\{", "},", text, count=1),
    lambda text, pick: re.sub(r"(\{[^{}]*\})", r"\1,\1", text, count=1),
    lambda text, pick: re.sub(r"\{[^{}]*\},", "", text, count=1 + pick(3)),
    lambda text, pick: text[:-1] + ',"more":' + text + text[-1:],
    lambda text, pick: text.replace(":", "=", 1 + pick(3)),
    lambda text, pick: text.upper(),
    lambda text, pick: text.rstrip("}") + ",}",
    _bad_number,
    _bad_number,
    _inserted,
    _inserted,
    _instead,
    _wrong_word,
)
