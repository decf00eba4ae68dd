"""Taste: the factorisations against normal equations solved by hand, what enters them, and how true they are of real people."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from recoworld.datasets import load_dataset
from recoworld.factors import ImplicitFactors, RatingFactors, solve_rows, transpose
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.taste import Taste, fit_taste, traits
from recoworld.users import Dataset, Split

MATRIX = np.array([[5, 0, 3, 0, 1], [0, 4, 0, 0, 2], [1, 1, 5, 4, 0], [0, 0, 0, 3, 0], [2, 0, 4, 5, 3]], np.float64)  # 0: nothing


def compressed(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(matrix)
    indptr = np.concatenate([[0], np.cumsum((matrix > 0).sum(axis=1))]).astype(np.int64)
    return indptr, columns.astype(np.int32), matrix[rows, columns].astype(np.float32)


def arrays(taste: Taste) -> dict[str, bytes | float | None]:
    values = {field.name: getattr(taste, field.name) for field in fields(taste)}
    return {name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in values.items()}


# the factorisations


def test_rows_are_solved_by_their_normal_equations() -> None:
    rng = np.random.default_rng(0)
    features, gram = rng.standard_normal((5, 3)), np.diag([0.3, 0.1, 0.2])
    indptr, columns, targets = compressed(MATRIX)
    ridge = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    got = solve_rows(features.astype(np.float32), indptr, columns, targets, ridge.astype(np.float32), gram.astype(np.float32))
    for u, row in enumerate(MATRIX):
        x = features[row > 0]
        expected = np.linalg.solve(x.T @ x + gram + ridge[u] * np.eye(3), x.T @ row[row > 0])
        np.testing.assert_allclose(got[u], expected, rtol=2e-4, atol=2e-5)


def test_an_empty_row_has_no_taste() -> None:
    indptr = np.array([0, 0, 2, 2], np.int64)
    got = solve_rows(np.ones((4, 2), np.float32), indptr, np.array([0, 1]), np.ones(2, np.float32), np.ones(3, np.float32))
    assert not got[[0, 2]].any()
    assert got[1].all()


def test_a_row_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((300, 8)).astype(np.float32)
    matrix = (rng.random((200, 300)) < rng.uniform(0.01, 0.5, (200, 1))).astype(float)
    indptr, columns, targets = compressed(matrix)
    ridge = np.full(200, 0.5, np.float32)
    whole = solve_rows(features, indptr, columns, targets, ridge)
    for u in (0, 17, 199):
        entries = slice(indptr[u], indptr[u + 1])
        alone = solve_rows(features, np.array([0, indptr[u + 1] - indptr[u]]), columns[entries], targets[entries], ridge[:1])
        np.testing.assert_allclose(alone[0], whole[u], rtol=1e-3, atol=1e-4)


def test_transposing_twice_changes_nothing() -> None:
    indptr, columns, values = compressed(MATRIX)
    there = transpose(indptr, columns, values, 5)
    dense = np.zeros((5, 5))
    dense[np.repeat(np.arange(5), np.diff(there[0])), there[1]] = there[2]
    np.testing.assert_array_equal(dense, MATRIX.T)
    for again, was in zip(transpose(*there, 5), (indptr, columns, values), strict=True):
        np.testing.assert_array_equal(again, was)


def test_implicit_factors_are_those_of_alternating_least_squares() -> None:
    """Three epochs in float64, with every normal equation written out over the whole matrix."""
    d, alpha, reg, epochs = 2, 0.3, 0.05, 3
    taken = (MATRIX > 0).astype(np.float64)
    start = np.random.Generator(np.random.PCG64(7)).standard_normal((5, d)) * 0.1 / np.sqrt(d)

    def half(fixed: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """``argmin_x sum_observed (1 - x.f)^2 + alpha sum_all (x.f)^2 + reg (n_observed + alpha n_all) |x|^2`` for each row."""
        out = []
        for row in observed:
            weight = row + alpha
            ridge = reg * (row.sum() + alpha * len(row))
            out.append(np.linalg.solve((fixed * weight[:, None]).T @ fixed + ridge * np.eye(d), fixed.T @ row))
        return np.array(out)

    items = start.astype(np.float32).astype(np.float64)
    for _ in range(epochs):
        users = half(items, taken)
        items = half(users, taken.T)
    indptr, columns, _ = compressed(MATRIX)
    model = ImplicitFactors.fit(indptr, columns, 5, d=d, alpha=alpha, reg=reg, epochs=epochs, seed=7)
    np.testing.assert_allclose(model.items, items, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(model.fold_in(indptr, columns), half(items, taken), rtol=2e-3, atol=2e-4)


def test_rating_factors_minimise_their_loss() -> None:
    """The last half-step leaves no gradient in items and biases; folding in leaves none in users."""
    indptr, columns, ratings = compressed(MATRIX)
    reg = 0.1
    model = RatingFactors.fit(indptr, columns, ratings, 5, d=2, reg=reg, epochs=4, seed=0)
    users = model.fold_in(indptr, columns, ratings).astype(np.float64)
    known = np.concatenate([model.items, np.ones((5, 1))], axis=1)
    for u, row in enumerate(MATRIX):
        observed = row > 0
        x, left = known[observed], row[observed] - model.mean - model.biases[observed]
        expected = np.linalg.solve(x.T @ x + reg * observed.sum() * np.eye(3), x.T @ left)
        np.testing.assert_allclose(users[u], expected, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(
        model.predict(users.astype(np.float32))[2, 3], users[2, :2] @ model.items[3] + users[2, 2] + model.biases[3] + model.mean, rtol=1e-4
    )


def test_more_epochs_fit_better() -> None:
    rng = np.random.default_rng(0)
    matrix = np.where(rng.random((60, 40)) < 0.4, rng.integers(1, 6, (60, 1)), 0).astype(float)
    indptr, columns, ratings = compressed(matrix)
    errors = []
    for epochs in (1, 6):
        model = RatingFactors.fit(indptr, columns, ratings, 40, d=3, reg=0.01, epochs=epochs, seed=0)
        errors.append(np.abs(model.predict(model.fold_in(indptr, columns, ratings))[matrix > 0] - matrix[matrix > 0]).mean())
    assert errors[1] < errors[0]
    assert errors[1] < 0.1


# what enters


@pytest.fixture(scope="module")
def mini() -> Dataset:
    return load_dataset("mini")


@pytest.fixture(scope="module")
def split(mini: Dataset) -> Split:
    return mini.split(seed=0)


def held_out(dataset: Dataset, split: Split) -> np.ndarray:
    """Which interactions came after the visible part."""
    log = dataset.interactions
    return np.arange(len(log)) >= split.visible_end[log.users]


def forged(dataset: Dataset, where: np.ndarray) -> Dataset:
    """The same data set with other items, ratings and times in these places."""
    log, rng = dataset.interactions, np.random.default_rng(0)
    items, ratings, times = log.items.copy(), log.ratings.copy(), log.times.copy()
    items[where] = rng.integers(len(dataset.catalog), size=where.sum())
    ratings[where] = 6 - ratings[where]
    times[where] += 10**6
    return replace(dataset, interactions=replace(log, items=items, ratings=ratings, times=times))


@pytest.mark.parametrize("explicit", [True, False])
def test_nothing_held_out_enters_taste_from_the_visible_part(mini: Dataset, split: Split, explicit: bool) -> None:
    """Whatever anyone did later, training users included, the taste is the same, bit for bit."""
    dataset = replace(mini, explicit=explicit)
    config = BehavioralConfig(epochs=2)
    true, other = (fit_taste(*given.known(split), config) for given in (dataset, forged(dataset, held_out(mini, split))))
    assert arrays(true) == arrays(other)


def test_the_plant_would_be_seen(mini: Dataset, split: Split) -> None:
    """The same forgery changes a taste from all that people did, and one visible rating changes the other."""
    config, later = BehavioralConfig(epochs=2), held_out(mini, split)
    assert arrays(fit_taste(mini, split, config)) != arrays(fit_taste(forged(mini, later), split, config))
    one = np.zeros(len(later), bool)
    one[mini.interactions.indptr[split.train[0]]] = True
    true, other = (fit_taste(*given.known(split), config) for given in (mini, forged(mini, one)))
    assert arrays(true) != arrays(other)


def test_item_factors_are_of_training_users_alone(mini: Dataset, split: Split) -> None:
    """What the others did changes their own taste, and nobody else's."""
    others = ~np.isin(mini.interactions.users, split.train)
    config = BehavioralConfig(epochs=2)
    true, forgery = (fit_taste(given, split, config) for given in (mini, forged(mini, others)))
    np.testing.assert_array_equal(true.items, forgery.items)
    np.testing.assert_array_equal(true.rated, forgery.rated)
    np.testing.assert_allclose(true.users[split.train], forgery.users[split.train], atol=1e-4)
    assert np.abs(true.users[split.test] - forgery.users[split.test]).max() > 0.01


def test_what_is_cached_is_what_was_fitted(mini: Dataset, split: Split) -> None:
    kept: dict[str, dict[str, np.ndarray]] = {}

    def cached(key: str, build):
        if key not in kept:
            kept[key] = build()
        return kept[key]

    config = BehavioralConfig(epochs=1)
    first, again, without = (fit_taste(mini, split, config, cached=keep) for keep in (cached, cached, None))
    assert arrays(first) == arrays(again) == arrays(without)
    fit_taste(*mini.known(split), config, cached=cached)
    fit_taste(mini, split, BehavioralConfig(epochs=1, interest_alpha=0.2), cached=cached)
    fit_taste(mini, split, BehavioralConfig(epochs=1, click_base=-9.0), cached=cached)  # not of the taste: the same key
    assert len(kept) == 3


def test_tables_hold_what_factors_say(mini: Dataset, split: Split) -> None:
    taste = fit_taste(mini, split, BehavioralConfig(epochs=1))
    bare = replace(taste, attraction=None, stars=None)
    users, items = np.array([3, 500, 999]), np.array([[0, 5], [800, 1], [7, 7]])
    for with_table, without in zip(taste.at(users, items) + taste.of(users), bare.at(users, items) + bare.of(users), strict=True):
        np.testing.assert_allclose(with_table, without, atol=1e-4)
    assert taste.attraction is not None
    top = np.sort(taste.attraction**2, axis=1)[:, -50:].mean(axis=1)  # squared: attraction is a root of the score
    np.testing.assert_allclose(np.median(top), 1.0, atol=0.05)


def test_a_data_set_without_ratings_has_stars_from_attraction(mini: Dataset, split: Split) -> None:
    taste = fit_taste(replace(mini, explicit=False), split, BehavioralConfig(epochs=1))
    attraction, stars = taste.of(np.arange(20))
    assert stars.min() >= 1
    assert stars.max() <= 5
    assert np.corrcoef(attraction.ravel(), stars.ravel())[0, 1] > 0.9


def test_the_noise_is_that_of_ratings_not_seen(mini: Dataset, split: Split) -> None:
    """Ratings with a known noise around what users and items alone say: it is found, and what was folded in would look smaller."""
    log, rng = mini.interactions, np.random.default_rng(0)
    exact = 3 + 0.5 * rng.standard_normal(len(mini.users))[log.users] + 0.5 * rng.standard_normal(len(mini.catalog))[log.items]
    noisy = (exact + 0.3 * rng.standard_normal(len(log))).astype(np.float32)
    kept = (noisy > 1) & (noisy < 5)  # expectations are clipped to the scale
    ratings = np.where(kept, noisy, np.clip(noisy, 1, 5)).astype(np.float32)
    taste = fit_taste(replace(mini, interactions=replace(log, ratings=ratings), rating_scale=(1.0, 5.0)), split, BehavioralConfig(epochs=8))
    assert 0.3 < taste.noise < 0.45


def test_traits_are_standard_normal_and_for_life() -> None:
    t = traits(50_000, 0)
    np.testing.assert_allclose(t.mean(axis=0), 0, atol=0.025)
    np.testing.assert_allclose(t.std(axis=0), 1, atol=0.025)
    assert np.abs(np.corrcoef(t.T)[np.triu_indices(4, 1)]).max() < 0.025
    np.testing.assert_array_equal(traits(100, 0), t[:100])
    assert (traits(100, 1) != t[:100]).any()

