"""USS, "User Satisfaction Simulation": 6,800 conversations of which people judged every message of the user.

W. Sun, S. Zhang, K. Balog, Z. Ren, P. Ren, Z. Chen, M. de Rijke, "Simulating User Satisfaction for the Evaluation of Task-oriented
Dialogue Systems", SIGIR 2021, arXiv 2105.03748.

Five files, one a source; each line is a role, a text, an action and the judges' labels, separated by tabs (JDDC has the judges' reasons
as well, which are not read). A blank line parts dialogues; the last line of each is ``USER OVERALL``, with the labels of the whole. The
judges were to rate the state before a message, from what had been said so far: what the system had achieved, not the message's tone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recoworld.datasets.files import bad_line
from recoworld.datasets.local import check_count, locate, read_lines
from recoworld.dialogues import Corpus, Dialogue, Utterance

ADDRESS = "https://github.com/sunnweiwei/user-satisfaction-simulation"
SOURCE = (
    f"USS, {ADDRESS}: see there for the terms of use. Cite W. Sun et al., Simulating User Satisfaction for the Evaluation of Task-oriented "
    "Dialogue Systems, SIGIR 2021, arXiv 2105.03748, and the sources SGD, MultiWOZ 2.1, ReDial, CCPE and JDDC"
)
DIALOGUES = {"SGD": 1000, "MWOZ": 1000, "ReDial": 1000, "CCPE": 500, "JDDC": 3300}
"""Source -> dialogues, as published. The published counts of messages contradict each other (ReDial's 11,806 are 11,887 when its ratings
are added up), so they are not held against the files."""
_ADVICE = f"get the folder dataset/ of {ADDRESS} and pass data_dir=, or set RECOWORLD_DATA to, the folder that holds it as uss/"
_ROLES = {"USER": "user", "SYSTEM": "system"}
_LABELS = {"1", "2", "3", "4", "5"}


def load(*, data_dir: str | None = None) -> Corpus:
    """All five sources. Raises DataMissing or DataCorrupt."""
    return _load("uss", DIALOGUES, data_dir)


def load_sgd(*, data_dir: str | None = None) -> Corpus:
    """The messages out of Schema-Guided Dialogue alone: an assistant that books and looks up. Raises DataMissing or DataCorrupt."""
    return _load("uss-sgd", ["SGD"], data_dir)


def load_mwoz(*, data_dir: str | None = None) -> Corpus:
    """Those out of MultiWOZ 2.1: a tourist's information desk. Raises DataMissing or DataCorrupt."""
    return _load("uss-mwoz", ["MWOZ"], data_dir)


def load_redial(*, data_dir: str | None = None) -> Corpus:
    """Those out of ReDial: people who recommend films to each other. Raises DataMissing or DataCorrupt."""
    return _load("uss-redial", ["ReDial"], data_dir)


def load_ccpe(*, data_dir: str | None = None) -> Corpus:
    """Those out of CCPE: somebody who is asked about taste in films. Raises DataMissing or DataCorrupt."""
    return _load("uss-ccpe", ["CCPE"], data_dir)


def load_jddc(*, data_dir: str | None = None) -> Corpus:
    """Those out of JDDC: a shop's customer service, in Chinese. Raises DataMissing or DataCorrupt."""
    return _load("uss-jddc", ["JDDC"], data_dir)


def _load(name: str, sources: Mapping[str, int] | list[str], data_dir: str | None) -> Corpus:
    folder = locate("uss", [f"{source}.txt" for source in sources], data_dir, _ADVICE, inside=["dataset"])
    return parse(name, folder, {source: DIALOGUES[source] for source in sources})


def parse(name: str, folder: Path, expected: Mapping[str, int]) -> Corpus:
    """The files of these sources, which must hold as many dialogues as `expected` says. Raises DataMissing or DataCorrupt."""
    dialogues: list[Dialogue] = []
    for source, count in expected.items():
        path = folder / f"{source}.txt"
        found = _dialogues(path, source)
        check_count(path, len(found), count, _ADVICE)
        dialogues += found
    return Corpus(name=name, dialogues=tuple(dialogues), source=SOURCE)


def _dialogues(path: Path, source: str) -> list[Dialogue]:
    done: list[Dialogue] = []
    said: list[Utterance] = []
    overall: tuple[int, ...] = ()
    lines = read_lines(path, _ADVICE)
    for number, line in enumerate([*lines, ""], 1):
        if line:
            if overall:
                raise bad_line(path, number, line, "a blank line after USER OVERALL", _ADVICE)
            utterance = _utterance(path, number, line)
            if utterance.speaker == "user" and utterance.text == "OVERALL":
                overall = utterance.satisfaction
            else:
                said.append(utterance)
        elif overall:
            done.append(Dialogue(name=f"{source}-{len(done) + 1}", utterances=tuple(said), satisfaction=overall))
            said, overall = [], ()
        elif said:
            raise bad_line(path, number - 1, lines[number - 2], "the line USER OVERALL at the end of each dialogue", _ADVICE)
    return done


def _utterance(path: Path, number: int, line: str) -> Utterance:
    fields = line.split("\t")
    if len(fields) not in (4, 5) or fields[0] not in _ROLES:
        raise bad_line(path, number, line, "USER or SYSTEM, text, action and labels, separated by tabs", _ADVICE)
    role, text, act, labels = fields[:4]
    given = [label.strip() for label in labels.split(",")] if labels.strip() else []
    if (role == "SYSTEM" and given) or (role == "USER" and not given) or not set(given) <= _LABELS:
        expected = "no labels" if role == "SYSTEM" else "the judges' labels, 1 to 5, separated by commas"
        raise bad_line(path, number, f"{role} ... {labels}", f"{expected} in the fourth field", _ADVICE)
    return Utterance(speaker=_ROLES[role], text=text, act=act.strip(), satisfaction=tuple(map(int, given)))
