"""Sessions in files: JSON lines (one session a line, to read and to stream) and Parquet (one turn a row, to analyse and to learn from).

Both round-trip exactly, are written whole or not at all, and are checked in full when they are read. Parquet columns, for k slots:

| column | type | holds |
|---|---|---|
| format | string | `FORMAT` |
| session, turn | int | places in the file and in the session, from 0 |
| dataset, user, user_index, seed, policy, simulator, version | | facts of the session, repeated |
| opening_satisfaction ... opening_trust, opening_intent, opening_text | double, string | `Session.opening`, repeated; null where unknown |
| slate, titles | list of string [k] | item ids, titles |
| items | list of int [k] | indices into the catalogue |
| examined, clicked, liked, commented, shared | list of bool [k] | |
| watch | list of double [k] | seconds |
| left, told, followed, rationale | | as in `SessionTurn` |
| reasoning | string | likewise; only where the recommender of a session in the file thinks in words |
| instruction_kind, _aspect, _value, _phrasing, _text | | what was said; null for nothing |
| reward, reward_NAME | double | the reward and its parts; null for parts that this session's reward lacked |
| mindset_satisfaction ... mindset_trust, mindset_intent, mindset_text | | after the turn; null where unknown |
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO

from recoworld.errors import CacheUnwritable, ConfigError, DataCorrupt, DataMissing, MissingExtra
from recoworld.files import replacing
from recoworld.session import SLOTS, Mind, Said, Session, SessionTurn
from recoworld.text import plain
from recoworld.types import LEVELS

FORMAT = "recoworld-session/1"
_CHUNK = 1024  # sessions that are held as Python objects at a time when Parquet is written
_FACTS = tuple(field.name for field in fields(Session) if field.name not in ("opening", "turns"))
_TURN = (*SLOTS, "left", "told", "followed", "reward", "rationale")  # the fields of a turn that are a column each
_MAYBE = "reasoning"  # the field of a turn that is left out of files where it is empty
_SAID = tuple(field.name for field in fields(Said))
_MIND = (*LEVELS, "intent", "text")
_BROKEN = (ConfigError, TypeError, KeyError, ValueError, AttributeError, RecursionError)  # what wrong contents make of a constructor


def write_jsonl(path: str | Path, sessions: Iterable[Session]) -> int:
    """Write one JSON object a session and line; returns how many. Raises ConfigError for none, CacheUnwritable."""
    n = 0
    with _replacing(Path(path)) as file:
        for n, session in enumerate(sessions, 1):  # noqa: B007 - counts
            content = {"format": FORMAT} | vars(session)
            line = json.dumps(content, default=_plainly, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            file.write(line.encode() + b"\n")
        _some(n, path)
    return n


def _plainly(thing: object) -> dict[str, Any]:
    """What JSON is made of."""
    content = vars(thing)
    return content if content.get(_MAYBE, True) else {name: value for name, value in content.items() if name != _MAYBE}


def read_jsonl(path: str | Path) -> list[Session]:
    """Read what `write_jsonl` wrote. Raises DataMissing, and DataCorrupt that names the line."""
    with _reading(Path(path)) as file:
        lines = file.read().split(b"\n")
    return [_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _line(path: str | Path, number: int, line: bytes) -> Session:
    try:
        content = json.loads(line.decode(), parse_constant=_refused)
        _known(content.pop("format", None))
        return _session(**content)
    except _BROKEN as error:
        raise _corrupt(path, f"line {number}", error) from None


def write_parquet(path: str | Path, sessions: Iterable[Session]) -> int:
    """Write one row a turn; returns the number of sessions. Raises ConfigError for none, CacheUnwritable, MissingExtra."""
    pa, parquet = _pyarrow("writing Parquet")
    rest, tables, n = iter(sessions), [], 0
    while chunk := list(islice(rest, _CHUNK)):
        rows = [row for place, session in enumerate(chunk, n) for row in _rows(place, session)]
        parts = dict.fromkeys(name for row in rows for name in row if name.startswith("reward_"))
        more = {_MAYBE: pa.string()} if any(_MAYBE in row for row in rows) else {}
        types = _types(pa) | more | dict.fromkeys(parts, pa.float64())
        tables.append(pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()}))
        n += len(chunk)
    _some(n, path)
    with _replacing(Path(path)) as file:
        parquet.write_table(pa.concat_tables(tables, promote_options="default"), file, compression="zstd", write_page_checksum=True)
    return n


def read_parquet(path: str | Path) -> list[Session]:
    """Read what `write_parquet` wrote, also after rows of whole sessions were filtered. Raises DataMissing, MissingExtra, and DataCorrupt
    that names the row.
    """
    _, parquet = _pyarrow("reading Parquet")
    with _reading(Path(path)) as file:
        try:
            table = parquet.ParquetFile(file, page_checksum_verification=True).read()
            if "format" in table.column_names:
                table.validate(full=True)  # damaged offsets would be followed blindly
                rows = [row for batch in table.to_batches(max_chunksize=4096) for row in batch.to_pylist()]
            else:
                rows = []
        except Exception as error:  # whatever a damaged file does to its readers
            raise _corrupt(path, "the whole", error) from None
    if not rows:
        raise DataCorrupt(f"{path} holds no sessions; expected the rows that recoworld wrote as {FORMAT}")
    out, done = [], 0
    for _, group in groupby(rows, lambda row: row.get("session")):
        own = list(group)
        try:
            out.append(_gathered(own))
        except _BROKEN as error:
            raise _corrupt(path, f"rows {done + 1} to {done + len(own)}", error) from None
        done += len(own)
    return out


def _rows(place: int, session: Session) -> Iterator[dict[str, Any]]:
    """The rows of one session, without nulls."""
    facts = {"format": FORMAT, "session": place} | {name: getattr(session, name) for name in _FACTS} | _flat("opening", session.opening)
    for number, turn in enumerate(session.turns):
        said = {} if turn.instruction is None else {f"instruction_{name}": value for name, value in vars(turn.instruction).items()}
        parts = {f"reward_{name}": value for name, value in turn.parts.items()}
        own = {name: getattr(turn, name) for name in _TURN} | ({_MAYBE: turn.reasoning} if turn.reasoning else {})
        yield facts | {"turn": number} | own | said | parts | _flat("mindset", turn.mindset)


def _gathered(rows: list[dict[str, Any]]) -> Session:
    """The session that these rows make."""
    facts = {name: rows[0][name] for name in _FACTS}
    if [row["turn"] for row in rows] != list(range(len(rows))):
        raise ConfigError(f"turns: got {[row['turn'] for row in rows]}; expected 0 to {len(rows) - 1}")
    turns = []
    for row in rows:
        _known(row["format"])
        if any(row[name] != value for name, value in facts.items()):
            raise ConfigError(f"turn {row['turn']}: other facts of the session than in turn 0; expected the same {', '.join(_FACTS)}")
        said = {name: row[f"instruction_{name}"] for name in _SAID}
        parts = {name.removeprefix("reward_"): value for name, value in row.items() if name.startswith("reward_") and value is not None}
        own = {name: row[name] for name in _TURN} | {_MAYBE: row.get(_MAYBE) or ""}
        turns.append(own | {"instruction": said if said["kind"] is not None else None, "parts": parts, "mindset": _nested("mindset", row)})
    return _session(**facts, opening=_nested("opening", rows[0]), turns=turns)


def _flat(prefix: str, mind: Mind | None) -> dict[str, Any]:
    flat = {} if mind is None else mind.levels | {"intent": mind.intent, "text": mind.text}
    return {f"{prefix}_{name}": value for name, value in flat.items()}


def _nested(prefix: str, row: dict[str, Any]) -> dict[str, Any] | None:
    flat = {name: row[f"{prefix}_{name}"] for name in _MIND}
    if all(value is None for value in flat.values()):
        return None
    return {"levels": {name: flat[name] for name in LEVELS}, "intent": flat["intent"], "text": flat["text"]}


def _session(*, opening: dict[str, Any] | None, turns: list[dict[str, Any]], **facts: Any) -> Session:
    """A session out of plain values. What does not fit makes its constructors raise, see `_BROKEN`."""
    if facts.keys() != set(_FACTS):
        raise ConfigError(f"session: got {', '.join(facts)}; expected {', '.join(_FACTS)}, opening, turns")
    return Session(**facts, opening=_mind(opening), turns=tuple(_turn(**turn) for turn in turns))


def _turn(*, instruction: dict[str, Any] | None, mindset: dict[str, Any] | None, **own: Any) -> SessionTurn:
    own |= {name: tuple(own[name]) for name in SLOTS}
    return SessionTurn(**own, instruction=None if instruction is None else Said(**instruction), mindset=_mind(mindset))


def _mind(content: dict[str, Any] | None) -> Mind | None:
    return None if content is None else Mind(**content)


def _types(pa: Any) -> dict[str, Any]:
    """Column -> Arrow type, reward parts left out."""
    of = {str: pa.string(), bool: pa.bool_(), float: pa.float64(), int: pa.int64()}
    mind = {level: pa.float64() for level in LEVELS} | {"intent": pa.string(), "text": pa.string()}
    said = {"kind": pa.string(), "aspect": pa.string(), "value": pa.int32(), "phrasing": pa.uint32(), "text": pa.string()}
    return (
        {"format": pa.string(), "session": pa.int64(), "turn": pa.int64()}
        | {name: {"user_index": pa.int64(), "seed": pa.uint64()}.get(name, pa.string()) for name in _FACTS}
        | {f"opening_{name}": kind for name, kind in mind.items()}
        | {name: pa.list_(of[kind]) for name, kind in SLOTS.items()}
        | {"left": pa.bool_(), "told": pa.bool_(), "followed": pa.float64(), "rationale": pa.string()}
        | {f"instruction_{name}": kind for name, kind in said.items()}
        | {f"mindset_{name}": kind for name, kind in mind.items()}
        | {"reward": pa.float64()}
    )


def _known(mark: object) -> None:
    if mark != FORMAT:
        raise ConfigError(f"format: got {plain(mark, 40)!r}; expected {FORMAT!r}, which this version of RecoWorld reads")


def _some(n: int, path: str | Path) -> None:
    if not n:
        raise ConfigError(f"no sessions to write to {path}; expected at least one")


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no finite number")


def _corrupt(path: str | Path, where: str, error: Exception) -> DataCorrupt:
    said = f"{type(error).__name__}: {error}" if not isinstance(error, ConfigError) else str(error)
    return DataCorrupt(f"{path}, {where}: {plain(said, 300)}; the file is damaged or is none of recoworld's: restore it, or write it anew")


def _pyarrow(purpose: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", purpose) from None
    return pyarrow, pyarrow.parquet


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Yields an open regular file that is not empty."""
    try:
        if path.exists() and not path.is_file():
            raise DataCorrupt(f"{path} is a folder or device; expected a file of sessions")
        with open(path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise DataCorrupt(f"{path}, line 1: the file is empty; expected sessions")
            yield file
    except (DataCorrupt, DataMissing):
        raise
    except OSError as error:
        raise DataMissing(f"{path} cannot be read ({error.strerror or error}); expected a file of sessions: check the path") from None


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Yields a file to write to, which becomes `path` at the end, or vanishes on an error."""
    try:
        with replacing(path) as part, open(part, "wb") as file:
            yield file
    except OSError as error:
        raise CacheUnwritable(f"cannot write {path}: {error.strerror or error}; expected a folder with free space, open to you") from None


def read_sessions(path: str | Path) -> list[Session]:
    """Read a file of either format, told apart by how it begins: Parquet with ``PAR1``."""
    with _reading(Path(path)) as file:
        parquet = file.read(4) == b"PAR1"
    return (read_parquet if parquet else read_jsonl)(path)
