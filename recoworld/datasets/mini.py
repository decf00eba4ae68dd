"""`mini`: 871 real films and 1,000 generated people, shipped with the package so that demos, tests and docs need no network.

Provenance: ``mini_films.tsv`` holds facts about films (title, year, genres, director and leading actors, names in plain ASCII);
the plot lines were written for RecoWorld. Released under CC0. The people and their ratings are generated: they describe nobody,
and results on them say nothing about real viewers.

How user `u` comes to choose and rate films `i`, where e, q, b are standard normal and x, d standard exponential:

    taste   T_ui = sum over part of weight * part, each part centred within the user and of spread 1:
              genre   <m_u A + 0.1 e_u, genres_i>, mixture m_u = softmax(1.6 e_u + 0.7 lean of the user's demographics) of `ARCHETYPES` A
              era     exp(-((year_i - Y_u) / 15)^2 / 2), Y_u = 2002 - 25 age_u + 16 e_u
              people  whether one of u's favourite people (about 8) took part
              latent  <z_u, z_i>, four dimensions that no feature shows; z_i = 0.6 from its people + 0.8 its own
    number  k_u  = clip(50 exp(0.6 e_u), 20, 160)
    choice  k_u films without replacement, P(i) proportional to exp(F_i + 0.5 q_i + 1.5 T_ui), by Gumbel top-k
              fame    F_i = 0.5 x_i + 0.25 log(films with its best known person) + 0.25 crowd genres + (year_i - 1980) / 60
    rating  r_ui = round(clip(3.71 + 0.4 b_u + 0.45 q_i + 0.45 T_ui + 0.5 e_ui - 0.85 d_ui, 1, 5))
    order   by uniform luck + 0.25 <mood_u, genres_i>, so that films alike tend to be met together and interest drifts

Constants are tuned so that the shares of 1 to 5 stars are near those of MovieLens-1M. Luck is counter-based and whatever decides
a choice is float64, so that the log is the same on every machine.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog, build_catalog
from recoworld.luck import Luck, combine
from recoworld.users import Dataset, Interactions, Users

N_USERS = 1000
SEED = 20250921
MAX_RATED = 160
GENDERS = {"woman": 0.47, "man": 0.50, "nonbinary": 0.03}
AGES = {"under 18": 0.06, "18-24": 0.20, "25-34": 0.32, "35-44": 0.20, "45-54": 0.12, "55 or older": 0.10}
OCCUPATIONS = ("student", "teacher", "programmer", "nurse", "engineer", "artist", "driver", "cook", "lawyer", "scientist", "retired")
ARCHETYPES: dict[str, tuple[str, ...]] = {
    "family": ("Animation", "Children's", "Fantasy", "Musical", "Adventure"),
    "thrills": ("Action", "Thriller", "Adventure", "Crime", "Sci-Fi"),
    "wonder": ("Sci-Fi", "Fantasy", "Adventure", "Mystery", "Animation"),
    "hearts": ("Romance", "Comedy", "Drama", "Musical"),
    "night": ("Horror", "Mystery", "Thriller", "Sci-Fi"),
    "shadows": ("Film-Noir", "Crime", "Mystery", "Western", "Thriller"),
    "witness": ("Documentary", "War", "Drama", "Western"),
    "laughter": ("Comedy", "Musical", "Crime", "Children's"),
}
CROWD = ("Action", "Adventure", "Comedy", "Sci-Fi")
"""Genres that draw a crowd."""
WEIGHTS = {"genre": 0.7, "era": 0.3, "people": 0.3, "latent": 0.58}

Floats = NDArray[np.float64]


def load(*, data_dir: str | None = None) -> Dataset:
    """The data set `mini`: the same, bit for bit, at every call. `data_dir` is not used: the data is in the package."""
    catalog = _read_films()
    users = _people()
    log = _log(catalog, users)
    counts = np.bincount(log.items, minlength=len(catalog))
    return Dataset(
        name="mini",
        catalog=replace(catalog, popularity=counts.astype(np.float32)),
        users=users,
        interactions=log,
        explicit=True,
        rating_scale=(1.0, 5.0),
        like_threshold=4.0,
        source="RecoWorld mini (CC0): facts about real films, plots in our own words; the people and their ratings are generated.",
    )


def _read_films() -> Catalog:
    text = (files("recoworld.datasets") / "mini_films.tsv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    return build_catalog(
        name="mini",
        ids=[str(i + 1) for i in range(len(rows))],
        titles=[row["title"] for row in rows],
        years=[int(row["year"]) for row in rows],
        genres=[tuple(row["genres"].split("|")) for row in rows],
        people=[tuple(row["people"].split("|")) for row in rows],
        texts=[row["plot"] for row in rows],
    )


def _people() -> Users:
    luck = _luck("people", N_USERS)
    draws = luck.uniform(3, stream=0)
    gender = np.searchsorted(np.cumsum(list(GENDERS.values()))[:-1], draws[:, 0])
    age = np.searchsorted(np.cumsum(list(AGES.values()))[:-1], draws[:, 1])
    work = (draws[:, 2] * (len(OCCUPATIONS) - 1)).astype(np.int64)
    work = np.where(age == 0, OCCUPATIONS.index("student"), np.where((age == 5) & (work < 5), OCCUPATIONS.index("retired"), work))
    genders, ages = list(GENDERS), list(AGES)
    return Users(
        ids=np.array([f"m{u + 1:04d}" for u in range(N_USERS)]),
        features=np.column_stack([np.eye(len(genders))[gender], age / (len(ages) - 1), np.eye(len(OCCUPATIONS))[work]]).astype(np.float32),
        feature_names=(*genders, "age", *OCCUPATIONS),
        descriptions=np.array([f"{genders[g]}, {ages[a]}, {OCCUPATIONS[w]}" for g, a, w in zip(gender, age, work, strict=True)]),
    )


def _log(catalog: Catalog, users: Users) -> Interactions:
    luck, films = _luck("log", len(users)), _luck("films", len(catalog))
    quality = _normal(films, 1, stream=0)[:, 0]
    taste = _taste(catalog, users)
    counts = np.clip(np.rint(50 * np.exp(0.6 * _normal(luck, 1, stream=0)[:, 0])), 20, MAX_RATED).astype(np.int64)

    gumbel = -np.log(_exponential(luck, len(catalog), stream=1))
    score = _fame(catalog, films) + 0.5 * quality + 1.5 * taste + gumbel
    best = np.argpartition(-score, MAX_RATED, axis=1)[:, :MAX_RATED]
    chosen = np.take_along_axis(best, np.argsort(-np.take_along_axis(score, best, axis=1), axis=1), axis=1)
    kept = np.arange(MAX_RATED) < counts[:, None]

    mood = _normal(luck, len(catalog.genre_names), stream=2) @ _genre_part(catalog).T
    when = luck.uniform(MAX_RATED, stream=3) + 0.25 * np.take_along_axis(mood, chosen, axis=1)
    order = np.argsort(np.where(kept, when, np.inf), axis=1, kind="stable")
    chosen = np.take_along_axis(chosen, order, axis=1)

    bias, match = _normal(luck, 1, stream=4), np.take_along_axis(taste, chosen, axis=1)
    noise = 0.5 * _normal(luck, MAX_RATED, stream=5) - 0.85 * _exponential(luck, MAX_RATED, stream=9)
    ratings = np.rint(np.clip(3.71 + 0.4 * bias + 0.45 * quality[chosen] + 0.45 * match + noise, 1, 5))

    # A rating takes a minute or two; every eighth or so opens another day.
    pause = np.where(luck.uniform(MAX_RATED, stream=6) < 0.12, 6 * 86_400.0, 90.0) * _exponential(luck, MAX_RATED, stream=7)
    start = 1_420_070_400 + luck.integers(6 * 365 * 86_400, 1, stream=8)
    times = start + np.cumsum(pause.astype(np.int64) + 1, axis=1)
    return Interactions(
        indptr=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        items=chosen[kept].astype(np.int32),
        ratings=ratings[kept].astype(np.float32),
        times=times[kept],
    )


def _taste(catalog: Catalog, users: Users) -> Floats:
    """How well each film suits each user ``[n_users, n_items]``, spread about 1."""
    luck, films, names = _luck("taste", len(users)), _luck("film taste", len(catalog)), _luck("names", len(catalog.people_names))
    archetypes = np.array([[genre in kind for genre in catalog.genre_names] for kind in ARCHETYPES.values()], dtype=np.float64)
    # Which group leans where is drawn by chance, so that no stereotype is written down here.
    lean = users.features @ _normal(_luck("lean", users.features.shape[1]), len(archetypes), stream=0)
    mixture = np.exp(1.6 * _normal(luck, len(archetypes), stream=0) + 0.7 * lean)
    wishes = mixture / mixture.sum(axis=1, keepdims=True) @ archetypes + 0.1 * _normal(luck, len(catalog.genre_names), stream=1)

    age = users.features[:, users.feature_names.index("age")].astype(np.float64)
    year = 2002 - 25 * age + 16 * _normal(luck, 1, stream=2)[:, 0]
    years, of_film = np.unique(catalog.years, return_inverse=True)
    era = np.exp(-0.5 * ((years - year[:, None]) / 15) ** 2)[:, of_film]

    cast = _cast(catalog)
    known = np.flatnonzero(cast.sum(axis=0) >= 3)
    favourites = (luck.uniform(len(known), stream=3) < 8 / len(known)).astype(np.float64)
    people = np.minimum(favourites @ cast[:, known].T, 1.0)

    of_people = cast @ _normal(names, 4, stream=0) / np.sqrt(cast.sum(axis=1, keepdims=True))
    latent = _normal(luck, 4, stream=4) @ (0.6 * of_people + 0.8 * _normal(films, 4, stream=0)).T

    parts = {"genre": wishes @ _genre_part(catalog).T, "era": era, "people": people, "latent": latent}
    return sum((WEIGHTS[name] * _spread(part) for name, part in parts.items()), np.zeros(era.shape))


def _fame(catalog: Catalog, films: Luck) -> Floats:
    """Log popularity ``[n_items]``: an exponential makes its tail heavy."""
    cast = _cast(catalog)
    star = np.log(np.max(cast * cast.sum(axis=0), axis=1))
    crowd = catalog.genres[:, [catalog.genre_names.index(genre) for genre in CROWD]].sum(axis=1)
    fame: Floats = 0.5 * _exponential(films, 1, stream=1)[:, 0] + 0.25 * star + 0.25 * crowd + (catalog.years - 1980) / 60
    return fame


def _cast(catalog: Catalog) -> Floats:
    """Who took part ``[n_items, n_people]``."""
    cast: Floats = np.zeros((len(catalog), len(catalog.people_names) + 1))
    np.put_along_axis(cast, catalog.people.astype(np.int64), 1.0, axis=1)  # -1, nobody, falls into the last column
    return cast[:, :-1]


def _genre_part(catalog: Catalog) -> Floats:
    """Genres as vectors of length 1 ``[n_items, n_genres]``."""
    vectors: Floats = catalog.genres / np.sqrt(catalog.genres.sum(axis=1, keepdims=True))
    return vectors


def _spread(part: Floats) -> Floats:
    """Centred within each user, of standard deviation 1 over all."""
    centred: Floats = part - part.mean(axis=1, keepdims=True)
    return centred / float(np.sqrt(np.vdot(centred, centred) / centred.size))


def _luck(what: str, n: int) -> Luck:
    """Luck of `n` things of one sort; another sort has other luck."""
    return Luck(combine(SEED, int.from_bytes(what.encode()[:7], "big"), np.arange(n)))


def _normal(luck: Luck, width: int, stream: int) -> Floats:
    """Standard normal ``[n, width]`` by Box and Muller, on streams apart from those of `Luck.uniform` here."""
    u = luck.uniform(2 * width, stream=100 + stream).astype(np.float64)
    normal: Floats = np.sqrt(-2 * np.log(u[:, :width])) * np.cos(2 * np.pi * u[:, width:])
    return normal


def _exponential(luck: Luck, width: int, stream: int) -> Floats:
    """Standard exponential ``[n, width]``; `Luck.exponential` is float32, whose last bit may differ between machines."""
    return -np.log(luck.uniform(width, stream).astype(np.float64))
