"""Replies in one SQLite file, by key: several processes and threads may read and write it at once, on a local disk.

A reply is committed when `put` returns: a killed process loses none, and a crash of the machine the last ones at most.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from recoworld.errors import CacheUnwritable, LanguageModelError
from recoworld.llm.model import Completion, Likelihood, Usage

Reply = Completion | tuple[Likelihood, ...]

FORMAT = 1
_MARK = 0x52574C4D
"""SQLite's application id of our files: "RWLM"."""
_PATIENCE = 60.0
_TABLE = """CREATE TABLE replies (
    key BLOB PRIMARY KEY, model TEXT NOT NULL, at REAL NOT NULL, text TEXT, finish TEXT,
    prompt INTEGER, cached INTEGER, completion INTEGER, prompt_ids BLOB, token_ids BLOB, logprobs BLOB
) WITHOUT ROWID"""
_COLUMNS = "text, finish, prompt, cached, completion, prompt_ids, token_ids, logprobs"


class Store:
    """The open file; `path` is made if it is not there, unless `readonly`."""

    def __init__(self, path: str | Path, *, readonly: bool = False) -> None:
        """Raises LanguageModelError for a file that is missing (`readonly`) or is no record, CacheUnwritable where none can be made."""
        self.path, self.readonly = Path(path).expanduser(), readonly
        self._lock, self._pid = threading.Lock(), 0
        self._connection: sqlite3.Connection | None = None
        if readonly and not self.path.is_file():
            raise LanguageModelError(f"no record of replies at {self.path}: expected a file that `record=` wrote")
        with self._errors():
            if not readonly:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as connection:
                self._check(connection)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Reply]:
        """The replies that are there."""
        wanted, found = list(dict.fromkeys(keys)), {}
        with self._errors(), self._open() as connection:
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                marks = ",".join("?" * len(some))
                for key, *row in connection.execute(f"SELECT key, {_COLUMNS} FROM replies WHERE key IN ({marks})", some):
                    found[key] = _reply(*row)
        return found

    def put(self, key: bytes, model: str, reply: Reply) -> Reply:
        """Keep a reply for good; returns the one that is kept, which is another's where that came first."""
        with self._errors(), self._open() as connection:
            marks = ",".join("?" * 11)
            done = connection.execute(f"INSERT OR IGNORE INTO replies VALUES ({marks})", (key, model, time.time(), *_row(reply)))
        return reply if done.rowcount else self.get([key])[key]

    def models(self) -> dict[str, int]:
        """How many replies there are of which model."""
        with self._errors(), self._open() as connection:
            return dict(connection.execute("SELECT model, count(*) FROM replies GROUP BY model ORDER BY model"))

    def add(self, other: Store) -> int:
        """Copy what another file has and this one has not; how many that were."""
        with self._errors(), self._open() as connection:
            connection.execute("ATTACH DATABASE ? AS other", (str(other.path),))
            try:
                return connection.execute("INSERT OR IGNORE INTO replies SELECT * FROM other.replies").rowcount
            finally:
                connection.execute("DETACH DATABASE other")

    def close(self) -> None:
        """Twice is fine; the next use opens the file again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                if not self.readonly:
                    _single(self._connection)
                self._connection.close()
            self._connection = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The connection, of one thread at a time; a forked process opens its own."""
        with self._lock:
            if self._connection is None or self._pid != os.getpid():
                self._connection, self._pid = self._connected(), os.getpid()
            yield self._connection

    def _connected(self) -> sqlite3.Connection:
        mode = ("ro" if os.access(self.path.parent, os.W_OK) else "ro&immutable=1") if self.readonly else "rwc"
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuse foreign files, and make a record out of an empty one."""
        if not self.readonly:
            connection.execute("BEGIN IMMEDIATE")  # of several processes that start at once one makes the table
        try:
            mark, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if mark != _MARK and (mark or version or tables or self.readonly):
                raise LanguageModelError(f"{self.path} is no record of replies: it is an SQLite file of something else")
            if mark == _MARK and version != FORMAT:
                raise LanguageModelError(f"{self.path} is a record of format {version}; this version of recoworld reads format {FORMAT}")
            if mark != _MARK:
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id={_MARK}")
                connection.execute(f"PRAGMA user_version={FORMAT}")
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
        if not self.readonly:
            _patiently(connection, "PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """SQLite's errors, in our words."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise CacheUnwritable(
                f"cannot {'read' if self.readonly else 'write'} the record of replies {self.path}: {error}; expected a file on a local "
                "disk with room, in a folder that can be written"
            ) from error
        except sqlite3.DatabaseError as error:
            raise LanguageModelError(f"{self.path} is no record of replies, or is damaged: {error}; name another file") from error
        except OSError as error:
            raise CacheUnwritable(f"cannot write the record of replies {self.path}: {error.strerror or error}") from error


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Changing the journal's mode does not wait for others by itself."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _single(connection: sqlite3.Connection) -> None:
    """One file without others beside it, which can be read from anywhere; not while others have it open."""
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA busy_timeout=0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # without it, a run that added nothing leaves the others there
        connection.execute("PRAGMA journal_mode=DELETE")


def _row(reply: Reply) -> tuple[object, ...]:
    if isinstance(reply, Completion):
        usage = reply.usage
        arrays = (_packed(reply.prompt_ids, "<i4"), _packed(reply.token_ids, "<i4"), _packed(reply.logprobs, "<f8"))
        return (_text(reply.text), reply.finish, usage.prompt, usage.cached, usage.completion, *arrays)
    tokens, logprobs = [each.tokens for each in reply], [each.logprob for each in reply]
    return (None, None, None, None, None, None, _packed(tokens, "<i4"), _packed(logprobs, "<f8"))


def _reply(text: str | bytes | None, finish: str, prompt: int, cached: int, completion: int, *arrays: bytes | None) -> Reply:
    prompt_ids, token_ids, logprobs = (_unpacked(each, kind) for each, kind in zip(arrays, ("<i4", "<i4", "<f8"), strict=True))
    if text is None:
        return tuple(Likelihood(logprob=p, tokens=n) for n, p in zip(token_ids or (), logprobs or (), strict=True))
    return Completion(
        text=text if isinstance(text, str) else text.decode("utf-8", "surrogatepass"),
        finish=finish,
        usage=Usage(prompt=prompt, cached=cached, completion=completion),
        prompt_ids=prompt_ids,
        token_ids=token_ids,
        logprobs=logprobs,
    )


def _text(text: str) -> str | bytes:
    """Half characters, which SQLite refuses as text, as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _packed(numbers: Iterable[float] | None, kind: str) -> bytes | None:
    return None if numbers is None else np.asarray(tuple(numbers), kind).tobytes()


def _unpacked(stored: bytes | None, kind: str) -> tuple[int, ...] | None:
    return None if stored is None else tuple(np.frombuffer(stored, kind).tolist())
