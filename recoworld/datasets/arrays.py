"""A `Dataset` as plain named arrays and back, and the pieces that every loader assembles it from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.datasets.cache import Arrays, cached_arrays
from recoworld.impressions import Impressions
from recoworld.users import Dataset, Interactions, Users

_CATALOG = ("ids", "titles", "genres", "years", "popularity", "texts", "people", "durations")
_NAMES = ("genre_names", "people_names")
_USERS = ("ids", "features", "descriptions")
_LOG = ("indptr", "items", "ratings", "times")
_SHOWN = tuple(field.name for field in fields(Impressions))


def pack(dataset: Dataset) -> Arrays:
    """The data set as arrays of numbers and strings, none of them objects."""
    catalog = dataset.catalog
    arrays = {f"catalog.{field}": getattr(catalog, field) for field in _CATALOG}
    arrays |= {f"catalog.{field}": np.array(getattr(catalog, field), dtype=np.str_) for field in _NAMES}
    arrays |= {f"users.{field}": getattr(dataset.users, field) for field in _USERS}
    arrays |= {f"log.{field}": getattr(dataset.interactions, field) for field in _LOG}
    if dataset.impressions is not None:
        shown = {f"impressions.{field}": getattr(dataset.impressions, field) for field in _SHOWN}
        arrays |= {name: array for name, array in shown.items() if array is not None}
    if dataset.random_ratings is not None:
        arrays |= {f"random_ratings.{field}": getattr(dataset.random_ratings, field) for field in _LOG}
    return arrays | {
        "users.feature_names": np.array(dataset.users.feature_names, dtype=np.str_),
        "names": np.array([dataset.name, catalog.name, dataset.source]),
        "scale": np.array([*dataset.rating_scale, dataset.like_threshold, dataset.explicit], dtype=np.float64),
    }


def unpack(arrays: Arrays) -> Dataset:
    """The data set that was packed, also by versions that knew no impressions. Raises KeyError or ConfigError for other arrays."""
    name, catalog_name, source = (str(value) for value in arrays["names"])
    low, high, like_threshold, explicit = (float(value) for value in arrays["scale"])
    columns: dict[str, Any] = {field: arrays[f"catalog.{field}"] for field in _CATALOG}
    columns |= {field: tuple(arrays[f"catalog.{field}"].tolist()) for field in _NAMES}
    shown = {field: arrays[f"impressions.{field}"] for field in _SHOWN if f"impressions.{field}" in arrays}
    drawn = {field: arrays[f"random_ratings.{field}"] for field in _LOG if f"random_ratings.{field}" in arrays}
    return Dataset(
        name=name,
        catalog=Catalog(name=catalog_name, **columns),
        users=Users(**{field: arrays[f"users.{field}"] for field in _USERS}, feature_names=tuple(arrays["users.feature_names"].tolist())),
        interactions=Interactions(**{field: arrays[f"log.{field}"] for field in _LOG}),
        explicit=bool(explicit),
        rating_scale=(low, high),
        like_threshold=like_threshold,
        source=source,
        impressions=Impressions(**shown) if shown else None,
        random_ratings=Interactions(**drawn) if drawn else None,
    )


def cached_dataset(key: str, build: Callable[[], Dataset], *, cache_dir: str | Path | None = None) -> Dataset:
    """The data set of `build()`, kept in the cache under `key` (see `cached_arrays`)."""
    return unpack(cached_arrays(key, lambda: pack(build()), cache_dir=cache_dir))


def by_user(
    users: NDArray[Any], items: NDArray[Any], ratings: NDArray[Any] | None, times: NDArray[Any] | None, *, n_users: int
) -> Interactions:
    """The log ``[n]`` of user and item indices, sorted by user, then time, then position."""
    when = np.arange(len(users)) if times is None else times
    order = np.lexsort((when, users))  # stable: ties stay in the order of the file
    return Interactions(
        indptr=np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))]).astype(np.int64),
        items=items[order].astype(np.int32),
        ratings=(np.ones(len(users)) if ratings is None else ratings[order]).astype(np.float32),
        times=when[order].astype(np.int64),
    )


def with_popularity(catalog: Catalog, log: Interactions) -> Catalog:
    """The catalogue with the items' counts in this log as their popularity."""
    return replace(catalog, popularity=np.bincount(log.items, minlength=len(catalog)).astype(np.float32))


def unknown_users(ids: list[str]) -> Users:
    """Users of whom nothing is known but their ids."""
    n = len(ids)
    return Users(
        ids=np.array(ids, dtype=np.str_),
        features=np.zeros((n, 1), dtype=np.float32),
        feature_names=("(nothing known)",),
        descriptions=np.zeros(n, dtype="<U1"),
    )


def split_names(values: list[str], *, spaced: bool = False) -> list[tuple[str, ...]]:
    """Genres written in one cell each, e.g. ``"Rock; Pop"``, ``"Drama|War"`` or ``"['a', 'b']"``.

    The separator is the first of ``; | ,`` that occurs in 2 % of the cells that hold anything, else a space if `spaced`, else
    none.
    """
    filled = [value for value in values if value]
    separator = next((s for s in ";|," if sum(s in value for value in filled) > 0.02 * len(filled)), " " if spaced else None)
    cells = (value.strip("[]").split(separator) if separator else [value] for value in values)
    return [tuple(name for name in (part.strip(" \t'\"") for part in cell) if name) for cell in cells]


def commonest(genres: list[tuple[str, ...]], limit: int = 256) -> list[tuple[str, ...]]:
    """The genres of each item, less those that are not among the `limit` commonest: every genre is a column of all features."""
    counts = Counter(name for item in genres for name in item)
    kept = {name for name, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]}
    return [tuple(name for name in item if name in kept) for item in genres]


def seconds(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Epoch times as whole seconds: milli-, micro- and nanoseconds are told by their size."""
    if not len(times):
        return times.astype(np.int64)
    typical = float(np.median(np.abs(times)))
    unit = next(unit for limit, unit in ((1e11, 1), (1e14, 1e3), (1e17, 1e6), (np.inf, 1e9)) if typical < limit or limit == np.inf)
    return np.floor(np.clip(times / unit, -(2.0**62), 2.0**62)).astype(np.int64)
