"""KuaiRec 2.0: short videos, and a matrix in which 1,411 users met nearly all of 3,327 of them. From a local copy.

C. Gao, S. Li, W. Lei, J. Chen, B. Li, P. Jiang, X. He, J. Mao, T.-S. Chua, "KuaiRec: A Fully-observed Dataset and Insights for Evaluating
Recommender Systems", CIKM 2022, arXiv 2202.10842.

Videos play by themselves, so nobody clicks, and the log has no likes. What is counted as a click is the publisher's own "valid play" (see
KuaiRand's README): a video of 7 seconds or less played to its end, a longer one for more than 7 seconds.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.datasets.arrays import by_user, cached_dataset, unknown_users, with_popularity
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.columns import ID, Column, Columns, read_columns
from recoworld.datasets.feeds import UNTIMED, distinct, shown_one_by_one
from recoworld.datasets.files import read_bytes
from recoworld.datasets.kuaishou import durations, read_users, tagged
from recoworld.datasets.local import locate
from recoworld.datasets.tables import LONGEST_TITLE
from recoworld.errors import DataCorrupt
from recoworld.types import Bools, Floats, Ints
from recoworld.users import Dataset

ADDRESS = "https://zenodo.org/records/18164998"
MD5 = "261550d472c48eff4990fb13c0e5bcf7"
"""Of KuaiRec.zip there."""
SOURCE = f"KuaiRec 2.0, {ADDRESS}, CC BY-SA 4.0. Cite C. Gao et al., KuaiRec, CIKM 2022, doi:10.1145/3511808.3557220"
FILES = ("big_matrix.csv", "small_matrix.csv", "item_categories.csv")
CAPTIONS, USERS = "kuairec_caption_category.csv", "user_features.csv"
VERSION = 2
"""Of the parser; part of the cache's key."""
VALID = 7000
"""Milliseconds of a valid play."""
_ADVICE = (
    f"get KuaiRec.zip (md5 {MD5}) of {ADDRESS}, unpack it, and pass data_dir=, or set RECOWORLD_DATA to, the folder that holds "
    f"big_matrix.csv or 'KuaiRec 2.0/'; {CAPTIONS}, published beside the archive, may lie with them"
)
_VIEW = {
    "user_id": ID,
    "video_id": ID,
    "play_duration": Column(kind="i4"),
    "video_duration": Column(kind="i4"),
    "timestamp": Column(kind="f8", low=-(2**31), high=2**33, empty=UNTIMED),
}


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What the release holds."""

    videos: int
    users: int
    """Of the big matrix; those of the small one are among them."""
    views: int
    small_videos: int
    small_users: int
    small_views: int

    def __str__(self) -> str:
        small = f"{self.small_users:,} users, {self.small_videos:,} videos and {self.small_views:,} views in small_matrix.csv"
        return f"{self.videos:,} videos, {self.users:,} users and {self.views:,} views in big_matrix.csv, {small}"


PUBLISHED = Counts(videos=10_728, users=7_176, views=12_530_806, small_videos=3_327, small_users=1_411, small_views=4_676_570)


def load(*, data_dir: str | None = None) -> Dataset:
    """KuaiRec 2.0: 7,176 users, 10,728 short videos, 12,530,806 views, and a matrix of 4,676,570 that is 99.6 % full.

    `Dataset.interactions` are the valid plays of the big matrix, rows that repeat user, video and time once, and those without a time at
    second 0; `explicit` is false.
    `Dataset.impressions` are all views of the small matrix, one a slate, sorted by user and time, with seconds watched of valid plays and
    sessions that end with half an hour's gap (see `recoworld.datasets.feeds`); views without a time come first of their user, each a
    session of its own. Genres are the published tags, titles the captions where that file is there (its broken lines are passed over),
    and users have facts where user_features.csv is there.

    `data_dir`, or else the environment variable RECOWORLD_DATA, is the folder of the local copy. Needs the extra "parquet" (pyarrow).
    Raises DataMissing, DataCorrupt or MissingExtra.
    """
    inside = ("data", "KuaiRec 2.0/data", "KuaiRec/data", "KuaiRec 2.0")
    folder = locate("kuairec", FILES, data_dir, _ADVICE, inside)
    there = [folder / name for name in (*FILES, CAPTIONS, USERS) if (folder / name).is_file()]
    return cached_dataset(f"kuairec-{fingerprint(there, version=VERSION)}", lambda: parse(folder, PUBLISHED))


def parse(folder: Path, expected: Counts) -> Dataset:
    """The files of a folder, which must hold what `expected` says. Raises DataMissing, DataCorrupt or MissingExtra."""
    items = read_columns(folder / "item_categories.csv", {"video_id": ID, "feat": Column(kind="words")}, _ADVICE)
    items.unique("video_id", _ADVICE)
    small, big = (read_columns(folder / name, _VIEW, _ADVICE) for name in ("small_matrix.csv", "big_matrix.csv"))
    met = np.unique(big["user_id"]).astype(np.int64)
    found = Counts(
        videos=len(items),
        users=len(met),
        views=len(big),
        small_videos=len(np.unique(small["video_id"])),
        small_users=len(np.unique(small["user_id"])),
        small_views=len(small),
    )
    if found != expected:
        raise DataCorrupt(f"{folder}: got {found}; expected {expected}, as version 2.0 was published; {_ADVICE}")
    known, users = read_users(folder / USERS, _ADVICE) if (folder / USERS).is_file() else (met, unknown_users(met.astype(np.str_).tolist()))
    videos = items["video_id"].astype(np.int64)
    mine, yours = (_Views.of(table, known, videos) for table in (small, big))
    catalog = _catalog(folder, items, videos, durations(*mine.lasting(yours), n_items=len(videos)))
    kept = np.flatnonzero(yours.valid)
    kept = kept[distinct(yours.users[kept], yours.items[kept], yours.times[kept])]
    when = np.maximum(yours.times[kept], 0) // 1000
    log = by_user(yours.users[kept], yours.items[kept], None, when, n_users=len(users))
    return Dataset(
        name="kuairec",
        catalog=with_popularity(catalog, log),
        users=users,
        interactions=log,
        explicit=False,
        source=SOURCE,
        impressions=shown_one_by_one(users=mine.users, items=mine.items, times=mine.times, clicked=mine.valid, watch=mine.watch),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Views:
    """A matrix, with indices for ids ``[m]``."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    times: Ints
    """Milliseconds, or `UNTIMED`."""
    played: NDArray[np.int32]
    """Milliseconds."""
    lasts: NDArray[np.int32]
    """Milliseconds of the video."""

    @classmethod
    def of(cls, table: Columns, users: Ints, videos: Ints) -> _Views:
        """Raises DataCorrupt for a user or video that the other files do not list."""
        time = table["timestamp"]
        return cls(
            users=table.places("user_id", users, f"a user of {USERS}, or else of big_matrix.csv", _ADVICE),
            items=table.places("video_id", videos, "a video of item_categories.csv", _ADVICE),
            times=np.where(time < 0, UNTIMED, np.rint(time * 1000)).astype(np.int64),
            played=table["play_duration"],
            lasts=table["video_duration"],
        )

    @property
    def valid(self) -> Bools:
        """See the module's docstring ``[m]``."""
        return np.where(self.lasts <= VALID, (self.played >= self.lasts) & (self.played > 0), self.played > VALID)

    @property
    def watch(self) -> Floats:
        """Seconds ``[m]``."""
        return (self.played / 1000).astype(np.float32)

    def lasting(self, other: _Views) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Items and their milliseconds, of both matrices."""
        return np.concatenate([self.items, other.items]), np.concatenate([self.lasts, other.lasts])


def _catalog(folder: Path, items: Columns, videos: Ints, seconds: Floats) -> Catalog:
    genres, names = tagged(items, "feat", _ADVICE)
    titles, texts = _captions(folder / CAPTIONS, videos)
    return Catalog(
        name="kuairec",
        ids=videos.astype(np.str_),
        titles=titles,
        genres=genres,
        genre_names=names,
        years=np.zeros(len(videos), dtype=np.int16),
        popularity=np.zeros(len(videos), dtype=np.float32),
        texts=texts,
        people=np.zeros((len(videos), 0), dtype=np.int32),
        durations=seconds,
    )


def _captions(path: Path, videos: Ints) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Titles and texts ``[n_videos]``. The published file has broken lines, which others pass over as well."""
    titles, texts = [f"video {video}" for video in videos], [""] * len(videos)
    if not path.is_file():
        return np.array(titles), np.array(texts)
    rows = csv.DictReader(io.StringIO(read_bytes(path, _ADVICE).decode("utf-8-sig", errors="replace").replace("\0", " "), newline=""))
    places = {str(video): place for place, video in enumerate(videos.tolist())}
    found = 0
    try:
        for row in rows:
            place = places.pop(str(row.get("video_id")), None)
            if place is not None:
                found += 1
                titles[place] = _word(row.get("caption")) or _word(row.get("manual_cover_text")) or titles[place]
                levels = (_word(row.get(f"{level}_level_category_name")) for level in ("first", "second", "third"))
                texts[place] = " / ".join(level for level in levels if level)
    except csv.Error as error:
        raise DataCorrupt(f"{path}, line {rows.line_num}: {error}; expected CSV; {_ADVICE}") from None
    if 2 * found < len(videos):
        got = f"captions of {found:,} of {len(videos):,} videos"
        raise DataCorrupt(f"{path}: got {got}; expected most, in columns video_id, caption and *_level_category_name; {_ADVICE}")
    return np.array(titles, dtype=np.str_), np.array(texts, dtype=np.str_)


def _word(cell: str | None) -> str:
    """A cell of the captions, "" for what stands for nothing there."""
    text = " ".join((cell or "").split())[:LONGEST_TITLE]
    return "" if text in ("UNKNOWN", "nan") else text
