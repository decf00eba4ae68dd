"""Tables of other people: CSV, Parquet, and RecBole's atomic files, read into columns that remember their lines."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.datasets.arrays import seconds
from recoworld.datasets.files import bad_line, decode, read_bytes, reading
from recoworld.errors import ConfigError, DataCorrupt, MissingExtra, UnknownName

LONGEST_ID = 200
LONGEST_TITLE = 300
"""Characters; arrays of strings are as wide as the longest. Longer titles are cut, longer ids refused."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Some columns of a file."""

    path: Path
    columns: dict[str, list[Any]]
    """Column -> values, as the file has them: strings in a text file, None for an empty cell in Parquet."""
    lines: Sequence[int]
    """The line (in Parquet the row) of each value, from 1."""

    def __len__(self) -> int:
        return len(self.lines)

    def texts(self, name: str) -> list[str]:
        """The column as stripped strings, "" for an empty cell; whole floats, as a gap makes of integers, lose their ".0"."""
        return [_text(value) for value in self.columns[name]]

    def ids(self, name: str) -> list[str]:
        """The column as ids. Raises DataCorrupt for an empty or overlong one."""
        values = self.texts(name)
        for line, value in zip(self.lines, values, strict=True):
            if not 0 < len(value) <= LONGEST_ID or value in ("nan", "NaN"):
                raise bad_line(self.path, line, value, f"an id of 1 to {LONGEST_ID} characters in column {name!r}")
        return values

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The column as finite float64. Raises DataCorrupt."""
        return np.array(self._each(name, _finite, "a finite number"), dtype=np.float64)

    def times(self, name: str) -> NDArray[np.int64]:
        """The column as seconds since 1970: epoch numbers of any unit, or ISO 8601, which without a zone is UTC. Raises DataCorrupt."""
        first = next(iter(self.columns[name]), "0")
        try:
            _finite(first)
        except (ValueError, TypeError):
            return np.array(self._each(name, _moment, "a time in ISO 8601, as the first one"), dtype=np.int64)
        return seconds(np.array(self._each(name, _finite, "a finite number, as the first time"), dtype=np.float64))

    def years(self, name: str) -> list[int]:
        """The column as years from its first four characters, 0 for an empty cell. Raises DataCorrupt."""
        return [int(year) for year in self._each(name, _year, "a year of four digits, or nothing")]

    def _each(self, name: str, convert: Callable[[Any], float], expected: str) -> list[float]:
        out = []
        for line, value in zip(self.lines, self.columns[name], strict=True):
            try:
                out.append(convert(value))
            except (ValueError, TypeError, OverflowError):
                raise bad_line(self.path, line, value, f"{expected} in column {name!r}") from None
        return out


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else "; ".join(map(str, value)) if isinstance(value, list) else str(value).strip()


def _finite(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(value)
    return number


def _moment(value: Any) -> int:
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise TypeError(value)
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() // 1)


def _year(value: Any) -> int:
    text = _text(value)[:4]
    if text and not (text.isascii() and text.isdecimal() and len(text) == 4):
        raise ValueError(value)
    return int(text or 0)


def read_table(path: Path, wanted: list[str], *, encoding: str = "utf-8") -> Table:
    """The `wanted` columns of a Parquet file (by its name's end) or else of a CSV file.

    Raises DataMissing, DataCorrupt, UnknownName for a column that is not there, MissingExtra where Parquet needs pyarrow.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path, wanted)
    return _read_csv(path, wanted, encoding)


def read_header(path: Path, *, encoding: str = "utf-8") -> list[str]:
    """The names of the columns of such a file. Raises DataMissing, DataCorrupt, MissingExtra, ConfigError for an unknown encoding."""
    if path.suffix.lower() in (".parquet", ".pq"):
        with _arrow(path) as (_, parquet):
            return list(map(str, parquet.read_schema(path).names))
    return max(_headers(_decoded(path, encoding)).values(), key=len)


def _decoded(path: Path, encoding: str) -> str:
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ConfigError(f"unknown encoding {encoding!r}; expected one of Python's, e.g. 'utf-8', 'latin-1' or 'utf-16'") from None
    return decode(read_bytes(path), path, encoding, "if the file has another encoding name it, e.g. encoding='latin-1'")


def _headers(text: str) -> dict[str, list[str]]:
    """The first line by each delimiter."""
    start = re.split(r"[\r\n]", text.lstrip("\r\n")[:100_000], maxsplit=1)[0]  # csv refuses fields of more than 131,072
    return {d: _stripped(next(csv.reader([start], delimiter=d), [])) for d in ",;\t|"}


def _read_csv(path: Path, wanted: list[str], encoding: str) -> Table:
    text = _decoded(path, encoding)
    headers = _headers(text)
    delimiter = max(headers, key=lambda d: (len(set(wanted) & set(headers[d])), len(headers[d])))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows, lines = [], []
    try:
        for row in reader:
            if not row:
                continue
            if not header:
                header = _stripped(row)
                places = _places(path, header, wanted)
            elif len(row) != len(header):
                expected = f"{len(header)} fields separated by {delimiter!r}, not {len(row)}"
                raise bad_line(path, reader.line_num, delimiter.join(row), expected)
            else:
                rows.append([row[place] for place in places])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataCorrupt(f"{path}, line {reader.line_num}: {error}; expected CSV with fields separated by {delimiter!r}") from None
    if not rows:
        raise DataCorrupt(f"{path} has no rows below its header; expected at least one")
    return Table(path=path, columns={name: [row[i] for row in rows] for i, name in enumerate(wanted)}, lines=lines)


def _stripped(row: list[str]) -> list[str]:
    return [name.strip() for name in row]


def _places(path: Path, header: list[str], wanted: list[str]) -> list[int]:
    for name in wanted:
        if name not in header:
            raise UnknownName(f"column of {path.name}", name, header)
        if header.count(name) > 1:
            raise DataCorrupt(f"{path} has {header.count(name)} columns called {name!r}; expected one; rename the others")
    return [header.index(name) for name in wanted]


@contextmanager
def _arrow(path: Path) -> Iterator[tuple[Any, Any]]:
    """Arrow and its Parquet half; what they say of a damaged file becomes a DataCorrupt."""
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", f"reading {path.name}") from None
    with reading(path):
        try:
            yield pyarrow, parquet
        except (pyarrow.ArrowException, PermissionError) as error:
            if isinstance(error, PermissionError):
                raise
            raise DataCorrupt(f"{path} is no readable Parquet file: {' '.join(str(error).split())[:200]}; write it again") from None
        except OSError as error:  # how Arrow reports a damaged page
            raise DataCorrupt(f"{path} is no readable Parquet file: {' '.join(str(error).split())[:200]}; write it again") from None


def _read_parquet(path: Path, wanted: list[str]) -> Table:
    with _arrow(path) as (pyarrow, parquet):
        _places(path, list(parquet.read_schema(path).names), wanted)
        table = parquet.read_table(path, columns=wanted, partitioning=None)
        columns = {}
        for name in wanted:
            column = table.column(name)
            if pyarrow.types.is_timestamp(column.type):  # Python's times have no nanoseconds
                column = column.cast(pyarrow.timestamp("us", tz=column.type.tz), safe=False)
            columns[name] = column.to_pylist()
    if not len(table):
        raise DataCorrupt(f"{path} has no rows; expected at least one")
    return Table(path=path, columns=columns, lines=range(1, len(table) + 1))


def read_atomic(path: Path) -> tuple[Table, dict[str, str]]:
    """A RecBole atomic file: all its columns, and the type (token, token_seq, float, float_seq) of each.

    Raises DataMissing or DataCorrupt.
    """
    text = decode(read_bytes(path), path, "utf-8", "RecBole's files are UTF-8: convert it")
    rows = [line.removesuffix("\r").split("\t") for line in text.removesuffix("\n").split("\n")]
    header = [cell.partition(":") for cell in rows[0]]
    names = [name.strip() for name, _, _ in header]
    if any(kind not in ("token", "token_seq", "float", "float_seq") for _, _, kind in header) or len(set(names)) < len(names):
        raise bad_line(path, 1, "\t".join(rows[0]), "a header of distinct name:type columns such as user_id:token, separated by tabs")
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise bad_line(path, line, " | ".join(row), f"{len(names)} fields separated by tabs, not {len(row)}")
    columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(names)}
    return Table(path=path, columns=columns, lines=range(2, len(rows) + 1)), dict(zip(names, (kind for _, _, kind in header), strict=True))
