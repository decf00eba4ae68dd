"""Any data set in RecBole's atomic files (https://recbole.io/docs/user_guide/data/atomic_files.html).

W. X. Zhao et al., "RecBole: Towards a Unified, Comprehensive and Efficient Framework for Recommendation Algorithms", CIKM 2021.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog, build_catalog
from recoworld.datasets.arrays import by_user, cached_dataset, commonest, split_names, unknown_users, with_popularity
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.files import bad_line, read_bytes
from recoworld.datasets.order import rows_in_time
from recoworld.datasets.tables import LONGEST_TITLE, Table, read_atomic
from recoworld.errors import ConfigError, DataCorrupt, DataMissing
from recoworld.users import Dataset, Users

VERSION = 2
"""Of the parser; part of the cache's key."""
MANY_ITEMS = 20_000
"""In a larger catalogue only items that occur in interactions or in a `.random` file of candidates are kept."""
_PARTS = ("train", "valid", "test")
_ALIASES = {
    "user": ("user_id", "user", "uid", "userid", "session_id"),
    "item": ("item_id", "item", "iid", "itemid", "movie_id", "book_id", "product_id", "business_id", "tracks_id", "artist_id", "asin"),
    "history": ("item_id_list", "item_list", "history"),
    "rating": ("rating", "ratings", "stars", "overall", "score"),
    "time": ("timestamp", "time", "ts", "date", "unixreviewtime"),
    "title": ("title", "movie_title", "item_title", "name", "item_name", "book_title", "app_name", "track_name"),
    "genres": ("genre", "genres", "class", "category", "categories", "tags", "tag", "cat"),
    "year": ("release_year", "year", "release_date", "publication_year", "date"),
}


def load(*, data_dir: str | None = None) -> Dataset:
    """A data set from a folder of atomic files, or from a parent with one such folder, or of the name given by a ``NAME.inter`` path.

    Files: `NAME.inter`, or `NAME.train.inter`, `.valid.inter` and `.test.inter` (also with rows of ``item_id_list`` and
    ``item_id``, which are put together to each user's sequence again); `NAME.item` and `NAME.user` (or the only ones there),
    both optional. Columns are found by common names. Without ratings the data set is implicit, without times the position is
    the time, unless interactions are sorted by item: then each user's order is drawn at random (`recoworld.datasets.order`).
    Users without interactions are left out, and of a catalogue beyond 20,000 items those that occur neither in interactions
    nor in `.random`; of the genres the 256 commonest stay. `data_dir` is the environment variable RECOWORLD_DATA if not given.
    Raises ConfigError, DataMissing or DataCorrupt.
    """
    given = data_dir or os.environ.get("RECOWORLD_DATA")
    if not given:
        raise ConfigError("recbole needs a folder: load_dataset('recbole:/path/to/folder'), or data_dir=, or RECOWORLD_DATA")
    name, logs, extras = _find(Path(given).expanduser())
    key = fingerprint([*logs, *extras.values()], version=VERSION)
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:80]
    return cached_dataset(f"recbole-{safe}-{key}", lambda: _parse(name, logs, extras))


def _find(root: Path) -> tuple[str, list[Path], dict[str, Path]]:
    """The name, the `.inter` files in order, and the files of items, users and candidates."""
    only = None
    if root.is_file() or (root.suffix == ".inter" and root.parent.is_dir()):
        root, only = root.parent, _base(root)
    if not root.is_dir():
        raise DataMissing(f"{root} does not exist; expected a folder with NAME.inter, or a folder with one such folder in it")
    names = {_base(path) for path in root.glob("*.inter")}
    if not names:
        inner = sorted({path.parent for path in root.glob("*/*.inter")})
        if len(inner) == 1:
            return _find(inner[0])
        found = f"; it holds several folders with them: {', '.join(path.name for path in inner)}; give one of them" if inner else ""
        raise (ConfigError if inner else DataMissing)(f"{root} holds no .inter file; expected RecBole's atomic files{found}")
    if only is None and len(names) > 1:
        example = root / f"{min(names)}.inter"
        raise ConfigError(f"{root} holds several data sets: {', '.join(sorted(names))}; give the path of one, e.g. {example}")
    name = only or names.pop()
    whole = root / f"{name}.inter"
    logs = [whole] if whole.exists() else [root / f"{name}.{part}.inter" for part in _PARTS if (root / f"{name}.{part}.inter").exists()]
    if not logs:
        raise DataMissing(f"{root} holds no {name}.inter; there are: {', '.join(sorted(names))}")
    extras = {}
    for kind in ("item", "user", "random"):
        others = sorted(root.glob(f"*.{kind}"))
        own = root / f"{name}.{kind}"
        if own in others or len(others) == 1:
            extras[kind] = own if own in others else others[0]
        elif others and kind != "random":
            found = ", ".join(path.name for path in others)
            raise ConfigError(f"{root} holds no {own.name} but {found}; rename the one that belongs to {name}")
    return name, logs, extras


def _base(path: Path) -> str:
    stem = path.name.removesuffix(".inter")
    return stem.rpartition(".")[0] if stem.rpartition(".")[2] in _PARTS and "." in stem else stem


def _column(table: Table, role: str) -> str | None:
    lowered = {name.lower(): name for name in reversed(table.columns)}
    return next((lowered[alias] for alias in _ALIASES[role] if alias in lowered), None)


def _needed(table: Table, role: str) -> str:
    name = _column(table, role)
    if name is None:
        raise bad_line(table.path, 1, ", ".join(table.columns), f"a column of the {role}: one of {', '.join(_ALIASES[role])}")
    return name


def _parse(name: str, logs: list[Path], extras: dict[str, Path]) -> Dataset:
    tables = [read_atomic(path)[0] for path in logs]
    users: list[str] = []
    items: list[str] = []
    ratings: NDArray[np.float64] | None = None
    times: NDArray[np.int64] | None = None
    sequences = _column(tables[0], "history") is not None  # in the order of time by nature
    if sequences:
        for user, sequence in _sequences(tables).items():
            users += [user] * len(sequence)
            items += sequence
    else:
        for table in tables:
            users += table.ids(_needed(table, "user"))
            items += table.ids(_needed(table, "item"))
        if _column(tables[0], "rating"):
            ratings = np.concatenate([table.numbers(_needed(table, "rating")) for table in tables])
        if _column(tables[0], "time"):
            times = np.concatenate([table.times(_needed(table, "time")) for table in tables])
    if not users:
        raise DataCorrupt(f"{logs[0]} holds no interactions; expected at least one")
    user_index = {user: i for i, user in enumerate(dict.fromkeys(users))}
    lines = read_bytes(extras["random"]).decode("utf-8", "replace").split("\n") if "random" in extras else []
    candidates = [item for line in lines for item in line.split()[1:]]  # the first is the user
    catalog = _catalog(name, extras.get("item"), items, candidates)
    rows, columns = np.array([user_index[user] for user in users]), np.array([catalog.index(item) for item in items])
    if times is None and not sequences:
        order = rows_in_time(rows, columns, catalog.ids.tolist())
        rows, columns, ratings = rows[order], columns[order], None if ratings is None else ratings[order]
    log = by_user(rows, columns, ratings, times, n_users=len(user_index))
    low, high = (1.0, 1.0) if ratings is None else (float(ratings.min()), float(ratings.max()))
    return Dataset(
        name=name,
        catalog=with_popularity(catalog, log),
        users=_users(list(user_index), extras.get("user")),
        interactions=log,
        explicit=ratings is not None,
        rating_scale=(low, high),
        like_threshold=low + 0.7 * (high - low),
        source=f"RecBole atomic files {', '.join(path.name for path in logs)}; the licence is that of the data's publisher",
    )


def _sequences(tables: list[Table]) -> dict[str, list[str]]:
    """Each user's items in order, out of rows that hold a user's items so far, or the last of them, and the next one."""
    rows: dict[str, list[tuple[list[str], Path, int]]] = {}
    for table in tables:
        users, targets = table.ids(_needed(table, "user")), table.ids(_needed(table, "item"))
        histories = table.texts(_needed(table, "history"))
        for user, history, target, line in zip(users, histories, targets, table.lines, strict=True):
            rows.setdefault(user, []).append(([*history.split(), target], table.path, line))
    out = {}
    for user, theirs in rows.items():
        whole: list[str] = []
        for row, path, line in sorted(theirs, key=lambda entry: len(entry[0])):  # stable: equal lengths stay in the order of the files
            if row[: len(whole)] == whole:
                whole = row
            elif row[:-1] == whole[len(whole) - len(row) + 1 :]:  # a list that was cut to its end
                whole = [*whole, row[-1]]
            else:
                raise bad_line(path, line, " ".join(row), f"a continuation of user {user}'s other rows")
        out[user] = whole
    return out


def _catalog(name: str, path: Path | None, used: list[str], candidates: list[str]) -> Catalog:
    """The items of the `.item` file, in its order, then those that only occur in interactions, whose title is their id."""
    titles: dict[str, str] = {}
    genres: dict[str, tuple[str, ...]] = {}
    years: dict[str, int] = {}
    if path is not None:
        table, kinds = read_atomic(path)
        ids = table.ids(_needed(table, "item"))
        title, genre, year = (_column(table, role) for role in ("title", "genres", "year"))
        titles = dict(zip(ids, table.texts(title) if title else ids, strict=True))
        if len(titles) < len(ids):
            first, seen = 0, set[str]()
            while ids[first] not in seen:
                seen.add(ids[first])
                first += 1
            raise bad_line(path, table.lines[first], ids[first], "an item id that occurs once")
        if genre:
            names = [html.unescape(text) for text in table.texts(genre)]
            genres = dict(zip(ids, split_names(names, spaced=kinds[genre] == "token_seq"), strict=True))
        if year:
            found = (re.search(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)", text) for text in table.texts(year))
            years = {item: int(match[1]) if match else 0 for item, match in zip(ids, found, strict=True)}
    referenced = dict.fromkeys(used)
    kept = titles.keys() if len(titles) <= MANY_ITEMS else {*referenced, *candidates}
    known = [item for item in titles if item in kept] + [item for item in referenced if item not in titles]
    return build_catalog(
        name=name,
        ids=known,
        titles=[html.unescape(titles.get(item, item)).strip('"')[:LONGEST_TITLE] or item for item in known],
        genres=commonest([genres.get(item, ()) for item in known]),
        years=[years.get(item, 0) for item in known],
    )


def _users(ids: list[str], path: Path | None) -> Users:
    """Numbers scaled to [0, 1], categories of at most 32 values one-hot; other columns (names, postcodes) are left out."""
    users = unknown_users(ids)
    if path is None:
        return users
    table, kinds = read_atomic(path)
    key = _needed(table, "user")
    row = {user: i for i, user in enumerate(table.ids(key))}
    columns: dict[str, NDArray[np.float64]] = {}
    words: list[list[str]] = [[] for _ in ids]
    for name, kind in kinds.items():
        values = table.texts(name)
        mine = [values[row[user]] if user in row else "" for user in ids]
        options = sorted(set(mine) - {""})
        if name == key or kind.endswith("_seq") or not options or (kind == "token" and len(options) > 32):
            continue
        if kind == "float":
            numbers = table.numbers(name)
            low, span = float(numbers.min()), float(np.ptp(numbers)) or 1.0
            columns[name] = np.array([(numbers[row[user]] - low) / span if user in row else 0.0 for user in ids])
        else:
            columns |= {f"{name} {option}": np.array([value == option for value in mine], dtype=np.float64) for option in options}
        for said, value in zip(words, mine, strict=True):
            said += [f"{name} {value}"] if value else []
    if not columns:
        return users
    return Users(
        ids=users.ids,
        features=np.stack(list(columns.values()), axis=1).astype(np.float32),
        feature_names=tuple(columns),
        descriptions=np.array([", ".join(said) for said in words], dtype=np.str_),
    )
