"""A user's own log, from its table to a `Dataset`; `recoworld.datasets.logs` keeps it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog, build_catalog
from recoworld.datasets.arrays import by_user, commonest, split_names, unknown_users, with_popularity
from recoworld.datasets.files import bad_line
from recoworld.datasets.order import rows_in_time
from recoworld.datasets.tables import LONGEST_TITLE, Table, read_table
from recoworld.errors import ConfigError
from recoworld.users import Dataset


def read_log(
    path: str | Path,
    *,
    name: str,
    user: str,
    item: str,
    rating: str | None = None,
    time: str | None = None,
    title: str | None = None,
    genres: str | None = None,
    year: str | None = None,
    items: str | Path | None = None,
    like_threshold: float | None = None,
    encoding: str = "utf-8",
) -> Dataset:
    """The data set of a log, which is kept nowhere. Arguments, warnings and errors: see `recoworld.datasets.import_log`."""
    about = {"title": title, "genres": genres, "year": year}
    if items is not None and not any(about.values()):
        raise ConfigError("items= is given without title=, genres= or year=; say which of its columns to use")
    described = [column for column in about.values() if column]
    columns = [user, item, *(column for column in (rating, time) if column), *(described if items is None else [])]
    log = read_table(Path(path).expanduser(), list(dict.fromkeys(columns)), encoding=encoding)
    table = log if items is None else read_table(Path(items).expanduser(), list(dict.fromkeys([item, *described])), encoding=encoding)
    user_ids, item_ids = log.ids(user), log.ids(item)
    times = log.times(time) if time else None
    stars = _stars(log, rating)
    low, high = (1.0, 1.0) if stars is None else (float(stars.min()), float(stars.max()))
    if like_threshold is None:
        like_threshold = low + 0.7 * (high - low)
    elif stars is None or not low <= like_threshold <= high:
        got = "there are no ratings that differ" if stars is None else f"ratings reach from {low:g} to {high:g}"
        raise ConfigError(f"like_threshold is {like_threshold:g} and {got}; expected a rating")
    catalog = _catalog(name, table, item, item_ids, title, genres, year, unique=table is not log)
    index = {person: i for i, person in enumerate(dict.fromkeys(user_ids))}
    users, things = np.array([index[person] for person in user_ids]), np.array([catalog.index(thing) for thing in item_ids])
    if times is None:
        kept = rows_in_time(users, things, catalog.ids.tolist())
    else:
        kept = _last_of_each(users, things, times)
    if len(kept) < len(users):
        dropped = f"{len(users) - len(kept):,} of {len(users):,}"
        warnings.warn(f"{dropped} rows repeat user, item and time and were dropped; the last of each was kept", stacklevel=3)
    interactions = by_user(
        users[kept], things[kept], None if stars is None else stars[kept], None if times is None else times[kept], n_users=len(index)
    )
    return Dataset(
        name=name,
        catalog=with_popularity(catalog, interactions),
        users=unknown_users(list(index)),
        interactions=interactions,
        explicit=stars is not None,
        rating_scale=(low, high),
        like_threshold=float(like_threshold),
        source=f"imported from {log.path.name}; {len(users) - len(kept)} repeated rows dropped",
    )


def _stars(log: Table, rating: str | None) -> NDArray[np.float64] | None:
    """Ratings; None where there are none, or all are equal, which tells nothing of what anybody likes."""
    stars = log.numbers(rating) if rating else None
    if stars is None or (stars != stars[0]).any():
        return stars
    warnings.warn(f"column {rating!r} holds {stars[0]:g} throughout: the log counts as one without ratings", stacklevel=4)
    return None


def _last_of_each(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last row of each group of rows that are equal in all columns, ascending."""
    order = np.lexsort(columns)
    ends = np.ones(len(order), dtype=np.bool_)
    ends[:-1] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
    return np.sort(order[ends])


def _catalog(
    name: str, table: Table, item: str, used: list[str], title: str | None, genres: str | None, year: str | None, *, unique: bool
) -> Catalog:
    """One row an item: of a table of items every row, of the log the first row of each item that tells something."""
    ids = table.ids(item)
    titles, years = table.texts(title) if title else [""] * len(ids), table.years(year) if year else [0] * len(ids)
    names = split_names(table.texts(genres)) if genres else [()] * len(ids)
    known: dict[str, tuple[str, tuple[str, ...], int]] = {}
    for line, thing, named, kinds, released in zip(table.lines, ids, titles, names, years, strict=True):
        before = known.get(thing, ("", (), 0))
        if unique and thing in known:
            raise bad_line(table.path, line, thing, f"an id that occurs once in column {item!r} of the table of items")
        known[thing] = (before[0] or named, before[1] or kinds, before[2] or released)
    for thing in used:
        known.setdefault(thing, ("", (), 0))
    cut = commonest([facts[1] for facts in known.values()])
    if sum(map(len, cut)) < sum(len(set(facts[1])) for facts in known.values()):
        warnings.warn(f"column {genres!r} holds more than 256 genres; the commonest 256 were kept", stacklevel=4)
    return build_catalog(
        name=name,
        ids=list(known),
        titles=[facts[0][:LONGEST_TITLE] or thing for thing, facts in known.items()],
        genres=cut,
        years=[facts[2] for facts in known.values()],
    )
