"""The distilled user: what it learns of a teacher whom we know, how it is kept, and that it is a user like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from recoworld.datasets import cached_arrays, load_dataset
from recoworld.errors import ConfigError, DataCorrupt, DataMissing, RecoWorldError
from recoworld.luck import Luck, combine
from recoworld.session import SLOTS, Session
from recoworld.session_log import SessionLog
from recoworld.simulators.behavioral import build as build_behavioral
from recoworld.simulators.distilled.lessons import lessons
from recoworld.simulators.distilled.networks import base_loss, fit, log_loss
from recoworld.simulators.distilled.signals import SLOT
from recoworld.simulators.distilled.simulator import DistilledSimulator, build
from recoworld.simulators.distilled.students import Student, distil, load_student, losses
from recoworld.testing.simulators import SimulatorTests, check_same, random_slates
from recoworld.types import LEVELS, Floats
from recoworld.world import World

MINI = load_dataset("mini")
SPLIT = MINI.split()
TEACHER = build_behavioral(MINI, SPLIT, cached=cached_arrays)
TRAINED, HELD_OUT = 300, 100


@lru_cache(maxsize=1)
def logged() -> tuple[list[Session], Floats, Floats]:
    """Sessions of the behavioural user, those to test on last, and the teacher's own log-odds and clicks of what the latter looked at."""
    n = TRAINED + HELD_OUT
    world = World(MINI, SPLIT, TEACHER, max_turns=8)
    rng = np.random.default_rng(0)
    # half of each slate are items that attract, or hardly anything would be clicked
    best = np.argsort(-TEACHER.taste.of(np.arange(n))[0], axis=1)[:, :60]
    world.reset(np.arange(n), np.arange(n))
    log, rows = SessionLog(world, np.arange(n), policy="half good"), np.arange(n)
    odds, clicked = [], []
    while rows.size and world.state.history.turn[0] < world.max_turns:
        slates = random_slates(world, len(rows), 1, seed=int(rng.integers(10_000)))[0]
        for place, row in enumerate(rows.tolist()):
            slates[place, ::2] = rng.choice(np.setdiff1d(best[row], slates[place]), 5, replace=False)
        state, luck = world.state, Luck(combine(world.state.keys, 1))
        p = TEACHER.chances(state.mindset, state.history, slates, luck).astype(np.float64)  # type: ignore[arg-type]
        turn = world.step(slates)
        held = turn.feedback.examined & (rows >= TRAINED)[:, None]
        odds.append(np.log(p / (1 - p))[held])
        clicked.append(turn.feedback.clicked[held])
        log.add(rows, turn)
        stay = ~turn.feedback.left
        world.keep(stay)
        rows = rows[stay]
    return log.sessions(), np.concatenate(odds), np.concatenate(clicked)


@lru_cache(maxsize=1)
def student() -> Student:
    return distil(MINI, SPLIT, logged()[0][:TRAINED], seed=0, cached=cached_arrays)


class TestDistilledUsers(SimulatorTests):
    n_users, n_turns = 40, 5

    def make(self) -> World:
        return World(MINI, SPLIT, DistilledSimulator(MINI.catalog, TEACHER.taste, student()))


# networks


@pytest.mark.parametrize("hidden", [0, 8])
def test_logistic_regression_is_found_again(hidden: int) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(3, 2, (6000, 2))
    z = -1 + 0.8 * (x[:, :1] - 3)
    net = fit(x, rng.random(z.shape) < 1 / (1 + np.exp(-z)), odds=True, hidden=hidden, steps=800, seed=0)
    assert np.abs(net(x[:, None, :].astype(np.float32))[:, 0] - z).mean() < 0.2


def test_hidden_units_learn_what_no_line_can() -> None:
    """Exclusive or."""
    x = np.random.default_rng(2).choice([0.0, 1.0], (2000, 2))
    y = (x[:, :1] != x[:, 1:]).astype(float)
    plain, deep = (fit(x, y, odds=True, hidden=hidden, steps=800, seed=0)(x[:, None, :].astype(np.float32))[:, 0] for hidden in (0, 8))
    assert log_loss(plain, y) > 0.68
    assert log_loss(deep, y) < 0.1


def test_numbers_and_no_cases() -> None:
    x = np.linspace(-1, 1, 4000)[:, None]
    net = fit(x, 3 * x + 0.5, odds=False, hidden=0, steps=600, seed=0)
    np.testing.assert_allclose(net(np.array([[[0.0]], [[1.0]]], np.float32))[:, 0, 0], [0.5, 3.5], atol=0.05)
    nothing = fit(np.zeros((0, 3)), np.zeros((0, 1)), odds=True, hidden=4, steps=2, seed=0)
    np.testing.assert_allclose(nothing(np.zeros((1, 1, 3), np.float32)), 0, atol=1e-6)


def test_losses_by_hand() -> None:
    happened = np.array([[1.0], [0.0], [0.0], [0.0]])
    assert base_loss(happened, np.array([0.25])) == pytest.approx(-(np.log(0.25) + 3 * np.log(0.75)) / 4)
    assert log_loss(np.array([np.log(3), 0.0]), np.array([True, False])) == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)


# what is learnt


def test_lessons_are_what_was_logged() -> None:
    """Row for row, and the signals are those of the session as it was."""
    few = logged()[0][:5]
    found = lessons(MINI, SPLIT, TEACHER.taste, few)
    assert len(found.left) == sum(session.n_turns for session in few)
    for place, session in enumerate(few):
        rows = np.flatnonzero(found.sessions == place)
        assert found.clicked[rows].tolist() == [list(turn.clicked) for turn in session.turns]
        assert found.left[rows].tolist() == [turn.left for turn in session.turns]
        assert found.said[rows].tolist() == [turn.instruction is not None for turn in session.turns]
        assert session.opening is not None
        np.testing.assert_allclose(found.before[rows[0], 9:14], [session.opening.levels[name] for name in LEVELS])
        np.testing.assert_allclose(found.levels[rows], [[turn.mindset.levels[name] for name in LEVELS] for turn in session.turns])  # type: ignore[union-attr]
        items = np.array([turn.items for turn in session.turns])
        attraction = TEACHER.taste.at(np.full(len(rows), session.user_index), items)[0]
        np.testing.assert_allclose(found.slots[rows, :, SLOT.index("attraction")], attraction, rtol=1e-6)
        visible = MINI.interactions.items[MINI.interactions.indptr[session.user_index] : SPLIT.visible_end[session.user_index]]
        met = np.isin(items, visible) + np.array([np.isin(items[t], items[:t]).astype(int) for t in range(len(items))])
        np.testing.assert_array_equal(found.slots[rows, :, SLOT.index("met_ever")], met > 0)
        np.testing.assert_array_equal(found.slots[rows, :, SLOT.index("turn")][:, 0] * 10, np.arange(len(rows)))


def test_it_beats_the_base_rate_and_comes_near_its_teacher() -> None:
    """Held-out log-loss of a click on what is looked at: most of the way from the base rate to the teacher, who knows its own mind."""
    sessions, odds, clicked = logged()
    turns = [turn for session in sessions[:TRAINED] for turn in session.turns]
    rate = np.concatenate([np.array(turn.clicked)[np.array(turn.examined)] for turn in turns]).mean()
    found = losses(student(), MINI, SPLIT, sessions[TRAINED:], cached=cached_arrays)
    base, mine, theirs = base_loss(clicked[:, None], np.array([rate])), found["click"]["student"], log_loss(odds, clicked)
    assert theirs < mine < base
    assert (base - mine) / (base - theirs) > 0.8, f"click: base {base:.4f}, student {mine:.4f}, teacher {theirs:.4f}"
    assert found["looking"]["student"] < found["looking"]["base"]
    assert found["leaving"]["student"] < found["leaving"]["base"]
    assert found["speaking"]["student"] < found["speaking"]["base"]


def test_its_sessions_are_like_its_teachers() -> None:
    """Rates of looking, clicking, watching and leaving over users whom it has not learnt from."""
    users, rates = np.arange(400, 1000), []
    for simulator in (TEACHER, DistilledSimulator(MINI.catalog, TEACHER.taste, student())):
        world = World(MINI, SPLIT, simulator)
        best = np.argsort(-TEACHER.taste.of(users)[0], axis=1)
        world.reset(users, users)
        turns = [world.step(best[:, start : start + 10]) for start in (0, 40)]
        reply = [turn.feedback for turn in turns]
        watched = sum(r.watch.sum() for r in reply) / sum(r.clicked.sum() for r in reply) / 150
        rates.append([np.mean([r.examined for r in reply]), np.mean([r.clicked for r in reply]), watched, np.mean([r.left for r in reply])])
    np.testing.assert_allclose(rates[1], rates[0], atol=0.08)


def test_the_same_seed_gives_the_same_student_another_another() -> None:
    few = logged()[0][:20]
    one, two, other = (distil(MINI, SPLIT, few, seed=seed, steps=5, cached=cached_arrays) for seed in (1, 1, 2))
    for name, net in one.nets.items():
        assert net.hidden.tobytes() == two.nets[name].hidden.tobytes()
    assert one.nets["click"].hidden.tobytes() != other.nets["click"].hidden.tobytes()


# kept, and by name


def test_kept_and_read_again(tmp_path: Path) -> None:
    student().save(tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["student.json", "student.npz"]
    facts = json.loads((tmp_path / "a" / "b" / "student.json").read_text())
    assert (facts["teacher"], facts["dataset"]) == ("behavioral", "mini")
    read = build(MINI, SPLIT, {"from": str(tmp_path / "a" / "b")}, cached=cached_arrays)
    one, two = (World(MINI, SPLIT, each) for each in (read, DistilledSimulator(MINI.catalog, TEACHER.taste, student())))
    for world in (one, two):
        world.reset(np.arange(20), np.arange(20))
    slates = random_slates(one, 20, 2)
    for slate in slates:
        check_same(one.step(slate), two.step(slate))
    env = gym.make("RecoWorld-Mini", simulator="distilled", simulator_config={"from": str(tmp_path / "a" / "b")})
    env.reset(seed=0)
    env.step(np.arange(10))


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"no student.json and no student.npz"):
        load_student(tmp_path)
    student().save(tmp_path)
    good = {name: (tmp_path / name).read_bytes() for name in ("student.json", "student.npz")}
    facts = json.loads(good["student.json"])
    wrong: list[tuple[str, bytes]] = [("student.npz", good["student.npz"][:1000]), ("student.npz", b""), ("student.json", b"[]")]
    changes: list[dict[str, Any]] = [{"format": "other"}, {"slot": []}, {"focus": 2}, {"spread": "x"}, {"spread": -1}, {"more": 1}]
    wrong += [("student.json", json.dumps(facts | change).encode()) for change in changes]
    for name, content in wrong:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataCorrupt, match="cannot read"):
            load_student(tmp_path)
        (tmp_path / name).write_bytes(good[name])
    arrays = dict(np.load(tmp_path / "student.npz"))
    for name, value in (("click.hidden", arrays["click.hidden"][:-1]), ("click.bias", arrays["click.bias"] * np.nan)):
        np.savez(tmp_path / "student.npz", **(arrays | {name: value}))
        with pytest.raises(DataCorrupt, match="network"):
            load_student(tmp_path)
    np.savez(tmp_path / "student.npz", allow_pickle=True, **(arrays | {"click.bias": np.array([None], object)}))
    with pytest.raises(DataCorrupt, match="cannot read"):
        load_student(tmp_path)


def test_wrong_settings_and_wrong_sessions(tmp_path: Path) -> None:
    few = logged()[0][:3]
    for settings, words in (({}, "from = None"), ({"form": "x"}, "did you mean 'from'"), ({"from": 3}, "from = 3")):
        with pytest.raises(RecoWorldError, match=words):
            build(MINI, SPLIT, settings)
    replace(student(), dataset="other").save(tmp_path)
    with pytest.raises(ConfigError, match="fitted on users of 'other'"):
        build(MINI, SPLIT, {"from": tmp_path})
    mute = replace(few[1], turns=tuple(replace(turn, mindset=None) for turn in few[1].turns))
    short = replace(few[1], turns=tuple(replace(turn, **{name: getattr(turn, name)[:3] for name in SLOTS}) for turn in few[1].turns))
    for sessions, words in (
        ([], "got no sessions"),
        ([few[0], replace(few[1], dataset="other")], "session 1 is of user 1 of 'other'"),
        ([few[0], short], "slates of another length"),
        ([few[0], mute], "mindset of session 1 after 1 turns"),
    ):
        with pytest.raises(ConfigError, match=words):
            distil(MINI, SPLIT, sessions, seed=0, cached=cached_arrays)
