"""ReDial: 11,348 conversations in which one person recommends films to another, and what the seeker says of each film afterwards.

R. Li, S. Kahou, H. Schulz, V. Michalski, L. Charlin, C. Pal, "Towards Deep Conversational Recommendations", NeurIPS 2018,
arXiv 1812.07617.

Two files with one JSON object a line. Films are mentioned as "@" and a number; those who took part saw titles, so titles are what the
texts hold here. Nobody judged the seeker's satisfaction (USS did, for a thousand of these conversations: `recoworld.datasets.uss`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recoworld.datasets.files import bad_line
from recoworld.datasets.local import check_count, locate, read_lines
from recoworld.dialogues import Corpus, Dialogue, Utterance

ADDRESS = "https://redialdata.github.io/website/"
SOURCE = (
    f"ReDial, {ADDRESS}, CC BY 4.0. Cite R. Li et al., Towards Deep Conversational Recommendations, NeurIPS 2018, arXiv 1812.07617"
)
DIALOGUES = {"train": 10_006, "test": 1_342}
"""File -> dialogues, as published."""
_ADVICE = f"unpack redial_dataset.zip from {ADDRESS} and pass data_dir=, or set RECOWORLD_DATA to, the folder that holds it as redial/"
_ASKED = {0: False, 1: True}  # 2: the seeker did not say
_MENTION = re.compile(r"@([0-9]{1,9})")


def load(*, data_dir: str | None = None) -> Corpus:
    """Both files, train before test. Raises DataMissing or DataCorrupt.

    The seeker is the one who began (`initiatorWorkerId`); `Dialogue.liked` is what it said itself, films of which it did not say left
    out. A number that the dialogue's list of films does not hold stays in the text as it is, and is no item.
    """
    return parse(locate("redial", [f"{part}_data.jsonl" for part in DIALOGUES], data_dir, _ADVICE), DIALOGUES)


def parse(folder: Path, expected: Mapping[str, int]) -> Corpus:
    """The files of these parts, which must hold as many dialogues as `expected` says. Raises DataMissing or DataCorrupt."""
    dialogues: dict[str, Dialogue] = {}
    titles: dict[str, str] = {}
    for part, count in expected.items():
        path, before = folder / f"{part}_data.jsonl", len(dialogues)
        for number, line in enumerate(read_lines(path, _ADVICE), 1):
            try:
                record = json.loads(line)
                dialogue, films = _dialogue(record)
            except (ValueError, RecursionError) as error:  # json's own errors are ValueErrors
                raise bad_line(path, number, line, f"a conversation as one JSON object ({error})", _ADVICE) from None
            if dialogue.name in dialogues:
                raise bad_line(path, number, dialogue.name, "a conversationId that occurs once", _ADVICE)
            dialogues[dialogue.name] = dialogue
            titles.update(films)
        check_count(path, len(dialogues) - before, count, _ADVICE)
    return Corpus(name="redial", dialogues=tuple(dialogues.values()), titles=titles, source=SOURCE)


def _dialogue(record: Any) -> tuple[Dialogue, dict[str, str]]:
    """A conversation and the titles of its films. Raises ValueError that says which field is wrong."""
    name, seeker, recommender = (_field(record, key, int | str) for key in ("conversationId", "initiatorWorkerId", "respondentWorkerId"))
    if seeker == recommender:
        raise ValueError("initiatorWorkerId and respondentWorkerId are the same")
    films = {key: str(title).strip() for key, title in _table(record, "movieMentions").items() if title}
    utterances = []
    for message in _field(record, "messages", list):
        sender, text = _field(message, "senderWorkerId", int | str), _field(message, "text", str)
        if sender not in (seeker, recommender):
            raise ValueError(f"senderWorkerId {sender} is neither of the two workers")
        items = tuple(dict.fromkeys(item for item in _MENTION.findall(text) if item in films))
        spoken = _MENTION.sub(lambda found: films.get(found[1], found[0]), text)
        utterances.append(Utterance(speaker="user" if sender == seeker else "system", text=spoken, items=items))
    if not utterances:
        raise ValueError("messages is empty")
    liked = {item: _field(answer, "liked", int) for item, answer in _table(record, "initiatorQuestions").items()}
    if not set(liked.values()) <= {0, 1, 2}:
        raise ValueError("liked is none of 0, 1, 2")
    known = {item: _ASKED[answer] for item, answer in liked.items() if answer in _ASKED}
    return Dialogue(name=str(name), utterances=tuple(utterances), liked=known), films


def _field(record: Any, key: str, kind: Any) -> Any:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{key} is missing or of the wrong type")
    return value


def _table(record: dict[str, Any], key: str) -> dict[str, Any]:
    """An object; an empty one is written as an empty list."""
    value = _field(record, key, dict | list)
    if isinstance(value, list) and value:
        raise ValueError(f"{key} is a list")
    return dict(value)
