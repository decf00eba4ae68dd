"""`mini`: 871 real films and 1,000 generated people, shipped with the package so that demos, tests and docs need no network.

Provenance: ``mini_films.tsv`` holds facts about films (title, year, genres, director and leading actors, names in plain ASCII);
the plot lines were written for RecoWorld. Released under CC0. The people and their ratings are generated: they describe nobody,
and results on them say nothing about real viewers.

How user `u` with mixture ``m_u`` over archetypes, favourite years, favourite people and latent vector ``z_u`` comes to rate:

    taste    T_ui = genres + era + people + <z_u, z_i>     each part of unit spread times its weight in `WEIGHTS`
    number   k_u  = clip(50 exp(0.6 e_u), 20, 160)
    choice   k_u films without replacement, P(i) proportional to exp(fame_i + 0.7 q_i + 1.15 T_ui)     (Gumbel top-k)
    rating   r_ui = round(clip(3.09 + 0.38 b_u + 0.45 q_i + 0.42 T_ui + 0.78 e_ui, 1, 5))
    order    by luck and mood, where a user's mood for a genre comes and goes, so that alike films tend to be met together

with e, b, q standard normal. Fame is heavy-tailed, higher for recent films and for people with many films. The latent vectors
have four dimensions that no feature shows: part of a film's comes from its people. Counter-based luck and float64 make the log
the same on every machine.
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
OCCUPATIONS = ("student", "teacher", "programmer", "nurse", "engineer", "artist", "salesperson", "driver", "cook", "lawyer", "scientist", "retired")
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
WEIGHTS = {"genre": 0.62, "era": 0.30, "people": 0.30, "latent": 0.66}

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
        source="RecoWorld mini (CC0): facts about real films, plot lines written for RecoWorld; the users and their ratings are generated and describe nobody.",
    )


def _read_films() -> Catalog:
    with (files("recoworld.datasets") / "mini_films.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
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

    gumbel = -np.log(-np.log(luck.uniform(len(catalog), stream=1).astype(np.float64)))
    score = _fame(catalog, films) + 0.5 * quality + 1.5 * taste + gumbel
    best = np.argpartition(-score, MAX_RATED, axis=1)[:, :MAX_RATED]
    chosen = np.take_along_axis(best, np.argsort(-np.take_along_axis(score, best, axis=1), axis=1), axis=1)
    kept = np.arange(MAX_RATED) < counts[:, None]

    mood = _normal(luck, len(catalog.genre_names), stream=2) @ _genre_part(catalog).T
    when = luck.uniform(MAX_RATED, stream=3) + 0.25 * np.take_along_axis(mood, chosen, axis=1)
    order = np.argsort(np.where(kept, when, np.inf), axis=1, kind="stable")
    chosen = np.take_along_axis(chosen, order, axis=1)

    bias, match = _normal(luck, 1, stream=4), np.take_along_axis(taste, chosen, axis=1)
    noise = 0.75 * _normal(luck, MAX_RATED, stream=5) - 0.5 * luck.exponential(MAX_RATED, stream=9)
    ratings = np.rint(np.clip(3.25 + 0.38 * bias + 0.45 * quality[chosen] + 0.5 * match + noise, 1, 5))

    # A rating takes a minute or two; every eighth or so opens another day.
    pause = np.where(luck.uniform(MAX_RATED, stream=6) < 0.12, 6 * 86_400.0, 90.0) * -np.log(luck.uniform(MAX_RATED, stream=7).astype(np.float64))
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
    return 0.5 * films.exponential(1, stream=1)[:, 0].astype(np.float64) + 0.25 * star + 0.25 * crowd + (catalog.years - 1980) / 60


def _cast(catalog: Catalog) -> Floats:
    """Who took part ``[n_items, n_people]``."""
    cast = np.zeros((len(catalog), len(catalog.people_names) + 1))
    np.put_along_axis(cast, catalog.people.astype(np.int64), 1.0, axis=1)
    return cast[:, :-1]


def _genre_part(catalog: Catalog) -> Floats:
    """Genres as vectors of length 1 ``[n_items, n_genres]``."""
    return catalog.genres / np.sqrt(catalog.genres.sum(axis=1, keepdims=True))


def _spread(part: Floats) -> Floats:
    """Centred within each user, of standard deviation 1 over all."""
    centred = part - part.mean(axis=1, keepdims=True)
    return centred / np.sqrt(np.vdot(centred, centred) / centred.size)


def _luck(what: str, n: int) -> Luck:
    """Luck of `n` things of one sort; another sort has other luck."""
    return Luck(combine(SEED, int.from_bytes(what.encode()[:7], "big"), np.arange(n)))


def _normal(luck: Luck, width: int, stream: int) -> Floats:
    """Standard normal ``[n, width]`` by Box and Muller, on streams apart from those of `Luck.uniform` here."""
    u = luck.uniform(2 * width, stream=100 + stream).astype(np.float64)
    return np.sqrt(-2 * np.log(u[:, :width])) * np.cos(2 * np.pi * u[:, width:])
