"""Mindset, rates, consistency and leakage: simulators whose failing is known are found out, and figures match what is computed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recoworld.catalog import build_catalog
from recoworld.datasets import load_dataset
from recoworld.dialogues import Corpus, Dialogue, Utterance
from recoworld.evaluation.fidelity.asking.later import later_impressions
from recoworld.evaluation.fidelity.asking.panel import Panel, make_panel
from recoworld.evaluation.fidelity.asking.questions import choices
from recoworld.evaluation.fidelity.asking.rewritten import masked, paraphrased, retold, reworded, shifted
from recoworld.evaluation.fidelity.asking.sums import auc, distance, moments, pearson, statistic
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures import consistency, leakage, mindset, rates
from recoworld.evaluation.fidelity.measures.consistency import slot_effects
from recoworld.evaluation.fidelity.measures.replayed import sessions_of
from recoworld.evaluation.fidelity.measures.sayings import consistent, grounded, lifts, variety
from recoworld.evaluation.fidelity.measures.tallies import Tally, error, length, standardised
from recoworld.evaluation.fidelity.measures.tallies import auc as auc_of_one
from recoworld.evaluation.fidelity.measures.transcripts import Transcript, transcript
from recoworld.evaluation.fidelity.showing.findings import knows_the_answers
from recoworld.impressions import Impressions
from recoworld.instructions import FORMS
from recoworld.luck import Luck
from recoworld.simulators.behavioral import build
from recoworld.testing.simulators import random_slates
from recoworld.types import Aspect, Feedback, Floats, History, Instruction, Ints, Kind, Mindset, Slates, UserSimulator
from recoworld.users import Dataset, Interactions, Split
from recoworld.world import World

ALL = (mindset, rates, consistency, leakage)
Made = Callable[[Dataset, Split], UserSimulator]


class Nobody:
    """Looks at everything, clicks nothing, says nothing and stays, satisfied by half."""

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        n = len(users)
        return Mindset(levels=np.full((n, 5), 0.5, np.float32), interest=np.zeros((n, 1), np.float32), intent=np.full(n, -1, np.int16))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        nothing, n = np.zeros(slates.shape, np.bool_), len(slates)
        feedback = Feedback(
            examined=np.ones(slates.shape, np.bool_),
            clicked=nothing,
            liked=nothing,
            commented=nothing,
            shared=nothing,
            watch=np.zeros(slates.shape, np.float32),
            left=np.zeros(n, np.bool_),
            followed=np.zeros(n, np.float32),
            instruction=Instruction.none(n),
        )
        return feedback, mindset


class FirstSlot(Nobody):
    """Always takes what stands first."""

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        feedback, after = super().respond(mindset, history, slates, luck)
        return replace(feedback, clicked=np.arange(slates.shape[1])[None, :] == np.zeros((len(slates), 1))), after


class Noise(Nobody):
    """Answers at random."""

    def chances(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        return luck.uniform(slates.shape[1])


class Talker(Nobody):
    """Gives an instruction at every turn: always the same, or any at random; clicks at random."""

    def __init__(self, panel: Panel, *, parrot: bool) -> None:
        self.catalog, self.parrot = panel.known.catalog, parrot

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        feedback, after = super().respond(mindset, history, slates, luck)
        n, c = len(slates), self.catalog
        clicked = luck.uniform(slates.shape[1]) < 0.3
        if self.parrot:
            kind, aspect, value = np.full(n, Kind.MORE), np.full(n, Aspect.GENRE), np.zeros(n)
        else:
            drawn = np.array(FORMS)[luck.integers(len(FORMS), 1, 1)[:, 0]]
            kind, aspect = drawn.T
            any_of: dict[Aspect, Any] = {Aspect.GENRE: np.arange(len(c.genre_names)), Aspect.ERA: c.eras, Aspect.POPULARITY: np.arange(2)}
            any_of |= {Aspect.PERSON: np.arange(len(c.people_names)), Aspect.TITLE: np.arange(len(c))}
            places = zip(aspect, luck.integers(2**30, 1, 2)[:, 0], strict=True)
            value = np.array([any_of[Aspect(a)][i % len(any_of[Aspect(a)])] for a, i in places])
        texts = np.full(n, "Something else, please.", dtype=object) if self.parrot else None
        about: dict[str, Any] = {"kind": kind.astype(np.int8), "aspect": aspect.astype(np.int8), "value": value.astype(np.int32)}
        said = Instruction(**about, phrasing=np.zeros(n, np.uint32), texts=texts)
        return replace(feedback, clicked=clicked, instruction=said), after


class Fated(Nobody):
    """Leaves on turn 2 to 6, by its number; is unsatisfied from the turn before on."""

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        feedback, _ = super().respond(mindset, history, slates, luck)
        last = 2 + history.users % 5
        levels = np.repeat(np.where(history.turn >= last - 1, 0.1, 0.9)[:, None], 5, axis=1).astype(np.float32)
        return replace(feedback, left=history.turn >= last), replace(mindset, levels=levels)


class Moody(Fated):
    """Leaves as fated, but is satisfied or not at random."""

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        feedback, after = super().respond(mindset, history, slates, luck)
        return feedback, replace(after, levels=luck.uniform(5))


class Reader(Nobody):
    """Remembers what people took, by how the item is called (and when it is of, if so asked)."""

    def __init__(self, known: Dataset, panel: Panel, *, dates: bool) -> None:
        self.labels = np.array([known.catalog.label(i) if dates else str(known.catalog.titles[i]) for i in range(len(known.catalog))])
        truth = panel.truth
        read = truth.catalog
        names = np.array([read.label(i) if dates else str(read.titles[i]) for i in range(len(read))])
        self.memory = set(zip(truth.interactions.users.tolist(), names[truth.interactions.items].tolist(), strict=True))

    def chances(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        pairs = zip(np.repeat(history.users, slates.shape[1]).tolist(), self.labels[slates].ravel().tolist(), strict=True)
        return np.array([0.9 if pair in self.memory else 0.1 for pair in pairs], np.float32).reshape(slates.shape)


class TwoWordings(Noise):
    """Answers at random in one wording, and picks the first in the other."""

    def variants(self) -> dict[str, UserSimulator]:
        return {"curt": FirstSlotChances()}


class FirstSlotChances(Nobody):
    def chances(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        return np.tile(np.where(np.arange(slates.shape[1]) == 0, 0.9, 0.1), (len(slates), 1)).astype(np.float32)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return make_panel(load_dataset("mini"))


@pytest.fixture(scope="module")
def behavioral(panel: Panel) -> Witness:
    return asked(panel, build(panel.known, panel.split), build)


def asked(panel: Panel, simulator: UserSimulator, made: Made | None = None, **settings: Any) -> Witness:
    return Witness("made up", simulator, panel, build=made, **settings)


# all sections


@pytest.mark.parametrize("section", ALL)
@pytest.mark.parametrize("make", [lambda panel: build(panel.known, panel.split), lambda panel: Nobody(), lambda panel: Noise()])
def test_every_section_gives_plain_json_and_asks_no_more_than_it_says(panel: Panel, section: Any, make: Any) -> None:
    counted: list[int] = []
    witness = asked(panel, make(panel), lambda known, split: make(replace(panel, known=known)), told=counted.append)
    found = section.measure(witness)
    json.dumps(found, allow_nan=False)
    assert 0 < sum(counted) <= section.asks(witness)


def test_sessions_are_played_once_for_all_sections(panel: Panel) -> None:
    counted: list[int] = []
    witness = asked(panel, Nobody(), told=counted.append)
    mindset.measure(witness)
    before = sum(counted)
    rates.measure(witness)
    assert before == sum(counted) > 0
    assert (np.diff(transcript(witness).users) >= 0).all()


# sums


def test_auc_of_a_handful_by_hand() -> None:
    scores, event = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True])
    by_hand = (1 + 0.5 + 1 + 1) / 4  # pairs (0.4, 0.1), (0.4, 0.4), (0.8, 0.1), (0.8, 0.4)
    assert auc(scores, event, np.arange(4))[0] == pytest.approx(by_hand)
    assert auc_of_one(scores, event) == pytest.approx(by_hand)
    assert np.isnan(auc_of_one(scores, np.ones(4, np.bool_)))


def test_auc_of_many_steps_is_close_to_that_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    scores, event = rng.random(3000), rng.random(3000) < 0.3
    scores[event] += 0.2
    exact = (scores[event][:, None] > scores[~event]).mean()
    assert auc(scores, event, np.arange(3000))[0] == pytest.approx(exact, abs=2e-3)


def test_correlation_is_numpys() -> None:
    x, y = np.random.default_rng(0).random((2, 50))
    assert statistic(pearson, moments(x, y), np.arange(50))["value"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert statistic(pearson, moments(x, np.ones(50)), np.arange(50))["value"] is None


# mindset


def test_who_is_unsatisfied_before_it_leaves_is_foretold(panel: Panel) -> None:
    found = mindset.measure(asked(panel, Fated()))
    leave = found["foretells"]["leave"]
    assert leave["level"]["value"] == leave["drop"]["value"] == 1.0
    assert leave["level"]["turn"]["value"] < 0.95
    assert found["foretells"]["instruction"]["level"]["value"] is None  # nobody speaks
    assert found["variety"] == {"skipped": "nobody gave an instruction"}
    assert found["hazard"]["quartiles"][0]["value"] > 0.5
    assert found["hazard"]["quartiles"][-1]["value"] == 0.0


def test_a_satisfaction_without_meaning_foretells_nothing(panel: Panel) -> None:
    leave = mindset.measure(asked(panel, Moody()))["foretells"]["leave"]
    assert leave["level"]["low"] < 0.5 < leave["level"]["high"]
    assert leave["level"]["turn"]["value"] > 0.7


def test_nobody_knows_how_satisfied(panel: Panel) -> None:
    class Silent(Nobody):
        def begin(self, users: Ints, luck: Luck) -> Mindset:
            return replace(super().begin(users, luck), levels=np.full((len(users), 5), np.nan, np.float32))

    assert "skipped" in mindset.measure(asked(panel, Silent()))["foretells"]


def test_the_parrot_has_no_variety(panel: Panel) -> None:
    found = mindset.measure(asked(panel, Talker(panel, parrot=True)))["variety"]
    assert found["form_entropy"]["value"] == found["about_entropy"]["value"] == 0.0
    assert found["most_common_form"]["value"] == 1.0
    assert found["most_common_form"]["form"] == "more genre"
    assert found["distinct_sentences"]["value"] == found["distinct_sentences"]["one_sentence"]["value"] == 1 / found["instructions"]


def test_instructions_at_random_are_varied_and_grounded_as_chance_has_it(panel: Panel) -> None:
    found = mindset.measure(asked(panel, Talker(panel, parrot=False)))
    assert found["variety"]["form_entropy"]["value"] > 0.99
    for name in ("all", "genre", "era", "popularity"):
        assert found["grounded"][name]["difference"]["low"] - 0.01 < 0 < found["grounded"][name]["difference"]["high"] + 0.01, name
    for name in ("wanted", "unwanted", "gap"):
        assert abs(found["consistent"][name]["difference"]["value"]) < 0.05, name


def test_behavioral_instructions_beat_chance(behavioral: Witness) -> None:
    found = mindset.measure(behavioral)
    assert found["grounded"]["all"]["difference"]["low"] > 0.1
    assert found["consistent"]["wanted"]["difference"]["low"] > 0
    assert found["foretells"]["either"]["level"]["low"] > found["foretells"]["either"]["level"]["turn"]["high"]


def said(kinds: list[Kind], aspects: list[Aspect], values: list[int], slates: list[list[int]], clicked: list[list[int]]) -> Transcript:
    """Instructions of users 0, 1, ..., each in reply to its first slate."""
    n, shape = len(kinds), (len(kinds), len(slates[0]))
    no = np.zeros(shape, np.bool_)
    return Transcript(
        users=np.arange(n),
        turn=np.zeros(n, np.int64),
        policy=np.full(n, "ease"),
        slates=np.array(slates),
        examined=~no,
        clicked=np.array(clicked, np.bool_),
        liked=no,
        commented=no,
        shared=no,
        left=np.zeros(n, np.bool_),
        before=np.full(n, 0.5, np.float32),
        satisfaction=np.full(n, 0.5, np.float32),
        kind=np.array(kinds, np.int8),
        aspect=np.array(aspects, np.int8),
        value=np.array(values, np.int32),
        text=np.array([str(i) for i in range(n)], dtype=object),
    )


CATALOG = build_catalog(
    name="four",
    ids=list("abcd"),
    titles=["A", "B", "C", "D"],
    genres=[("Comedy",), ("Drama",), ("Comedy",), ("Drama",)],
    years=[1991, 1985, 1992, 1993],
    people=[("P",), ("Q",), ("P",), ()],
    popularity=np.array([9, 1, 2, 3]),
)


def test_grounding_by_hand() -> None:
    """Slates AC, BD, BC; A alone is well known."""
    slates = [[0, 2], [1, 3], [1, 2]]
    clicks = [[1, 0], [0, 1], [0, 1]]

    def share(kind: Kind, aspect: Aspect, values: list[int]) -> tuple[float, float]:
        found = grounded(said([kind] * 3, [aspect] * 3, values, slates, clicks), CATALOG, 0)
        assert found["all"]["value"] == found[aspect.name.lower()]["value"]
        return found["all"]["value"], found["all"]["chance"]["value"]

    # comedy (0) in AC and BC, drama (1) in BD and BC
    assert share(Kind.AVOID, Aspect.GENRE, [0, 0, 0]) == pytest.approx((2 / 3, 2 / 3))
    assert share(Kind.LESS, Aspect.GENRE, [0, 1, 0]) == pytest.approx((1, (1 / 2 + 1 / 2 + 1 / 2) / 3))
    assert share(Kind.LESS, Aspect.ERA, [1980, 1990, 1990]) == pytest.approx((2 / 3, (2 / 2 + 2 / 2 + 2 / 2) / 3))
    # A, D and C were clicked
    assert share(Kind.MORE, Aspect.TITLE, [0, 3, 1]) == pytest.approx((2 / 3, 0))
    # P is in A and C, Q (1) in B, which nobody clicked
    assert share(Kind.MORE, Aspect.PERSON, [0, 0, 1]) == pytest.approx((1 / 3, (1 / 2 + 2 / 2 + 0) / 3))
    # at least half are well known in AC alone
    assert share(Kind.LESS, Aspect.POPULARITY, [1, 1, 1]) == pytest.approx((1 / 3, 1 / 3))
    assert share(Kind.MORE, Aspect.POPULARITY, [1, 1, 1]) == pytest.approx((2 / 3, 2 / 3))
    assert share(Kind.SURPRISE, Aspect.POPULARITY, [0, 0, 0]) == pytest.approx((1 / 3, 1 / 3))
    assert grounded(said([Kind.MORE], [Aspect.GENRE], [0], [[0, 1]], [[0, 0]]), CATALOG, 0) == {
        "skipped": "no instruction speaks of what was shown"
    }


def test_variety_by_hand() -> None:
    two = said([Kind.MORE, Kind.MORE, Kind.LESS, Kind.LESS], [Aspect.GENRE] * 4, [0, 0, 1, 1], [[0, 1]] * 4, [[0, 0]] * 4)
    found = variety(two, CATALOG, 0)
    assert found["form_entropy"]["value"] == pytest.approx(np.log(2) / np.log(14))
    assert found["about_entropy"]["value"] == pytest.approx(np.log(2) / np.log(4))
    assert found["distinct_sentences"]["value"] == 1.0
    assert found["forms"] == {"more genre": 2, "less genre": 2}


def test_words_of_instructions_by_hand() -> None:
    terse = said([Kind.MORE] * 3, [Aspect.GENRE] * 3, [0] * 3, [[0, 1]] * 3, [[0, 0]] * 3)
    terse = replace(terse, users=np.array([4, 4, 9]), text=np.array(["More sci-fi.", "No!", "Show me more drama"], dtype=object))
    found = mindset.words(terse, None, 0)
    assert found["mean"]["value"] == pytest.approx((2 + 1 + 4) / 3)
    assert (found["mean"]["low"], found["mean"]["high"]) == (1.5, 4.0)  # of two speakers, drawn twice
    assert "human" not in found["mean"]
    talk = (Utterance(speaker="user", text="I would like one"), Utterance(speaker="system", text="Here you are, madam"))
    beside = mindset.words(terse, Corpus(name="x", dialogues=(Dialogue(name="1", utterances=talk),)), 0)
    assert beside["mean"]["human"]["value"] == beside["q50"]["human"]["value"] == 4
    assert "human" not in mindset.words(terse, Corpus(name="x", dialogues=(Dialogue(name="1", utterances=talk[1:]),)), 0)["mean"]


def test_lifts_and_consistency_by_hand(panel: Panel) -> None:
    known, people = panel.known, panel.users[:3]
    log = known.interactions
    genre = known.catalog.genres[:, 4]
    mine = log.items[log.indptr[people[0]] : log.indptr[people[0] + 1]]
    assert lifts(known, people)[0, 4] == pytest.approx(genre[mine].mean() - genre[log.items].mean())
    best = lifts(known, people).argmax(axis=1).tolist()
    right = replace(said([Kind.MORE] * 3, [Aspect.GENRE] * 3, best, [[0, 1]] * 3, [[0, 0]] * 3), users=people)
    assert consistent(right, people, known, 0)["wanted"]["value"] == 1.0
    assert consistent(replace(right, kind=np.full(3, Kind.AVOID, np.int8)), people, known, 0)["unwanted"]["value"] == 0.0


# rates

LATER = 10**10
"""Seconds, after all that anybody did."""
TALK = {"talkative": 0.0, "like_base": -1.5, "leave_base": -2.0}
OTHER = TALK | {"click_base": -3.0, "effort": 0.25, "like_base": 0.0, "watch_base": 0.3, "leave_base": -1.2}


def logged(coefficients: dict[str, float], *, turns: int = 5, k: int = 10) -> Dataset:
    """`mini`, all of whose users were shown random slates, one session each, and did what the behavioural simulator does."""
    data = load_dataset("mini")
    empty = make_panel(data)
    world = World(empty.known, empty.split, build(empty.known, empty.split, coefficients), slate_size=k)
    users = np.repeat(np.arange(len(data.users)), 2)
    world.reset(users, np.arange(len(users)) + 10**6)
    slates, parts, number = random_slates(world, len(users), turns), [], np.arange(len(users))
    for turn in range(turns):
        mine = slates[turn][number]
        met = np.take_along_axis(world.state.history.exposures, mine, axis=1)
        feedback = world.step(mine).feedback
        parts.append(
            Impressions(
                users=users[number],
                slates=mine,
                clicked=feedback.clicked,
                liked=feedback.liked,
                watch=feedback.watch,
                left=feedback.left,
                met=met,
                sessions=number,
                times=np.full(len(number), LATER + turn),
            )
        )
        going = ~feedback.left
        world.keep(going)
        number = number[going]
    return replace(data, impressions=Impressions.joined(parts))


@pytest.fixture(scope="module")
def with_log() -> Panel:
    return make_panel(logged(TALK))


def behaving(panel: Panel, coefficients: dict[str, float]) -> Witness:
    return asked(panel, build(panel.known, panel.split, coefficients))


def covers(figure_: dict[str, float], value: float, slack: float = 0.0) -> bool:
    return figure_["low"] - slack <= value <= figure_["high"] + slack


def test_the_simulator_that_made_the_log_agrees_with_it(with_log: Panel) -> None:
    found = rates.measure(behaving(with_log, TALK))
    assert found["left_out"] == 0
    assert found["users"] == 200
    for name, slack in (("clicked", 0.005), ("liked", 0.02), ("leave", 0.01), ("turns", 0.05)):
        assert covers(found[name]["difference"], 0, slack), (name, found[name]["difference"])
    assert found["clicked"]["position_error"]["value"] < 1.5 * found["clicked"]["position_error"]["human"]["value"]
    assert found["watch"]["ks"]["value"] < 0.08 < found["watch"]["ks"]["one_value"]["value"]
    assert found["auc"]["low"] > 0.5


def test_other_coefficients_are_found_different(with_log: Panel) -> None:
    found = rates.measure(behaving(with_log, OTHER))
    for name in ("clicked", "liked", "leave", "turns"):
        assert not covers(found[name]["difference"], 0, 0.01), name
    assert found["watch"]["ks"]["value"] > 0.15
    assert found["clicked"]["position_error"]["low"] > found["clicked"]["position_error"]["human"]["value"]


def test_who_clicks_the_first_slot_is_worse_than_one_rate_everywhere(with_log: Panel) -> None:
    found = rates.measure(asked(with_log, FirstSlot()))
    assert [row["value"] for row in found["clicked"]["by_position"]] == [1.0] + [0.0] * 9
    assert found["clicked"]["position_error"]["low"] > found["clicked"]["position_error"]["global_rate"]["high"]
    assert found["leave"]["value"] == 0.0
    assert found["turns"]["value"] == found["turns"]["at_most"]
    assert found["watch"]["seconds"]["value"] == 0.0


def test_a_feed_of_single_items_is_told_apart_by_first_slot() -> None:
    data = logged(TALK, k=1)
    log = data.impressions
    assert log is not None
    data = replace(data, impressions=replace(log, first_slot=3 + log.users % 2, liked=None, watch=None, left=None))
    found = rates.measure(behaving(make_panel(data), TALK))
    assert [row["position"] for row in found["clicked"]["by_position"]] == [3, 4]
    assert sum(row["cases"] for row in found["clicked"]["by_position"]) == found["slates"]
    assert [row["turn"] for row in found["leave"]["by_turn"]] == [0, 1, 2, 3, 4]
    assert found["leave"]["by_turn"][4]["human"]["value"] == 1.0  # nobody logged who left: sessions end with their last slate
    assert "liked" not in found
    assert "watch" not in found


class Parrot(Nobody):
    """Takes what it was given as taken."""

    def __init__(self, known: Dataset) -> None:
        log = known.interactions
        self.pairs, self.n_items = log.users * len(known.catalog) + log.items, len(known.catalog)

    def chances(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> Floats:
        return np.where(np.isin(history.users[:, None] * self.n_items + slates, self.pairs), 0.9, 0.1).astype(np.float32)


def feed(data: Dataset, *, timed: bool = True) -> Dataset:
    """A feed whose clicks are the interactions: each was shown beside an item that nobody took."""
    log, rng = data.interactions, np.random.Generator(np.random.PCG64(4))
    log = replace(log, times=np.arange(len(log)))  # no two at once
    other = (log.items + rng.integers(1, len(data.catalog), len(log))) % len(data.catalog)
    slates = np.stack([log.items, other], axis=1).astype(np.int64)
    clicked = np.tile(np.array([True, False]), (len(log), 1))
    order = rng.permutation(len(log))  # the log of what was shown need not be sorted
    shown = Impressions(users=log.users, slates=slates, clicked=clicked, times=log.times if timed else None).take(order)
    return replace(data, interactions=log, impressions=shown)


@pytest.mark.parametrize("timed", [True, False])
def test_who_repeats_what_it_was_given_is_no_better_than_nothing(timed: bool) -> None:
    """The clicks of the visible part are in the simulator: none of them may be asked about."""
    panel = make_panel(feed(load_dataset("mini"), timed=timed))
    found = rates.measure(asked(panel, Parrot(panel.known)))
    assert found["auc"]["value"] < 0.52
    assert found["checks"]["timed"] == timed
    assert found["checks"]["impressions_clicks_known"] == 0
    held_out = len(panel.later(panel.users)[0])
    assert found["slates"] == held_out or not timed
    assert found["checks"]["impressions_before"] > 3 * held_out or not timed
    assert knows_the_answers({"rates": found}) is None


@pytest.mark.parametrize("timed", [True, False])
def test_clicks_that_are_known_are_counted(timed: bool) -> None:
    panel = make_panel(feed(load_dataset("mini"), timed=timed))
    leaky = replace(panel, known=panel.truth, split=panel.truth_split)
    found = rates.measure(asked(leaky, Parrot(leaky.known)))
    assert found["checks"]["impressions_clicks_known"] == found["slates"]
    assert found["auc"]["value"] > 0.9
    assert "impressions_clicks_known" in str(knows_the_answers({"rates": found}))


def test_what_came_later_by_hand() -> None:
    """Users 0 and 1 were last seen to do something at seconds 10 and 20; user 2 never was."""
    data = load_dataset("mini")
    log = Interactions(
        indptr=np.array([0, 2, 4, 4] + [4] * (len(data.users) - 3)),
        items=np.array([1, 2, 3, 4], np.int32),
        ratings=np.ones(4, np.float32),
        times=np.array([10, 30, 20, 40]),
    )
    split = replace(data.split(), visible_end=np.array([1, 3, 4] + [4] * (len(data.users) - 3)))
    shown = Impressions(
        users=np.array([0, 0, 0, 1, 1, 2]),
        slates=np.array([[1, 5], [2, 5], [1, 6], [3, 5], [4, 5], [1, 2]]),
        clicked=np.array([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [0, 1]]) > 0,
        times=np.array([10, 11, 30, 20, 21, 5]),
    )

    def left(**changes: Any) -> list[int]:
        found = later_impressions(replace(data, interactions=log, impressions=replace(shown, **changes)), split)
        return [] if found is None else [shown.slates.tolist().index(slate) for slate in found.slates.tolist()]

    assert left() == [1, 2, 4, 5]
    assert left(sessions=np.array([7, 7, 8, 7, 8, 7])) == [2, 4, 5]  # the first session of users 0 and 1 began before
    assert left(times=None) == [1, 2, 4, 5]  # by clicks: item 1 of user 0, item 3 of user 1
    assert left(times=np.full(6, -1)) == [5]
    assert left(times=np.full(6, -1), users=np.array([0, 0, 0, 1, 1, 1])) == []


def test_without_impressions_rates_stand_beside_anchors(behavioral: Witness) -> None:
    found = rates.measure(behavioral)
    assert "no impressions" in found["skipped"]
    assert "QK-video" in found["skipped"]
    assert found["simulated"]["clicked"]["tenrec"] == {"value": 0.288}
    assert len(found["simulated"]["clicked"]["by_position"]) == 10


def test_whole_sessions_in_order_and_none_that_cannot_be_shown() -> None:
    log = Impressions(
        users=np.array([1, 2, 1, 3, 1, 2, 2]),
        slates=np.array([[0, 1], [2, 3], [4, 5], [6, 6], [7, 8], [9, 10], [11, 12]]),
        clicked=np.zeros((7, 2), np.bool_),
        sessions=np.array([5, 5, 5, 0, 6, 5, 5]),
    )
    found = sessions_of(log, np.array([1, 2, 3]), seed=0)
    assert found is not None
    by_session = dict.fromkeys([(0, 4), (7,), (2, 9, 11)])
    heads = np.flatnonzero(found.turn == 0)
    got = [tuple(part.slates[:, 0].tolist()) for part in (found.log.take(rows) for rows in np.split(np.arange(6), heads[1:]))]
    assert set(got) == set(by_session)
    assert found.left_out == 1
    assert found.ends.sum() == 3
    assert found.ends[np.append(heads[1:], 6) - 1].all()
    one, short = sessions_of(log, np.array([2]), seed=0, most=1), sessions_of(log, np.array([2]), seed=0, longest=2)
    assert one is not None
    assert len(one.turn) == 3  # one session at least, and a whole one
    assert short is not None
    assert short.ends.tolist() == [False, False]
    assert sessions_of(log, np.array([3, 9]), seed=0) is None
    panel = make_panel(replace(load_dataset("mini"), impressions=log.take(np.array([3]))))
    assert rates.measure(asked(panel, Nobody()))["skipped"].startswith("no session")


def test_lengths_errors_and_distances_by_hand() -> None:
    assert length(np.full((1, 20), 0.25))[0] == pytest.approx((1 - 0.75**20) / 0.25)
    assert distance(np.array([[1.0, 1, 2]]), np.array([[2.0, 2, 0]]))[0] == pytest.approx(0.5)
    tally = Tally(users=np.array([0, 1]), seed=0)
    place, every = np.array([[0, 1], [0, 1]]), np.ones((2, 2), np.bool_)
    sums = tally.of(place, 2, (every, every), (np.array([[1, 0], [1, 1]]) > 0, np.array([[1, 0], [0, 0]]) > 0))
    assert sums[0].tolist() == [[2, 2], [2, 1], [2, 2], [1, 0]]
    assert error(sums)[0] == pytest.approx((0.5 + 0.5) / 2)
    fewer = np.array([[[3.0, 1], [1, 1], [100, 1], [50, 0]]])  # the simulated are early in their sessions
    assert [float(side[0]) for side in standardised(fewer)] == pytest.approx([(3 * 0.5 + 0) / 4, 2 / 4])


# consistency


def test_who_always_takes_the_first_slot(panel: Panel) -> None:
    for simulator in (FirstSlot(), FirstSlotChances()):
        found = consistency.measure(asked(panel, simulator))
        assert found["position"]["bias"]["value"] == pytest.approx(1.0, abs=1e-6)
        assert found["position"]["correlation"]["value"] == pytest.approx(-4.5 / 9**0.5 / 8.25**0.5)
        assert [row["picked"]["value"] for row in found["position"]["by_slot"]] == pytest.approx([1.0] + [0.0] * 9, abs=1e-6)
        assert found["retest"]["same_pick"]["value"] == 1.0
        assert found["order"]["same_pick"]["value"] < 0.2
        assert found["paraphrase"]["skipped"]
        assert found["variants"]["skipped"]
    first = consistency.measure(asked(panel, FirstSlot()))["retest"]["agreement"]
    assert first["value"] == 1.0
    assert first["chance"]["value"] == pytest.approx(0.1**2 + 0.9**2)


def test_noise_never_says_the_same_twice(panel: Panel) -> None:
    found = consistency.measure(asked(panel, Noise()))
    assert covers(found["retest"]["correlation"], 0, 0.02)
    assert covers(found["retest"]["same_pick"], 0.1, 0.03)
    assert found["retest"]["change"]["value"] == pytest.approx(1 / 3, abs=0.03)  # of two uniform numbers
    assert covers(found["position"]["bias"], 0)


def test_slot_effects_are_found_again_and_noise_is_told_from_them() -> None:
    rng = np.random.default_rng(0)
    m, c, effect = 400, 4, np.array([0.5, 0.1, -0.2, -0.4])
    worth, order = rng.normal(size=(m, c)), np.argsort(rng.random((m, c)), axis=1)
    exact, none = slot_effects(order, worth + effect, worth + effect[order], np.arange(m), 0)
    assert exact[0] == pytest.approx(effect, abs=1e-6)
    assert none[0] == pytest.approx(0, abs=1e-9)
    answers = rng.normal(size=(200, 2, 40, c))
    blurred = [slot_effects(order[:40], one, other, np.arange(40), 0) for one, other in answers]
    raised = np.mean([noise for _, noise in blurred], axis=0)
    assert np.mean([np.square(effects[0]).mean() for effects, _ in blurred]) == pytest.approx(raised[0], rel=0.15)
    assert np.mean([np.square(effects[1:]).mean() for effects, _ in blurred]) == pytest.approx(raised[1:].mean(), rel=0.15)


def test_the_behavioral_user_minds_neither_order_nor_words(behavioral: Witness) -> None:
    found = consistency.measure(behavioral)
    for name in ("order", "paraphrase"):
        assert found[name]["change"]["value"] < 1e-6
        assert found[name]["correlation"]["value"] == pytest.approx(1.0)
    assert found["position"]["bias"]["value"] < 1e-6
    assert 0.5 < found["retest"]["correlation"]["value"] < 1
    assert found["retest"]["correlation"]["low"] > found["retest"]["correlation"]["another_person"]["high"]


def test_variants_are_asked_where_there_are_any(panel: Panel) -> None:
    witness = asked(panel, TwoWordings())
    found = consistency.measure(witness)
    assert set(found["variants"]) == {"curt"}
    assert covers(found["variants"]["curt"]["correlation"], 0, 0.02)
    assert consistency.asks(witness) == 5 * len(panel.users)


# leakage


@pytest.mark.parametrize("dates", [False, True])
def test_who_lives_on_titles_is_found_out(panel: Panel, dates: bool) -> None:
    def made(known: Dataset, split: Split) -> UserSimulator:
        return Reader(known, panel, dates=dates)

    witness = asked(panel, made(panel.known, panel.split), made, moods=1)
    found = leakage.measure(witness)["ndcg@10"]
    assert found["as_it_is"]["value"] > 0.99
    assert covers(found["masked"], found["masked"]["uniform"]["value"], 0.03)
    assert found["masked"]["difference"]["high"] < -0.5
    assert (found["shifted"]["difference"]["high"] < -0.5) == dates
    if not dates:
        assert found["shifted"]["difference"]["value"] == 0.0
        assert consistency.measure(witness)["paraphrase"]["change"]["value"] > 0.01


def test_the_behavioral_user_reads_no_titles(behavioral: Witness) -> None:
    found = leakage.measure(behavioral)["ndcg@10"]
    assert found["masked"]["difference"]["value"] == found["shifted"]["difference"]["value"] == 0.0


def test_the_facts_of_the_panel(panel: Panel) -> None:
    found = leakage.checks(panel, choices(panel, "popularity_matched"))
    assert found["held_out_pairs"] > 10_000
    for name in ("held_out_known", "later_known", "popularity_beyond", "training_users_asked"):
        assert found[name] == 0, name
    assert not found["impressions_known"]
    assert not found["random_ratings_known"]
    assert covers(found["answer_and_slot"], 0, 0.01)


def test_a_panel_that_leaks_is_found_out(panel: Panel) -> None:
    leaky = replace(panel, known=panel.truth, users=np.sort(np.append(panel.users, panel.split.train[:3])))
    asked_ = choices(panel, "popularity_matched")
    first = np.argsort(~asked_.taken, axis=1, kind="stable")
    asked_ = replace(asked_, items=np.take_along_axis(asked_.items, first, axis=1), taken=np.take_along_axis(asked_.taken, first, axis=1))
    found = leakage.checks(leaky, asked_)
    assert found["held_out_known"] == found["held_out_pairs"] > 0
    assert found["later_known"] > 0
    assert found["training_users_asked"] == 3
    assert found["answer_and_slot"]["value"] < -0.3


def test_without_a_way_to_build_it_anew_only_facts_are_reported(panel: Panel) -> None:
    found = leakage.measure(asked(panel, Nobody()))
    assert "skipped" in found["ndcg@10"]
    assert found["checks"]["held_out_known"] == 0
    assert leakage.asks(asked(panel, Nobody())) == 0


# other words


@pytest.mark.parametrize(
    ("title", "other"),
    [
        ("Matrix, The (1999)", "“The Matrix” [1999]"),
        ("The Matrix", "“Matrix, The”"),
        ("Heat", "“Heat”"),
        ("Theatre (2001)", "“Theatre” [2001]"),
    ],
)
def test_titles_in_other_words(title: str, other: str) -> None:
    assert reworded(title) == other


def test_texts_in_other_words() -> None:
    assert retold("One. Two! Three?") == "Three? Two! One."
    assert retold("red, green, blue") == "blue, green, red"
    assert retold("One.") == "In short: One."
    assert retold("") == ""


def test_only_words_change(panel: Panel) -> None:
    before = panel.known.catalog
    for change in (paraphrased, masked, shifted):
        after = change(panel.known).catalog
        assert np.array_equal(after.features, before.features)
        assert np.array_equal(after.popularity, before.popularity)
        assert np.array_equal(after.ids, before.ids)
    assert paraphrased(panel.known).catalog.genres_of(0) == before.genres_of(0)[::-1]
    hidden = masked(panel.known).catalog
    assert hidden.titles[0] == "Item 1"
    assert not hidden.people_names
    assert hidden.people_of(0) == ()
    assert not any(hidden.texts)
    moved = shifted(panel.known)
    assert (moved.catalog.years - before.years == 10).all()
    assert (moved.interactions.times - panel.known.interactions.times == 10 * 31_556_952).all()
    titled = replace(panel.known, catalog=replace(before, titles=np.full(len(before), "Heat (1995)")))
    assert shifted(titled).catalog.titles[0] == "Heat (2005)"
