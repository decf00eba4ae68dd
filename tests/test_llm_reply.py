"""Replies of language-model users: what is read, what is refused, what is made of the rest, and what it all comes to."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoworld.datasets import load_dataset
from recoworld.llm.asking import Unreadable
from recoworld.llm.grammar import longest_reply, mismatch
from recoworld.llm.model import Prompt
from recoworld.llm.scripted import Scripted
from recoworld.simulators.llm.meaning import acts, heard_words, levels_after, named_genre
from recoworld.simulators.llm.reply import DEEDS, Reply, read, salvaged, schema_of
from recoworld.types import LEVELS, Aspect, Kind

CATALOG = load_dataset("mini").catalog


def content(slots: int = 3, **changes: Any) -> dict[str, Any]:
    """A valid reply."""
    items = [{"thought": f"thought {slot}", "act": "click", "watch": 10 * slot} for slot in range(slots)]
    levels = dict(zip(LEVELS, (7, 2, 3, 4, 10), strict=True))
    return {"items": items, **levels, "interest": "heists", "intent": "a comedy", "leave": False, "say": "", **changes}


def text(slots: int = 3, **changes: Any) -> str:
    return json.dumps(content(slots, **changes), separators=(",", ":"))


def reply(deeds: str = "ccc", *, watch: tuple[int, ...] | None = None, **changes: Any) -> Reply:
    """A reply by the first letters of its deeds, an m for a comment and an h for sharing."""
    named = {"u": "unseen", "s": "skip", "c": "click", "l": "like", "m": "comment", "h": "share"}
    items = [
        {"thought": "t", "act": named[letter], "watch": percent}
        for letter, percent in zip(deeds, watch or (0,) * len(deeds), strict=True)
    ]
    return read(text(items=items, **changes), len(deeds), 48)


# reading


def test_a_valid_reply_is_read() -> None:
    got = read(text(say="More comedies, please."), 3, 48)
    assert got.thoughts == ("thought 0", "thought 1", "thought 2")
    assert got.deeds == ("click",) * 3
    assert got.watch == (0, 10, 20)
    assert got.levels == (7, 2, 3, 4, 10)
    assert (got.interest, got.intent, got.leave, got.say, got.readable) == ("heists", "a comedy", False, "More comedies, please.", 3)


@pytest.mark.parametrize("around", ["```json\n{}\n```", "Sure! Here it is: {} I hope that helps.", "  {}\n"])
def test_what_stands_around_the_object_is_passed_over(around: str) -> None:
    assert read(around.replace("{}", text()), 3, 48) == read(text(), 3, 48)


def item(**changes: Any) -> list[dict[str, Any]]:
    return [*content(2)["items"], {"thought": "t", "act": "click", "watch": 5, **changes}]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("", "json", "no JSON object"),
        ("I would click the first.", "json", "no JSON object"),
        (text()[:-30], "json", "no JSON"),
        ("{" * 50_000 + "}", "json", "no JSON"),
        ('{"a":' * 15_000 + "1" + "}" * 15_000, "json", "no JSON"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "json", "too long"),
        ("[" * 20_000 + "{}" + "]" * 20_000, "fields", "items"),
        (text(2), "slots", "2 entries; expected 3"),
        (text(4), "slots", "4 entries; expected 3"),
        (text(items=item(watch=101)), "fields", "items.2.watch"),
        (text(items=item(watch=float("nan"))), "fields", "items.2.watch"),
        (text(items=item(act="buy")), "fields", "items.2.act"),
        (text(items=item(thought=None)), "fields", "items.2.thought"),
        (text(items={"0": "click"}), "fields", "items"),
        (text(boredom=11), "fields", "boredom"),
        (text(trust=-1), "fields", "trust"),
        (text(leave="perhaps"), "fields", "leave"),
        (json.dumps({key: value for key, value in content().items() if key != "say"}), "fields", "say"),
        ("{}", "fields", "items"),
    ],
)
def test_what_cannot_be_read_says_why(said: str, kind: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as found:
        read(said, 3, 48)
    assert found.value.kind == kind
    assert len(str(found.value)) < 200
    assert str(found.value).isprintable()


def test_words_are_cut_and_cleaned() -> None:
    wild = "a\u202eb\ud800\x00\n" + "x" * 5000
    got = read(text(interest=wild, intent=wild, say=wild, items=item(thought=wild)), 3, 20)
    assert len(got.thoughts[2]) <= 20
    assert len(got.interest or "") <= 40
    assert len(got.say) <= 100
    assert "".join((got.thoughts[2], got.interest or "", got.intent or "", got.say)).isprintable()


# the schema


def test_the_schema_holds_what_is_read_and_nothing_else() -> None:
    schema = schema_of(3, 48)
    assert mismatch(schema, content()) == ""
    for wrong in (content(2), content(boredom=11), content(items=item(act="buy")), content(items=item(thought="x" * 49))):
        assert mismatch(schema, wrong)


def test_whatever_the_grammar_lets_through_is_valid() -> None:
    schema = schema_of(5, 30)
    for seed in range(40):
        said = Scripted().generate([Prompt.of("Hello", seed=seed)], schema=schema)[0].text
        assert len(said) <= longest_reply(schema)
        got = read(said, 5, 30)
        assert list(got.thoughts) == [one["thought"].strip() for one in json.loads(said)["items"]]


# salvaging


def test_a_reply_that_was_cut_keeps_its_whole_items() -> None:
    whole = text()
    got = salvaged(whole[: whole.index('"thought 2"')], 3, 48)
    assert got.deeds == ("click", "click", "skip")
    assert got.thoughts == ("thought 0", "thought 1", "")
    assert got.watch == (0, 10, 0)
    assert got.levels == (None,) * 5
    assert (got.interest, got.intent, got.leave, got.say, got.readable) == (None, None, False, "", 2)


def test_values_out_of_range_are_clipped_and_surplus_items_left_out() -> None:
    got = salvaged(text(5, satisfaction=99, trust=-3, boredom="much", leave=True), 3, 48)
    assert got.deeds == ("click",) * 3
    assert got.levels == (10, None, 3, 4, 0)
    assert got.leave
    assert (got.interest, got.intent) == ("heists", "a comedy")


@pytest.mark.parametrize(
    ("changes", "deed", "watch"),
    [
        ({"act": "Clicked!"}, "click", 5),
        ({"act": "LIKE", "watch": 400}, "like", 100),
        ({"act": "share", "watch": "long"}, "share", 50),
        ({"act": "comment", "watch": True}, "comment", 50),
        ({"act": "click", "watch": float("nan")}, "click", 50),
        ({"act": "click", "watch": float("-inf")}, "click", 0),
        ({"act": "skipped", "watch": 30}, "skip", 0),
        ({"act": "buy"}, "skip", 0),
        ({"act": None}, "skip", 0),
    ],
)
def test_an_item_that_is_wrong_is_made_the_best_of(changes: dict[str, Any], deed: str, watch: int) -> None:
    got = salvaged(text(items=item(**changes)), 3, 48)
    assert (got.deeds[2], got.watch[2]) == (deed, watch)
    assert got.readable == 3 - (changes["act"] in ("buy", None))


def spoilt(start: int, end: int, more: str) -> str:
    return text()[start:end] + more


@given(st.text(max_size=400) | st.builds(spoilt, st.integers(0, 400), st.integers(0, 400), st.text(max_size=20)))
def test_nothing_that_a_model_says_raises_anything_else(said: str) -> None:
    try:
        got = read(said, 3, 48)
    except Unreadable:
        got = salvaged(said, 3, 48)
    assert len(got.thoughts) == len(got.deeds) == len(got.watch) == 3
    assert all(deed in DEEDS for deed in got.deeds)
    assert all(0 <= percent <= 100 for percent in got.watch)
    assert all(level is None or 0 <= level <= 10 for level in got.levels)


# what it comes to


def test_acts_by_hand() -> None:
    got = acts([reply("sclmh", watch=(0, 10, 20, 30, 100)), reply("scuuu", watch=(0, 50, 0, 0, 0))])
    assert got.examined.tolist() == [[True] * 5, [True, True, False, False, False]]
    assert got.clicked.tolist() == [[False, True, True, True, True], [False, True, False, False, False]]
    assert got.liked.tolist()[0] == [False, False, True, False, False]
    assert got.commented.tolist()[0] == [False, False, False, True, False]
    assert got.shared.tolist()[0] == [False, False, False, False, True]
    np.testing.assert_array_equal(got.share[0], np.float32([0, 0.1, 0.2, 0.3, 1]))
    assert not got.bent.any()


def test_a_contradiction_is_settled_by_rule_and_marked() -> None:
    """An act after an unseen item; an unseen first item; watching without a click."""
    got = acts([reply("cuc", watch=(5, 0, 9)), reply("uuu"), reply("sss", watch=(0, 7, 0))])
    assert got.examined.tolist() == [[True, False, False], [True, False, False], [True, True, True]]
    assert got.clicked.tolist() == [[True, False, False], [False] * 3, [False] * 3]
    np.testing.assert_array_equal(got.share, np.float32([[0.05, 0, 0], [0, 0, 0], [0, 0, 0]]))
    assert got.bent.all()


def test_what_is_said_becomes_an_instruction_or_is_kept() -> None:
    slates = np.array([[0, 1, 2]] * 3)
    said, lost = heard_words([reply(say="More horror, please."), reply(say="Goodbye then."), reply()], CATALOG, slates)
    assert said.kind.tolist() == [Kind.MORE, 0, 0]
    assert said.aspect.tolist() == [Aspect.GENRE, 0, 0]
    assert CATALOG.genre_names[said.value[0]] == "Horror"
    assert said.texts is not None
    assert said.texts.tolist() == ["More horror, please.", "", ""]
    assert lost == ["", "Goodbye then.", ""]


@pytest.mark.parametrize(
    ("words", "genre"), [("a funny comedy", "Comedy"), ("Horror", "Horror"), ("no horror", None), ("rest", None), ("", None)]
)
def test_the_intent_is_the_genre_that_its_words_name(words: str, genre: str | None) -> None:
    place = named_genre(words, CATALOG)
    assert (CATALOG.genre_names[place] if place >= 0 else None) == genre


def test_unknown_levels_drift_a_fifth_of_the_way() -> None:
    before, opening = np.full((2, 5), 1.0, np.float32), np.array([0.5, 0.0, 0.0, 0.5, 0.6], np.float32)
    known, unknown = reply(), salvaged("", 3, 48)
    got = levels_after(before, [known, unknown], opening)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[0.7, 0.2, 0.3, 0.4, 1.0], [0.9, 0.8, 0.8, 0.9, 0.92]], rtol=1e-6)
