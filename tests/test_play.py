"""A person at the terminal, scripted: both seats, quitting, the end of the input, bad input; the sentences; and replay."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from recoworld.assembly import make_world
from recoworld.catalog import Catalog
from recoworld.cli.play import play, played
from recoworld.cli.replay import replayed
from recoworld.cli.seats import RecommenderSeat, Terminal
from recoworld.datasets import load_dataset
from recoworld.errors import CacheUnwritable, ConfigError, DataCorrupt, DataMissing, UnknownName
from recoworld.instructions import FORMS, sentence
from recoworld.luck import combine
from recoworld.parse import understood
from recoworld.policies import make_policy
from recoworld.session import Session
from recoworld.session_io import read_jsonl, write_parquet
from recoworld.types import LEVELS, Aspect, Instruction, Kind


class Script:
    """A terminal at which these lines are typed; then the input ends, or Ctrl-C is pressed."""

    def __init__(self, lines: Iterable[str], end: type[BaseException] = EOFError) -> None:
        self.lines, self.end, self.out = iter(lines), end, io.StringIO()
        self.terminal = Terminal(console=Console(file=self.out, width=80, highlight=False, color_system=None), read=self._read)

    def _read(self, prompt: str) -> str:
        try:
            line = next(self.lines)
        except StopIteration:
            raise self.end from None
        self.out.write(f"{prompt}{line}\n")
        return line

    @property
    def text(self) -> str:
        return self.out.getvalue()


def run(lines: Iterable[str], *, end: type[BaseException] = EOFError, **settings: Any) -> tuple[Session | None, str]:
    script = Script(lines, end)
    session = played(**{"seed": 4, **settings}, terminal=script.terminal)
    assert all(cell_len(line) <= 80 for line in script.text.split("\n"))
    return session, script.text


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_dataset("mini").catalog


# the recommender's seat


def test_a_person_recommends(catalog: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "kept" / "s.jsonl"
    first = ["toy story", "TOY story", "g:comedy y:1990s", "2", "2,3", "drop 1", "show", "fill", "go"]
    session, text = run([*first, "why", *["fill", "go"] * 20, "why", "why?", ""], out=str(out))
    assert session is not None
    titles = session.turns[0].titles
    listed = RecommenderSeat(catalog, make_policy("popularity"), Terminal()).search("g:comedy y:1990s")
    assert titles[:2] == tuple(str(catalog.titles[item]) for item in listed[1:3])
    assert "Toy Story is on the slate already" in text
    assert "the mindset is hidden from a recommender" in text
    before, after = text.split("turns, return")
    assert not any(level in before for level in LEVELS)  # nothing hidden while it plays
    assert "Mindset over the session" in after
    assert read_jsonl(out) == [session]
    assert (session.policy, session.simulator, session.dataset) == ("person", "behavioral", "mini")
    assert session.opening is not None


def test_the_session_is_that_of_the_environment_with_this_seed() -> None:
    session, _ = run(["fill", "go"], seed=11)
    assert session is not None
    world = make_world(dataset="mini", slate_size=5)
    keys = combine(np.array([11]), np.array([0]))
    group = world.split.group("train")
    assert (session.user_index, session.seed) == (group[int(keys[0] % np.uint64(len(group)))], keys[0])
    world.reset(np.array([session.user_index]), keys)
    assert tuple(world.step(np.array([session.turns[0].items])).feedback.clicked[0].tolist()) == session.turns[0].clicked


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("god fater", "did you mean one of these?"),
        ("xqzw", "no title has “xqzw” in it"),
        ("g:comdy", "did you mean 'comedy'?"),
        ("g:", "unknown genre"),
        ("y:long", "y:1990s"),
        ("9", "expected numbers from 1 to 5"),
        ("0", "expected numbers from 1 to 5"),
        ("1, 99999999999999999999", "expected numbers"),
        ("go", "5 slots are empty"),
        ("drop x", "no title has"),
        ("drop 3", "your slate"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("\x1b[31m", "no title has"),
        ("1 2 3 4 5 1", "already"),
        ("help", "let the policy fill the rest"),
        ("toy", "3 found"),
        ("y:1985-1986 the", "found"),
    ],
)
def test_what_a_recommender_may_type(line: str, told: str) -> None:
    session, text = run([line])
    assert session is None
    assert told in text
    assert "broken off" in text
    assert "\x1b" not in text.replace(line, "")


def test_a_full_slate_takes_no_more() -> None:
    _, text = run(["fill", "toy story", "drop 1", "toy story", ""])
    assert "the slate is full; Toy Story is left out" in text
    assert "+ Toy Story" in text


# the user's seat


def test_a_person_is_the_user(catalog: Catalog, tmp_path: Path) -> None:
    out = str(tmp_path / "s.jsonl")
    lines = ["?2", "1c 3l 5ms20 less drama", "", "qwerty uiop", "2c99999 Surprise me!", "4c leave"]
    session, text = run(lines, as_="user", policy="ease+instruct", out=out)
    assert session is not None
    first, second, third, fourth, last = session.turns
    assert first.clicked == (True, False, True, False, True)
    assert (first.liked[2], first.commented[4], first.shared[4]) == (True, True, True)
    assert first.watch[4] == 20.0
    assert first.watch[0] == catalog.durations[first.items[0]]
    assert first.instruction is not None
    assert (first.instruction.kind, first.instruction.aspect, first.instruction.text) == ("less", "genre", "less drama")
    assert catalog.genre_names[first.instruction.value] == "Drama"
    assert second.told
    assert second.followed > 0.5  # the policy follows instructions
    assert sum("Drama" in catalog.genres_of(item) for item in second.items) <= 1
    assert not any(second.clicked)
    assert all(second.examined)
    assert (third.instruction, third.rationale) == (None, "qwerty uiop")
    assert "not understood" in text
    assert fourth.watch[1] == catalog.durations[fourth.items[1]]
    assert fourth.instruction is not None
    assert fourth.instruction.kind == "surprise"
    assert last.left
    assert (session.policy, session.simulator, session.opening) == ("ease+instruct", "person", None)
    assert all(turn.mindset is None for turn in session.turns)
    assert read_jsonl(out) == [session]


@pytest.mark.parametrize("line", ["1z", "9c", "0c", "1 2", "123456", "6ls", "1c 2q"])
def test_bad_replies_are_asked_again(line: str) -> None:
    session, text = run([line, "leave"], as_="user")
    assert session is not None
    assert session.n_turns == 1
    assert "expected" in text


def test_a_decade_is_no_slot() -> None:
    session, _ = run(["1c 90s comedies", "leave"], as_="user")
    assert session is not None
    assert session.turns[0].instruction is not None
    assert session.turns[0].clicked == (True, False, False, False, False)


# how it ends


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
@pytest.mark.parametrize(("as_", "lines"), [("recommender", ["fill", "go"]), ("user", ["1c"])])
def test_what_was_played_is_saved_however_it_ends(as_: str, lines: list[str], end: type[BaseException], tmp_path: Path) -> None:
    out = str(tmp_path / "s.jsonl")
    for times in (1, 2):
        session, text = run([*lines, "\ud800\x00"], end=end, as_=as_, out=out)
        assert session is not None
        assert "broken off" in text
        assert len(read_jsonl(out)) == times  # added to what was there
    session, _ = run([*lines, "quit"], as_=as_, out=out)
    assert read_jsonl(out)[-1] == session


def test_nothing_played_nothing_saved(tmp_path: Path) -> None:
    session, _ = run(["quit"], out=str(tmp_path / "s.jsonl"))
    assert session is None
    assert not list(tmp_path.iterdir())


def test_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="RecoWorld-Mini-v0"):
        run([], env="RecoWorld-Mni-v0")
    with pytest.raises(UnknownName, match="seat"):
        run([], as_="users")
    with pytest.raises(UnknownName, match="popularity"):
        run([], policy="popularty")
    with pytest.raises(ConfigError, match="seed"):
        run([], seed=-1)
    with pytest.raises(ConfigError, match="slate_size"):
        run([], slate_size=0)
    with pytest.raises(ConfigError, match="oracle"):
        run([], as_="user", policy="oracle")  # reads a mind that nobody knows
    (tmp_path / "notes.txt").write_text("not sessions")
    with pytest.raises(DataCorrupt):
        run([], out=str(tmp_path / "notes.txt"))
    with pytest.raises(CacheUnwritable):
        run([], out=str(tmp_path / "notes.txt" / "s.jsonl"))
    assert (tmp_path / "notes.txt").read_text() == "not sessions"


_typed = st.text(max_size=12) | st.sampled_from(["fill", "go", "1c", "1l more comedy", "2", "show", "drop 1"])


@settings(max_examples=15)
@given(lines=st.lists(_typed, max_size=12), user=st.booleans())
def test_no_input_breaks_it(lines: list[str], user: bool) -> None:
    played(as_="user" if user else "recommender", terminal=Script(lines).terminal)


def test_the_command(tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(play)
    out = tmp_path / "s.jsonl"
    done = CliRunner().invoke(app, ["--as", "user", "--out", str(out)], input="1c\nleave\n")
    assert done.exit_code == 0, done.output
    assert read_jsonl(out)[0].left
    assert CliRunner().invoke(app, ["--as", "nobody"]).exit_code == 2


# replay


@pytest.fixture
def file(tmp_path: Path) -> Path:
    out = tmp_path / "s.jsonl"
    run(["fill", "go"] * 20, out=str(out))
    run(["1c more comedy", "leave"], as_="user", out=str(out))
    return out


def shown(path: Path, lines: Iterable[str] = (), **settings: Any) -> str:
    script = Script(lines)
    replayed(str(path), **settings, terminal=script.terminal)
    assert all(cell_len(line) <= 80 for line in script.text.split("\n"))
    return script.text


def test_replay_shows_sessions(file: Path, tmp_path: Path) -> None:
    first, second = read_jsonl(file)
    listing = shown(file, listing=True)
    assert len(listing.splitlines()) == 3
    whole = shown(file)
    assert whole.count("hidden from the policy") == first.n_turns + 1
    assert all(f"Turn {number} of {first.n_turns}" in whole for number in range(1, first.n_turns + 1))
    assert "The user says: “more comedy”" in shown(file, session=1)
    assert "Turn 2 of" not in shown(file, turn=1)
    assert "Turn 2 of" not in shown(file, ["quit"], step=True)
    assert "Turn 2 of" in shown(file, ["", "quit"], step=True)
    parquet = tmp_path / "s.parquet"
    write_parquet(parquet, [first, second])
    assert shown(parquet) == whole


def test_replay_without_the_data_set(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace('"dataset":"mini"', '"dataset":"gone"')
    file.write_text(text, encoding="utf-8")
    out = shown(file)
    assert "not at hand" in out
    assert read_jsonl(file)[0].turns[0].titles[0][:20] in out


def test_replay_refuses(file: Path, tmp_path: Path) -> None:
    calls: list[tuple[type[Exception], Callable[[], object]]] = [
        (ConfigError, lambda: shown(file, session=2)),
        (ConfigError, lambda: shown(file, session=-1)),
        (ConfigError, lambda: shown(file, turn=0)),
        (ConfigError, lambda: shown(file, turn=99)),
        (DataMissing, lambda: shown(tmp_path / "nothing")),
        (DataCorrupt, lambda: shown(tmp_path)),
    ]
    for error, call in calls:
        with pytest.raises(error):
            call()


# sentences


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0].name}-{form[1].name}".lower())
def test_every_sentence_that_users_say_is_understood(form: tuple[Kind, Aspect], catalog: Catalog) -> None:
    kind, aspect = form
    values = {
        Aspect.GENRE: range(len(catalog.genre_names)),
        Aspect.ERA: catalog.eras.tolist(),
        Aspect.POPULARITY: [int(kind != Kind.SURPRISE)],
        Aspect.PERSON: range(0, len(catalog.people_names), 97),
        Aspect.TITLE: range(0, len(catalog), 53),
    }[aspect]
    for value in values:
        for phrasing in range(4):
            said = Instruction(
                kind=np.array([kind], np.int8),
                aspect=np.array([aspect], np.int8),
                value=np.array([value], np.int32),
                phrasing=np.array([phrasing], np.uint32),
            )
            heard = understood(sentence(said, 0, catalog), catalog)
            assert heard is not None
            assert (heard.kind[0], heard.aspect[0]) == form, sentence(said, 0, catalog)
            if aspect == Aspect.TITLE:  # which two films may share
                assert catalog.titles[heard.value[0]] == catalog.titles[value]
            else:
                assert heard.value[0] == value, sentence(said, 0, catalog)


@pytest.mark.parametrize(
    ("words", "kind", "aspect", "about"),
    [
        ("less drama", Kind.LESS, Aspect.GENRE, "Drama"),
        ("More from the 80s!", Kind.MORE, Aspect.ERA, 1980),
        ("more from the eighties", Kind.MORE, Aspect.ERA, 1980),
        ("surprise me", Kind.SURPRISE, Aspect.POPULARITY, 0),
        ("more comedy, less drama", Kind.MORE, Aspect.GENRE, "Comedy"),
        ("I hate horror", Kind.AVOID, Aspect.GENRE, "Horror"),
        ("I don’t like horror", Kind.AVOID, Aspect.GENRE, "Horror"),
        ("no more westerns please", Kind.AVOID, Aspect.GENRE, "Western"),
        ("science fiction only", Kind.ONLY, Aspect.GENRE, "Sci-Fi"),
        ("something funny", Kind.MORE, Aspect.GENRE, "Comedy"),
        ("something like inception", Kind.MORE, Aspect.TITLE, "Inception"),
        ('more like "Star Wars: Episode VII - The Force Awakens"', Kind.MORE, Aspect.TITLE, "Star Wars: Episode VII - The Force Awakens"),
        ('more like "Toy Story 2"', Kind.MORE, Aspect.TITLE, "Toy Story 2"),
        ("not so famous ones", Kind.LESS, Aspect.POPULARITY, 1),
        ("more Tom Hanks", Kind.MORE, Aspect.PERSON, "Tom Hanks"),
        ("no 1980s", Kind.LESS, Aspect.ERA, 1980),  # AVOID cannot be said of an era
    ],
)
def test_words_of_ones_own(words: str, kind: Kind, aspect: Aspect, about: object, catalog: Catalog) -> None:
    heard = understood(words, catalog)
    assert heard is not None
    assert heard.texts is not None
    assert heard.texts[0] == words
    value = int(heard.value[0])
    named = {Aspect.GENRE: catalog.genre_names, Aspect.TITLE: catalog.titles, Aspect.PERSON: catalog.people_names}
    assert (heard.kind[0], heard.aspect[0], named[aspect][value] if aspect in named else value) == (kind, aspect, about)


@pytest.mark.parametrize("words", ["", "   ", "hm", "less violence", "2130s", "§", "no Tom Hanks", "x" * 10_000, '"'])
def test_what_is_not_understood(words: str, catalog: Catalog) -> None:
    assert understood(words, catalog) is None


@given(words=st.text(max_size=80))
def test_any_words_are_understood_as_a_form_or_not_at_all(words: str, catalog: Catalog) -> None:
    heard = understood(words, catalog, shown=range(5))
    assert heard is None or (Kind(int(heard.kind[0])), Aspect(int(heard.aspect[0]))) in FORMS


def test_a_title_just_shown_needs_no_quotes(catalog: Catalog) -> None:
    item = catalog.titles.tolist().index("Inception")
    heard = understood("more of this inception stuff", catalog, shown=[item])
    assert heard is not None
    assert (heard.aspect[0], heard.value[0]) == (Aspect.TITLE, item)
