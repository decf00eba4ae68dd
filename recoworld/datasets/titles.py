"""Titles as MovieLens writes them ("Shawshank Redemption, The (1994)") as people write them."""

from __future__ import annotations

import re

_YEAR = re.compile(r"\s*\((\d{4})\)(?: \(V\))?\s*$")
_ARTICLES = "The|A|An|La|Le|Les|L'|El|Los|Las|Il|Lo|I|Gli|Das|Der|Die|Det|Den|De|O|Os|Um|Un|Une|Una|Ein|Eine"
_TRAILING = re.compile(rf"(^|\()([^()]+), ({_ARTICLES})\s*(?=$|\)|\()")


def split_title(raw: str) -> tuple[str, int]:
    """Title without its year and with the article in front, and the year or 0.

    >>> split_title("Promise, The (Versprechen, Das) (1994)")
    ('The Promise (Das Versprechen)', 1994)
    """
    year = _YEAR.search(raw)
    title = (raw[: year.start()] if year else raw).strip()
    return _TRAILING.sub(_front, title).replace(" )", ")").strip() or raw.strip(), int(year[1]) if year else 0


def _front(match: re.Match[str]) -> str:
    article = match[3] if match[3].endswith("'") else f"{match[3]} "
    rest = match.string[match.end() : match.end() + 1]
    return f"{match[1]}{article}{match[2]}" + (" " if rest == "(" else "")
