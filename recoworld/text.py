"""Untrusted words (item titles, replies of language models) made safe: to print in one line, and to stand in a prompt."""

from __future__ import annotations

import json
import unicodedata

_MARKS = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "{": "(", "}": ")", "＜": "‹", "＞": "›", "［": "(", "］": ")"})


def plain(text: object, limit: int = 100) -> str:
    """One line of printable characters, at most `limit` of them: no control or bidirectional marks, no line breaks."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(text)[: 4 * limit])
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def clean(text: object, limit: int = 100) -> str:
    """`plain`, without brackets that a tokenizer or a reader might take for a mark between messages (``<|im_end|>``, ``[INST]``)."""
    return plain(text, limit).translate(_MARKS)


def storable(text: object) -> str:
    """The text with what UTF-8 cannot hold (halves of surrogate pairs) replaced."""
    return str(text).encode("utf-8", "replace").decode("utf-8")


def quoted(text: object, limit: int = 60) -> str:
    """`clean` as a JSON string, quotation marks included: it can neither end its line nor close its quotation."""
    return json.dumps(clean(text, limit), ensure_ascii=False)
