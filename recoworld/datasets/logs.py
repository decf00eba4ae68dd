"""A user's own log: imported once from CSV or Parquet, opened by its name from then on."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_data_dir

from recoworld.catalog import Catalog, build_catalog
from recoworld.datasets.arrays import by_user, commonest, pack, split_names, unknown_users, unpack, with_popularity
from recoworld.datasets.cache import read_arrays, write_arrays
from recoworld.datasets.files import bad_line, unwritable
from recoworld.datasets.tables import LONGEST_TITLE, Table, read_table
from recoworld.errors import ConfigError, DataCorrupt, UnknownName
from recoworld.registry import DATASETS
from recoworld.users import Dataset

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def import_log(
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
    overwrite: bool = False,
    home: str | Path | None = None,
) -> Dataset:
    """Read a log of interactions, keep it under `name`, and return it: `load_dataset(name)` opens it from now on.

    Args:
        path: CSV (separated by comma, semicolon, tab or bar; first line a header) or `.parquet`.
        name: small letters, digits, ``. _ -``; none of the built-in data sets'.
        user: Column of user ids.
        item: Column of item ids; also in the table `items`.
        rating: Column of ratings, any scale. Without it every interaction counts as liked.
        time: Column of times, epoch (s, ms, us or ns) or ISO 8601 (UTC unless it says otherwise). Without it the order of the
            file is the order in time.
        title: Column of titles, of `items` where it is given, else of the log. Without it ids are titles.
        genres: Column of genres, several separated by ``; | ,``. The 256 commonest are kept.
        year: Column of years or dates.
        items: A table with one row an item; items that it alone holds join the catalogue.
        like_threshold: Ratings from here on count as liked; default: 70 % of the way from the lowest to the highest rating.
        encoding: Of CSV files.
        overwrite: Replace a log imported before under the same name.
        home: Folder of imported logs; default: the environment variable RECOWORLD_HOME, else the user's data folder.

    Rows that repeat user, item and time are dropped, the last one stays, and a warning gives their number. What was built from a log
    that is replaced (`preset_path`) goes with it.
    Raises ConfigError, UnknownName for a column, DataMissing, DataCorrupt with line and value, or CacheUnwritable.
    """
    target = _target(name, home)
    if target.exists() and not overwrite:
        raise ConfigError(f"a log named {name!r} was imported before; pass overwrite=True to replace it, or choose another name")
    about = {"title": title, "genres": genres, "year": year}
    if items is not None and not any(about.values()):
        raise ConfigError("items= is given without title=, genres= or year=; say which of its columns to use")
    described = [column for column in about.values() if column]
    columns = [user, item, *(column for column in (rating, time) if column), *(described if items is None else [])]
    log = read_table(Path(path).expanduser(), list(dict.fromkeys(columns)), encoding=encoding)
    table = log if items is None else read_table(Path(items).expanduser(), list(dict.fromkeys([item, *described])), encoding=encoding)
    dataset = _build(name, log, table, user, item, rating, time, title, genres, year, like_threshold)
    try:
        preset_path(name, home=home).unlink(missing_ok=True)
        write_arrays(target, name, pack(dataset))
    except OSError as error:
        raise unwritable(target.parent, error, "RECOWORLD_HOME") from error
    return dataset


def list_imported(*, home: str | Path | None = None) -> list[str]:
    """Names of the imported logs, sorted."""
    try:
        return sorted(path.stem for path in _folder(home).iterdir() if path.suffix == ".npz" and _NAME.fullmatch(path.stem))
    except OSError:
        return []


def home_folder(home: str | Path | None = None) -> Path:
    """`home`, or the environment variable RECOWORLD_HOME, or the user's data folder. It need not exist yet."""
    return Path(home or os.environ.get("RECOWORLD_HOME") or user_data_dir("recoworld")).expanduser()


def preset_path(name: str, *, home: str | Path | None = None) -> Path:
    """Where ``recoworld build`` keeps the settings of an imported log's world: a preset. Raises ConfigError for a bad name."""
    return _target(name, home).with_name(f"{name}.yaml")


def stamp(name: str, *, home: str | Path | None = None) -> tuple[int, int] | None:
    """When an imported log was written, in ns, and its size in bytes: changes when it is imported anew; None without such a log."""
    try:
        state = _target(name, home).stat()
        return state.st_mtime_ns, state.st_size
    except (OSError, ConfigError):
        return None


def load_imported(name: str, *, home: str | Path | None = None) -> Dataset:
    """A log imported before. Raises UnknownName or DataCorrupt."""
    target = _target(name, home)
    if not target.exists():
        raise UnknownName("imported log", name, list_imported(home=home))
    arrays = read_arrays(target, name)
    try:
        return unpack(arrays or {})
    except (KeyError, ValueError):
        raise DataCorrupt(f"{target} is damaged, or of another version of RecoWorld; import the log again with overwrite=True") from None


def _folder(home: str | Path | None) -> Path:
    return home_folder(home) / "datasets"


def _target(name: str, home: str | Path | None) -> Path:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot name a log; expected 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit")
    if name in DATASETS:
        raise ConfigError(f"{name!r} is a built-in data set; choose another name")
    return _folder(home) / f"{name}.npz"


def _build(
    name: str,
    log: Table,
    table: Table,
    user: str,
    item: str,
    rating: str | None,
    time: str | None,
    title: str | None,
    genres: str | None,
    year: str | None,
    like_threshold: float | None,
) -> Dataset:
    user_ids, item_ids = log.ids(user), log.ids(item)
    stars = log.numbers(rating) if rating else None
    times = log.times(time) if time else None
    low, high = (1.0, 1.0) if stars is None else (float(stars.min()), float(stars.max()))
    if like_threshold is None:
        like_threshold = low + 0.7 * (high - low)
    elif stars is None or not low <= like_threshold <= high:
        got = "there are no ratings" if stars is None else f"ratings reach from {low:g} to {high:g}"
        raise ConfigError(f"like_threshold is {like_threshold:g} and {got}; expected a rating")
    catalog = _catalog(name, table, item, item_ids, title, genres, year, unique=table is not log)
    index = {person: i for i, person in enumerate(dict.fromkeys(user_ids))}
    users, things = np.array([index[person] for person in user_ids]), np.array([catalog.index(thing) for thing in item_ids])
    kept = np.arange(len(users)) if times is None else _last_of_each(users, things, times)
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
