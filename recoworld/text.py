"""Untrusted words (item titles, replies of language models) made safe to print in one line."""

from __future__ import annotations

import unicodedata


def plain(text: object, limit: int = 100) -> str:
    """One line of printable characters, at most `limit` of them: no control or bidirectional marks, no line breaks."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(text)[: 4 * limit])
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
