"""Sessions: logged truly, written and read exactly, and nothing but DataCorrupt comes of damaged files."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoworld.assembly import make_world
from recoworld.envs.codec import observe
from recoworld.errors import CacheUnwritable, ConfigError, DataCorrupt, DataMissing
from recoworld.evaluation.rollout import play, rollout
from recoworld.instructions import sentence
from recoworld.luck import Luck, combine
from recoworld.policies import make_policy
from recoworld.session import ASPECTS, KINDS, SLOTS, Mind, Said, Session, SessionTurn
from recoworld.session_io import FORMAT, read_jsonl, read_parquet, read_sessions, write_jsonl, write_parquet
from recoworld.session_log import SessionLog
from recoworld.types import LEVELS, Kind, Recommender
from recoworld.world import World

FORMATS = {"jsonl": (write_jsonl, read_jsonl), "parquet": (write_parquet, read_parquet)}
each_format = pytest.mark.parametrize("name", FORMATS)

# strategies

words = st.text(max_size=12) | st.sampled_from(["", "Amélie", "七人の侍", "\0\n\u2028\r", "👩‍👩‍👧", "[/]", '"', "\u202e", "NaN", "null"])
reals = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, 0.1, 1e22])
minds = st.none() | st.builds(Mind, levels=st.fixed_dictionaries(dict.fromkeys(LEVELS, reals)), intent=words, text=words)
saids = st.none() | st.builds(
    Said,
    kind=st.sampled_from(KINDS),
    aspect=st.sampled_from(ASPECTS),
    value=st.integers(-(2**31), 2**31 - 1),
    phrasing=st.integers(0, 2**32 - 1),
    text=words,
)
_VALUES: dict[type, st.SearchStrategy[Any]] = {str: words, int: st.integers(0, 2**31 - 1), bool: st.booleans(), float: reals}


@st.composite
def turns(draw: st.DrawFn) -> SessionTurn:
    k = draw(st.integers(1, 3))
    return SessionTurn(
        **{name: tuple(draw(st.lists(_VALUES[kind], min_size=k, max_size=k))) for name, kind in SLOTS.items()},
        left=draw(st.booleans()),
        told=draw(st.booleans()),
        followed=draw(reals),
        instruction=draw(saids),
        parts=draw(st.dictionaries(words, reals, max_size=3)),
        reward=draw(reals),
        mindset=draw(minds),
        rationale=draw(words),
    )


session_values = st.builds(
    Session,
    dataset=words,
    user=words,
    user_index=st.integers(0, 2**63 - 1),
    seed=st.integers(0, 2**64 - 1) | st.just(2**64 - 1),
    policy=words,
    simulator=words,
    version=words,
    opening=minds,
    turns=st.lists(turns(), min_size=1, max_size=3).map(tuple),
)


def exact(value: Any) -> Any:
    """The value with floats as their bits and types spelt out: what == does not tell apart."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, tuple):
        return [exact(one) for one in value]
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return type(value).__name__, exact(vars(value))
    return type(value).__name__, value


# files


@each_format
@settings(max_examples=60)
@given(kept=st.lists(session_values, min_size=1, max_size=3))
def test_round_trip_is_exact(name: str, kept: list[Session], tmp_path_factory: pytest.TempPathFactory) -> None:
    write, read = FORMATS[name]
    path = tmp_path_factory.getbasetemp() / f"round.{name}"
    assert write(path, kept) == len(kept)
    assert [exact(one) for one in read(path)] == [exact(one) for one in kept]
    assert [exact(one) for one in read_sessions(path)] == [exact(one) for one in kept]


def one_session(**changes: Any) -> Session:
    turn = SessionTurn(
        slate=("a", "b"),
        items=(0, 1),
        titles=("Amélie", "[bold]x[/]"),
        examined=(True, True),
        clicked=(True, False),
        liked=(False, False),
        commented=(False, False),
        shared=(False, False),
        watch=(3.5, 0.0),
        left=False,
        told=True,
        followed=0.5,
        instruction=Said(kind="more", aspect="genre", value=3, phrasing=1, text="More Comedy, please."),
        parts={"engagement": 0.5},
        reward=1.5,
        mindset=Mind(levels=dict.fromkeys(LEVELS, 0.5), intent="Comedy"),
    )
    facts: dict[str, Any] = {"dataset": "mini", "user": "u1", "user_index": 1, "seed": 2**64 - 1, "policy": "ease", "simulator": "by hand"}
    return Session(**{**facts, "opening": None, "turns": (turn, replace(turn, left=True, instruction=None, mindset=None)), **changes})


def test_a_session_sums_up() -> None:
    one = one_session()
    assert (one.return_, one.n_turns, one.left) == (3.0, 2, True)


@each_format
def test_truncated_and_flipped_files_raise_data_corrupt_or_read_as_sessions(name: str, tmp_path: Path) -> None:
    write, read = FORMATS[name]
    path, kept = tmp_path / "whole", [one_session(), one_session(user="u2")]
    write(path, kept)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [data[: int(n)] for n in rng.integers(0, len(data) - 1, 60)]
    for _ in range(200):
        spoilt = bytearray(data)
        for at in rng.integers(0, len(data), int(rng.integers(1, 8))):
            spoilt[at] = rng.integers(256)
        damaged.append(bytes(spoilt))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            read(path)  # may succeed: a digit may have become another digit
        except DataCorrupt as error:
            refused += str(path) in str(error)
    assert refused > 150


@settings(max_examples=80)
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_foreign_bytes_raise_data_corrupt(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "foreign"
    path.write_bytes(content)
    for read in (read_parquet, read_sessions, read_jsonl):
        if read is read_parquet or content.strip():
            with pytest.raises(DataCorrupt, match="foreign"):
                read(path)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d: d.update(format="recoworld-session/2"), "recoworld-session/2"),
        (lambda d: d.pop("format"), FORMAT),
        (lambda d: d.pop("seed"), "seed"),
        (lambda d: d.update(seed=2**64), "seed"),
        (lambda d: d.update(seed=True), "seed"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(turns=[]), "at least one"),
        (lambda d: d.update(turns=None), "NoneType"),
        (lambda d: d["turns"][1].update(reward=float("nan")), "NaN"),
        (lambda d: d["turns"][1].update(reward=float("inf")), "Infinity"),
        (lambda d: d["turns"][1].update(reward="1"), "reward"),
        (lambda d: d["turns"][1].update(slate=["a"]), "slate"),
        (lambda d: d["turns"][1].update(slate="ab"), "a"),
        (lambda d: d["turns"][1].update(liked=[0, 1]), "liked"),
        (lambda d: d["turns"][1].update(instruction={"kind": "beg"}), "missing"),
        (lambda d: d["turns"][0]["instruction"].update(kind="beg"), "kind"),
        (lambda d: d["turns"][0]["mindset"].update(levels={}), "levels"),
        (lambda d: d["turns"][0].update(rationale="\ud800"), "rationale"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(spoil: Any, told: str, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    write_jsonl(path, [one_session()])
    good = path.read_text(encoding="utf-8")
    data = json.loads(good)
    spoil(data)
    if data.get("turns") and data["turns"][1].get("slate") == "ab":
        path.write_text(good + json.dumps(data) + "\n")
        assert read_jsonl(path)[1].turns[1].slate == ("a", "b")  # a string is a sequence of its letters
        return
    path.write_text(good + json.dumps(data) + "\n", encoding="utf-8")
    with pytest.raises(DataCorrupt, match=r"s\.jsonl, line 2") as caught:
        read_jsonl(path)
    assert told in str(caught.value)


@pytest.mark.parametrize("line", ["[" * 100_000, "9" * 5000, '{"format":' + "[" * 100_000, "1e999", "null", "[]", '"x"', "{}"])
def test_hostile_lines(line: str, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(line)
    with pytest.raises(DataCorrupt, match="line 1"):
        read_jsonl(path)


def test_missing_empty_and_unwritable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for write, read in FORMATS.values():
        with pytest.raises(DataMissing):
            read(tmp_path / "nothing")
        with pytest.raises(DataCorrupt, match="folder"):
            read(tmp_path)
        with pytest.raises(DataCorrupt, match="empty"):
            read(tmp_path / "file")
        with pytest.raises(ConfigError, match="no sessions"):
            write(tmp_path / "none", [])
        with pytest.raises(CacheUnwritable):
            write(tmp_path / "file" / "below", [one_session()])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@each_format
def test_a_failed_write_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    write, read = FORMATS[name]
    path = tmp_path / "s"
    write(path, [one_session()])

    def broken() -> Any:
        yield one_session(user="new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, broken())
    assert read(path) == [one_session()]
    assert list(tmp_path.iterdir()) == [path]


def test_parquet_is_a_table_of_turns(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "s.parquet"
    write_parquet(path, [one_session(), one_session(user="u2")])
    table = pq.read_table(path)
    assert table.num_rows == 4
    assert table["session"].to_pylist() == [0, 0, 1, 1]
    assert table["user"].to_pylist() == ["u1", "u1", "u2", "u2"]
    assert table["reward_engagement"].to_pylist() == [0.5] * 4
    assert table["mindset_trust"].to_pylist() == [0.5, None, 0.5, None]
    assert table["clicked"].to_pylist()[0] == [True, False]
    pq.write_table(table.slice(2), path)  # a user kept what it was interested in
    assert read_parquet(path) == [one_session(user="u2")]
    pq.write_table(table.slice(1), path)
    with pytest.raises(DataCorrupt, match="rows 1 to 1: turns"):
        read_parquet(path)


# the log


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(dataset="mini", slate_size=5, max_turns=12)


@pytest.fixture(scope="module")
def policy(world: World) -> Recommender:
    policy = make_policy("popularity")
    policy.fit(world.dataset, world.split)
    return policy


def logged(world: World, policy: Recommender, users: np.ndarray, seeds: np.ndarray) -> tuple[list[Session], np.ndarray]:
    """The sessions, and on how many slates of each an instruction was in force."""
    world.reset(users, seeds)
    log, told = SessionLog(world, seeds, policy=policy.name), np.zeros(len(users), np.int64)
    for rows, turn, in_force in play(world, policy, users, seeds):
        log.add(rows, turn)
        told[rows] += in_force
    return log.sessions(), told


def test_the_log_holds_what_the_evaluation_counts(world: World, policy: Recommender) -> None:
    users = np.arange(60)
    seeds = combine(3, users)
    kept, told = logged(world, policy, users, seeds)
    table = rollout(world, policy, users, seeds)
    assert [one.user_index for one in kept] == users.tolist()
    assert [one.seed for one in kept] == seeds.tolist()
    assert [one.n_turns for one in kept] == table.turns.tolist()
    assert [int(one.left) for one in kept] == table.left.tolist()
    np.testing.assert_allclose([one.return_ for one in kept], table.returned, rtol=1e-5)
    assert [sum(sum(turn.clicked) for turn in one.turns) for one in kept] == table.clicks.tolist()
    assert [sum(turn.told for turn in one.turns) for one in kept] == told.tolist() == table.answered.tolist()
    assert [sum(turn.instruction is not None for turn in one.turns) for one in kept] == table.instructions.tolist()
    assert table.instructions.sum() > 10


def test_a_session_is_the_same_alone_and_can_be_played_again(world: World, policy: Recommender) -> None:
    users = np.arange(20)
    seeds = combine(4, users)
    kept, _ = logged(world, policy, users, seeds)
    alone, _ = logged(world, policy, users[7:8], seeds[7:8])
    assert exact(alone[0]) == exact(kept[7])
    world.reset(np.array([kept[7].user_index]), np.array([kept[7].seed], np.uint64))
    for turn in kept[7].turns:
        again = world.step(np.array([turn.items]))
        assert tuple(again.feedback.watch[0].tolist()) == turn.watch
        assert sentence(again.feedback.instruction, 0, world.catalog) == (turn.instruction.text if turn.instruction else "")


def test_a_log_can_begin_in_mid_session(world: World, policy: Recommender) -> None:
    users = np.arange(40)
    seeds = combine(5, users)
    whole, _ = logged(world, policy, users, seeds)
    one = next(one for one in whole if any(turn.instruction for turn in one.turns[:-2]))
    start = next(t for t, turn in enumerate(one.turns) if turn.instruction) + 1
    world.reset(np.array([one.user_index]), np.array([one.seed], np.uint64))
    for turn in one.turns[:start]:
        world.step(np.array([turn.items]))
    log = SessionLog(world, np.array([one.seed], np.uint64), policy=policy.name)
    for turn in one.turns[start:]:
        log.add(None, world.step(np.array([turn.items])))
    assert exact(log.sessions()[0].turns) == exact(one.turns[start:])
    assert log.sessions()[0].opening == one.turns[start - 1].mindset


def test_the_log_keeps_no_hold_on_a_callers_slates(world: World) -> None:
    world.reset(np.array([3]), np.array([1]))
    log, slates = SessionLog(world, np.array([1]), policy="x"), np.arange(5)[None]
    assert log.sessions() == []
    log.add(None, world.step(slates))
    slates[:] = 77
    assert log.sessions()[0].turns[0].items == (0, 1, 2, 3, 4)


def test_the_log_refuses_what_is_not_of_its_sessions(world: World, policy: Recommender) -> None:
    users = np.arange(3)
    world.reset(users, users)
    with pytest.raises(ConfigError, match="seeds"):
        SessionLog(world, users + 1, policy="x")
    log = SessionLog(world, users, policy="x")
    turn = world.step(policy.recommend(observe(world), Luck(world.state.keys)))
    for rows in (np.arange(2), np.array([0, 0, 1]), np.array([0, 1, 3])):
        with pytest.raises(ConfigError, match="rows"):
            log.add(rows, turn)
    assert len(Kind) - 1 == len(KINDS)
