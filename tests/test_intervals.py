"""Bootstrap intervals against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from recoworld.errors import ConfigError
from recoworld.evaluation.intervals import resample


def half_width(values: np.ndarray, users: np.ndarray, below: np.ndarray | None = None) -> float:
    interval = resample(values, users, below, resamples=2000).interval()
    return (interval.high - interval.low) / 2


def test_the_mean_of_normal_numbers_has_an_interval_of_two_standard_errors() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, 2000)
    interval = resample(x, np.arange(2000), resamples=4000).interval()
    error = 1.96 * x.std() / np.sqrt(2000)
    assert interval.mean == pytest.approx(x.mean())
    assert interval.high - interval.mean == pytest.approx(error, rel=0.08)
    assert interval.mean - interval.low == pytest.approx(error, rel=0.08)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        person = rng.normal(0.0, 1.0, 60)
        sessions = np.repeat(person, 3) + rng.normal(0.0, 0.5, 180)
        interval = resample(sessions, np.repeat(np.arange(60), 3), seed=trial, resamples=400).interval()
        covered += interval.low <= 0 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


def test_sessions_of_one_user_are_one_witness() -> None:
    """Copies of a session tell nothing new: the interval stays; counted as users of their own they would narrow it by a half."""
    x = np.random.default_rng(2).normal(size=300)
    alone = half_width(x, np.arange(300))
    assert half_width(np.repeat(x, 4), np.repeat(np.arange(300), 4)) == pytest.approx(alone, rel=1e-9)
    assert half_width(np.repeat(x, 4), np.arange(1200)) == pytest.approx(alone / 2, rel=0.1)


def test_a_ratio_is_of_sums_not_a_mean_of_ratios() -> None:
    clicks, slots = np.array([1.0, 0.0, 9.0]), np.array([10.0, 10.0, 20.0])
    assert resample(clicks, np.arange(3), slots).interval().mean == pytest.approx(10 / 40)


def test_the_interval_of_a_ratio_is_that_of_the_delta_method() -> None:
    rng = np.random.default_rng(3)
    slots = rng.integers(10, 200, 3000).astype(float)
    clicks = rng.binomial(slots.astype(int), rng.beta(2, 8, 3000)).astype(float)
    rate = clicks.sum() / slots.sum()
    error = 1.96 * (clicks - rate * slots).std() / slots.mean() / np.sqrt(3000)
    assert half_width(clicks, np.arange(3000), slots) == pytest.approx(error, rel=0.08)


def test_a_paired_difference_is_sharper_than_two_intervals() -> None:
    rng = np.random.default_rng(4)
    person = rng.normal(0.0, 5.0, 500)
    users = np.arange(500)
    a, b = person + 0.3 + rng.normal(0.0, 0.5, 500), person + rng.normal(0.0, 0.5, 500)
    gap = (resample(a, users) - resample(b, users)).interval()
    assert gap.mean == pytest.approx((a - b).mean())
    assert (gap.high - gap.low) / 2 == pytest.approx(1.96 * (a - b).std() / np.sqrt(500), rel=0.1)
    assert gap.excludes_zero
    assert not resample(person, users).interval().excludes_zero


def test_the_order_of_sessions_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    x, users = rng.normal(size=50), np.repeat(np.arange(10), 5)
    order = rng.permutation(50)
    one, other = resample(x, users), resample(x[order], users[order])
    np.testing.assert_allclose(one.resampled, other.resampled, atol=1e-12)
    assert not np.array_equal(one.resampled, resample(x, users, seed=1).resampled)


def test_what_nobody_did_has_no_interval() -> None:
    nothing = resample(np.zeros(3), np.arange(3), np.zeros(3)).interval()
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
    alone = resample(np.array([1.0, 3.0]), np.array([7, 7])).interval()
    assert alone.mean == 2
    assert np.isnan([alone.low, alone.high]).all()
    assert not alone.excludes_zero


def test_differences_of_other_users_are_refused() -> None:
    with pytest.raises(ConfigError, match="same users"):
        resample(np.ones(3), np.arange(3)) - resample(np.ones(3), np.arange(1, 4))
    with pytest.raises(ConfigError, match="at least one session"):
        resample(np.ones(0), np.arange(0))
