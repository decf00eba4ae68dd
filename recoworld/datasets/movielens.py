"""MovieLens-1M and -100K: from a local copy, or downloaded from GroupLens. RecoWorld ships none of it.

F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recoworld.datasets.arrays import cached_dataset
from recoworld.datasets.cache import cache_folder, fingerprint
from recoworld.datasets.download import fetch
from recoworld.datasets.ml_files import ML_1M, ML_100K, Counts, parse_1m, parse_100k
from recoworld.errors import DataMissing
from recoworld.users import Dataset

BASE_URL = "https://files.grouplens.org/datasets/movielens/"
VERSION = 1
"""Of the parsers; part of the cache's key."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One published archive."""

    name: str
    md5: str
    files: dict[str, int]
    """File -> most bytes it may have when unpacked."""
    parse: Callable[[Path, Counts], Dataset]
    counts: Counts

    @property
    def url(self) -> str:
        """Where GroupLens publishes it."""
        return f"{BASE_URL}{self.name}.zip"

    @property
    def advice(self) -> str:
        """How to use a local copy."""
        return (
            f"get {self.url} (md5 {self.md5}), unpack it, and pass data_dir=, or set RECOWORLD_DATA to, the folder that holds {self.name}/ "
            "(free for research; GroupLens forbids redistribution)"
        )


_1M = Release(
    name="ml-1m",
    md5="c4d9eecfca2ab87c1945afe126590906",
    files={"ratings.dat": 2**25, "movies.dat": 2**20, "users.dat": 2**20},
    parse=parse_1m,
    counts=ML_1M,
)
_100K = Release(
    name="ml-100k",
    md5="0e33842e24a9c977be4e0107933c0723",
    files={"u.data": 2**23, "u.item": 2**20, "u.user": 2**20},
    parse=parse_100k,
    counts=ML_100K,
)


def load_1m(*, data_dir: str | None = None) -> Dataset:
    """MovieLens-1M: 6,040 users, 3,883 films (3,706 of them rated), 1,000,209 ratings of 1 to 5 stars, 2000-2003.

    Looked for in `data_dir` alone where it is given, else in the environment variable RECOWORLD_DATA, else in the cache, to
    which it is downloaded if need be; a folder may hold the files themselves or `ml-1m/`. Ids are MovieLens's own; users have
    gender, age band and occupation; within a user, ratings of the same second keep the file's order.
    Raises DataMissing, DataCorrupt, DownloadFailed, or CacheUnwritable where a download has no place.
    """
    return _load(_1M, data_dir)


def load_100k(*, data_dir: str | None = None) -> Dataset:
    """MovieLens-100K: 943 users, 1,682 films, 100,000 ratings of 1 to 5 stars, 1997-1998. Found as `load_1m` finds its files.

    Ages are given in years there; they are put into the bands of MovieLens-1M.
    """
    return _load(_100K, data_dir)


def _load(release: Release, data_dir: str | None) -> Dataset:
    folder = _locate(release, data_dir)
    key = fingerprint([folder / name for name in release.files], version=VERSION)
    return cached_dataset(f"{release.name}-{key}", lambda: release.parse(folder, release.counts))


def _locate(release: Release, data_dir: str | None) -> Path:
    local = data_dir or os.environ.get("RECOWORLD_DATA")
    if local:
        root = Path(local).expanduser()
        for folder in (root, root / release.name):
            if any(os.path.lexists(folder / name) for name in release.files):
                return _complete(release, folder)
        if data_dir:
            kind = "is a file" if root.is_file() else "holds neither" if root.is_dir() else "does not exist"
            tail = f" {', '.join(release.files)} nor {release.name}/ with them" if kind == "holds neither" else "; expected a folder"
            raise DataMissing(f"data_dir {root} {kind}{tail}; {release.advice}")
    folder = cache_folder() / release.name
    if not all((folder / name).is_file() for name in release.files):
        note = f" (RECOWORLD_DATA={local} holds no {release.name}/)" if local else ""
        members = {f"{release.name}/{name}": limit for name, limit in release.files.items()}
        fetch(release.url, release.md5, folder, members, f"if there is no network here, {release.advice}{note}")
    return folder


def _complete(release: Release, folder: Path) -> Path:
    missing = [name for name in release.files if not os.path.lexists(folder / name)]
    if missing:
        raise DataMissing(f"{folder} has no {', '.join(missing)}; expected {', '.join(release.files)}; {release.advice}")
    return folder
