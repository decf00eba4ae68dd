"""Calibration: known coefficients are found again in a log that was simulated with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.errors import ConfigError
from recoworld.impressions import Impressions
from recoworld.simulators.behavioral import BehavioralSimulator
from recoworld.simulators.calibration import Calibration, calibrate, replay
from recoworld.simulators.config import BehavioralConfig
from recoworld.testing.simulators import check_same, random_slates

TRUE = {
    "click_base": -3.2,
    "click_attraction": 3.0,
    "effort": 0.15,
    "like_base": -2.0,
    "comment_base": -4.0,
    "share_base": -4.5,
    "watch_base": 0.35,
    "leave_base": -2.0,
}
TOLERANCE = {
    "click_base": 0.15,
    "click_attraction": 0.25,
    "effort": 0.025,
    "like_base": 0.2,
    "comment_base": 0.5,
    "share_base": 0.6,
    "watch_base": 0.02,
    "leave_base": 0.25,
}
"""About three standard errors at 16,000 slates of ten."""


def simulated(coefficients: dict[str, float], *, sessions: int = 20, seed: int = 0) -> Impressions:
    """First slates, at random, of all users of `mini`, so many sessions each; nobody can speak, as in a real log."""
    world = make_world(dataset="mini", users="all", simulator_config={"talkative": 0.0, **coefficients})
    users = np.tile(np.arange(len(world.dataset.users)), sessions)
    world.reset(users, np.arange(len(users)) + seed * 10**6)
    slates = random_slates(world, len(users), 1, seed=seed)[0]
    met = np.take_along_axis(world.state.history.exposures, slates, axis=1)
    return replace(Impressions.from_turns([(users, world.step(slates))]), met=met)


@pytest.fixture(scope="module")
def simulator() -> BehavioralSimulator:
    found: BehavioralSimulator = make_world(dataset="mini").simulator  # type: ignore[assignment]  # the default one
    return found


@pytest.fixture(scope="module")
def log() -> Impressions:
    return simulated(TRUE)


@pytest.fixture(scope="module")
def fitted(simulator: BehavioralSimulator, log: Impressions) -> Calibration:
    return calibrate(simulator, log)


@pytest.mark.parametrize("name", TRUE)
def test_known_coefficients_are_found_again(fitted: Calibration, name: str) -> None:
    assert getattr(fitted.config, name) == pytest.approx(TRUE[name], abs=TOLERANCE[name])
    assert abs(getattr(BehavioralConfig(), name) - TRUE[name]) > TOLERANCE[name]  # where it started from was further away


def test_nothing_else_changes(fitted: Calibration) -> None:
    assert fitted.config.model_dump(exclude=set(TRUE)) == BehavioralConfig().model_dump(exclude=set(TRUE))


def test_rates_on_held_out_users_match(fitted: Calibration) -> None:
    """Within five standard errors of the held-out log, and closer than before where it was far off."""
    n = fitted.held_out_slates
    clicks = n * sum(fitted.observed[f"click rate, slot {j}"] for j in range(1, 11))
    for name, rate in fitted.observed.items():
        cases = n if name.startswith("click") or name == "leaving" else clicks
        error = 5 * np.sqrt(2 * max(rate * (1 - rate), 0.003) / cases)
        assert abs(fitted.after[name] - rate) < error, name
    for name in ("click rate, slot 1", "click rate, slot 10", "likes per click", "share watched"):
        assert abs(fitted.after[name] - fitted.observed[name]) < 0.5 * abs(fitted.before[name] - fitted.observed[name]), name


def test_a_log_of_the_default_rates_leaves_the_defaults(simulator: BehavioralSimulator) -> None:
    found = calibrate(simulator, simulated({}, seed=1)).config
    for name, tolerance in TOLERANCE.items():
        assert getattr(found, name) == pytest.approx(getattr(BehavioralConfig(), name), abs=1.5 * tolerance), name


def test_users_are_fitted_on_or_held_out(simulator: BehavioralSimulator, log: Impressions) -> None:
    """Whatever the held-out users did, the fit is the same; the same seed holds out the same."""
    users = np.unique(log.users)
    held = np.random.Generator(np.random.PCG64(3)).permutation(users)[: round(0.2 * len(users))]
    other = replace(log, left=np.where(np.isin(log.users, held), ~log.left, log.left))
    one, two = (calibrate(simulator, given, seed=3, most=2000) for given in (log, other))
    assert one.config == two.config
    assert one.observed["leaving"] == pytest.approx(1 - two.observed["leaving"])
    assert one.fitted_slates == 2000
    assert calibrate(simulator, log, seed=4, most=2000).config != one.config


def test_what_was_not_logged_stays(simulator: BehavioralSimulator, log: Impressions) -> None:
    found = calibrate(simulator, Impressions(users=log.users, slates=log.slates, clicked=log.clicked), most=3000)
    assert set(found.observed) == set(found.after) == {f"click rate, slot {j}" for j in range(1, 11)}
    changed = {name for name, value in found.config.model_dump().items() if value != getattr(BehavioralConfig(), name)}
    assert changed == {"click_base", "click_attraction", "effort"}


def test_clicks_against_attraction_end_at_no_weight(simulator: BehavioralSimulator, log: Impressions) -> None:
    """A config that could not be built is never proposed."""
    attraction = simulator.taste.at(log.users, log.slates)[0]
    contrary = (attraction <= np.quantile(attraction, 0.1)) & (np.arange(10) < 5)
    found = calibrate(simulator, Impressions(users=log.users, slates=log.slates, clicked=contrary), most=3000)
    assert found.config.click_attraction == 0
    assert BehavioralConfig.of(found.config.model_dump()) == found.config


def test_one_slot_tells_nothing_of_effort(simulator: BehavioralSimulator, log: Impressions) -> None:
    narrow = Impressions(users=log.users, slates=log.slates[:, :1], clicked=log.clicked[:, :1])
    found = calibrate(simulator, narrow)
    assert found.config.effort == BehavioralConfig().effort
    assert found.config.click_base == pytest.approx(TRUE["click_base"], abs=0.4)


def test_single_items_from_all_over_the_page_tell_of_effort(simulator: BehavioralSimulator, log: Impressions) -> None:
    """Each item of the same slates for itself: only `first_slot` says where it stood."""
    m, k = log.slates.shape
    single: dict[str, Any] = {name: getattr(log, name).reshape(-1, 1) for name in ("slates", "clicked", "met")}
    apart = Impressions(users=np.repeat(log.users, k), first_slot=np.tile(np.arange(k), m), **single)
    found = calibrate(simulator, apart, most=60_000)
    for name in ("effort", "click_base", "click_attraction"):
        assert getattr(found.config, name) == pytest.approx(TRUE[name], abs=1.5 * TOLERANCE[name]), name  # of half as many items
    assert found.after["click rate, slot 1"] == pytest.approx(found.observed["click rate, slot 1"], abs=0.01)
    assert calibrate(simulator, replace(apart, first_slot=None), most=5000).config.effort == BehavioralConfig().effort


def test_the_lower_half_of_a_page_is_replayed_as_such(simulator: BehavioralSimulator, log: Impressions) -> None:
    half_page: dict[str, Any] = {name: getattr(log, name)[:, 5:] for name in ("slates", "clicked", "met")}
    lower = Impressions(users=log.users, first_slot=np.full(len(log.users), 5), **half_page)
    whole, half, top = (replay(simulator, shown)[0].clicked for shown in (log, lower, replace(lower, first_slot=None)))
    assert half.mean(axis=0) == pytest.approx(whole[:, 5:].mean(axis=0), abs=4 * np.sqrt(2 * 0.05 / len(half)))
    assert top.mean() > 1.2 * half.mean()


def test_likes_that_never_happened_leave_a_finite_base(simulator: BehavioralSimulator, log: Impressions) -> None:
    found = calibrate(simulator, replace(log, liked=np.zeros_like(log.liked)), most=2000)
    assert -30 < found.config.like_base < -6
    assert found.observed["likes per click"] == 0


def test_replays_are_reproducible_and_do_not_depend_on_the_chunk(simulator: BehavioralSimulator, log: Impressions) -> None:
    whole, levels = replay(simulator, log.take(np.arange(1500)), seed=1)
    part, first = replay(simulator, log.take(np.arange(700)), seed=1)
    check_same(part, whole.take(np.arange(700)))
    np.testing.assert_array_equal(first, levels[:700])


def test_the_table_prints(fitted: Calibration) -> None:
    lines = str(fitted).splitlines()
    assert len(lines) == 1 + len(fitted.observed) == 1 + 10 + 3 + 1 + 1
    assert lines[0].split() == ["held-out", "users", "log", "before", "after"]
    assert "likes per click" in str(fitted)


def test_rates_are_counted_right() -> None:
    clicked = np.array([[True, False], [True, True]])
    made = Impressions(
        users=np.array([0, 1]),
        slates=np.array([[0, 1], [1, 0]]),
        clicked=clicked,
        liked=np.array([[True, False], [False, False]]),
        watch=np.array([[50, 0], [20, 25]], np.float32),
        left=np.array([True, False]),
    )
    shares = {"likes per click": 1 / 3, "share watched": (0.5 + 0.5 + 0.25) / 3, "leaving": 0.5}
    assert made.rates(np.array([100, 40], np.float32)) == pytest.approx(
        {"click rate, slot 1": 1.0, "click rate, slot 2": 0.5, **shares}
    )


GOOD: dict[str, Any] = {
    "users": np.array([0, 1]),
    "slates": np.array([[0, 1], [1, 2]]),
    "clicked": np.array([[True, False], [False, False]]),
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slates": np.array([0, 1])}, r"expected \[m, k\]"),
        ({"slates": np.zeros((0, 2), int)}, "at least one slate"),
        ({"users": np.array([0])}, "users is"),
        ({"users": np.array([0.0, 1.0])}, "users is float64"),
        ({"clicked": np.ones((2, 2))}, "clicked is float64"),
        ({"liked": np.array([[False, True], [False, False]])}, "liked is given for items without a click"),
        ({"watch": np.array([[np.nan, 0], [0, 0]], np.float32)}, "watch"),
        ({"watch": np.array([[-1, 0], [0, 0]], np.float32)}, "watch"),
        ({"left": np.array([[True], [False]])}, "left is"),
    ],
)
def test_broken_impressions_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Impressions(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"users": np.array([0, 10**6])}, "users hold"),
        ({"slates": np.array([[0, -1], [1, 2]])}, "slates hold -1"),
        ({"users": np.array([1, 1])}, "one user"),
        ({"clicked": np.zeros((2, 2), bool)}, "expected a log with clicks"),
    ],
)
def test_logs_that_cannot_be_fitted_are_refused(simulator: BehavioralSimulator, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        calibrate(simulator, Impressions(**{**GOOD, **changes}))


def test_wrong_settings_and_joins_are_refused(simulator: BehavioralSimulator, log: Impressions) -> None:
    with pytest.raises(ConfigError, match="held_out"):
        calibrate(simulator, log, held_out=1.0)
    with pytest.raises(ConfigError, match="one length"):
        Impressions.joined([])
    with pytest.raises(ConfigError, match="one length"):
        Impressions.joined([log, Impressions(users=log.users, slates=log.slates[:, :3], clicked=log.clicked[:, :3])])
