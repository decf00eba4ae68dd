"""Yahoo! R3: ratings of songs that people chose, and of songs that were drawn for them. From a local copy: it may not be handed on.

B. Marlin, R. Zemel, "Collaborative Prediction and Ranking with Non-Random Missing Data", RecSys 2009.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import build_catalog
from recoworld.datasets.arrays import by_user, cached_dataset, unknown_users, with_popularity
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.files import bad_line, line_of, read_bytes
from recoworld.datasets.local import locate
from recoworld.datasets.order import drawn
from recoworld.errors import DataCorrupt
from recoworld.users import Dataset, Interactions

ADDRESS = "https://webscope.sandbox.yahoo.com/catalog.php?datatype=r&did=3"
SOURCE = (
    f"R3, Yahoo! Music ratings for user selected and randomly selected songs, version 1.0, {ADDRESS}: on request, for academic research, "
    "no redistribution. Cite B. Marlin and R. Zemel, Collaborative Prediction and Ranking with Non-Random Missing Data, RecSys 2009"
)
FILES = ("ydata-ymusic-rating-study-v1_0-train.txt", "ydata-ymusic-rating-study-v1_0-test.txt")
VERSION = 2
"""Of the parser; part of the cache's key."""
_ADVICE = (
    f"ask Yahoo for it at {ADDRESS} (it cannot be downloaded without), unpack it, and pass data_dir=, or set RECOWORLD_DATA to, the folder "
    "that holds the two files, or that folder as yahoo-r3/"
)
_ROWS = re.compile(rb"(?:[0-9]{1,9}\t[0-9]{1,9}\t[0-9]{1,9}(?:\r?\n|\Z))*+")


@dataclass(frozen=True)
class Counts:
    """What the release holds."""

    users: int
    songs: int
    chosen: int
    drawn: int


PUBLISHED = Counts(15_400, 1_000, 311_704, 54_000)


def load(*, data_dir: str | None = None) -> Dataset:
    """Yahoo! R3: 15,400 users rated 311,704 times songs of their choice, and 5,400 of them 10 songs drawn at random, with 1 to 5 stars.

    `Dataset.interactions` are the ratings of chosen songs, `Dataset.random_ratings` those of drawn ones. There are no times: each user's
    order is drawn at random (`recoworld.datasets.order`). Nothing is known of users or songs but their numbers; a song is held to last
    240 seconds.

    `data_dir`, or else the environment variable RECOWORLD_DATA, is the folder of the local copy. Raises DataMissing or DataCorrupt.
    """
    folder = locate("yahoo-r3", FILES, data_dir, _ADVICE)
    key = fingerprint([folder / name for name in FILES], version=VERSION)
    return cached_dataset(f"yahoo-r3-{key}", lambda: parse(folder, PUBLISHED))


def parse(folder: Path, expected: Counts) -> Dataset:
    """The files of a folder, which must hold what `expected` says. Raises DataMissing or DataCorrupt."""
    chosen, random = (
        _ratings(folder / name, rows, expected) for name, rows in zip(FILES, (expected.chosen, expected.drawn), strict=True)
    )
    songs = [str(i) for i in range(1, expected.songs + 1)]
    catalog = build_catalog(
        name="yahoo-r3", ids=songs, titles=[f"song {song}" for song in songs], genres=[()] * len(songs), default_duration=240.0
    )
    return Dataset(
        name="yahoo-r3",
        catalog=with_popularity(catalog, chosen),
        users=unknown_users([str(i) for i in range(1, expected.users + 1)]),
        interactions=chosen,
        explicit=True,
        rating_scale=(1.0, 5.0),
        like_threshold=4.0,
        source=SOURCE,
        random_ratings=random,
    )


def _ratings(path: Path, rows: int, expected: Counts) -> Interactions:
    data = read_bytes(path, _ADVICE)
    match = _ROWS.match(data)
    end = match.end() if match else 0
    if end < len(data):  # the pattern stops at the first line that is not as it should be
        line = data[end : end + 200].split(b"\n")[0].decode("latin-1")
        raise bad_line(path, line_of(data, end), line, "user, song and rating in digits, separated by tabs", _ADVICE)
    table: NDArray[np.int64] = np.fromstring(data.decode("ascii"), sep=" ", dtype=np.int64).reshape(-1, 3)
    for column, (kind, last) in enumerate({"user": expected.users, "song": expected.songs, "rating": 5}.items()):
        wrong = np.flatnonzero((table[:, column] < 1) | (table[:, column] > last))
        if len(wrong):
            raise bad_line(path, int(wrong[0]) + 1, f"{kind} {table[wrong[0], column]}", f"a {kind} of 1 to {last}", _ADVICE)
    if len(table) != rows:
        raise DataCorrupt(f"{path}: got {len(table):,} ratings; expected {rows:,}, as published; {_ADVICE}")
    table = table[drawn(table[:, 0])]
    return by_user(table[:, 0] - 1, table[:, 1] - 1, table[:, 2], None, n_users=expected.users)
