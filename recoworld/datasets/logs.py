"""A user's own log: imported once from CSV or Parquet, opened by its name from then on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from platformdirs import user_data_dir

from recoworld.datasets.arrays import pack, unpack
from recoworld.datasets.cache import read_arrays, write_arrays
from recoworld.datasets.files import unwritable
from recoworld.datasets.own_log import read_log
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
        rating: Column of ratings, any scale. Without it, or where all are equal, every interaction counts as liked.
        time: Column of times, epoch (s, ms, us or ns) or ISO 8601 (UTC unless it says otherwise). Without it the order of the
            file is the order in time; but where most users' rows are sorted by item, as in a dump of a database, that says nothing,
            each user's order is drawn at random, and a warning says so (`recoworld.datasets.order`).
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
    dataset = read_log(
        path,
        name=name,
        user=user,
        item=item,
        rating=rating,
        time=time,
        title=title,
        genres=genres,
        year=year,
        items=items,
        like_threshold=like_threshold,
        encoding=encoding,
    )
    keep_log(dataset, home=home)
    return dataset


def keep_log(dataset: Dataset, *, home: str | Path | None = None) -> None:
    """Write what `read_log` made, in place of a log of that name, whose preset goes. Raises ConfigError for its name, CacheUnwritable."""
    target = _target(dataset.name, home)
    try:
        preset_path(dataset.name, home=home).unlink(missing_ok=True)
        write_arrays(target, dataset.name, pack(dataset))
    except OSError as error:
        raise unwritable(target.parent, error, "RECOWORLD_HOME") from error


def same_log(one: Dataset, other: Dataset) -> bool:
    """Whether two logs hold the same, whatever the name of the file that they were read from."""
    first, second = ({key: array for key, array in pack(dataset).items() if key != "names"} for dataset in (one, other))
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def list_imported(*, home: str | Path | None = None) -> list[str]:
    """Names of the imported logs, sorted."""
    try:
        return sorted(path.stem for path in _folder(home).iterdir() if path.suffix == ".npz" and _NAME.fullmatch(path.stem))
    except OSError:
        return []


def usual_name(text: str) -> str:
    """A name for a log that is near to some text, e.g. the file's; "" where that has no letter of a-z and no digit."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64]


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
        near = usual_name(name)
        hint = f"; {near!r} would do" if _NAME.fullmatch(near) and near not in DATASETS else ""
        raise ConfigError(f"{name!r} cannot name a log; expected 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit{hint}")
    if name in DATASETS:
        raise ConfigError(f"{name!r} is a built-in data set; choose another name")
    return _folder(home) / f"{name}.npz"
