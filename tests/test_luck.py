"""The random numbers: against the published generator, and uniform and independent as they claim to be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from recoworld.luck import Luck, combine, exponential, gumbel, logistic

SPLITMIX = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
"""The first outputs of splitmix64 for the seed 1234567, as published with the reference implementation (Vigna 2015; Rosetta Code)."""
M = 2**64 - 1


def mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
    return z ^ (z >> 31)


def splitmix(state: int, n: int) -> list[int]:
    """The reference, written out with Python's integers."""
    return [mix((state + (i + 1) * 0x9E3779B97F4A7C15) & M) for i in range(n)]


def chi_square(counts: np.ndarray) -> float:
    """Standardised: about normal (0, 1) for uniform counts."""
    expected = counts.sum() / counts.size
    freedom = counts.size - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


def test_the_reference_is_the_published_one() -> None:
    assert splitmix(1234567, 5) == SPLITMIX


@pytest.mark.parametrize("key", [0, 1234567, M])
@pytest.mark.parametrize("stream", [0, 5])
def test_bits_are_splitmix64(key: int, stream: int) -> None:
    luck = Luck(np.array([key, 99], np.uint64))
    state = key ^ splitmix(0, stream + 1)[stream]  # a stream's number is turned into a key by the same generator
    assert luck.bits(5, stream)[0].tolist() == splitmix(state, 5)


def test_a_key_is_made_of_all_its_parts() -> None:
    state = 7
    for part in (8, 9):
        state = mix((state + 0x9E3779B97F4A7C15) & M) ^ part
    assert combine(7, 8, 9).tolist() == [mix((state + 0x9E3779B97F4A7C15) & M)]
    assert combine(-1, np.array([0, 1])).shape == (2,)
    keys = np.concatenate([combine(a, np.arange(50), b) for a, b in itertools.product(range(50), range(50))])
    assert len(set(keys.tolist())) == 50**3


def test_uniform_numbers_are_24_bits_of_a_half_word() -> None:
    words = splitmix(1234567 ^ splitmix(0, 1)[0], 3)
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    expected = [np.float32(min((half >> 8) * 2.0**-24 + 2.0**-25, 1 - 2.0**-24)) for half in halves]
    np.testing.assert_allclose(Luck(np.array([1234567], np.uint64)).uniform(6)[0], expected, rtol=0, atol=2.0**-24)


@pytest.mark.parametrize("width", [1, 2, 7, 100])
def test_uniform_numbers_are_uniform(width: int) -> None:
    u = Luck(combine(3, np.arange(400_000 // width))).uniform(width, stream=2)
    assert u.dtype == np.float32
    assert u.min() > 0
    assert u.max() < 1
    assert abs(chi_square(np.histogram(u, 256, (0, 1))[0])) < 5
    assert u.mean() == pytest.approx(0.5, abs=5 / np.sqrt(12 * u.size))
    assert u.var() == pytest.approx(1 / 12, abs=5 / np.sqrt(180 * u.size))


def test_no_draw_is_0_or_1_so_that_all_noise_is_finite() -> None:
    u = Luck(combine(0, np.arange(3_000_000))).uniform(2)
    assert 0 < u.min() < 1e-6
    assert 1 - 1e-6 < u.max() < 1
    edges = np.array([2.0**-25, 1 - 2.0**-24], np.float32)  # the least and the greatest there are
    for noise in (logistic, exponential, gumbel):
        assert np.isfinite(noise(edges)).all()


@pytest.mark.parametrize("noise", [logistic, exponential, gumbel])
def test_noise_has_its_distribution(noise) -> None:
    u = Luck(combine(1, np.arange(200_000))).uniform(1)[:, 0]
    z = noise(u)
    cdf = {
        logistic: lambda x: 1 / (1 + np.exp(-x)),
        exponential: lambda x: 1 - np.exp(-x),
        gumbel: lambda x: np.exp(-np.exp(-x)),
    }[noise]
    at = np.linspace(-1.5, 3, 10) if noise is not exponential else np.linspace(0.1, 3, 10)
    empirical = (z[:, None] < at).mean(axis=0)
    np.testing.assert_allclose(empirical, cdf(at), atol=5 * 0.5 / np.sqrt(len(z)))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((0, 0, 0, 0), (0, 0, 0, 1)),  # neighbouring streams
        ((0, 0, 0, 1), (0, 0, 0, 2)),
        ((0, 0, 0, 0), (0, 0, 1, 0)),  # neighbouring turns
        ((0, 0, 0, 0), (0, 1, 0, 0)),  # neighbouring users
        ((0, 0, 0, 0), (1, 0, 0, 0)),  # neighbouring seeds
    ],
)
def test_streams_turns_users_and_seeds_are_independent(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    """Correlation, and a chi-square over the joint histogram, at every lag of up to 4 columns."""
    sessions = np.arange(20_000) * 3

    def drawn(seed: int, user: int, turn: int, stream: int) -> np.ndarray:
        return Luck(combine(seed, sessions + user, turn)).uniform(10, stream)

    a, b = drawn(*one), drawn(*two)
    for lag in range(5):
        x, y = a[:, : 10 - lag].ravel(), b[:, lag:].ravel()
        assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(x.size)
        assert abs(chi_square(np.histogram2d(x, y, 16, ((0, 1), (0, 1)))[0])) < 5


def test_columns_are_independent_of_each_other() -> None:
    u = Luck(combine(0, np.arange(50_000))).uniform(12)
    correlations = np.corrcoef(u.T)[np.triu_indices(12, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(len(u))


def test_a_row_depends_on_its_key_alone() -> None:
    keys = combine(5, np.arange(64))
    whole = Luck(keys)
    for rows in (np.array([13]), np.arange(7), np.random.default_rng(0).permutation(64)):
        part = Luck(keys[rows])
        for width in (1, 9, 10):
            np.testing.assert_array_equal(part.uniform(width, 3), whole.uniform(width, 3)[rows])
            np.testing.assert_array_equal(part.bits(width, 3), whole.bits(width, 3)[rows])
    np.testing.assert_array_equal(whole.uniform(4), whole.uniform(9)[:, :4])  # a longer draw begins like a shorter one


def test_drawing_changes_nothing() -> None:
    luck = Luck(combine(5, np.arange(8)))
    first = luck.uniform(6, 1).copy()
    luck.uniform(6, 2), luck.bits(3), luck.uniform(60, 1)
    np.testing.assert_array_equal(luck.uniform(6, 1), first)


def test_turns_drawn_together_are_the_turns_drawn_alone() -> None:
    keys = combine(np.arange(3)[:, None], np.arange(5)).reshape(3, 5)
    luck: Luck | None = Luck(keys)
    for turn in range(3):
        assert luck is not None
        np.testing.assert_array_equal(luck.keys, keys[turn])
        for stream in (0, 2):
            np.testing.assert_array_equal(luck.uniform(7, stream), Luck(keys[turn]).uniform(7, stream))
        np.testing.assert_array_equal(luck.bits(7, 1), Luck(keys[turn]).bits(7, 1))
        luck = luck.later()
    assert luck is None
    assert Luck(keys[0]).later() is None


def test_integers_are_uniform_and_in_range() -> None:
    drawn = Luck(combine(9, np.arange(20_000))).integers(37, 10, stream=4)
    assert drawn.dtype == np.int64
    assert drawn.min() == 0
    assert drawn.max() == 36
    assert abs(chi_square(np.bincount(drawn.ravel(), minlength=37))) < 5
