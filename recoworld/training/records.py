"""Lines of figures of a run: JSONL files that a resumed run takes up where its checkpoint is, and TensorBoard's events."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from recoworld.files import replacing

Record = dict[str, Any]


class Lines:
    """A JSONL file with one object an iteration."""

    def __init__(self, path: Path, upto: int) -> None:
        """Keep what was written up to an iteration and drop the rest, which will be computed again, and a line torn by a kill."""
        self.path = path
        self.records = [record for record in read_lines(path) if record["iteration"] <= upto]
        with replacing(path) as part:
            part.write_text("".join(map(_line, self.records)), encoding="utf-8")
            part.chmod(0o644)

    def add(self, record: Record) -> None:
        """Append one."""
        self.records.append(record)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(record))

    def __contains__(self, iteration: int) -> bool:
        return any(record["iteration"] == iteration for record in self.records)


def read_lines(path: Path) -> list[Record]:
    """Whole lines of a file that may not be there."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("iteration"), int):
            found.append(record)
    return found


class Events:
    """TensorBoard's files, where tensorboardX is installed (it comes with ``ray[rllib]``)."""

    def __init__(self, folder: Path, upto: int) -> None:
        """upto: as for `Lines`."""
        try:
            writer = import_module("tensorboardX").SummaryWriter
        except ImportError:
            self._writer: Any = None
        else:
            self._writer = writer(str(folder), purge_step=upto + 1 if upto else None)

    @property
    def missing(self) -> bool:
        """Whether nothing is written."""
        return self._writer is None

    def add(self, group: str, record: Record) -> None:
        """Every number of a record, under ``group/name``."""
        if self._writer is None:
            return
        for name, value in record.items():
            if isinstance(value, dict):
                self.add(f"{group}/{name}", {**value, "iteration": record["iteration"]})
            elif isinstance(value, int | float) and name != "iteration":
                self._writer.add_scalar(f"{group}/{name}", value, record["iteration"])
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
