"""Amazon reviews of CDs and vinyl: who gave how many stars to which record. From a local copy.

R. He, J. McAuley, "Ups and Downs", WWW 2016; J. Ni, J. Li, J. McAuley, "Justifying Recommendations using Distantly-Labeled Reviews and
Fine-Grained Aspects", EMNLP 2019; Y. Hou et al., "Bridging Language and Items for Retrieval and Recommendation", 2024, arXiv 2403.03952.
"""

from __future__ import annotations

import gzip
import html
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.catalog import Catalog, build_catalog
from recoworld.datasets.arrays import by_user, cached_dataset, commonest, seconds, unknown_users, with_popularity
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.files import bad_line, reading
from recoworld.datasets.tables import LONGEST_TITLE
from recoworld.errors import DataCorrupt, DataMissing
from recoworld.users import Dataset

ADDRESS = "https://amazon-reviews-2023.github.io/"
SOURCE = f"Amazon reviews, CDs and Vinyl, {ADDRESS} and its forerunners of 2014 and 2018; its terms and what to cite are told there"
VERSION = 1
"""Of the parser; part of the cache's key."""
REVIEWS = (
    "CDs_and_Vinyl_5.json",
    "reviews_CDs_and_Vinyl_5.json",
    "CDs_and_Vinyl.jsonl",
    "ratings_CDs_and_Vinyl.csv",
    "CDs_and_Vinyl.csv",
)
"""Logs, the first that is there is read, each also as .gz: 5-core reviews of 2018 and of 2014, reviews of 2023, and ratings alone: of 2014
(user, item, rating, time), and of 2018 (item, user, rating, time) or, with a header, of 2023."""
META = ("meta_CDs_and_Vinyl.json", "meta_CDs_and_Vinyl.jsonl")
"""Titles, categories and artists of 2018 and 2023; that of 2014 is no JSON and is not read. Without one titles are ids."""
_ADVICE = (
    f"get {', or '.join(REVIEWS[:3])} (or a ratings file), and the metadata {' or '.join(META)}, each perhaps as .gz, from {ADDRESS}, and "
    "pass data_dir=, or set RECOWORLD_DATA to, the folder that holds them, or that folder as amazon-cds/"
)
_KEYS = (("reviewerID", "asin", "overall", "unixReviewTime"), ("user_id", "parent_asin", "rating", "timestamp"))


def load(*, data_dir: str | None = None) -> Dataset:
    """CDs and Vinyl: stars from 1 to 5, with times; 4 and 5 are liked.

    A record's genres are its categories below "CDs & Vinyl", the 256 commonest, and its person is the artist (brand or store).

    `data_dir`, or else the environment variable RECOWORLD_DATA, is the folder of the local copy, see `REVIEWS` and `META`.
    Raises DataMissing or DataCorrupt.
    """
    log, meta = _find(data_dir)
    key = fingerprint([log, *([meta] if meta else [])], version=VERSION)
    return cached_dataset(f"amazon-cds-{key}", lambda: parse(log, meta))


def parse(log: Path, meta: Path | None) -> Dataset:
    """A log and its metadata. Raises DataMissing or DataCorrupt."""
    found = _Log()
    for number, (user, item, rating, time) in _rows(log):
        try:
            stars, when = float(rating), float(time)
        except (TypeError, ValueError):
            stars, when = np.nan, np.nan
        if not (user and item and isinstance(user, str) and isinstance(item, str) and 1 <= stars <= 5 and np.isfinite(when)):
            raise bad_line(log, number, (user, item, rating, time), "user, item, a rating from 1 to 5, and a time in seconds", _ADVICE)
        found.add(user, item, stars, when)
    if not found.stars:
        raise DataCorrupt(f"{log} holds no ratings; {_ADVICE}")
    rows = by_user(
        np.array(found.rows), np.array(found.columns), np.array(found.stars), seconds(np.array(found.times)), n_users=len(found.users)
    )
    return Dataset(
        name="amazon-cds",
        catalog=with_popularity(_catalog(list(found.items), meta), rows),
        users=unknown_users(list(found.users)),
        interactions=rows,
        explicit=True,
        rating_scale=(1.0, 5.0),
        like_threshold=4.0,
        source=SOURCE,
    )


@dataclass(frozen=True, kw_only=True)
class _Log:
    """Rows as indices, in the order of the file."""

    users: dict[str, int] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    stars: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def add(self, user: str, item: str, stars: float, time: float) -> None:
        self.rows.append(self.users.setdefault(user, len(self.users)))
        self.columns.append(self.items.setdefault(item, len(self.items)))
        self.stars.append(stars)
        self.times.append(time)


def _find(data_dir: str | None) -> tuple[Path, Path | None]:
    local = data_dir or os.environ.get("RECOWORLD_DATA")
    if not local:
        raise DataMissing(f"got neither data_dir nor RECOWORLD_DATA; expected a folder with a file of Amazon CDs; {_ADVICE}")
    root = Path(local).expanduser()
    for folder in (root, root / "amazon-cds"):
        logs, metas = ([folder / f"{name}{end}" for name in names for end in ("", ".gz")] for names in (REVIEWS, META))
        log = next((path for path in logs if path.is_file()), None)
        if log is not None:
            return log, next((path for path in metas if path.is_file()), None)
    raise DataMissing(f"{root} holds none of {', '.join(REVIEWS)}, nor does amazon-cds/ in it; {_ADVICE}")


def _rows(path: Path) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Line numbers, and user, item, rating and time as they stand there."""
    if ".json" in path.name:
        for number, entry in _objects(path):
            keys = next((keys for keys in _KEYS if keys[0] in entry), _KEYS[0])
            yield number, tuple(entry.get(key) for key in keys)
        return
    order: tuple[int, ...] = (0, 1, 2, 3) if path.name.startswith("ratings_") else (1, 0, 2, 3)
    for number, line in _lines(path):
        cells = [cell.strip() for cell in line.split(",")]
        if number == 1 and "rating" in cells:
            names = [name for name in _KEYS[1] if name in cells]
            if len(names) < 4:
                raise bad_line(path, 1, line, f"the columns {', '.join(_KEYS[1])}", _ADVICE)
            order = tuple(cells.index(name) for name in names)
            continue
        if len(cells) <= max(order):
            raise bad_line(path, number, line, "user, item, rating and time, separated by commas", _ADVICE)
        yield number, tuple(cells[place] for place in order)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise bad_line(path, number, line, "a JSON object in each line", _ADVICE)
        yield number, entry


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, numbered from 1, unpacked on the way."""
    with reading(path, _ADVICE):
        try:
            with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield number, line.strip()
        except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise DataCorrupt(f"{path} is damaged ({error}); expected UTF-8 text; {_ADVICE}") from None


def _catalog(ids: list[str], meta: Path | None) -> Catalog:
    titles, genres, people = {}, {}, {}
    wanted = set(ids)
    for _, entry in _objects(meta) if meta is not None else ():
        item = entry.get("parent_asin") or entry.get("asin")
        if item in wanted:
            titles[item] = html.unescape(str(entry.get("title") or "")).strip()[:LONGEST_TITLE]
            genres[item] = tuple(_flat(entry.get("categories") or entry.get("category")))
            artist = entry.get("brand") or entry.get("store")
            people[item] = (html.unescape(str(artist)).strip()[:LONGEST_TITLE],) if artist else ()
    return build_catalog(
        name="amazon-cds",
        ids=ids,
        titles=[titles.get(item) or item for item in ids],
        genres=commonest([genres.get(item, ()) for item in ids]),
        people=[people.get(item, ()) for item in ids],
    )


def _flat(categories: Any) -> Iterator[str]:
    """Names in lists, or in lists of lists, less the one that all have."""
    for entry in categories if isinstance(categories, list) else ():
        if isinstance(entry, list):
            yield from _flat(entry)
        elif isinstance(entry, str) and (name := html.unescape(entry).strip()) and name != "CDs & Vinyl":
            yield name[:100]
