"""KuaiRand: feeds of short videos, with items drawn at random put into them. From a local copy.

C. Gao, S. Li, Y. Zhang, J. Chen, B. Li, W. Lei, P. Jiang, X. He, "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly
Exposed Videos", CIKM 2022, arXiv 2208.08696.

What the app's own recommenders showed (log_standard) and what was drawn at random in their place (log_random) are kept apart: impressions
are of the former, `Dataset.random_ratings` of the latter.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.datasets.arrays import by_user, cached_dataset, with_popularity
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.columns import FLAG, ID, Column, Columns, read_columns
from recoworld.datasets.feeds import distinct, shown_one_by_one
from recoworld.datasets.kuaishou import durations, read_users, tagged
from recoworld.datasets.local import locate
from recoworld.errors import DataCorrupt, DataMissing
from recoworld.types import Bools, Ints
from recoworld.users import Dataset, Interactions

ADDRESS = "https://zenodo.org/records/10439422"
SOURCE = f"KuaiRand, {ADDRESS}, CC BY-SA 4.0. Cite C. Gao et al., KuaiRand, CIKM 2022, doi:10.1145/3511808.3557624"
VERSION = 2
"""Of the parser; part of the cache's key."""
_ADVICE = (
    f"get KuaiRand-Pure.tar.gz (45 MB) or KuaiRand-1K.tar.gz (1 GB) of {ADDRESS}, unpack it, and pass data_dir=, or set RECOWORLD_DATA to, "
    "the folder that holds KuaiRand-Pure/ or KuaiRand-1K/"
)
_DEEDS = ("is_click", "is_like", "is_comment", "is_forward")
_SHOWN = {
    "user_id": ID,
    "video_id": ID,
    "time_ms": Column(kind="i8", high=2**43),
    **dict.fromkeys(_DEEDS, FLAG),
    "play_time_ms": Column(kind="i4"),
    "duration_ms": Column(kind="i4"),
}
_VIDEO = {"video_id": ID, "upload_dt": Column(kind="words"), "tag": Column(kind="words")}


@dataclass(frozen=True, kw_only=True)
class Release:
    """One of the published versions; its files are told by their names."""

    name: str
    users: int
    standard: int
    """Rows of both log_standard files."""
    random: int
    """Rows of log_random."""

    @property
    def files(self) -> list[str]:
        """The two standard logs, the random one, users, videos."""
        logs = ("log_standard_4_08_to_4_21", "log_standard_4_22_to_5_08", "log_random_4_22_to_5_08")
        return [f"{file}_{self.name}.csv" for file in (*logs, "user_features", "video_features_basic")]

    def __str__(self) -> str:
        return f"{self.users:,} users, {self.standard:,} rows of log_standard, {self.random:,} of log_random"


PURE = Release(name="pure", users=27_285, standard=1_436_609, random=1_186_059)
THOUSAND = Release(name="1k", users=1_000, standard=11_713_045, random=43_028)


def load(*, data_dir: str | None = None) -> Dataset:
    """KuaiRand-Pure (27,285 users, 7,583 videos) or KuaiRand-1K (1,000 users, 4.4 million videos): what was shown, clicked, liked, watched.

    Which of the two it is, the files' names say; a place that holds both is refused, and KuaiRand-27K is not read (322 million rows).
    `Dataset.impressions` are the rows of log_standard, one a slate, sorted by user and time, with sessions that end with half an hour's gap
    (see `recoworld.datasets.feeds`). A row is clicked where is_click is, or where the video was liked, commented on or forwarded; seconds
    watched without that are left out. `Dataset.interactions` are those that were clicked, rows that repeat user, video and time once;
    `explicit` is false. `Dataset.random_ratings` are the rows of log_random: 1 clicked, 0 not.
    Not kept: is_follow, is_hate, long_view, tab and the stay times. KuaiRand-Pure leaves most of a feed out, so its sessions are in pieces.
    The catalogue of KuaiRand-1K is large: whoever keeps a number for each user and video needs 4.4 GB a byte.

    `data_dir`, or else the environment variable RECOWORLD_DATA, is the folder of the local copy. Needs the extra "parquet" (pyarrow).
    Raises DataMissing, DataCorrupt or MissingExtra.
    """
    release, folder = _locate(data_dir)
    key = fingerprint([folder / name for name in release.files], version=VERSION)
    return cached_dataset(f"kuairand-{release.name}-{key}", lambda: parse(folder, release))


def parse(folder: Path, expected: Release) -> Dataset:
    """The files of a folder, which must hold what `expected` says. Raises DataMissing, DataCorrupt or MissingExtra."""
    *standard, random, people, videos = (folder / name for name in expected.files)
    known, users = read_users(people, _ADVICE)
    items = read_columns(videos, _VIDEO, _ADVICE)
    items.unique("video_id", _ADVICE)
    logs = [_Shown.of(read_columns(path, _SHOWN, _ADVICE), known, items["video_id"].astype(np.int64)) for path in (*standard, random)]
    shown, drawn = _Shown.joined(logs[:-1]), logs[-1]
    found = Release(name=expected.name, users=len(users), standard=len(shown.users), random=len(drawn.users))
    if found != expected:
        raise DataCorrupt(f"{folder}: got {found}; expected {expected}, as KuaiRand-{expected.name} was published; {_ADVICE}")
    name = f"kuairand-{expected.name}"
    seconds = durations(np.concatenate([drawn.items, shown.items]), np.concatenate([drawn.lasts, shown.lasts]), n_items=len(items))
    log = shown.interactions(len(users))
    clicked, liked, commented, shared = shown.deeds
    return Dataset(
        name=name,
        catalog=with_popularity(_catalog(name, items, seconds), log),
        users=users,
        interactions=log,
        explicit=False,
        rating_scale=(0.0, 1.0),
        like_threshold=1.0,
        source=SOURCE,
        impressions=shown_one_by_one(
            users=shown.users,
            items=shown.items,
            times=shown.times,
            clicked=clicked,
            liked=liked,
            commented=commented,
            shared=shared,
            watch=(shown.played / 1000).astype(np.float32),
        ),
        random_ratings=by_user(drawn.users, drawn.items, drawn.deeds[0], drawn.times // 1000, n_users=len(users)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shown:
    """Rows of logs, with indices for ids ``[m]``."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    times: Ints
    """Milliseconds."""
    deeds: tuple[Bools, Bools, Bools, Bools]
    """Clicked, liked, commented, shared."""
    played: NDArray[np.int32]
    """Milliseconds."""
    lasts: NDArray[np.int32]
    """Milliseconds of the video."""

    @classmethod
    def of(cls, table: Columns, users: Ints, videos: Ints) -> _Shown:
        """Raises DataCorrupt for a user or video that the other files do not list."""
        deeds = [table[name] > 0 for name in _DEEDS]
        return cls(
            users=table.places("user_id", users, "a user of user_features", _ADVICE),
            items=table.places("video_id", videos, "a video of video_features_basic", _ADVICE),
            times=table["time_ms"],
            deeds=(np.logical_or.reduce(deeds), *deeds[1:]),
            played=table["play_time_ms"],
            lasts=table["duration_ms"],
        )

    @classmethod
    def joined(cls, parts: list[_Shown]) -> _Shown:
        """One after another."""
        names = ("users", "items", "times", "played", "lasts")
        clicked, liked, commented, shared = (np.concatenate(deed) for deed in zip(*(part.deeds for part in parts), strict=True))
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(deeds=(clicked, liked, commented, shared), **columns)

    def interactions(self, n_users: int) -> Interactions:
        """What was clicked."""
        kept = np.flatnonzero(self.deeds[0])
        kept = kept[distinct(self.users[kept], self.items[kept], self.times[kept])]
        return by_user(self.users[kept], self.items[kept], None, self.times[kept] // 1000, n_users=n_users)


def _catalog(name: str, items: Columns, seconds: NDArray[np.float32]) -> Catalog:
    """Without lists of Python objects: KuaiRand-1K has millions of videos."""
    n = len(items)
    genres, names = tagged(items, "tag", _ADVICE)
    years = np.array([*(_year(word) for word in items.words["upload_dt"]), 0], dtype=np.int16)
    ids = items["video_id"].astype(f"U{len(str(items['video_id'].max()))}")
    return Catalog(
        name=name,
        ids=ids,
        titles=np.char.add("video ", ids),
        genres=genres,
        genre_names=names,
        years=years[items["upload_dt"]],
        popularity=np.zeros(n, dtype=np.float32),
        texts=np.zeros(n, dtype="<U1"),
        people=np.zeros((n, 0), dtype=np.int32),
        durations=seconds,
    )


def _year(day: str) -> int:
    """Of "2020-07-08"; 0 for anything else."""
    return int(day[:4]) if day[:4].isascii() and day[:4].isdecimal() and day[4:5] == "-" else 0


def _locate(data_dir: str | None) -> tuple[Release, Path]:
    """The one release that is there. Raises DataMissing for none, for a part of one, or for both."""
    found = []
    local = data_dir or os.environ.get("RECOWORLD_DATA") or ""
    for release, title in ((PURE, "KuaiRand-Pure"), (THOUSAND, "KuaiRand-1K")):
        places = [Path(local).expanduser() / part for part in ("", "data", title, f"{title}/data")] if local else []
        if any(os.path.lexists(place / file) for place in places for file in release.files):
            found.append((release, locate(title, release.files, local, _ADVICE, ("data",))))
    if len(found) > 1:
        both = " and ".join(str(folder) for _, folder in found)
        raise DataMissing(f"{local} holds two versions, {both}; expected one; pass data_dir= the folder of the one that you mean")
    return found[0] if found else (PURE, locate("KuaiRand-Pure", PURE.files, data_dir, _ADVICE, ("data",)))
