"""Kendall's tau-b, by hand and against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recoworld.errors import ConfigError
from recoworld.evaluation.agreement import kendall_tau, kendall_tau_rows, tau_interval


@pytest.mark.parametrize(
    ("a", "b", "tau"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 2, 4, 3], 4 / 6),  # five pairs agree, one does not
        ([1, 2, 3], [2, 1, 3], 1 / 3),
        ([1, 1, 2], [1, 2, 3], 2 / math.sqrt(2 * 3)),  # a has one pair level: two agree
        ([1, 1, 2, 2], [1, 2, 1, 2], 0.0),
        ([1, 1, 2, 3], [1, 1, 2, 2], 4 / math.sqrt(5 * 4)),
        ([12, 2, 1, 12, 2], [1, 4, 7, 1, 0], -0.4714045207910317),  # the example in SciPy's documentation
        ([-math.inf, -math.inf, 0], [0, 1, 2], 2 / math.sqrt(2 * 3)),
    ],
)
def test_tau_by_hand(a: list[float], b: list[float], tau: float) -> None:
    assert kendall_tau(a, b) == pytest.approx(tau, abs=1e-12)
    assert kendall_tau(b, a) == pytest.approx(tau, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, math.nan, 3], [1, 2, 3])])
def test_tau_of_nothing_is_nan(a: list[float], b: list[float]) -> None:
    assert math.isnan(kendall_tau(a, b))


def test_rows_are_single_taus() -> None:
    generator = np.random.Generator(np.random.PCG64(3))
    a, b = generator.integers(0, 6, size=(2, 300, 9)).astype(np.float64)  # ties abound
    np.testing.assert_allclose(kendall_tau_rows(a, b), [kendall_tau(x, y) for x, y in zip(a, b, strict=True)], atol=1e-12)
    stats = pytest.importorskip("scipy.stats")
    np.testing.assert_allclose(kendall_tau_rows(a, b), [stats.kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)], atol=1e-12)


def test_more_rows_than_fit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.random.Generator(np.random.PCG64(0)).normal(size=(2, 50, 5))
    whole = kendall_tau_rows(a, b)
    monkeypatch.setattr("recoworld.evaluation.agreement._CELLS", 30)
    np.testing.assert_array_equal(kendall_tau_rows(a, b), whole)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"\(3,\) and \(2,\)"):
        kendall_tau([1, 2, 3], [1, 2])
    with pytest.raises(ConfigError, match="expected"):
        kendall_tau_rows(np.zeros((2, 3)), np.zeros((3, 3)))


def test_the_interval_of_a_tau_by_hand() -> None:
    found = tau_interval(0.6, np.array([0.4, 0.5, 0.6, math.nan]))  # standard deviation 0.1
    assert (found.mean, found.low, found.high) == (0.6, pytest.approx(0.6 - 0.196), pytest.approx(0.6 + 0.196))
    assert tau_interval(0.9, np.array([0.2, 0.9])).high == 1
    assert tau_interval(-0.9, np.array([-0.2, -0.9])).low == -1
    assert math.isnan(tau_interval(0.5, np.array([math.nan, 0.5])).low)
    assert math.isnan(tau_interval(math.nan, np.array([0.1, 0.5])).high)
