"""Logs of conversations, every kind of damage to them, and how a reader's satisfactions are held against people's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recoworld.datasets import inspired, load_corpus, redial, uss
from recoworld.dialogues import Corpus, Dialogue, DialogueReader, Utterance, prefixes, stripped, verdict
from recoworld.errors import ConfigError, DataCorrupt, DataMissing, UnknownName
from recoworld.evaluation.fidelity.measures.dialogues import FIGURES, tracked
from recoworld.evaluation.fidelity.measures.terseness import count_words, terseness
from recoworld.evaluation.fidelity.measures.tracking import AGREEMENT, agreement, spearman
from recoworld.evaluation.intervals import drawn_figures
from recoworld.registry import CORPORA

NOTHING = {"value": None, "low": None, "high": None}

# USS


USS = (
    "\n"
    "USER\tBook me a table\tINFORM_INTENT\t3,3,4\n"
    "SYSTEM\tWhere?\tREQUEST\t\n"
    "USER\t\tINFORM\t2, 2,3,3\n"
    "USER\tOVERALL\t\t3,2,2\n"
    "\n"
    "SYSTEM\t你好\t\t\t\n"
    "USER\t不好\tOTHER\t1,1,3\t\n"
    "USER\tOVERALL\tOTHER\t1,1,1\twrong;bad;poor\n"
)


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_uss_is_read_as_it_is_written(tmp_path: Path) -> None:
    write(tmp_path / "SGD.txt", USS)
    corpus = uss.parse("x", tmp_path, {"SGD": 2})
    first, second = corpus.dialogues
    assert first == Dialogue(
        name="SGD-1",
        utterances=(
            Utterance(speaker="user", text="Book me a table", act="INFORM_INTENT", satisfaction=(3, 3, 4)),
            Utterance(speaker="system", text="Where?", act="REQUEST"),
            Utterance(speaker="user", text="", act="INFORM", satisfaction=(2, 2, 3, 3)),
        ),
        satisfaction=(3, 2, 2),
    )
    assert first.judged == (0, 2)
    assert [said.text for said in second.utterances] == ["你好", "不好"]
    assert second.satisfaction == (1, 1, 1)
    assert "SIGIR 2021" in corpus.source


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
@pytest.mark.parametrize("tail", ["", "\n", "\n\n\n"])
def test_uss_does_not_mind_the_ends_of_lines_and_files(tmp_path: Path, ends: str, tail: str) -> None:
    plain = uss.parse("x", write(tmp_path / "a" / "SGD.txt", USS).parent, {"SGD": 2})
    other = write(tmp_path / "b" / "SGD.txt", (USS.rstrip("\n") + tail).replace("\n", ends))
    assert uss.parse("x", other.parent, {"SGD": 2}) == plain


BROKEN_USS = {
    "a role in lower case": (("SYSTEM\tWhere?", "system\tWhere?"), "line 3", "USER or SYSTEM"),
    "a field too few": (("\tREQUEST\t\n", "\tREQUEST\n"), "line 3", "separated by tabs"),
    "fields too many": (("\tREQUEST\t\n", "\tREQUEST\t\t\t\t\n"), "line 3", "separated by tabs"),
    "a user's message without labels": (("INTENT\t3,3,4", "INTENT\t"), "line 2", "the judges' labels"),
    "a label of 0": (("3,3,4", "3,0,4"), "line 2", "1 to 5"),
    "a label of 6": (("3,3,4", "3,3,6"), "line 2", "1 to 5"),
    "a label of 3.5": (("3,3,4", "3,3.5"), "line 2", "1 to 5"),
    "an empty label": (("3,3,4", "3,,4"), "line 2", "1 to 5"),
    "a judged message of the system": (("REQUEST\t", "REQUEST\t3"), "line 3", "no labels"),
    "a dialogue without its end": (("USER\tOVERALL\t\t3,2,2\n", ""), "line 4", "OVERALL"),
    "a file cut short": (("USER\tOVERALL\tOTHER\t1,1,1\twrong;bad;poor\n", ""), "line 8", "OVERALL"),
    "dialogues run together": (("3,2,2\n\n", "3,2,2\n"), "line 6", "a blank line"),
    "a dialogue less": ((USS[USS.index("\n\n") + 1 :], "\n"), "got 1 dialogues", "expected 2"),
}


@pytest.mark.parametrize("kind", BROKEN_USS)
def test_broken_uss_is_refused(tmp_path: Path, kind: str) -> None:
    (old, new), where, expected = BROKEN_USS[kind]
    assert old in USS
    write(tmp_path / "SGD.txt", USS.replace(old, new, 1))
    with pytest.raises(DataCorrupt, match=expected) as caught:
        uss.parse("x", tmp_path, {"SGD": 2})
    for part in ("SGD.txt", where, uss.ADDRESS):
        assert part in str(caught.value)


# INSPIRED


HEADER = "dialog_id\tutt_id\tspeaker\tturn_id\ttext\ttext_with_placeholder\tmovies\tgenres\texpert_label\tfine_label\tmovie_id\n"
INSPIRED = HEADER + (
    'a.pkl\t1\tRECOMMENDER\t1\tSeen QUOTATION_MARKUpQUOTATION_MARK?\tSeen "[M]"?\tUp (2009);  Heat (1995)\t\tencouragement\treject\tX1\n'
    "a.pkl\t3\tSEEKER\t1\tNo\tNo\t\t\t\treject\tX1\n"
    "b.pkl\t1\tSEEKER\t1\tHi\tHi\t\tdrama\t\taccept_others\tX2\n"
)


def test_inspired_is_read_as_it_is_written(tmp_path: Path) -> None:
    write(tmp_path / "dev.tsv", INSPIRED)
    write(tmp_path / "test.tsv", INSPIRED.replace(".pkl", ".x").replace("expert_label", "first_label").replace("fine_label", "case"))
    corpus = inspired.parse(tmp_path, {"dev": 2, "test": 2})
    assert [dialogue.name for dialogue in corpus.dialogues] == ["a.pkl", "b.pkl", "a.x", "b.x"]
    assert corpus.dialogues[0] == Dialogue(
        name="a.pkl",
        utterances=(
            Utterance(speaker="system", text='Seen "Up"?', items=("Up (2009)", "Heat (1995)"), act="encouragement"),
            Utterance(speaker="user", text="No"),
        ),
        outcome="reject",
    )
    assert corpus.dialogues[2] == replace(corpus.dialogues[0], name="a.x")
    assert corpus.dialogues[1].outcome == "accept_others"
    assert corpus.titles == {"Up (2009)": "Up (2009)", "Heat (1995)": "Heat (1995)"}


BROKEN_INSPIRED = {
    "a column less": (("\ttext\t", "\twords\t"), "line 1", "a column text"),
    "a label's column less": (("expert_label", "label"), "line 1", "first_label or expert_label"),
    "a row cut short": (("\taccept_others\tX2\n", "\n"), "line 4", "11 fields"),
    "a field too many": (("\tX2\n", "\tX2\tX3\n"), "line 4", "11 fields"),
    "another speaker": (("SEEKER\t1\tNo", "USER\t1\tNo"), "line 3", "SEEKER or RECOMMENDER"),
    "no name": (("b.pkl", ""), "line 4", "a dialog_id"),
    "a message out of order": (("a.pkl\t3", "a.pkl\t0"), "line 3", "utt_id that grows"),
    "a message twice": (("a.pkl\t3", "a.pkl\t1"), "line 3", "utt_id that grows"),
    "a number that is none": (("a.pkl\t3", "a.pkl\tthree"), "line 3", "utt_id that grows"),
    "a dialogue less": (("b.pkl\t1\tSEEKER\t1\tHi\tHi\t\tdrama\t\taccept_others\tX2\n", ""), "got 1 dialogues", "expected 2"),
}


@pytest.mark.parametrize("kind", BROKEN_INSPIRED)
def test_broken_inspired_is_refused(tmp_path: Path, kind: str) -> None:
    (old, new), where, expected = BROKEN_INSPIRED[kind]
    assert old in INSPIRED
    write(tmp_path / "dev.tsv", INSPIRED.replace(old, new, 1))
    with pytest.raises(DataCorrupt, match=expected) as caught:
        inspired.parse(tmp_path, {"dev": 2})
    for part in ("dev.tsv", where, inspired.ADDRESS):
        assert part in str(caught.value)


def test_inspired_with_a_dialogue_in_two_files_is_refused(tmp_path: Path) -> None:
    for part in ("dev", "test"):
        write(tmp_path / f"{part}.tsv", INSPIRED)
    with pytest.raises(DataCorrupt, match=r"test\.tsv, line 2: got 'a\.pkl'.*no other file"):
        inspired.parse(tmp_path, {"dev": 2, "test": 2})


# ReDial


def record(**changes: Any) -> dict[str, Any]:
    return {
        "conversationId": "391",
        "messages": [
            {"timeOffset": 0, "text": "I loved @11, @11 and @22!", "senderWorkerId": 0, "messageId": 1},
            {"timeOffset": 9, "text": "@33 then, or @44", "senderWorkerId": 1, "messageId": 2},
        ],
        "movieMentions": {"11": "Up  (2009) ", "22": "Heat (1995)", "33": None},
        "initiatorWorkerId": 0,
        "respondentWorkerId": 1,
        "initiatorQuestions": {
            "11": {"suggested": 0, "seen": 1, "liked": 1},
            "22": {"suggested": 0, "seen": 1, "liked": 0},
            "33": {"suggested": 1, "seen": 2, "liked": 2},
        },
        "respondentQuestions": {"22": {"suggested": 0, "seen": 1, "liked": 1}},
    } | changes


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(each) + "\n" for each in records)


def test_redial_is_read_as_it_is_written(tmp_path: Path) -> None:
    bare = record(conversationId=7, initiatorWorkerId=1, respondentWorkerId=0, movieMentions=[], initiatorQuestions=[])
    write(tmp_path / "train_data.jsonl", lines(record()))
    write(tmp_path / "test_data.jsonl", lines(bare))
    corpus = redial.parse(tmp_path, {"train": 1, "test": 1})
    assert corpus.dialogues[0] == Dialogue(
        name="391",
        utterances=(
            Utterance(speaker="user", text="I loved Up  (2009), Up  (2009) and Heat (1995)!", items=("11", "22")),
            Utterance(speaker="system", text="@33 then, or @44"),
        ),
        liked={"11": True, "22": False},
    )
    assert corpus.dialogues[1].name == "7"
    assert [said.speaker for said in corpus.dialogues[1].utterances] == ["system", "user"]
    assert corpus.dialogues[1].utterances[0].text == "I loved @11, @11 and @22!"
    assert corpus.titles == {"11": "Up  (2009)", "22": "Heat (1995)"}


MESSAGE = {"text": "hi", "senderWorkerId": 0}
BROKEN_REDIAL: dict[str, tuple[str, str]] = {
    "a line cut short": (lines(record())[:60], "JSON object"),
    "no object": ("[1, 2]\n", "conversationId is missing"),
    "nested too deep": ("[" * 100_000 + "\n", "JSON object"),
    "no id": (lines(record(conversationId=None)), "conversationId"),
    "no messages": (lines(record(messages=[])), "messages is empty"),
    "messages that are none": (lines(record(messages="hi")), "messages is missing or of the wrong type"),
    "a message without text": (lines(record(messages=[{"senderWorkerId": 0}])), "text is missing"),
    "a text that is none": (lines(record(messages=[{**MESSAGE, "text": 3}])), "text is missing"),
    "a third speaker": (lines(record(messages=[{**MESSAGE, "senderWorkerId": 2}])), "senderWorkerId 2 is neither"),
    "one worker in both roles": (lines(record(respondentWorkerId=0)), "are the same"),
    "films as a list": (lines(record(movieMentions=["11"])), "movieMentions is a list"),
    "an answer that is none": (lines(record(initiatorQuestions={"11": 1})), "liked is missing"),
    "an answer out of range": (lines(record(initiatorQuestions={"11": {"liked": 3}})), "liked is none of 0, 1, 2"),
    "a conversation twice": (lines(record(), record()), "conversationId that occurs once"),
    "a conversation less": (lines(record(), record(conversationId="392")), "got 2 dialogues; expected 1"),
}


@pytest.mark.parametrize("kind", BROKEN_REDIAL)
def test_broken_redial_is_refused(tmp_path: Path, kind: str) -> None:
    text, expected = BROKEN_REDIAL[kind]
    write(tmp_path / "train_data.jsonl", text)
    with pytest.raises(DataCorrupt, match=expected) as caught:
        redial.parse(tmp_path, {"train": 1})
    assert "train_data.jsonl" in str(caught.value)
    assert redial.ADDRESS in str(caught.value)
    assert len(str(caught.value)) < 600


# where they are


FILES = {
    "uss": [f"{source}.txt" for source in uss.DIALOGUES],
    "inspired": [f"{part}.tsv" for part in inspired.DIALOGUES],
    "redial": [f"{part}_data.jsonl" for part in redial.DIALOGUES],
}
SAMPLES = {"uss": USS, "inspired": INSPIRED, "redial": lines(record())}


@pytest.mark.parametrize("name", list(CORPORA))
def test_what_is_not_there_is_told_with_the_official_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("RECOWORLD_DATA", raising=False)
    module = {"uss": uss, "inspired": inspired, "redial": redial}[name.split("-")[0]]
    for data_dir in (None, str(tmp_path), str(tmp_path / "nowhere"), str(write(tmp_path / "file", "x"))):
        with pytest.raises(DataMissing, match="expected") as caught:
            load_corpus(name, data_dir=data_dir)
        assert module.ADDRESS in str(caught.value)  # type: ignore[attr-defined]  # each of the three modules has one


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00", b"caf\xe9\n", b"a\0b\n"], ids=["empty", "UTF-16", "latin-1", "binary"])
def test_files_that_are_no_text_are_refused(tmp_path: Path, name: str, damage: bytes) -> None:
    for file in FILES[name]:
        write(tmp_path / file, damage)
    with pytest.raises(DataCorrupt, match=FILES[name][0]):
        load_corpus(name, data_dir=str(tmp_path))


@pytest.mark.parametrize("name", list(FILES))
def test_a_file_less_is_told_by_its_name(tmp_path: Path, name: str) -> None:
    for file in FILES[name][1:]:
        write(tmp_path / file, SAMPLES[name])
    with pytest.raises(DataMissing, match=f"has no {FILES[name][0]}"):
        load_corpus(name, data_dir=str(tmp_path))


@pytest.mark.parametrize(("name", "inside"), [("uss", ""), ("uss", "uss/dataset"), ("inspired", "data/dialog_data"), ("redial", "redial")])
def test_local_copies_are_found_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, inside: str) -> None:
    for file in FILES[name]:
        write(tmp_path / inside / file, SAMPLES[name])
    monkeypatch.setenv("RECOWORLD_DATA", str(tmp_path))
    with pytest.raises(DataCorrupt, match="as published"):  # the sample is read, and is not all of it
        load_corpus(name)


def test_one_source_of_uss_needs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "CCPE.txt", USS)
    monkeypatch.setitem(uss.DIALOGUES, "CCPE", 2)
    corpus = load_corpus("uss-ccpe", data_dir=str(tmp_path))
    assert (corpus.name, [dialogue.name for dialogue in corpus.dialogues]) == ("uss-ccpe", ["CCPE-1", "CCPE-2"])


def test_names_of_corpora() -> None:
    with pytest.raises(UnknownName, match="did you mean 'redial'"):
        load_corpus("redail")
    with pytest.raises(ConfigError, match="returns a Corpus"):
        load_corpus("recoworld.version:__version__")


def test_what_makes_no_dialogue_is_refused() -> None:
    for broken in (
        lambda: Utterance(speaker="bot", text=""),
        lambda: Utterance(speaker="user", text="", satisfaction=(0,)),
        lambda: Utterance(speaker="system", text="", satisfaction=(3,)),
        lambda: Dialogue(name="x", utterances=(), satisfaction=(6,)),
        lambda: Corpus(name="x", dialogues=(Dialogue(name="a", utterances=()),) * 2),
        lambda: verdict(()),
    ):
        with pytest.raises(ConfigError, match="expected"):
            broken()


# readers


def talk(name: str, *labels: tuple[int, ...], words: Sequence[int] | None = None) -> Dialogue:
    """The system and the user in turns; the user's messages have these labels, and so many words."""
    said = []
    for i, label in enumerate(labels):
        said.append(Utterance(speaker="system", text=f"{name} offer {i}", items=(f"i{i}",), act="offer"))
        text = "w " * (words[i] if words else i + 1)
        said.append(Utterance(speaker="user", text=f"{name} {i} {text}", act="answer", satisfaction=label))
    return Dialogue(name=name, utterances=tuple(said), liked={"i0": True}, satisfaction=(3,), outcome="good")


class Told:
    """Answers by the name of the dialogue and the length of what it is shown; keeps what it was shown."""

    def __init__(self, answer: Callable[[str, int], float]) -> None:
        self.answer = answer
        self.seen: list[Dialogue] = []

    def satisfaction(self, dialogues: Sequence[Dialogue]) -> np.ndarray:
        self.seen += dialogues
        return np.array([self.answer(dialogue.name, len(dialogue.utterances)) for dialogue in dialogues])


def means_of(corpus: Corpus) -> Callable[[str, int], float]:
    by_name = {dialogue.name: dialogue for dialogue in corpus.dialogues}
    return lambda name, end: (float(np.mean(by_name[name].utterances[end - 1].satisfaction)) - 1) / 4


def random_corpus(n: int, seed: int = 0, judges: int = 3) -> Corpus:
    """Labels about a level of each message, with judges who are off by one now and then."""
    rng = np.random.default_rng(seed)
    dialogues = []
    for i in range(n):
        levels = rng.choice([1, 2, 3, 4, 5], p=[0.1, 0.2, 0.4, 0.2, 0.1], size=4)
        labels = np.clip(levels[:, None] + rng.choice([-1, 0, 0, 1], size=(4, judges)), 1, 5)
        dialogues.append(talk(f"d{i}", *(tuple(row) for row in labels.tolist()), words=rng.integers(1, 9, 4).tolist()))
    return Corpus(name="made up", dialogues=tuple(dialogues))


def test_the_verdict_is_what_most_say_and_the_lower_of_two() -> None:
    assert [verdict(labels) for labels in ((3,), (2, 3, 3), (2, 2, 3, 3), (5, 1), (1, 4, 4, 5, 5))] == [3, 3, 2, 1, 4]


def shown(record: Dialogue | Utterance) -> set[str]:
    """The fields that hold something, whatever fields there are."""
    return {field.name for field in fields(record) if getattr(record, field.name)}


def test_no_label_reaches_a_reader() -> None:
    corpus = random_corpus(20)
    assert isinstance(Told(lambda *_: 0.5), DialogueReader)
    reader = Told(lambda *_: 0.5)
    tracked(reader, corpus, resamples=2)
    assert len(reader.seen) == 80
    for dialogue in (*reader.seen, *map(stripped, corpus.dialogues)):
        assert shown(dialogue) == {"name", "utterances"}
        assert all(shown(said) <= {"speaker", "text", "items"} for said in dialogue.utterances)
    # Other labels, liked films, outcomes and acts: not a letter of what is shown changes.
    relabelled = [
        replace(
            dialogue,
            liked={"i1": False},
            satisfaction=(1, 1),
            outcome="bad",
            utterances=tuple(
                replace(said, act="other", satisfaction=tuple(6 - label for label in said.satisfaction)) for said in dialogue.utterances
            ),
        )
        for dialogue in corpus.dialogues
    ]
    again = Told(lambda *_: 0.5)
    tracked(again, Corpus(name="relabelled", dialogues=tuple(relabelled)), resamples=2)
    assert repr(again.seen) == repr(reader.seen)


def test_a_reader_sees_what_was_said_so_far() -> None:
    dialogue = talk("d", (3,), (2,), (4,))
    texts = [said.text for said in dialogue.utterances]
    assert [[said.text for said in prefix.utterances] for prefix in prefixes(dialogue)] == [texts[:2], texts[:4], texts[:6]]
    assert [len(prefix.utterances) for prefix in prefixes(dialogue, own_words=False)] == [1, 3, 5]
    assert prefixes(dialogue)[0].utterances[0].items == ("i0",)
    reader = Told(lambda *_: 0.5)
    tracked(reader, Corpus(name="x", dialogues=(dialogue,)), own_words=False, resamples=2)
    assert [len(prefix.utterances) for prefix in reader.seen] == [1, 3, 5]


# measures


def test_rank_correlation_by_hand() -> None:
    assert spearman(np.array([1, 2, 2, 3]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert spearman(np.array([1, 2, 3]), np.array([10, 100, 1000])) == pytest.approx(1)
    assert spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1)
    # Without ties 1 - 6 sum d^2 / (n (n^2 - 1)), here with d = 1, -1, 2, -1, -1.
    assert spearman(np.array([2, 1, 5, 3, 4]), np.array([1, 2, 3, 4, 5])) == pytest.approx(1 - 6 * 8 / (5 * 24))
    assert np.isnan(spearman(np.ones(4), np.arange(4)))
    assert np.isnan(spearman(np.ones(0), np.ones(0)))


def test_weights_are_copies() -> None:
    rng = np.random.default_rng(0)
    a, b, times = rng.integers(1, 6, 40), rng.integers(1, 6, 40), rng.integers(0, 4, 40)
    many = spearman(np.repeat(a, times), np.repeat(b, times))
    assert spearman(a, b, times.astype(np.float64)) == pytest.approx(many, abs=1e-12)
    np.testing.assert_allclose(agreement(a, b, times.astype(np.float64)), agreement(np.repeat(a, times), np.repeat(b, times)))


def test_rank_correlation_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b = rng.integers(0, 5, 30), rng.normal(size=30).round(1)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_agreement_by_hand() -> None:
    true, guessed = np.array([1, 2, 3, 3, 4, 5, 3, 2]), np.array([2, 3, 3, 3, 3, 4, 2, 1])
    figures = dict(zip(AGREEMENT, agreement(guessed, true).tolist(), strict=True))
    # Two of three dissatisfied are recognised, four of five others, and three are called dissatisfied.
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert figures["f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert figures["uar"] == pytest.approx((0 + 0 + 2 / 3 + 0 + 0) / 5)
    assert figures["kappa"] == pytest.approx((2 / 8 - 18 / 64) / (1 - 18 / 64))
    assert agreement(true, true).tolist() == [1, 1, 1, 1]
    content = agreement(np.array([3, 4]), np.array([3, 4]))
    assert np.isnan(content).tolist() == [True, True, False, False]
    assert np.isnan(agreement(np.array([3]), np.array([3]))).tolist() == [True, True, False, True]


def test_the_bootstrap_of_a_mean_is_two_standard_errors_wide() -> None:
    x = np.random.default_rng(0).normal(3, 2, 1000)
    drawn = drawn_figures(lambda times: np.array([x @ times / 1000]), 1000, resamples=2000, seed=0)
    assert drawn[0, 0] == pytest.approx(x.mean())
    assert drawn[1:, 0].std() == pytest.approx(2 / np.sqrt(1000), rel=0.1)
    assert np.array_equal(drawn, drawn_figures(lambda times: np.array([x @ times / 1000]), 1000, resamples=2000, seed=0))
    assert not np.array_equal(drawn, drawn_figures(lambda times: np.array([x @ times / 1000]), 1000, resamples=2000, seed=1))
    alone = drawn_figures(lambda times: np.array([5.0]), 1, seed=0)
    assert alone[0, 0] == 5
    assert np.isnan(alone[1:]).all()
    with pytest.raises(ConfigError, match="at least one"):
        drawn_figures(lambda times: np.zeros(1), 0, seed=0)


def test_messages_of_one_dialogue_are_one_witness() -> None:
    """A dialogue said four times over tells nothing new: the interval stays."""
    corpus = random_corpus(60)
    longer = Corpus(name="x", dialogues=tuple(replace(d, utterances=d.utterances * 4) for d in corpus.dialogues))
    noise = dict(zip((d.name for d in corpus.dialogues), np.random.default_rng(3).random(60).tolist(), strict=True))
    once, often = (tracked(Told(lambda name, end: noise[name]), each)["rows"]["reader"]["rho"] for each in (corpus, longer))
    assert once["value"] == pytest.approx(often["value"])
    assert (once["low"], once["high"]) == (pytest.approx(often["low"]), pytest.approx(often["high"]))
    assert once["high"] - once["low"] > 0.2


def test_the_reader_that_knows_the_labels_is_perfect() -> None:
    corpus = random_corpus(30, judges=1)
    result = tracked(Told(means_of(corpus)), corpus, resamples=50)
    for figure in result["rows"]["reader"].values():
        assert figure["value"] == pytest.approx(1)
        assert figure["low"] == pytest.approx(1)
    assert all(figure == NOTHING for figure in result["rows"]["human"].values())  # one judge has no others
    several = random_corpus(30)
    assert tracked(Told(means_of(several)), several, resamples=2)["rows"]["reader"]["rho"]["value"] == pytest.approx(1)


@pytest.mark.parametrize("constant", [0.0, 0.3, 0.5, 1.0])
def test_a_constant_says_nothing_and_beats_no_trivial_reader(constant: float) -> None:
    rows = tracked(Told(lambda *_: constant), random_corpus(50), resamples=50)["rows"]
    reader = rows["reader"]
    assert reader["rho"] == NOTHING
    assert reader["kappa"]["value"] == pytest.approx(0, abs=1e-12)
    assert reader["balanced_accuracy"]["value"] == pytest.approx(0.5)
    assert reader["uar"]["value"] == pytest.approx(0.2)
    for name in FIGURES[1:]:
        best = max(rows[row][name]["value"] for row in ("majority", "always dissatisfied", "position", "length"))
        assert reader[name]["value"] <= best + 1e-12


def test_a_measurement_by_hand() -> None:
    """Labels fall from message to message, so position knows all; words are as many as ever, so length knows nothing."""
    dialogues = [talk(f"d{i}", (4, 4, 4), (3, 3, 4), (2, 3, 2), words=[5, 5, 5]) for i in range(6)]
    answers = {2: 0.76, 4: 0.2, 6: 0.3}  # levels 4, 2 and 2; the truth is 4, 3 and 2
    result = tracked(Told(lambda name, end: answers[end]), Corpus(name="x", dialogues=tuple(dialogues)), resamples=20)
    reader, human, position, length = (result["rows"][name] for name in ("reader", "human", "position", "length"))
    assert (result["dialogues"], result["messages"], result["unanswered"]) == (6, 18, 0)
    assert reader["rho"]["value"] == pytest.approx(0.5)  # ranks 3 1 2 against 3 2 1
    assert reader["balanced_accuracy"]["value"] == pytest.approx((1 + 1 / 2) / 2)
    assert reader["f1"]["value"] == pytest.approx(2 / 3)
    assert reader["uar"]["value"] == pytest.approx((1 + 0 + 1) / 3)
    assert reader["kappa"]["value"] == pytest.approx((2 / 3 - 3 / 9) / (1 - 3 / 9))
    assert (reader["rho"]["low"], reader["rho"]["high"]) == (pytest.approx(0.5), pytest.approx(0.5))  # all dialogues are alike
    assert all(figure["value"] == pytest.approx(1) for figure in position.values())
    assert length["rho"] == NOTHING
    assert result["rows"]["majority"]["balanced_accuracy"]["value"] == pytest.approx(0.5)
    assert result["rows"]["always dissatisfied"]["f1"]["value"] == pytest.approx(2 * (1 / 3) / (1 + 1 / 3))
    # Each judge against the other two: 4 4 4 against 4 4 4; 3 3 4 against 3 3 3 (a tie is the lower); 2 3 2 against 2 2 2.
    assert human["balanced_accuracy"]["value"] == pytest.approx((2 / 3 + 1) / 2)
    assert human["f1"]["value"] == pytest.approx(2 * 2 / (3 + 2))
    assert human["uar"]["value"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    own, others = [4, 4, 4, 3, 3, 4, 2, 3, 2], [4, 4, 4, 3.5, 3.5, 3, 2.5, 2, 2.5]
    assert human["rho"]["value"] == pytest.approx(spearman(np.array(own), np.array(others)))


def test_a_satisfaction_is_the_nearest_level() -> None:
    labels = [(1,), (1,), (2,), (2,), (3,), (3,), (4,), (4,), (5,), (5,)]
    edges = [0.0, 0.124, 0.125, 0.374, 0.375, 0.624, 0.625, 0.874, 0.875, 1.0]
    corpus = Corpus(name="x", dialogues=tuple(talk(f"{i}", label) for i, label in enumerate(labels)))
    figures = tracked(Told(lambda name, _: edges[int(name)]), corpus, resamples=2)["rows"]["reader"]
    assert [figures[name]["value"] for name in AGREEMENT] == pytest.approx([1, 1, 1, 1])


def test_judges_who_agree_more_are_a_higher_ceiling() -> None:
    rows = tracked(Told(lambda *_: 0.5), random_corpus(200), resamples=50)["rows"]
    human = rows["human"]
    assert 0.5 < human["rho"]["value"] < 0.95
    for name in FIGURES:
        assert human[name]["low"] < human[name]["value"] < human[name]["high"]
    for name in ("position", "length"):
        assert abs(rows[name]["rho"]["value"]) < 0.2


def test_what_the_reader_does_not_answer_is_left_out_everywhere_and_counted() -> None:
    corpus = random_corpus(20)
    halved = Corpus(name="x", dialogues=tuple(replace(d, utterances=d.utterances[:4]) for d in corpus.dialogues))
    partly = tracked(Told(lambda name, end: 0.25 if end <= 4 else float("nan")), corpus, resamples=20)
    half = tracked(Told(lambda *_: 0.25), halved, resamples=20)
    assert (partly["unanswered"], half["unanswered"]) == (40, 0)
    assert partly["rows"] == half["rows"]
    none = tracked(Told(lambda *_: float("nan")), corpus, resamples=2)
    assert none["unanswered"] == 80
    assert all(figure == NOTHING for row in none["rows"].values() for figure in row.values())


def test_a_measurement_is_json_and_repeatable() -> None:
    corpus = random_corpus(30)
    one, same, other = (tracked(Told(means_of(corpus)), corpus, most=10, seed=seed, resamples=20) for seed in (4, 4, 5))
    assert json.loads(json.dumps(one, allow_nan=False)) == one == same != other
    assert (one["dialogues"], one["messages"]) == (10, 40)
    reader = Told(lambda *_: 0.5)
    tracked(reader, corpus, most=29, resamples=2)
    assert len({dialogue.name for dialogue in reader.seen}) == 29
    assert set(one["rows"]) == {"reader", "human", "majority", "always dissatisfied", "position", "length"}
    assert all(set(row) == set(FIGURES) for row in one["rows"].values())
    assert tracked(Told(means_of(corpus)), corpus, most=99, resamples=2)["dialogues"] == 30


def test_what_cannot_be_measured_is_refused() -> None:
    corpus = random_corpus(5)
    for answer in (1.01, -0.01, float("inf")):
        with pytest.raises(ConfigError, match=r"satisfaction with dialogue 'd0' is .*expected a number in \[0, 1\]"):
            tracked(Told(lambda *_, answer=answer: answer), corpus)  # type: ignore[misc]  # bound at once
    with pytest.raises(ConfigError, match="no judged message"):
        tracked(Told(lambda *_: 0.5), Corpus(name="x", dialogues=(Dialogue(name="a", utterances=()),)))
    with pytest.raises(ConfigError, match="at least one dialogue"):
        tracked(Told(lambda *_: 0.5), corpus, most=0)

    class Short:
        def satisfaction(self, dialogues: Sequence[Dialogue]) -> np.ndarray:
            return np.zeros(3)

    with pytest.raises(ConfigError, match="20 dialogues; expected one a dialogue"):
        tracked(Short(), corpus)


# terseness


@pytest.mark.parametrize(
    ("text", "n"),
    [("", 0), ("  ... !", 0), ("I don't like sci-fi.", 4), ("the 1990s' drama", 3), ("naïve", 1), ("我要退货", 4), ("要iPhone 12吗", 4)],
)
def test_words_are_counted(text: str, n: int) -> None:
    assert count_words(text) == n


def test_terseness_by_hand() -> None:
    dialogues = []
    for i, (first, second) in enumerate([(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]):
        said = [Utterance(speaker="system", text="many words " * 9)]
        said += [Utterance(speaker="user", text="w " * n, satisfaction=(2, 2, 5) if n <= 3 else (3,)) for n in (first, second)]
        dialogues.append(Dialogue(name=str(i), utterances=tuple(said)))
    log = terseness(Corpus(name="x", dialogues=tuple(dialogues)))
    assert log["messages"] == 10
    assert log["words"]["mean"]["value"] == pytest.approx(5.5)
    assert [log["words"][q]["value"] for q in ("q10", "q25", "q50", "q75", "q90")] == [1, 3, 5, 8, 9]
    assert log["dissatisfied"]["value"] == pytest.approx(0.3)
    assert log["words"]["mean"]["low"] < 5.5 < log["words"]["mean"]["high"]
    assert json.loads(json.dumps(log, allow_nan=False)) == log
    simulated = terseness(["w " * n for n in range(1, 11)])
    assert simulated["dissatisfied"] == NOTHING
    assert {name: figure["value"] for name, figure in simulated["words"].items()} == {name: f["value"] for name, f in log["words"].items()}
    for nothing in (Corpus(name="x", dialogues=()), []):
        with pytest.raises(ConfigError, match="no message"):
            terseness(nothing)
