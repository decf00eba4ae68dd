"""INSPIRED: 1,001 conversations in which one person recommends a film to another, with the recommender's strategies and the outcome.

S. A. Hayati, D. Kang, Q. Zhu, W. Shi, Z. Yu, "INSPIRED: Toward Sociable Recommendation Dialog Systems", EMNLP 2020, arXiv 2009.14306.

Three tables with tabs between the fields and no quoting. Two columns have other names in the files than in their description; both are
understood: `first_label` or `expert_label`, `case` or `fine_label`. Nobody judged single messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from recoworld.datasets.files import bad_line
from recoworld.datasets.local import check_count, locate, read_lines
from recoworld.dialogues import Corpus, Dialogue, Utterance

ADDRESS = "https://github.com/sweetpeach/Inspired"
SOURCE = (
    f"INSPIRED, {ADDRESS}: see there for the terms of use. Cite S. A. Hayati et al., INSPIRED: Toward Sociable Recommendation Dialog "
    "Systems, EMNLP 2020, arXiv 2009.14306"
)
DIALOGUES = {"train": 801, "dev": 100, "test": 100}
"""File -> dialogues, as published."""
_ADVICE = f"get data/dialog_data/ of {ADDRESS} and pass data_dir=, or set RECOWORLD_DATA to, the folder that holds it as inspired/"
_COLUMNS = (
    *(("dialog_id",), ("utt_id",), ("speaker",), ("text",), ("movies",)),
    *(("first_label", "expert_label"), ("case", "fine_label")),
)
_SPEAKERS = {"SEEKER": "user", "RECOMMENDER": "system"}


def load(*, data_dir: str | None = None) -> Corpus:
    """All three tables, in the order train, dev, test. Raises DataMissing or DataCorrupt.

    Films are known by their titles, which are their ids. `Utterance.act` is the recommender's main strategy; `Dialogue.outcome` whether
    the seeker accepted the film, and how it liked it: accept_rating_good, accept_rating_mod, accept_uninterested, accept_others, reject.
    """
    folder = locate("inspired", [f"{part}.tsv" for part in DIALOGUES], data_dir, _ADVICE, inside=["dialog_data", "data/dialog_data"])
    return parse(folder, DIALOGUES)


def parse(folder: Path, expected: Mapping[str, int]) -> Corpus:
    """The tables of these names, which must hold as many dialogues as `expected` says. Raises DataMissing or DataCorrupt."""
    utterances: dict[str, list[Utterance]] = {}
    outcomes: dict[str, str] = {}
    for part, count in expected.items():
        path = folder / f"{part}.tsv"
        last: dict[str, int] = {}
        for line, (name, number, speaker, text, movies, strategy, case) in _rows(path):
            if name in utterances and name not in last:
                raise bad_line(path, line, name, "a dialog_id that no other file has", _ADVICE)
            if not re.fullmatch("[0-9]{1,6}", number) or int(number) <= last.get(name, -1):
                raise bad_line(path, line, f"{name} {number}", "an utt_id that grows within the dialogue", _ADVICE)
            last[name] = int(number)
            outcomes.setdefault(name, case)
            titles = tuple(title.strip() for title in movies.split(";") if title.strip())
            said = Utterance(speaker=_SPEAKERS[speaker], text=text.replace("QUOTATION_MARK", '"'), items=titles, act=strategy)
            utterances.setdefault(name, []).append(said)
        check_count(path, len(last), count, _ADVICE)
    dialogues = tuple(Dialogue(name=name, utterances=tuple(spoken), outcome=outcomes[name]) for name, spoken in utterances.items())
    films = {title: title for spoken in utterances.values() for utterance in spoken for title in utterance.items}
    return Corpus(name="inspired", dialogues=dialogues, titles=films, source=SOURCE)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of each line below the header, and its `_COLUMNS`."""
    lines = read_lines(path, _ADVICE)
    header = lines[0].split("\t")
    places = []
    for names in _COLUMNS:
        found = [header.index(name) for name in names if name in header]
        if not found:
            raise bad_line(path, 1, lines[0], f"a header with a column {' or '.join(names)}, separated by tabs", _ADVICE)
        places.append(found[0])
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != len(header):
            raise bad_line(path, number, line, f"{len(header)} fields separated by tabs, not {len(fields)}", _ADVICE)
        row = [fields[place] for place in places]
        if not row[0] or row[2] not in _SPEAKERS:
            raise bad_line(path, number, line, "a dialog_id, and the speaker SEEKER or RECOMMENDER", _ADVICE)
        yield number, row
