"""The built-in data set: what is promised about its films, and that its generated people can be learned from."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from recoworld.datasets import mini
from recoworld.users import Dataset

ML_1M_SHARES = (5.6, 10.8, 26.1, 34.9, 22.6)
GENRES = {
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
}
GOLDEN = (57_426, 30_354_093, 205_673, 870_207_868_420, 5_884_798_067, 87_079_247_893_089)
Scores = NDArray[np.float64]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return mini.load()


def test_films_cover_genres_decades_and_people(data: Dataset) -> None:
    catalog = data.catalog
    assert len(catalog) == 871
    assert set(catalog.genre_names) == GENRES
    assert catalog.genres.sum(axis=0).min() >= 12
    assert set(catalog.eras.tolist()) == set(range(1920, 2030, 10))
    films_of = Counter(catalog.people[catalog.people >= 0].tolist())
    assert sum(count >= 3 for count in films_of.values()) >= 60
    assert len(set(zip(catalog.titles.tolist(), catalog.years.tolist(), strict=True))) == len(catalog)


def test_known_films_are_what_they_are(data: Dataset) -> None:
    catalog = data.catalog
    row = {(str(t), int(y)): i for i, (t, y) in enumerate(zip(catalog.titles, catalog.years, strict=True))}
    alien = row["Alien", 1979]
    assert catalog.label(alien) == "Alien (1979) [Horror, Sci-Fi, Thriller]"
    assert catalog.people_of(alien) == ("Ridley Scott", "Sigourney Weaver", "Tom Skerritt")
    assert "Sigourney Weaver" in catalog.people_of(row["Aliens", 1986])
    assert {("Toy Story", 1995), ("Toy Story 2", 1999), ("Toy Story 3", 2010)} <= row.keys()


def test_every_film_has_one_plain_line_of_plot(data: Dataset) -> None:
    for title, text in zip(data.catalog.titles.tolist(), data.catalog.texts.tolist(), strict=True):
        assert 8 <= len(text.split()) <= 20, title
        assert text.isprintable(), title
        assert '"' not in text, title


def test_users_are_described(data: Dataset) -> None:
    users = data.users
    assert len(users) == 1000
    assert users.features.min() == 0
    assert users.features.max() == 1
    assert all(len(text.split(", ")) == 3 for text in users.descriptions.tolist())
    demographics = dict(zip(users.feature_names, users.features[users.descriptions == "woman, 25-34, teacher"][0].tolist(), strict=True))
    assert {name for name, value in demographics.items() if value} == {"woman", "age", "teacher"}
    assert demographics["age"] == pytest.approx(2 / 5)


def test_how_much_people_rate_and_how_well(data: Dataset) -> None:
    counts = np.diff(data.interactions.indptr)
    assert counts.min() >= 20
    assert counts.max() <= 160
    assert 45 <= np.median(counts) <= 55
    shares = np.bincount(data.interactions.ratings.astype(np.int64), minlength=6)[1:] / len(data.interactions) * 100
    assert np.abs(shares - ML_1M_SHARES).max() < 3
    assert np.array_equal(data.catalog.popularity, np.bincount(data.interactions.items, minlength=len(data.catalog)))


def test_nobody_rates_a_film_twice_or_back_in_time(data: Dataset) -> None:
    log = data.interactions
    assert len(np.unique(log.users * len(data.catalog) + log.items)) == len(log)
    same_user = np.diff(log.users) == 0
    assert (np.diff(log.times)[same_user] >= 0).all()


def test_interest_drifts(data: Dataset) -> None:
    """Neighbours in time are more alike than the same user's films in random order."""
    log, features = data.interactions, data.catalog.features
    same_user = np.diff(log.users) == 0
    shuffled = log.items[np.lexsort((np.random.default_rng(0).random(len(log)), log.users))]
    in_time, at_random = ((features[x[1:]] * features[x[:-1]]).sum(axis=1)[same_user].mean() for x in (log.items, shuffled))
    assert at_random + 0.01 < in_time < at_random + 0.1


def test_loads_the_same_every_time_and_everywhere(data: Dataset) -> None:
    again = mini.load(data_dir="/not/used")
    for field in ("indptr", "items", "ratings", "times"):
        assert getattr(again.interactions, field).tobytes() == getattr(data.interactions, field).tobytes()
    assert again.users.features.tobytes() == data.users.features.tobytes()
    log, order = data.interactions, np.arange(1, len(data.interactions) + 1)
    assert (len(log), int(log.items.sum()), int(log.ratings.sum())) == GOLDEN[:3]
    assert (int((log.items * order).sum()), int((log.ratings.astype(np.int64) * order).sum()), int(log.times.sum())) == GOLDEN[3:]


def test_taste_can_be_learned(data: Dataset) -> None:
    """On the last fifth of every log, neighbours of items beat popularity by a quarter, and a little genre helps popularity."""
    log = data.interactions
    shown = np.arange(len(log)) < data.split().visible_end[log.users]
    seen, hidden = np.zeros((2, len(data.users), len(data.catalog)))
    seen[log.users[shown], log.items[shown]] = 1
    hidden[log.users[~shown], log.items[~shown]] = 1
    popularity = np.broadcast_to(seen.sum(axis=0), seen.shape)
    together = seen.T @ seen
    cosine = together / (np.sqrt(np.outer(np.diag(together), np.diag(together))) + 1)
    np.fill_diagonal(cosine, 0)
    strongest = np.where(cosine >= np.sort(cosine, axis=1)[:, -50:][:, :1], cosine, 0)
    content = seen @ data.catalog.features @ data.catalog.features.T / seen.sum(axis=1, keepdims=True)

    base = _ndcg(popularity, seen, hidden)
    assert _ndcg(seen @ strongest.T, seen, hidden) > 1.25 * base
    assert _ndcg(np.log1p(popularity) + 6 * content, seen, hidden) > 1.05 * base


def _ndcg(scores: Scores, seen: Scores, hidden: Scores, k: int = 10) -> float:
    """Mean NDCG@k of the unseen films with the highest scores."""
    top = np.argsort(-np.where(seen > 0, -np.inf, scores), axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(hidden.sum(axis=1), k).astype(np.int64) - 1]
    return float(((np.take_along_axis(hidden, top, axis=1) * discount).sum(axis=1) / ideal).mean())
