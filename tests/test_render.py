"""What a person reads: within 80 columns, literal titles, live and stored turns alike."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from recoworld.catalog import build_catalog
from recoworld.envs.register import register_all
from recoworld.envs.render import HIDDEN, as_text, bar, course_view, opening, printed, thoughts_view, turn_text, turn_view
from recoworld.envs.thoughts import Thoughts, thoughts_of
from recoworld.session import Mind, Said, Session, SessionTurn
from recoworld.session_log import mind_of, recorded
from recoworld.types import LEVELS, Aspect, Feedback, History, Instruction, Kind, Mindset
from recoworld.users import Dataset, Interactions, Users
from recoworld.world import World

NASTY = ["[bold]x[/]", "[/]", "[link=x]", "\\[", ":smile:", "{0}", "%s", "", "\x1b[31mred\x1b[0m", "a\nb\tc", "\u202egnp.exe", "\ud800"]
NASTY += ["W" * 500, "七人の侍" * 30, "e" + "\u0301" * 300, "👩‍👩‍👧" * 40]


class Scripted:
    """A user who clicks the first slot, says something and thinks in words."""

    def __init__(self, words: str) -> None:
        self.words = words

    def begin(self, users: np.ndarray, luck: object) -> Mindset:
        n = len(users)
        return Mindset(levels=np.full((n, 5), 0.5, np.float32), interest=np.zeros((n, 2), np.float32), intent=np.zeros(n, np.int8))

    def respond(self, mindset: Mindset, history: History, slates: np.ndarray, luck: object) -> tuple[Feedback, Mindset]:
        n, k = slates.shape
        did = np.zeros((n, k), np.bool_)
        did[:, 0] = True
        seen = np.ones((n, k), np.bool_)
        seen[:, -1] = False
        said = Instruction(
            kind=np.full(n, Kind.MORE, np.int8),
            aspect=np.full(n, Aspect.GENRE, np.int8),
            value=np.zeros(n, np.int32),
            phrasing=np.zeros(n, np.uint32),
            texts=np.array([self.words] * n, dtype=object),
        )
        feedback = Feedback(
            examined=seen,
            clicked=did,
            liked=did,
            commented=did,
            shared=did,
            watch=np.where(did, 75, 0).astype(np.float32),
            left=np.zeros(n, np.bool_),
            followed=np.zeros(n, np.float32),
            instruction=said,
            rationale=np.array([self.words] * n, dtype=object),
        )
        return feedback, replace(mindset, levels=mindset.levels + np.float32(0.1), texts=np.array([self.words] * n, dtype=object))


def world_of(titles: list[str], words: str = "more, please") -> World:
    n = len(titles)
    ids, genres = [str(i) for i in range(n)], [(title or "A",) for title in titles]
    catalog = build_catalog(name=words, ids=ids, titles=titles, genres=genres, years=[1994] * n)
    users = Users(ids=np.array(["u1"]), features=np.zeros((1, 1), np.float32), feature_names=("-",), descriptions=np.array([words]))
    log = Interactions(
        indptr=np.array([0, n]), items=np.arange(n, dtype=np.int32), ratings=np.full(n, 5, np.float32), times=np.arange(n)
    )
    dataset = Dataset(name="by hand", catalog=catalog, users=users, interactions=log, explicit=True)
    world = World(dataset, dataset.split(validation=0, test=0), Scripted(words), slate_size=min(n, 4))
    world.reset(np.array([0]), np.array([0]))
    return world


def fits(text: str) -> None:
    """Within 80 cells, and nothing in it that a terminal would obey."""
    for line in text.split("\n"):
        assert cell_len(line) <= 80, line
        assert all(unicodedata.category(c)[0] != "C" for c in line), ascii(line)


def everything(world: World) -> str:
    before, told = mind_of(world.catalog, world.state.mindset), opening(world, "u1")
    turn = world.step(np.arange(world.slate_size)[None])
    kept = recorded(world, turn)
    stored = [turn_text(world, kept, before=before), as_text(turn_view(kept, None)), as_text(turn_view(kept, world.catalog, hidden=False))]
    one = Session(
        dataset="x", user="u1", user_index=0, seed=0, policy="p", simulator="s", opening=before, turns=(kept, replace(kept, left=True))
    )
    return "\n".join([told, turn_text(world, turn, before=before), *stored, as_text(course_view(one))])


@pytest.mark.parametrize("title", NASTY)
def test_nasty_titles_stay_within_80_columns_and_print_literally(title: str) -> None:
    fits(everything(world_of([title, "b", "c", "d"], title)))


@settings(max_examples=40)
@given(titles=st.lists(st.text(max_size=100), min_size=4, max_size=4), words=st.text(max_size=300))
def test_any_texts(titles: list[str], words: str) -> None:
    fits(everything(world_of(titles, words)))


def test_markup_is_literal_in_colour_too() -> None:
    world = world_of(["[bold]x[/]", ":smile:", "\x1b[31mred", "d"])
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=80, highlight=False)
    printed(world, None, "u1", console=console)
    printed(world, world.step(np.arange(4)[None]), "u1", console=console)
    assert out.getvalue().count("[bold]x[/]") >= 2
    assert ":smile:" in out.getvalue()
    assert "\x1b[31mred" not in out.getvalue()


def test_a_turn_tells_all_that_happened() -> None:
    world = world_of(["Alpha", "Beta", "Gamma", "Delta"])
    before = mind_of(world.catalog, world.state.mindset)
    turn = world.step(np.arange(4)[None])
    text = turn_text(world, turn, before=before)
    lines = text.split("\n")
    assert lines[0] == "Turn 1 of 20"
    assert lines[1].split() == ["1", "Alpha", "1994", "Alpha", "▶♥✎↗", "━━━───", "75", "s"]
    assert lines[2].endswith("passed over")
    assert lines[4].endswith("not looked at")
    assert f"Mindset, {HIDDEN}; came for Alpha" in text
    assert all(level in text for level in LEVELS)
    assert text.count("▲ +0.10") == 5
    assert "▲" not in turn_text(world, turn)  # without the mindset before, no change
    assert "The user says: “more, please” (more, genre)" in text
    assert f"Reward {turn.reward[0]:.2f}" in text
    # stored and live are one
    assert turn_text(world, recorded(world, turn), before=before, heading="Turn 1 of 20") == text


def test_nothing_hidden_where_it_is_not_to_be_seen() -> None:
    world = world_of(["Alpha", "Beta", "Gamma", "Delta"], "secret thoughts")
    kept = replace(recorded(world, world.step(np.arange(4)[None])), instruction=None)
    text = as_text(turn_view(kept, world.catalog, hidden=False))
    assert "secret" not in text
    assert not any(level in text for level in LEVELS)
    assert "secret" in as_text(turn_view(kept, world.catalog))


def test_extreme_numbers() -> None:
    for number in (1.7e308, -1.7e308, 5e-324, -0.0, 1e5):
        turn = SessionTurn(
            **{name: ("x",) for name in ("slate", "titles")},
            items=(0,),
            **{name: (True,) for name in ("examined", "clicked", "liked", "commented", "shared")},
            watch=(number,),
            left=True,
            told=True,
            followed=number,
            instruction=Said(kind="more", aspect="none", value=0, phrasing=0, text="x" * 500),
            parts={"p" * 50: number, "q": number},
            reward=number,
            mindset=Mind(levels=dict.fromkeys(LEVELS, number)),
        )
        world = world_of(["Alpha", "Beta"])
        for catalog in (None, world.catalog):
            fits(as_text(turn_view(turn, catalog, before=Mind(levels=dict.fromkeys(LEVELS, -number)))))


@pytest.mark.parametrize(("share", "drawn"), [(0, "────"), (1, "━━━━"), (0.5, "━━──"), (0.125, "╸───"), (-3, "────"), (7, "━━━━")])
def test_bars(share: float, drawn: str) -> None:
    assert bar(share, 4).plain == drawn


def test_the_environment_renders(capsys: pytest.CaptureFixture[str]) -> None:
    register_all()
    for mode in ("ansi", "human"):
        env = gym.make("RecoWorld-Mini-v0", render_mode=mode)
        env.reset(seed=0)
        shown = [env.render()]
        env.step(env.action_space.sample())
        shown.append(env.render())
        if mode == "ansi":
            fits("\n".join(shown))
            assert shown[0].startswith("User ")
            assert shown[1].startswith("Turn 1 of 20")
        env.close()
    assert "Turn 1 of 20" in capsys.readouterr().out


# thoughts


def thinking(rationale: str, deeds: str = "l-c.", text: str = "interested in heists") -> SessionTurn:
    """A turn of four slots, a letter each: (c)lick, (l)ike, co(m)ment, (s)hare, - passed over, . not looked at."""
    return SessionTurn(
        slate=("0", "1", "2", "3"),
        items=(0, 1, 2, 3),
        titles=("Alpha", "Beta | 2 skip: x", "Gamma", "Delta"),
        examined=tuple(deed != "." for deed in deeds),
        clicked=tuple(deed in "clms" for deed in deeds),
        **{name: tuple(deed == letter for deed in deeds) for name, letter in (("liked", "l"), ("commented", "m"), ("shared", "s"))},
        watch=(60.0, 0.0, 5.0, 0.0),
        left=False,
        told=False,
        followed=0.0,
        instruction=None,
        parts={"engagement": 1.0},
        reward=1.0,
        mindset=Mind(levels=dict.fromkeys(LEVELS, 0.5), text=text),
        rationale=rationale,
    )


@pytest.mark.parametrize(
    ("rationale", "deeds", "items", "said"),
    [
        ("1 like: my thing | 2 skip: no | 3 click: why not | says: bye", "l-c.", ("my thing", "no", "why not", ""), "bye"),
        ("1 like: a | 2 skip: b | 3 click: c", "l-c.", ("a", "b", "c", ""), ""),
        ("1 like:  | 2 skip:  | 3 click: ", "l-c.", ("", "", "", ""), ""),
        ("1 unseen: a", "-...", ("a", "", "", ""), ""),
        ("1 skip: a", "-...", ("a", "", "", ""), ""),
        ("1 comment: a | 2 share: b", "ms..", ("a", "b", "", ""), ""),
        # words that look like marks, but of what was not done
        ("1 like: a | b | 2 like: c | 2 skip: 3 click: | 3 click: d | e", "l-c.", ("a | b | 2 like: c", "3 click:", "d | e", ""), ""),
        ("1 like: says: x | 2 skip: b | 3 click: c | says: a | says: b", "l-c.", ("says: x", "b", "c", ""), "a | says: b"),
    ],
)
def test_thoughts_by_hand(rationale: str, deeds: str, items: tuple[str, ...], said: str) -> None:
    assert thoughts_of(thinking(rationale, deeds)) == Thoughts(items=items, said=said)


@pytest.mark.parametrize(
    "rationale", ["", "I was bored | and left", "1 like: a", "1 skip: a | 2 skip: b | 3 click: c", " 1 like: a | 2 skip: b | 3 click: c"]
)
def test_other_words_are_no_thoughts(rationale: str) -> None:
    turn = thinking(rationale)
    assert thoughts_of(turn) is None
    text = as_text(turn_view(turn, None))
    assert text.count(f"The user thinks ({HIDDEN}): {rationale.strip()}") == bool(rationale)
    assert f"The user feels ({HIDDEN}): interested in heists" in text


def test_thoughts_are_shown_under_their_items() -> None:
    world = world_of(["Alpha", "Beta", "Gamma", "Delta"])
    turn = thinking("1 like: my “thing” | 2 skip: no | 3 click:  | says: bye")
    for catalog in (world.catalog, None):
        text = as_text(turn_view(turn, catalog, heading="Turn 1 of 2"))
        lines = text.split("\n")
        assert lines[0] == f"Turn 1 of 2, with the user’s thoughts, {HIDDEN}"
        assert [line.split()[0] for line in lines[1:7]] == ["1", "“my", "2", "“no”", "3", "4"]
        assert lines[2] == "    “my ‘thing’”"
        assert lines[3].index("passed over") == lines[5].index("▶") + 5, "columns stay where they are"
        assert "  interested in heists" in lines
        assert lines[-1] == f"The user says, and is not understood ({HIDDEN}): “bye”"
        fits(text)


def test_thoughts_stay_hidden() -> None:
    turn = thinking("1 like: secret | 2 skip: secret | 3 click: secret | says: secret", text="secret")
    text = as_text(turn_view(turn, None, hidden=False))
    assert "secret" not in text
    assert "thoughts" not in text


def test_the_thoughts_of_a_session() -> None:
    turns = (thinking("1 like: one | 2 skip: two | 3 click: three"), thinking("1 skip: four | says: bye", "-..."))
    one = Session(dataset="x", user="u", user_index=0, seed=0, policy="p", simulator="llm", opening=None, turns=turns)
    view = thoughts_view(one, None)
    assert view is not None
    text = as_text(view)
    assert [text.index(f"“{word}”") for word in ("one", "two", "three", "four", "bye")] == sorted(
        text.index(f"“{word}”") for word in ("one", "two", "three", "four", "bye")
    )
    assert text.count("interested in heists") == 2
    fits(text)
    assert thoughts_view(replace(one, turns=(thinking("bored"),)), None) is None


@settings(max_examples=60)
@given(words=st.lists(st.text(max_size=60) | st.sampled_from([*NASTY, " | 2 skip: x", " | says: "]), min_size=5, max_size=5))
def test_any_thoughts_are_shown_safely(words: list[str]) -> None:
    first, second, third, said, text = (word.encode("utf-8", "replace").decode() for word in words)
    turn = thinking(f"1 like: {first} | 2 skip: {second} | 3 click: {third} | says: {said}", text=text)
    assert thoughts_of(turn) is not None
    fits(as_text(turn_view(turn, None, heading="Turn 1 of 1")))
