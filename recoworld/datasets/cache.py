"""The cache folder: parsed data and fitted models as plain arrays, never pickles, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from recoworld.datasets.files import reading
from recoworld.errors import ConfigError
from recoworld.files import replacing

Arrays = dict[str, NDArray[Any]]

FORMAT = 1
_MARK = "_recoworld"
_WHOLE = 64 * 2**20  # files up to this size are hashed whole (0.03 s), larger ones by head, tail and time of change


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """`cache_dir`, or the environment variable RECOWORLD_CACHE, or the user's cache folder. It need not exist yet."""
    return Path(cache_dir or os.environ.get("RECOWORLD_CACHE") or user_cache_dir("recoworld")).expanduser()


def fingerprint(paths: Iterable[Path], *, version: int) -> str:
    """24 hexadecimal digits that change with the names or contents of the files and with `version`, the parser's own number.

    Raises DataMissing or DataCorrupt for files that cannot be read.
    """
    digest = hashlib.blake2b(f"{FORMAT} {version}".encode(), digest_size=12)
    for path in sorted(paths):
        with reading(path) as size, open(path, "rb") as file:
            digest.update(f"|{path.name} {size}|".encode())
            if size <= _WHOLE:
                digest.update(file.read())
            else:
                digest.update(file.read(2**20))
                file.seek(-(2**20), os.SEEK_END)
                digest.update(file.read() + str(os.stat(path).st_mtime_ns).encode())
    return digest.hexdigest()


def cached_arrays(key: str, build: Callable[[], Arrays], *, cache_dir: str | Path | None = None) -> Arrays:
    """The arrays of `build()`, from the cache where they are there.

    `key` names the file and must change whenever the arrays would: put a fingerprint of all that `build` reads and a version of
    its code into it. A file that is damaged, or was not written under this key, is built anew; where the cache cannot be
    written, a warning says so and the arrays are returned all the same. Arrays of objects are refused with ValueError.
    Raises ConfigError for a key that is no plain file name, and whatever `build` raises.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}", key):
        raise ConfigError(f"cache key {key!r} is no plain file name; expected letters, digits, '.', '_' and '-', 151 of them at most")
    path = cache_folder(cache_dir) / f"{key}.npz"
    found = read_arrays(path, key)
    if found is not None:
        return found
    arrays = build()
    try:
        write_arrays(path, key, arrays)
    except OSError as error:
        warnings.warn(
            f"cannot write the cache {path.parent} ({error.strerror or error}); going on without, which is slower next time: "
            "free the disk, or set RECOWORLD_CACHE to a folder that can be written",
            stacklevel=2,
        )
    return arrays


def write_arrays(path: Path, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as uncompressed .npz, complete or not at all. Raises OSError, and ValueError for arrays of objects."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {_MARK: np.array(_mark(key, arrays)), **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def _mark(key: str, arrays: Iterable[str]) -> str:
    return f"{FORMAT} {key} {' '.join(sorted(arrays))}"  # with the names, for a damaged directory may lose some


def read_arrays(path: Path, key: str) -> Arrays | None:
    """The arrays that `write_arrays` wrote under this key; None where there is no such file, or a damaged or foreign one."""
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for info in archive.infolist():
                if info.compress_type != zipfile.ZIP_STORED:
                    return None  # foreign, and perhaps made to swell
                member = io.BytesIO(archive.read(info))  # read whole first, which compares the checksum
                arrays[info.filename.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
        return arrays if str(arrays.pop(_MARK)) == _mark(key, arrays) else None
    except Exception:  # whatever a damaged archive does to its readers, the answer is to build anew
        return None
