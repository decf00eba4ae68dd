"""Big CSV files, read column by column with pyarrow: ten million rows in seconds, and no more of them in memory than is asked for."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.datasets.files import bad_line, reading
from recoworld.errors import DataCorrupt, MissingExtra

_EMPTY = ["", "NaN", "nan", "null", "NULL"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a column has to hold."""

    kind: str
    """A NumPy dtype of numbers; "words" for text, read as codes; "moment" for ISO 8601 with a zone, read as microseconds since 1970."""
    low: float = 0
    high: float = 2**31 - 1
    empty: float | None = None
    """What an empty cell becomes; None refuses it. Words are -1 where empty."""

    def __str__(self) -> str:
        if self.kind in ("words", "moment"):
            return "text" if self.kind == "words" else "a time in ISO 8601 with a zone"
        return f"{'a whole number' if np.dtype(self.kind).kind == 'i' else 'a number'} of {self.low:.0f} to {self.high:.0f}"


ID = Column(kind="i4", high=2**26 - 1)
"""Ids count from 0 in these files; the bound keeps `Columns.places` small."""
FLAG = Column(kind="i1", high=1)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Some columns of a file, its rows in order; row `i` is line ``i + 2``."""

    path: Path
    values: dict[str, NDArray[Any]]
    words: dict[str, list[str]] = field(default_factory=dict)
    """What the codes of text columns mean."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.values[name]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def texts(self, name: str) -> list[str]:
        """A text column, "" where empty."""
        words = [*self.words[name], ""]
        return [words[code] for code in self.values[name].tolist()]

    def unique(self, name: str, advice: str) -> None:
        """Raises DataCorrupt that names the first row of an id that occurred before."""
        ids = self.values[name]
        firsts = np.unique(ids, return_index=True)[1]
        if len(firsts) < len(ids):
            again = np.ones(len(ids), dtype=np.bool_)
            again[firsts] = False
            self.require(name, ~again, "an id that occurs once", advice)

    def places(self, name: str, known: NDArray[np.int64], expected: str, advice: str) -> NDArray[np.int32]:
        """Where in `known` each id of a column is ``[n]``; both as `ID` bounds them. Raises DataCorrupt for one that is not there."""
        used = self.values[name]
        table = np.full(int(max(known.max(), used.max())) + 1, -1, dtype=np.int32)
        table[known] = np.arange(len(known), dtype=np.int32)
        found = table[used]
        self.require(name, found >= 0, expected, advice)
        return found

    def require(self, name: str, good: NDArray[np.bool_], expected: str, advice: str) -> None:
        """Raises DataCorrupt that names the first row where `good` is not."""
        if not good.all():
            row = int(np.argmin(good))
            raise bad_line(self.path, row + 2, f"{name} {self.values[name][row]}", expected, advice)


def read_columns(path: Path, wanted: Mapping[str, Column], advice: str) -> Columns:
    """The wanted columns of a CSV file with a header line and commas, in UTF-8.

    Raises DataMissing, DataCorrupt that names the line, or MissingExtra where pyarrow is not installed.
    """
    try:
        arrow, reader = import_module("pyarrow"), import_module("pyarrow.csv")
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", f"reading {path.name}") from None
    with reading(path, advice):
        header = _header(path, wanted, advice)
        kinds = {"words": arrow.dictionary(arrow.int32(), arrow.string()), "moment": arrow.timestamp("us", tz="UTC")}
        types = {name: kinds.get(column.kind) or arrow.from_numpy_dtype(np.dtype(column.kind)) for name, column in wanted.items()}
        parts = {
            "parse_options": reader.ParseOptions(ignore_empty_lines=False),
            "convert_options": reader.ConvertOptions(
                include_columns=list(wanted), column_types=types, null_values=_EMPTY, strings_can_be_null=True
            ),
        }
        try:
            table = reader.read_csv(path, **parts)
        except arrow.ArrowException as error:
            raise _told(path, reader, parts, header, wanted, advice, error) from None
    if not len(table):
        raise DataCorrupt(f"{path} has no rows below its header; expected at least one; {advice}")
    out = Columns(path=path, values={})
    for name, column in wanted.items():
        chunks = table.column(name)
        table = table.drop_columns([name])  # so that its memory is free once it is converted
        if column.kind == "words":
            coded = chunks.unify_dictionaries().combine_chunks()
            out.values[name] = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            out.words[name] = coded.dictionary.to_pylist()
        else:
            out.values[name] = _numbers(path, name, column, chunks.cast(arrow.int64()) if column.kind == "moment" else chunks, advice)
    return out


def _header(path: Path, wanted: Mapping[str, Column], advice: str) -> list[str]:
    with open(path, "rb") as file:
        line = file.readline(2**16)
    try:
        header = next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")]), [])
    except (UnicodeDecodeError, csv.Error):
        raise bad_line(path, 1, line.decode("latin-1"), "a header in UTF-8, its names separated by commas", advice) from None
    missing = [name for name in wanted if header.count(name) != 1]
    if missing:
        raise bad_line(path, 1, line.decode("utf-8-sig"), f"a header with one column each of {', '.join(missing)}", advice)
    return header


def _numbers(path: Path, name: str, column: Column, chunks: Any, advice: str) -> NDArray[Any]:
    if chunks.null_count:
        empty = chunks.is_null().to_numpy()
        if column.empty is None:
            raise bad_line(path, int(np.argmax(empty)) + 2, "", f"{column} in column {name!r}", advice)
        chunks = chunks.fill_null(column.empty)
    values: NDArray[Any] = chunks.to_numpy()
    if column.kind != "moment":
        bad = ~((values >= column.low) & (values <= column.high))  # so that what is no number is bad
        if column.empty is not None:
            bad &= values != column.empty
        if bad.any():
            row = int(np.argmax(bad))
            raise bad_line(path, row + 2, values[row], f"{column} in column {name!r}", advice)
    return values


def _told(
    path: Path, reader: Any, parts: dict[str, Any], header: list[str], wanted: Mapping[str, Column], advice: str, error: Exception
) -> DataCorrupt:
    """What pyarrow has to say; it knows the row only where it reads with one thread, so the file is read once more."""
    try:
        reader.read_csv(path, read_options=reader.ReadOptions(use_threads=False), **parts)
    except type(error) as again:
        error = again
    text = " ".join(str(error).split())
    row, column = re.search(r"Row #(\d+)", text), re.search(r"In CSV column #(\d+)", text)
    got = re.search(r"(?:value|offset in) '([^']*)'|got \d+: (.*)$", text)
    if not row:
        return DataCorrupt(f"{path}: {text[:200]}; expected CSV with {len(header)} fields a line; {advice}")
    name = header[int(column[1])] if column else ""
    expected = f"{wanted[name]} in column {name!r}" if name in wanted else f"{len(header)} fields separated by commas"
    return bad_line(path, int(row[1]), (got[1] or got[2]) if got else text, expected, advice)
