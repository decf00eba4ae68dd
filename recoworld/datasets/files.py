"""Reading files of others: what can go wrong is told as a `DatasetError` that names the file and the line."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recoworld.errors import CacheUnwritable, DataCorrupt, DataMissing, DatasetError
from recoworld.text import plain


@contextmanager
def reading(path: Path, advice: str = "check the path") -> Iterator[int]:
    """Yields the size of a regular, non-empty file in bytes; turns what the system says while it is read into a DatasetError."""
    try:
        state = os.stat(path)
        if stat.S_ISDIR(state.st_mode):
            raise DataCorrupt(f"{path} is a folder; expected a file; {advice}")
        if not stat.S_ISREG(state.st_mode):
            raise DataCorrupt(f"{path} is a device or pipe; expected a regular file; {advice}")
        if not state.st_size:
            raise DataCorrupt(f"{path} is empty; {advice}")
        yield state.st_size
    except DatasetError:
        raise
    except FileNotFoundError:
        raise DataMissing(f"{path} does not exist; {advice}") from None
    except NotADirectoryError:
        raise DataMissing(f"{path} does not exist, for a part of its path is a file; {advice}") from None
    except PermissionError:
        raise DataMissing(f"{path} may not be read (permission denied); give yourself the right to read it, or {advice}") from None
    except OSError as error:
        raise DataMissing(f"{path} cannot be read ({error.strerror or error}); {advice}") from error


def read_bytes(path: Path, advice: str = "check the path") -> bytes:
    """The contents of a file. Raises DataMissing or DataCorrupt."""
    with reading(path, advice):
        return path.read_bytes()


def decode(data: bytes, path: Path, encoding: str, advice: str) -> str:
    """Text of bytes. Raises DataCorrupt that names the byte and its line."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") and not encoding.lower().startswith("utf-16"):
        raise DataCorrupt(f"{path} starts as UTF-16 does; expected {encoding}; {advice}")
    skipped = 3 if data[:3] == b"\xef\xbb\xbf" and encoding.lower().replace("_", "-") in ("utf-8", "utf8") else 0
    try:
        text = data[skipped:].decode(encoding)
    except UnicodeDecodeError as error:
        start = min(error.start + skipped, len(data) - 1)
        raise DataCorrupt(
            f"{path}, line {line_of(data, start)}: byte {start} (0x{data[start]:02x}) is not {encoding}; expected {encoding} text; {advice}"
        ) from None
    if "\0" in text:
        raise DataCorrupt(f"{path}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: got a NUL byte; expected text; {advice}")
    return text


def line_of(data: bytes, position: int) -> int:
    """The number of the line, from 1, that holds this byte."""
    return data.count(b"\n", 0, position) + 1


def bad_line(path: Path, line: int, got: object, expected: str, advice: str = "") -> DataCorrupt:
    """The error for one line of a file."""
    return DataCorrupt(f"{path}, line {line}: got {plain(got, 80)!r}; expected {expected}" + (f"; {advice}" if advice else ""))


def unwritable(folder: Path, error: OSError, variable: str) -> CacheUnwritable:
    """The error for a folder that has to be written and cannot be."""
    why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return CacheUnwritable(
        f"cannot write to {folder}: {why}; expected a folder with free space: free the disk, or set {variable} to another"
    )
