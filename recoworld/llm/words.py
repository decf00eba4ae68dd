"""Texts in the words of a prompt.

Texts of a data set, and of a model, are untrusted: they are cleaned, cut and written as JSON strings, so that none can end its line,
close its quotation marks, or be taken by a tokenizer for a mark between messages (``<|im_end|>``, ``[INST]``).
"""

from __future__ import annotations

import json

from recoworld.text import plain

TITLE, LINE, NAME = 60, 90, 30
"""Characters of a title, of a line of description, and of a genre's name, at most."""
PLAIN = "[A-Za-z0-9 ,.;:!?'()%&-]"
"""Pattern of a character that JSON needs not escape, and every engine's grammar takes: what replies are made of."""
_MARKS = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "＜": "‹", "＞": "›", "［": "(", "］": ")"})


def clean(text: object, limit: int) -> str:
    """One line of printable characters without brackets that part messages, at most `limit` of them."""
    return plain(text, limit).translate(_MARKS)


def quoted(text: object, limit: int = TITLE) -> str:
    """The same as a JSON string, quotation marks included."""
    return json.dumps(clean(text, limit), ensure_ascii=False)
