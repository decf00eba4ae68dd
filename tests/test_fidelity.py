"""The fidelity report as a whole: what it finds in faulty simulators, what it keeps, what it says."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import fakes_fidelity as fakes
import numpy as np
import pytest
from rich.console import Console
from test_cli import recoworld, told

from recoworld.datasets import load_dataset
from recoworld.dialogues import Corpus, Dialogue, Utterance
from recoworld.errors import ConfigError, RecoWorldError, SimulatorFailed, UnknownName
from recoworld.evaluation.fidelity import Report, cost, fidelity
from recoworld.evaluation.fidelity import plan as plans
from recoworld.evaluation.fidelity.asking import store, witness
from recoworld.evaluation.fidelity.asking.checked import Checked, checked
from recoworld.evaluation.fidelity.candidate import candidate
from recoworld.evaluation.fidelity.desk import Desk
from recoworld.evaluation.fidelity.identity import contents_of
from recoworld.evaluation.fidelity.measures.sessions import TURNS
from recoworld.evaluation.fidelity.plan import plan
from recoworld.evaluation.fidelity.run import carried_out, plain_json
from recoworld.evaluation.fidelity.sections import SECTIONS, chosen
from recoworld.evaluation.fidelity.showing import findings, labels, pictures
from recoworld.evaluation.fidelity.showing.findings import at, bounds, suspicions, value
from recoworld.evaluation.fidelity.showing.lines import LINES
from recoworld.evaluation.fidelity.showing.table import rows
from recoworld.impressions import Impressions
from recoworld.simulators.behavioral import BehavioralSimulator
from recoworld.types import Chooser, Rater
from recoworld.users import Dataset

PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    out = tmp_path_factory.mktemp("report")
    return fidelity("behavioral", dataset="mini", users=100, out=out), out


def flagged(report: Report) -> set[str]:
    """Which suspicions were founded, by name."""
    return {suspicion.__name__ for suspicion in findings.SUSPICIONS if suspicion(report.sections) is not None}


def fig(number: float, low: float | None = None, high: float | None = None, **beside: Any) -> dict[str, Any]:
    return {"value": number, "low": number if low is None else low, "high": number if high is None else high, **beside}


# four known faults


@pytest.mark.parametrize(
    ("fake", "faults"),
    [
        (fakes.AlwaysLikes, {"always_yes", "at_chance", "no_better_than_popularity", "one_person"}),
        (fakes.AlwaysLikes, {"odd_ratings", "too_kind", "never_displeased"}),
        (fakes.CopiesPopularity, {"copies_popularity", "no_better_than_popularity", "one_person"}),
        (fakes.TakesTheFirst, {"at_chance", "no_better_than_popularity", "position_decides"}),
        (fakes.OnePerson, {"one_person", "forgets_itself"}),
    ],
)
def test_known_faults_are_found(fake: Any, faults: set[str]) -> None:
    sections = ["choice", "alignment", "diversity", "consistency"] + ["ratings"] * hasattr(fake, "stars")
    report = fidelity(fake, dataset="mini", users=200, sections=sections)
    assert faults <= flagged(report)
    assert len(report.findings) == len(flagged(report))


def test_each_fault_is_its_own() -> None:
    """A simulator with one fault is not accused of the others that would need it to be someone else."""
    sections = ("choice", "alignment", "diversity", "consistency")
    assert "always_yes" not in flagged(fidelity(fakes.CopiesPopularity, dataset="mini", sections=sections))
    assert not {"copies_popularity", "position_decides"} & flagged(fidelity(fakes.AlwaysLikes, dataset="mini", sections=sections))
    assert not {"always_yes", "copies_popularity"} & flagged(fidelity(fakes.TakesTheFirst, dataset="mini", sections=sections))


def test_who_likes_all_alike_minds_no_dose() -> None:
    assert "pleased_by_anything" in flagged(fidelity(fakes.AlwaysLikes, dataset="mini", users=60, sections=("counterfactual",)))


def test_the_behavioural_user_has_none_of_these_faults(everything: tuple[Report, Path]) -> None:
    assert flagged(everything[0]) <= {"never_displeased"}  # the small log's ratings are few


@pytest.mark.parametrize(
    ("suspicion", "guilty", "innocent"),
    [
        ("odd_ratings", {"ratings": {"ks": fig(0.21)}}, {"ratings": {"ks": fig(0.2)}}),
        ("too_kind", {"ratings": {"mean": fig(4.4, human=fig(3.58))}}, {"ratings": {"mean": fig(3.8, human=fig(3.58))}}),
        ("never_displeased", {"ratings": {"share_1_2": fig(0.0, human=fig(0.16))}}, {"ratings": {"share_1_2": fig(0.1, human=fig(0.16))}}),
        ("pleased_by_anything", {"counterfactual": {"slope": fig(-0.1, -0.3, 0.0)}}, {"counterfactual": {"slope": fig(-0.2, -0.3, -0.1)}}),
        (
            "foretells_nothing",
            {"mindset": {"foretells": {"either": {"level": fig(0.55, 0.5, 0.6)}}}},
            {"mindset": {"foretells": {"either": {"level": fig(0.55, 0.51, 0.6)}}}},
        ),
        ("knows_the_answers", {"leakage": {"checks": {"held_out_known": 1}}}, {"leakage": {"checks": {"held_out_known": 0}}}),
        (
            "lives_on_titles",
            {"leakage": {"ndcg@10": {"as_it_is": fig(0.5, uniform=fig(0.2)), "masked": fig(0.3, difference=fig(-0.2, -0.25, -0.15))}}},
            {"leakage": {"ndcg@10": {"as_it_is": fig(0.5, uniform=fig(0.2)), "masked": fig(0.4, difference=fig(-0.1, -0.15, -0.05))}}},
        ),
        (
            "always_yes",
            {"alignment": {"1:1": {"as_it_acts": {"recall": fig(0.95), "precision": fig(0.5)}}}},
            {"alignment": {"1:1": {"as_it_acts": {"recall": fig(0.95), "precision": fig(0.95)}}}},
        ),
        (
            "position_decides",
            {"consistency": {"position": {"bias": fig(0.4, 0.26, 0.5)}}},
            {"consistency": {"position": {"bias": fig(0.4, 0.2, 0.5)}}},
        ),
        (
            "one_person",
            {"diversity": {"across_moods": fig(1.2, 1.1, 1.3, one_person=fig(1.0), excess_relative_to_human=fig(0.19))}},
            {"diversity": {"across_moods": fig(1.2, 1.1, 1.3, one_person=fig(1.0), excess_relative_to_human=fig(0.2))}},
        ),
    ],
)
def test_thresholds_by_hand(suspicion: str, guilty: dict[str, Any], innocent: dict[str, Any]) -> None:
    judge = getattr(findings, suspicion)
    assert judge in findings.SUSPICIONS
    assert judge(guilty)
    assert judge(innocent) is None
    assert judge({}) is None


def test_nothing_is_found_in_nothing() -> None:
    assert suspicions({}) == []
    assert suspicions({name: {"skipped": "not today"} for name in SECTIONS}) == []


# what must not leak


def test_what_people_did_later_reaches_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything after the visible part is forged; the simulator answers fixed questions bit by bit as before."""
    mini = load_dataset("mini")
    split, log = mini.split(seed=0), mini.interactions
    hidden = np.arange(len(log)) >= split.visible_end[log.users]
    assert 0.1 < hidden.mean() < 0.3

    def forged(rows: np.ndarray) -> Dataset:
        rng = np.random.Generator(np.random.PCG64(3))
        items, stars = log.items.copy(), log.ratings.copy()
        items[rows] = rng.integers(len(mini.catalog), size=rows.sum())
        stars[rows] = 6 - stars[rows]
        popularity = np.bincount(items, minlength=len(mini.catalog)).astype(np.float32)
        return replace(mini, interactions=replace(log, items=items, ratings=stars), catalog=replace(mini.catalog, popularity=popularity))

    rng = np.random.Generator(np.random.PCG64(4))
    slates = np.stack([rng.permutation(len(mini.catalog))[:20] for _ in range(80)])

    def answers(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
        monkeypatch.setattr(plans, "load_dataset", lambda *_, **__: dataset)
        witness = plan("behavioral", dataset="mini", users=80).witness
        return witness.chances(witness.panel.users, slates), witness.stars(witness.panel.users, slates)

    honest = answers(mini)
    for before, after in zip(honest, answers(forged(hidden)), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(honest, answers(forged(~hidden)), strict=True):
        assert (before != after).any()  # the test can fail


# what is kept


class Counting(fakes.Choosing):
    """Counts its calls and the user-slates in them by section, sees no reason to leave early, and presses Ctrl-C at a chosen call."""

    section: ClassVar[str] = ""
    calls: ClassVar[Counter[str]] = Counter()
    slates: ClassVar[Counter[str]] = Counter()
    stop_at: ClassVar[tuple[str, int] | None] = None

    def asked(self, slates: np.ndarray) -> None:
        here = Counting.section
        Counting.calls[here] += 1
        if (here, Counting.calls[here]) == Counting.stop_at:
            raise KeyboardInterrupt
        Counting.slates[here] += len(slates)

    def likely(self, users: np.ndarray, slates: np.ndarray) -> np.ndarray:
        return (((users[:, None] * 7919 + slates * 104729) % 997 + 1) / 999).astype(np.float32)

    def chances(self, mindset: Any, history: Any, slates: Any, luck: Any) -> np.ndarray:
        self.asked(slates)
        return super().chances(mindset, history, slates, luck)

    def stars(self, mindset: Any, history: Any, slates: Any, luck: Any) -> np.ndarray:
        self.asked(slates)
        return np.tile(np.array([0.1, 0.1, 0.2, 0.3, 0.3], np.float32), (*slates.shape, 1))

    def respond(self, mindset: Any, history: Any, slates: Any, luck: Any) -> Any:
        self.asked(slates)
        return super().respond(mindset, history, slates, luck)

    def variants(self) -> dict[str, Any]:
        return {"the same": self}


class CountingActs(Counting):
    """Only acts."""

    chances = stars = None  # type: ignore[assignment]


def counted(kind: Any, stop_at: tuple[str, int] | None = None, **settings: Any) -> Report:
    """A report of few people in chunks of eight, all of whose answers are kept; what it asks is counted from 0 calls."""

    def progress(name: str, *_: Any) -> None:
        Counting.section = name

    Counting.section, Counting.stop_at = "pilot", stop_at
    Counting.calls.clear()
    return fidelity(kind, dataset="mini", users=20, moods=2, progress=progress, **settings)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SLOW", 0.0)
    monkeypatch.setattr(witness, "_KEPT_CHUNK", 8)
    monkeypatch.setattr(Report, "pictures", lambda report: {})
    monkeypatch.setattr(plans, "load_dataset", lambda *_, **__: with_impressions(load_dataset("mini")))
    Counting.slates.clear()


def with_impressions(dataset: Dataset) -> Dataset:
    """Everybody was shown two slates of five in each of two sessions."""
    rng = np.random.Generator(np.random.PCG64(6))
    users = np.repeat(np.arange(len(dataset.users)), 4)
    slates = np.argsort(rng.random((len(users), len(dataset.catalog))), axis=1)[:, :5]
    clicked, sessions = rng.random(slates.shape) < 0.3, np.arange(len(users)) // 2
    return replace(dataset, impressions=Impressions(users=users, slates=slates, clicked=clicked, sessions=sessions))


SESSIONS = {"counterfactual": 8 * TURNS, "policy_agreement": 8 * TURNS, "mindset": 8 * TURNS, "rates": 8 * 2 * 2}
"""User-slates of a chunk of eight sessions at most; those of the log have two slates, each asked about and shown."""


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("kind", [Counting, CountingActs])
def test_an_interrupted_report_asks_nothing_twice(tmp_path: Path, kind: Any) -> None:
    """Interrupted in the middle of every section that asks, it asks again at most one chunk of sessions each time."""
    plain = counted(kind)  # nothing is kept, all users at a time
    in_all = Counting.slates.copy()
    Counting.slates.clear()
    whole = counted(kind, out=tmp_path / "whole")
    calls = Counting.calls.copy()
    assert Counting.slates == in_all
    assert json.dumps(whole.sections) == json.dumps(plain.sections)
    stops = [name for name in calls if calls[name] > 1 and name != "pilot"]
    assert {"choice", "alignment", "diversity", "consistency", "leakage", *SESSIONS} <= set(stops)
    Counting.slates.clear()
    for name in stops:
        report = counted(kind, (name, calls[name] // 2 + 1), out=tmp_path / "parts")
        assert report.interrupted
        assert name not in report.sections
    last = counted(kind, out=tmp_path / "parts")
    assert not last.interrupted
    assert json.dumps(last.sections) == json.dumps(plain.sections)
    for name, slates in in_all.items():
        if name == "pilot":  # four questions, twice, each time: whether it is the same simulator still
            continue
        assert 0 <= Counting.slates[name] - slates < SESSIONS.get(name, 1), name
    counted(kind, out=tmp_path / "parts")
    assert set(Counting.calls) == {"pilot"}
    Counting.slates.clear()
    counted(kind, out=tmp_path / "parts", fresh=True)
    assert Counting.slates == in_all


@pytest.mark.usefixtures("slow")
def test_what_is_kept_is_what_was_said(tmp_path: Path) -> None:
    """The behavioural user's sections from answers in chunks of eight, read back or not, are those of all users at a time."""
    settings: dict[str, Any] = {"dataset": "mini", "users": 20}
    with pytest.MonkeyPatch.context() as quick:
        quick.setattr(cost, "SLOW", 1e9)
        plain = fidelity("behavioral", **settings)
    kept = fidelity("behavioral", **settings, out=tmp_path)
    assert len(list((tmp_path / "answers").glob("*.npz"))) > 100
    for section in (tmp_path / "sections").glob("*.json"):
        section.unlink()
    read = fidelity("behavioral", **settings, out=tmp_path)
    assert json.dumps(plain.sections) == json.dumps(kept.sections) == json.dumps(read.sections)


@pytest.mark.usefixtures("slow")
def test_a_full_disk_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    plain = counted(Counting, sections=("choice",))
    monkeypatch.setattr(store, "write_arrays", full)
    with pytest.warns(UserWarning, match=r"cannot write the answers to .*No space left on device") as said:
        report = counted(Counting, sections=("choice",), out=tmp_path)
    assert len(said) == 1
    assert report.sections == plain.sections


class Remembering(Counting):
    """Notes the mood and the luck in which it is asked."""

    noted: ClassVar[list[tuple[bytes, ...]]] = []

    def begin(self, users: Any, luck: Any) -> Any:
        mindset = super().begin(users, luck)
        return replace(mindset, levels=np.broadcast_to(luck.uniform(1), mindset.levels.shape).copy())

    def asked(self, slates: np.ndarray) -> None:
        self.noted.append((np.sort(slates, axis=1).tobytes(),))

    def chances(self, mindset: Any, history: Any, slates: Any, luck: Any) -> np.ndarray:
        self.noted.append((mindset.levels.tobytes(), luck.keys.tobytes()))
        return super().chances(mindset, history, slates, luck)

    def respond(self, mindset: Any, history: Any, slates: Any, luck: Any) -> Any:
        self.noted.append((mindset.levels.tobytes(), luck.keys.tobytes()))
        return super().respond(mindset, history, slates, luck)


class RememberingActs(Remembering):
    """Only acts."""

    chances = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Remembering, RememberingActs])
def test_a_shuffled_slate_meets_the_same_mood_and_luck(kind: Any) -> None:
    asking = plan(kind, dataset="mini", users=20).witness
    rng = np.random.Generator(np.random.PCG64(5))
    slates = np.stack([rng.permutation(len(asking.panel.known.catalog))[:10] for _ in asking.panel.users])
    noted = []
    for shown in (slates, rng.permuted(slates, axis=1), slates[:, ::-1], (slates + 1) % len(asking.panel.known.catalog)):
        Remembering.noted.clear()
        asking.chances(asking.panel.users, shown)
        noted.append(Remembering.noted.copy())
    assert len(noted[0]) == 2 * asking.moods
    assert noted[0] == noted[1] == noted[2]
    assert noted[0] != noted[3]  # the test can fail


def test_answers_are_told_apart(tmp_path: Path) -> None:
    kept = store.Answers(tmp_path, "key")
    questions: list[tuple[Any, ...]] = [("a", 1, 23), ("a", 12, 3), ("b", 1, 23), (np.arange(4),), (np.arange(4).reshape(2, 2),)]
    questions += [(np.arange(4, dtype=np.int32),), (np.arange(2), np.arange(2, 4))]
    for i, question in enumerate(questions):
        kept.kept(question, lambda i=i: {"answer": np.array(i)})  # type: ignore[misc]
    for i, question in enumerate(questions):
        assert kept.kept(question, dict)["answer"] == i
    asking = plan("behavioral", dataset="mini", users=20).witness
    asking._answers, calls = kept, []  # whoever stands beside has a name of its own
    for each in (asking, asking.beside("other", asking.simulator), asking.beside("other", asking.simulator)):
        each.kept(("a",), lambda: calls.append(1) or {"answer": np.zeros(1)})  # type: ignore[func-returns-value]
    assert len(calls) == 2
    assert asking.beside("other", asking.simulator).beside("one", asking.simulator).moods == asking.moods


def test_tokens_and_slates_are_estimated_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "SLOW", 0.0)
    monkeypatch.setattr(fakes.Interrupting, "asked", [])
    report = fidelity(fakes.Interrupting, dataset="mini", users=40, moods=2, sections=("choice",))
    assert report.estimate is not None
    assert report.estimate["total"] == 40 * 5 * 3 * 2 * 2  # users, questions, negatives, sizes, moods
    assert report.estimate["prompt_tokens"] == 100 * report.estimate["total"]
    assert report.estimate["completion_tokens"] == 7 * report.estimate["total"]
    assert report.estimate["seconds"] == pytest.approx(report.estimate["total"] * report.estimate["seconds_per_slate"])


def test_finished_sections_are_kept_and_other_settings_refused(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []

    def progress(name: str, stage: str, answered: int, total: int) -> None:
        assert 0 <= answered <= max(total, answered)
        heard.append((name, stage))

    fidelity("behavioral", dataset="mini", users=20, sections=("ratings",), out=tmp_path)
    report = fidelity("behavioral", dataset="mini", users=20, sections=("ratings", "diversity"), out=tmp_path, progress=progress)  # type: ignore[arg-type]
    assert heard[0] == ("ratings", "kept")
    assert ("ratings", "run") not in heard
    assert heard[-1] == ("diversity", "done")
    assert list(report.sections) == ["ratings", "diversity"]
    alone = fidelity("behavioral", dataset="mini", users=20, sections=("diversity",), out=tmp_path)
    assert alone.sections == report.sections  # what is there stays in the report
    with pytest.raises(ConfigError, match=r"seed: 0 there, 1 now.*--fresh"):
        fidelity("behavioral", dataset="mini", users=20, seed=1, sections=("ratings",), out=tmp_path)
    with pytest.raises(ConfigError, match=r"simulator\.focus: .* there, 0.0 now"):
        fidelity("behavioral", dataset="mini", users=20, settings={"focus": 0.0}, sections=("ratings",), out=tmp_path)
    fresh = fidelity("behavioral", dataset="mini", users=20, seed=1, sections=("ratings",), out=tmp_path, fresh=True)
    assert list(fresh.sections) == ["ratings"]


def test_a_damaged_section_is_measured_anew(tmp_path: Path) -> None:
    whole = fidelity("behavioral", dataset="mini", users=20, sections=("ratings",), out=tmp_path)
    kept = tmp_path / "sections" / "ratings.json"
    kept.write_text(kept.read_text()[:100])
    assert fidelity("behavioral", dataset="mini", users=20, sections=("ratings",), out=tmp_path).sections == whole.sections


def test_the_same_seed_gives_the_same_report() -> None:
    def told_by(seed: int) -> dict[str, Any]:
        report = fidelity("behavioral", dataset="mini", users=30, seed=seed).as_dict()
        assert report.pop("seconds").keys() == set(SECTIONS)
        return report

    assert json.dumps(told_by(0)) == json.dumps(told_by(0))
    assert told_by(0)["choice"] != told_by(1)["choice"]


class Tuned(fakes.Choosing):
    """An instance's settings that nobody hears of."""

    taste, leaves = 1, 0.1

    def likely(self, users: np.ndarray, slates: np.ndarray) -> np.ndarray:
        return (((users[:, None] * 7919 + slates * 104729 * self.taste) % 997 + 1) / 999).astype(np.float32)

    def respond(self, mindset: Any, history: Any, slates: Any, luck: Any) -> Any:
        feedback, mindset = super().respond(mindset, history, slates, luck)
        return replace(feedback, watch=feedback.watch * self.leaves), mindset


def test_another_instance_of_a_class_is_another_simulator(tmp_path: Path) -> None:
    mini = load_dataset("mini")
    settings: dict[str, Any] = {"dataset": "mini", "users": 20, "sections": ("diversity",), "out": tmp_path}
    first, second, third = (Tuned(*mini.known(mini.split()), {}) for _ in range(3))
    report = fidelity(first, **settings)
    heard: list[str] = []
    assert fidelity(second, **settings, progress=lambda _, stage, *__: heard.append(stage)).sections == report.sections
    assert heard == ["kept"]
    third.taste = 2
    with pytest.raises(ConfigError, match=r"simulator_answers: '\w+' there, '\w+' now.*--fresh"):
        fidelity(third, **settings)
    second.leaves = 0.05  # says the same, and acts otherwise
    with pytest.raises(ConfigError, match="simulator_answers"):
        fidelity(second, **settings)


def test_an_edited_simulator_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "edited_one.py").write_text("from fakes_fidelity import OnePerson as Base\n\nclass One(Base):\n    pass\n")
    settings: dict[str, Any] = {"dataset": "mini", "users": 20, "sections": ("diversity",), "out": tmp_path / "out"}
    fidelity("edited_one:One", **settings)
    fidelity("edited_one:One", **settings)
    with open(tmp_path / "edited_one.py", "a") as file:
        file.write("\nUNREAD = 1\n")
    with pytest.raises(ConfigError, match="simulator_source"):
        fidelity("edited_one:One", **settings)


def test_who_answers_differently_each_time_has_no_digest(tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    todo = plan(fakes.Spoilt, dataset="mini", users=20, settings={"chances": lambda said: rng.random(said.shape).astype(np.float32)})
    assert todo.settings["simulator_answers"] is None
    assert plan("behavioral", dataset="mini", users=20).settings["simulator_answers"] is None
    assert plan(fakes.Interrupting, dataset="mini", users=20).settings["simulator_answers"] is None  # counts tokens
    assert plan(fakes.Spoilt, dataset="mini", users=20).settings["simulator_answers"] is not None


def test_a_log_of_the_same_size_is_another() -> None:
    mini = load_dataset("mini")
    log, catalog = mini.interactions, mini.catalog
    changed = [
        replace(mini, interactions=replace(log, ratings=np.where(np.arange(len(log)) == 7, 6 - log.ratings, log.ratings))),
        replace(mini, interactions=replace(log, times=log.times + (np.arange(len(log)) == 3))),
        replace(mini, interactions=replace(log, items=np.roll(log.items, 1))),
        replace(mini, catalog=replace(catalog, titles=np.roll(catalog.titles, 1))),
        replace(mini, catalog=replace(catalog, years=catalog.years + np.int16(1))),
        with_impressions(mini),
    ]
    digests = [contents_of(dataset) for dataset in [mini, *changed]]
    assert len(set(digests)) == len(digests)
    assert contents_of(replace(mini, interactions=replace(log, items=log.items.copy()))) == digests[0]


# what is no answer


def spoilt(method: str, how: Any, kind: Any = fakes.Spoilt, **settings: Any) -> Report:
    return fidelity(kind, settings={method: how}, dataset="mini", users=20, **{"sections": ("diversity",), **settings})


def reply(**changes: Any) -> Any:
    """A change of the feedback: functions of what it was."""
    return lambda said: (replace(said[0], **{name: change(getattr(said[0], name)) for name, change in changes.items()}), said[1])


@pytest.mark.parametrize(
    ("method", "how", "words"),
    [
        ("chances", lambda x: np.full_like(x, np.nan), r"'fakes_fidelity:Spoilt': chances\(...\) gave NaN for 80 of 80 items; expected"),
        ("chances", lambda x: np.where(x > 0.5, np.float32(np.nan), x), r"gave NaN for \d+ of 80 items; expected .* 1, shape \(4, 20\)"),
        ("chances", lambda x: x * 3, r"gave numbers from .* to 2\.\d+; expected numbers from 0 to 1"),
        ("chances", lambda x: -x, r"gave numbers from -"),
        ("chances", lambda x: x * np.float32(np.inf), r"gave numbers from inf to inf"),
        ("chances", lambda x: x[:, :3], r"gave float32 of shape \(4, 3\)"),
        ("chances", lambda x: x[0], r"gave float32 of shape \(20,\)"),
        ("chances", lambda x: x > 0.5, r"gave bool of shape"),
        ("chances", lambda x: None, r"gave NoneType; expected an array"),
        ("chances", lambda x: x.tolist(), r"gave list; expected an array"),
        ("stars", lambda x: x * 0.9, r"stars\(...\) gave probabilities of the five ratings that sum to 0.9"),
        ("stars", lambda x: x * np.float32(np.nan), r"stars\(...\) gave NaN for 400 of 400 ratings"),
        ("stars", lambda x: x[:, :, 0], r"stars\(...\) gave float32 of shape \(4, 20\)"),
        ("stars", lambda x: x - np.array([0.3, -0.3, 0, 0, 0], np.float32), r"stars\(...\) gave numbers from -0.1"),
        ("begin", lambda x: None, r"begin\(...\) gave NoneType; expected a recoworld.types.Mindset"),
        ("begin", lambda x: replace(x, levels=x.levels[:, :4]), r"Mindset.levels = float32 of shape \(4, 4\)"),
        ("begin", lambda x: replace(x, levels=x.levels + 1), r"Mindset.levels = numbers from 1.5 to 1.5"),
        ("begin", lambda x: replace(x, levels=np.where(x.intent[:, None].cumsum(axis=0) == -1, np.nan, x.levels)), r"levels = NaN for 5"),
        ("begin", lambda x: replace(x, interest=x.interest * np.nan), r"Mindset.interest = NaN"),
        ("respond", lambda x: x[0], r"respond\(...\) gave Feedback; expected a tuple"),
        ("respond", lambda x: (x[1], x[0]), r"respond\(...\) gave Mindset; expected a recoworld.types.Feedback"),
        ("respond", reply(watch=lambda x: x * np.nan), r"Feedback.watch = NaN for 80 of 80 slots; expected seconds from 0 on"),
        ("respond", reply(watch=lambda x: x - 1), r"Feedback.watch = numbers from -1"),
        ("respond", reply(clicked=lambda x: x.astype(float)), r"Feedback.clicked = float64 .*expected an array of booleans"),
        ("respond", reply(clicked=lambda x: x[:, 1:]), r"Feedback.clicked = bool of shape \(4, 19\)"),
        ("respond", reply(left=lambda x: x[:, None]), r"Feedback.left = bool of shape \(4, 1\)"),
        ("respond", reply(followed=lambda x: x + 2), r"Feedback.followed = numbers from 2"),
        ("respond", reply(examined=np.zeros_like, clicked=np.ones_like), r"a click without a look .* in 80 of 80 slots"),
        ("respond", reply(liked=np.ones_like, clicked=np.zeros_like, watch=np.zeros_like), r"a like, comment or share without a click"),
        ("respond", reply(watch=np.ones_like), r"watching without a click"),
        ("respond", reply(instruction=lambda x: "more"), r"Feedback.instruction = str"),
        ("respond", lambda x: (x[0], replace(x[1], intent=x[1].intent[:1])), r"Mindset.intent = int16 of shape \(1,\)"),
    ],
)
def test_what_is_no_answer_is_refused(method: str, how: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        spoilt(method, how)
    if method in ("begin", "respond"):
        with pytest.raises(ConfigError, match=words.replace("80 of 80", r"\d+ of \d+")):
            spoilt(method, how, fakes.SpoiltActs)


def test_a_made_one_and_other_people_are_watched_too() -> None:
    mini = load_dataset("mini")
    nan = fakes.Spoilt(*mini.known(mini.split()), {"chances": lambda x: x * np.nan})
    with pytest.raises(SimulatorFailed, match=r"simulator 'Spoilt': chances\(...\) gave NaN"):
        fidelity(nan, dataset="mini", users=20)


def test_edges_are_answers() -> None:
    """0 and 1 are chances; a level that is NaN for everybody is one that nobody knows."""
    spoilt("chances", lambda x: np.round(x))
    spoilt("begin", lambda x: replace(x, levels=np.full_like(x.levels, np.nan)))


def test_the_one_under_watch_is_who_it_was() -> None:
    mini = load_dataset("mini")
    known, split = mini.known(mini.split())
    plain = candidate("behavioral").of(known, split)
    watched = checked("b", plain)
    assert isinstance(watched, Checked)
    assert isinstance(watched, Chooser)
    assert isinstance(watched, Rater)
    assert watched.config is plain.config  # type: ignore[attr-defined]
    assert watched.appeal == plain.appeal  # type: ignore[attr-defined]
    assert checked("other", watched) is watched
    acting = checked("acts", fakes.SpoiltActs(known, split, {}))
    assert not isinstance(acting, Chooser)
    assert not isinstance(acting, Rater)
    with pytest.raises(AttributeError):
        acting.appeal  # type: ignore[attr-defined]  # noqa: B018


# a simulator that fails


class Fails:
    """Raises in the second section that asks it."""

    def __init__(self, error: Exception) -> None:
        self.error, self.section = error, ""

    def __call__(self, said: Any) -> Any:
        if self.section == "consistency":
            raise self.error
        return said

    def report(self, **settings: Any) -> Report:
        def progress(name: str, *_: Any) -> None:
            self.section = name

        return spoilt("chances", self, progress=progress, **settings)


@pytest.mark.parametrize("sections", [("all",), ("diversity", "consistency", "leakage")])
def test_what_is_finished_survives_a_simulator_that_raises(tmp_path: Path, sections: Any) -> None:
    with pytest.raises(SimulatorFailed) as caught:
        Fails(ValueError("bad luck")).report(out=tmp_path, sections=sections)
    said = str(caught.value)
    assert said.startswith("section 'consistency': simulator 'fakes_fidelity:Spoilt' raised ValueError: bad luck (")
    assert "test_fidelity.py:" in said
    assert isinstance(caught.value.__cause__, ValueError)
    found = json.loads((tmp_path / "fidelity.json").read_text())
    assert "diversity" in found
    assert found["interrupted"]
    assert caught.value.report.sections.keys() == {name for name in SECTIONS if name in found}
    with pytest.raises(SimulatorFailed) as alone:
        Fails(ValueError("bad luck")).report(sections=("diversity", "consistency"))
    assert set(alone.value.report.sections) == {"diversity"}


@pytest.mark.parametrize("error", [ConfigError("my own"), RecoWorldError("my own"), UnknownName("thing", "my own", [])])
def test_a_simulators_own_error_is_no_reason_to_skip(error: Exception) -> None:
    with pytest.raises(SimulatorFailed, match=r"section 'consistency': .* raised .*my own"):
        Fails(error).report(sections=("all",))


def test_who_cannot_be_built_again_has_failed() -> None:
    built: list[int] = []

    def build(_: Any) -> None:
        built.append(1)
        if len(built) > 1:
            raise ConfigError("not twice")

    with pytest.raises(SimulatorFailed, match=r"section '\w+': .*not twice"):
        spoilt("build", build, sections=("all",))
    with pytest.raises(SimulatorFailed, match=r"'fakes_fidelity:Spoilt' raised ZeroDivisionError: division by zero \(.*test_fidelity.py"):
        spoilt("build", lambda _: 1 / 0)


# what is written and shown


def test_files_are_what_the_command_promises(everything: tuple[Report, Path]) -> None:
    report, out = everything
    found = json.loads((out / "fidelity.json").read_text(encoding="utf-8"))
    assert list(found)[: len(SECTIONS)] == list(SECTIONS)
    matched = found["choice"]["popularity_matched"]["ndcg@10"]
    assert {"value", "low", "high", "popularity", "best_recommender"} <= matched.keys()
    assert matched["low"] <= matched["value"] <= matched["high"]
    for key in ("ks", "rmse", "mean", "share_1_2"):
        assert {"value", "low", "high"} <= found["ratings"][key].keys()
    assert -1 <= found["policy_agreement"]["kendall_tau"]["value"] <= 1
    assert found["settings"]["users"] == 100
    assert found["dialogues"] == {"skipped": "no dialogues were given"}
    assert found == json.loads(json.dumps(report.as_dict()))
    assert (out / "fidelity.md").read_text(encoding="utf-8") == report.markdown()
    names = {"choice", "reliability", "ratings", "diversity", "doses", "policies", "overview"}
    assert {path.stem for path in out.glob("*.png")} == names
    assert all(path.read_bytes().startswith(PNG) for path in out.glob("*.png"))


def test_every_row_of_the_table_finds_its_figure(everything: tuple[Report, Path]) -> None:
    """No path of a row is misspelt: each is there in the report, where the data set has what it takes."""
    elsewhere = {"dialogues", "rates"}  # of a corpus, and of impressions
    shown = {(row.section, row.words) for row in rows(everything[0].sections)}
    for line in LINES:
        if line.section in elsewhere and not line.path.startswith("simulated/"):
            continue
        assert (line.section, line.words) in shown, line
        found = everything[0].sections[line.section]
        beside = [path for path in (line.people, line.best, *line.trivial.values()) if isinstance(path, str)]
        beside = [path for path in beside if path != "words/mean/human"]  # of a corpus
        assert all(at(found, path) is not None for path in beside), line
    assert len(LINES) <= 45


@pytest.mark.parametrize("width", [60, 80, 130])
def test_the_table_fits_the_terminal(everything: tuple[Report, Path], width: int) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(everything[0])
    text = console.export_text()
    console.file.close()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "which one was taken?" in " ".join(text.split())


def test_numbers_are_written_without_a_minus_before_nothing() -> None:
    found = {"consistency": {"position": {"bias": fig(0.001, -0.001, 0.004)}}}
    assert "| 0% | 0..0% |" in Report(sections=found, settings={}).markdown()


def test_marks_by_hand() -> None:
    def mark(mine: tuple[float, float], popularity: tuple[float, float]) -> Any:
        figure = fig(sum(mine) / 2, *mine, popularity=fig(sum(popularity) / 2, *popularity), uniform=fig(0.0))
        (row,) = rows({"choice": {"random": {"ndcg@10": figure}}})
        assert row.trivial is not None
        assert row.trivial[0] == "popularity"
        return row.marks

    assert mark((0.5, 0.6), (0.3, 0.4)) == ("better",)
    assert mark((0.5, 0.6), (0.55, 0.7)) == ("even",)
    assert mark((0.1, 0.2), (0.3, 0.4)) == ("worse",)
    (less,) = rows({"ratings": {"rmse": fig(0.9, 0.88, 0.92, user_mean=fig(1.0), item_mean=fig(1.1))}})
    assert (less.marks, less.trivial) == (("better",), ("user's mean", 1.0))
    (alike,) = rows({"ratings": {"mean": fig(3.6, 3.5, 3.7, human=fig(3.65, 3.6, 3.7))}})
    (unlike,) = rows({"ratings": {"mean": fig(4.4, 4.3, 4.5, human=fig(3.65, 3.6, 3.7))}})
    (anchor,) = rows({"rates": {"simulated": {"clicked": fig(0.2, 0.1, 0.3, tenrec={"value": 0.288})}}})
    assert (alike.marks, unlike.marks, anchor.marks) == (("alike",), ("unlike",), ())
    both = fig(1.4, 1.3, 1.5, human=fig(1.52, 1.4, 1.6), one_person=fig(1.0, 0.9, 1.1), uniform=fig(1.0))
    (ratio,) = rows({"diversity": {"ratio": both}})
    assert ratio.marks == ("better", "unlike")  # people's figure lies outside the interval, though the intervals meet
    assert "| ●≠ |" in Report(sections={"diversity": {"ratio": both}}, settings={}).markdown()


def test_what_follows_from_the_making_is_not_praised() -> None:
    grounded = {"mindset": {"grounded": {"all": fig(0.9, 0.8, 1.0, chance=fig(0.5))}, "variety": {"form_entropy": fig(0.8, 0.7, 0.9)}}}
    marks = {made: [row.marks for row in rows(grounded, behavioral=made)] for made in (False, True)}
    assert marks == {False: [("better",), ("better",)], True: [("better",), ("made",)]}
    praised, not_praised = (Report(sections=grounded, settings=about).markdown() for about in ({}, {"behavioral": True}))
    assert "·" not in praised
    assert "· follows from how such a simulator is made" in not_praised
    by_construction = {line.path for line in LINES if line.by_construction}
    assert {"foretells/leave/level", "grounded/all", "consistent/wanted", "simulated/clicked"} <= by_construction


def test_no_finding_is_said_of_what_was_measured_alone() -> None:
    assert "No finding" not in Report(sections={}, settings={}).markdown()
    assert "No finding" not in Report(sections={"rates": {"skipped": "why"}}, settings={}).markdown()
    bad = fig(0.1, 0.05, 0.15, human=fig(0.01, 0.0, 0.02), global_rates=fig(0.01, 0.0, 0.02))
    said = Report(sections={"ratings": {"ks": bad, "share_1_2": fig(0.3, 0.2, 0.4, human=fig(0.16, 0.1, 0.2))}}, settings={}).markdown()
    assert "No finding: none" in said
    assert "But 1 figure is worse than trivial (×), 2 figures are unlike people (≠)." in said
    good = Report(sections={"ratings": {"share_1_2": fig(0.16, 0.1, 0.2, human=fig(0.16, 0.1, 0.2))}}, settings={}).markdown()
    assert "in what was measured.\n" in good


def test_names_of_points_are_nearest_their_own() -> None:
    """Two points whose names go over each other's place, one of them beside a third: each name is nearest its own, or has a line."""
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(5, 4))
    axes = figure.add_subplot()
    x, y = [0.1, 0.12, 0.14, 0.5, 0.52, 0.9], [1.0, 1.0, 1.05, 2.0, 2.05, 1.5]
    axes.plot(x, y, "o")
    axes.margins(0.2)
    labels.label(axes, x, y, [f"a long name, {i}" for i in range(6)])
    pixels = axes.transData.transform(list(zip(x, y, strict=True))).tolist()
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
    lined = {tuple(text.xy) for text in axes.texts if not text.get_text()}
    written = [text for text in axes.texts if text.get_text()]
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in written}
    assert len(boxes) == 6
    for text in written:
        own = int(text.get_text()[-1])
        gaps = [labels._distance(tuple(pixel), boxes[text.get_text()]) for pixel in pixels]
        assert gaps[own] == min(gaps) or (x[own], y[own]) in lined, (text.get_text(), gaps)
        assert gaps[own] < 12 or (x[own], y[own]) in lined
    names = list(boxes.values())
    assert not any(one.overlaps(other) for i, one in enumerate(names) for other in names[:i])


def test_paths_lead_where_they_say() -> None:
    tree = {"a": [{"b": fig(1.0, 0.5, 2.0)}], "c": True, "d": {"value": None, "low": None, "high": None}}
    assert value(tree, "a/0/b") == 1.0
    assert bounds(tree, "a/0/b") == (0.5, 2.0)
    assert value(tree, "a/1/b") is None
    assert value(tree, "x/y") is None
    assert bounds(tree, "d") is None
    assert at(tree, "c") is True


def test_json_is_plain() -> None:
    tree = {"a": np.float32(0.5), "b": [np.int64(2), float("nan")], "c": (np.bool_(True), None, "words")}
    assert plain_json(tree) == {"a": 0.5, "b": [2, None], "c": [True, None, "words"]}
    assert json.dumps(plain_json(tree), allow_nan=False)


def test_without_matplotlib_a_note_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    report = fidelity("behavioral", dataset="mini", users=20, sections=("ratings",), out=tmp_path)
    assert any("matplotlib" in note and "pip install" in note for note in report.notes)
    assert not list(tmp_path.glob("*.png"))
    assert "matplotlib" in (tmp_path / "fidelity.md").read_text(encoding="utf-8")


def test_pictures_of_little_and_of_odd_figures() -> None:
    """Undefined figures, no intervals, and only one section."""
    none = {"value": None, "low": None, "high": None}
    assert Report(sections={}, settings={}).pictures() == {}
    assert Report(sections={"diversity": {"ratio": none}}, settings={}).pictures() == {}
    bare = {"value": 1.1, "low": None, "high": None}
    ratio = {"diversity": {"ratio": bare | {"human": bare, "one_person": bare, "uniform": bare}}}
    assert set(Report(sections=ratio, settings={}).pictures()) == {"diversity.png", "overview.png"}
    assert set(pictures.PICTURES) == set(pictures.NEEDS)
    ratings = {"distribution": {"simulated": [None] * 5, "human": [0.2] * 5}, "ks": none}
    assert "ratings.png" in Report(sections={"ratings": ratings}, settings={}).pictures()
    ratings = {"distribution": {"simulated": [None] * 5, "human": [None] * 5}, "ks": none}
    assert "ratings.png" in Report(sections={"ratings": ratings}, settings={}).pictures()


# who is asked


def test_a_simulator_goes_by_many_names(tmp_path: Path) -> None:
    mini = load_dataset("mini")
    split = mini.split()
    quiet = candidate("quiet", {"focus": 0.25})
    made = quiet.of(*mini.known(split))
    assert isinstance(made, BehavioralSimulator)
    assert (made.config.talkative, made.config.focus) == (0.1, 0.25)
    assert candidate("fakes_fidelity:OnePerson").name == candidate(fakes.OnePerson).name == "fakes_fidelity:OnePerson"
    ready = candidate(fakes.OnePerson(mini, split, {}))
    assert (ready.name, ready.build) == ("OnePerson", None)
    with pytest.raises(ConfigError, match="made already"):
        candidate(fakes.OnePerson(mini, split, {}), {"focus": 1})
    with pytest.raises(ConfigError, match="expected a UserSimulator"):
        candidate(3)
    with pytest.raises(ConfigError, match=r"expected it to take \(dataset, split, settings, \*, cached\)"):
        candidate(lambda: None).of(mini, split)
    with pytest.raises(UnknownName, match="did you mean 'behavioral'"):
        candidate("behavoral")
    (tmp_path / "mine.yaml").write_text("simulator_config: {talkative: 0.3}")
    assert candidate(str(tmp_path / "mine.yaml"), {"focus": 0.5}).settings == {"talkative": 0.3, "focus": 0.5}


def test_an_instance_is_asked_as_it_is() -> None:
    mini = load_dataset("mini")
    report = fidelity(fakes.OnePerson(mini, mini.split(), {}), dataset="mini", users=20, sections=("leakage", "diversity"))
    assert "nobody knows how to build" in report.sections["leakage"]["ndcg@10"]["skipped"]
    assert report.settings["simulator"] == "OnePerson"


def test_of_one_made_already_a_note_says_what_cannot_be_told(tmp_path: Path) -> None:
    mini = load_dataset("mini")
    made = fidelity(fakes.OnePerson(mini, mini.split(), {}), dataset="mini", users=20, sections=("leakage",), out=tmp_path)
    assert made.settings["made_already"]
    assert any("was made already" in note and "cannot be told" in note for note in made.notes)
    assert "was made already" in (tmp_path / "fidelity.md").read_text(encoding="utf-8")
    built = fidelity(fakes.OnePerson, dataset="mini", users=20, sections=("leakage",))
    assert not built.settings["made_already"]
    assert not any("made already" in note for note in built.notes)


def test_sections_by_name() -> None:
    assert chosen(("all",)) == list(SECTIONS)
    assert chosen(("ratings", "choice")) == ["choice", "ratings"]
    with pytest.raises(ConfigError, match="got none"):
        chosen(())


class Reader(fakes.OnePerson):
    """Also reads: the more is said, the less satisfied."""

    def satisfaction(self, dialogues: Any) -> np.ndarray:
        return np.array([1 / (1 + len(dialogue.utterances)) for dialogue in dialogues])


def test_what_was_measured_beside_another_corpus_is_not_kept(tmp_path: Path) -> None:
    """The sections that look at dialogues; the others are."""
    said = tuple(Utterance(speaker="user", text=text, satisfaction=(3,)) for text in ("hello there", "more of these", "bye"))
    corpus = Corpus(name="talk", dialogues=(Dialogue(name="one", utterances=said),))
    desk = Desk(tmp_path, {"seed": 0})
    for name in ("mindset", "dialogues", "choice"):
        desk.keep(name, {"from": "no corpus"}, 1.0)
    assert all(desk.section(name) for name in ("mindset", "dialogues", "choice"))
    later = Desk(tmp_path, {"seed": 0}, corpus=corpus)
    assert [later.section(name) is not None for name in ("mindset", "dialogues", "choice")] == [False, False, True]


def test_dialogues_are_read_by_who_can_read(tmp_path: Path) -> None:
    said = [Utterance(speaker="user", text=f"hello {i}", satisfaction=(5 - i % 5, 4 - i % 3)) for i in range(6)]
    corpus = Corpus(name="talk", dialogues=tuple(Dialogue(name=str(i), utterances=tuple(said[: 2 + i])) for i in range(4)))
    settings: dict[str, Any] = {"dataset": "mini", "users": 20, "sections": ("dialogues",), "out": tmp_path}
    with pytest.raises(ConfigError, match="'dialogues' was asked for by name and cannot be measured: no dialogues were given"):
        fidelity(Reader, **settings)
    report = fidelity(Reader, **settings, dialogues=corpus)
    assert report.sections["dialogues"]["messages"] == 2 + 3 + 4 + 5
    assert value(report.sections, "dialogues/rows/reader/rho") is not None
    less = fidelity(Reader, **settings, dialogues=replace(corpus, dialogues=corpus.dialogues[:3]))  # another corpus: read anew
    assert less.sections["dialogues"]["messages"] == 2 + 3 + 4
    with pytest.raises(ConfigError, match="reads no dialogues"):
        fidelity(fakes.OnePerson, dataset="mini", users=20, sections=("dialogues",), dialogues=corpus)
    with pytest.raises(SimulatorFailed, match=r"satisfaction\(...\) gave 7 for a dialogue; expected one number from 0 to 1"):
        spoilt("satisfaction", lambda said: said + 6.5, sections=("all",), dialogues=corpus)


# the command


def test_the_command_writes_and_shows(tmp_path: Path) -> None:
    arguments = ("fidelity", "--dataset", "mini", "--users", 30, "--set", "focus=0.2", "--out", tmp_path)
    done = recoworld(*arguments, "--sections", "choice, ratings")
    assert done.exit_code == 0, done.output
    assert "which one was taken?" in done.output
    assert "Written to" in done.output
    found = json.loads((tmp_path / "fidelity.json").read_text())
    assert found["settings"]["simulator_config"] == {"focus": 0.2}
    again = recoworld(*arguments, "--sections", "choice")
    assert "Kept from an earlier run: choice" in again.output


def test_the_command_asks_somebody_elses_simulator() -> None:
    done = recoworld("fidelity", "fakes_fidelity:AlwaysLikes", "--users", 30, "--sections", "alignment")
    assert done.exit_code == 0, done.output
    assert "finding: It says yes to everything" in done.output


def test_a_dry_run_only_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes.Interrupting, "asked", [])
    monkeypatch.setattr(fakes.Interrupting, "stop_at", None)
    done = recoworld("fidelity", "fakes_fidelity:Interrupting", "--users", 40, "--moods", 1, "--sections", "choice", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "choice 1,200" in " ".join(done.output.split())
    assert "1,200 slates at most" in done.output
    assert "120,000 prompt tokens, 8,400 completion tokens" in done.output
    assert len(fakes.Interrupting.asked) <= 3


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    arguments = ("fidelity", "--users", 20, "--sections", "diversity", "--out", tmp_path / "out")
    done = recoworld(*arguments, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "beside fitting the recommenders" in done.output
    assert not (tmp_path / "out").exists()
    assert recoworld(*arguments).exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "diversity" not in recoworld(*arguments, "--dry-run").output  # nothing is left to do
    assert "diversity" in recoworld(*arguments, "--dry-run", "--fresh").output
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_the_command_says_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("fidelity", "--users", 20, "--sections", "diversity", "--split-seed", 3, "--out")
    assert "fidelity.json, fidelity.md, diversity.png, overview.png" in " ".join(recoworld(*arguments, tmp_path / "a").output.split())
    assert json.loads((tmp_path / "a" / "fidelity.json").read_text())["settings"]["split_seed"] == 3
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert recoworld(*arguments, tmp_path / "b").output.rstrip().endswith("fidelity.json, fidelity.md")


def test_the_command_opens_environments_and_the_data_set_of_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("dataset: nothing-like-it\nsimulator_config: {talkative: 0.3}\n")
    opened: list[str] = []
    mini = load_dataset("mini")
    monkeypatch.setattr(plans, "load_dataset", lambda name, **_: opened.append(name) or mini)
    asked = ("--users", 20, "--dry-run", "--sections", "diversity")
    for arguments in ((), ("--dataset", "RecoWorld-Mini-v0"), ("--dataset", "recoworld-mini"), ("--dataset", "some:thing")):
        assert recoworld("fidelity", "behavioral", *asked, *arguments).exit_code == 0
    assert recoworld("fidelity", mine, *asked).exit_code == 0
    assert recoworld("fidelity", mine, *asked, "--dataset", "some:thing").exit_code == 2
    assert opened == ["mini", "mini", "mini", "some:thing", "nothing-like-it"]
    said = told(recoworld("fidelity", mine, *asked, "--dataset", "mini"))
    assert "is a preset for the data set 'nothing-like-it'; got --dataset mini" in said


def test_the_data_set_of_an_imported_log_goes_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recoworld.datasets import import_log

    monkeypatch.setenv("RECOWORLD_HOME", str(tmp_path))
    mini = load_dataset("mini")
    log = mini.interactions
    lines = [f"u{user},{mini.catalog.ids[item]},{time}" for user, item, time in zip(log.users, log.items, log.times, strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *lines]) + "\n")
    import_log(tmp_path / "log.csv", name="my_log", user="user", item="item", time="time")
    done = recoworld("fidelity", "--dataset", "RecoWorld-my_log-v0", "--users", 20, "--sections", "diversity", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out" / "fidelity.json").read_text())["settings"]["dataset"] == "my_log"


def test_the_command_finds_a_module_in_the_current_folder(tmp_path: Path) -> None:
    """As the console script runs: from another folder than the module's."""
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "main.py").write_text("from recoworld.cli import main\nmain()\n")
    (tmp_path / "mysim.py").write_text("import torchh\n")
    command = [sys.executable, str(tmp_path / "script" / "main.py"), "fidelity", "mysim:MySim"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "simulator 'mysim:MySim': cannot import 'mysim': No module named 'torchh'" in done.stderr


def test_the_command_shows_what_is_finished_when_the_simulator_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    stop_at = 10**9

    def spoil(_: Any, method: str, said: Any) -> Any:
        calls.append(method)
        if len(calls) == stop_at:
            raise ValueError("bad luck")
        return said

    monkeypatch.setattr(fakes.Spoilt, "spoil", spoil)
    arguments = ("fidelity", "fakes_fidelity:Spoilt", "--users", 20, "--sections")
    assert recoworld(*arguments, "diversity").exit_code == 0
    stop_at = len(calls) + 1  # the first call of the next section
    calls.clear()
    said = told(recoworld(*arguments, "diversity,consistency"))
    assert "fidelity of fakes_fidelity:Spoilt to 20 people of mini" in said
    assert "error: section 'consistency': simulator 'fakes_fidelity:Spoilt' raised ValueError: bad luck (" in said


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes.Interrupting, "asked", [])
    monkeypatch.setattr(fakes.Interrupting, "stop_at", 10)
    asked = ("--users", 30, "--moods", 1, "--sections", "choice,diversity")
    arguments = ("fidelity", "fakes_fidelity:Interrupting", *asked, "--out", tmp_path)
    done = recoworld(*arguments)
    assert done.exit_code == 130, done.output
    said = " ".join(done.output.split())
    assert "interrupted: choice finished" in said
    assert "the same command goes on from there" in said
    fakes.Interrupting.stop_at = None
    assert recoworld(*arguments).exit_code == 0
    fakes.Interrupting.stop_at = 1
    early = recoworld("fidelity", "fakes_fidelity:Interrupting", "--users", 30)
    assert early.exit_code == 130
    assert "no section finished" in early.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("behavoral",), "did you mean 'behavioral'"),
        (("nowhere:Nobody",), "simulator 'nowhere:Nobody': cannot import 'nowhere': No module named 'nowhere'; expected an installed"),
        (("fakes_fidelity:Nobody",), "module 'fakes_fidelity' has no attribute 'Nobody'; it has: AlwaysLikes, "),
        (("fakes_fidelity.py:AlwaysLikes",), "a module is named without .py: fakes_fidelity:AlwaysLikes"),
        (("fakes_fidelity:Spoilt", "--sections", "leakage,dialogues"), "'dialogues' was asked for by name and cannot be measured"),
        (("--sections", "ratigns"), "did you mean 'ratings'"),
        (("--sections", ","), "got none"),
        (("--dataset", "minni"), "did you mean 'mini'"),
        (("--users", 1), "expected an integer from 2 on"),
        (("--moods", 0), "expected an integer from 1"),
        (("--set", "talkativ=1"), "did you mean 'talkative'"),
        (("--set", "talkative"), "expected key=value"),
        (("--dialogues", "usss"), "did you mean 'uss'"),
    ],
)
def test_what_the_command_refuses(arguments: tuple[Any, ...], words: str) -> None:
    assert words in told(recoworld("fidelity", *arguments))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot write to" in told(recoworld("fidelity", "--users", 20, "--out", tmp_path / "file"))


# people of MovieLens-1M


@pytest.mark.slow
def test_the_behavioural_user_of_movielens(ml1m_dir: Path) -> None:
    """What docs/fidelity.md says of it, with room."""
    sections = ("choice", "ratings", "diversity", "policy_agreement")
    report = carried_out(plan("behavioral", dataset="ml-1m", data_dir=str(ml1m_dir), sections=sections))

    def number(path: str) -> float:
        found = value(report.sections, path)
        assert found is not None, path
        return found

    matched = "choice/popularity_matched/ndcg@10"
    assert findings.above(report.sections, matched, f"{matched}/popularity")
    for kind in findings.KINDS:
        assert number(f"choice/{kind}/ndcg@10") >= 0.8 * number(f"choice/{kind}/ndcg@10/best_recommender")
    assert number("ratings/ks") < 0.10
    assert number("ratings/rmse") < 0.90
    for sitting in ("ratio", "across_moods"):
        assert abs(number(f"diversity/{sitting}/relative_to_human") - 1) < 0.15
    assert number("policy_agreement/kendall_tau") >= 0.7
    assert report.findings == []
    assert sum(report.seconds.values()) < 180
