"""Corpora that are read from a local copy alone: where it is, its lines, and whether it is all there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from recoworld.datasets.files import decode, read_bytes
from recoworld.errors import DataCorrupt, DataMissing


def locate(name: str, files: Sequence[str], data_dir: str | None, advice: str, inside: Sequence[str] = ()) -> Path:
    """The folder that holds all `files`: `data_dir`, or else the environment variable RECOWORLD_DATA, or a folder in it.

    name: The folder's usual name there. inside: Where the official repository has the files. Raises DataMissing.
    """
    local = data_dir or os.environ.get("RECOWORLD_DATA")
    if not local:
        raise DataMissing(f"got neither data_dir nor RECOWORLD_DATA; expected a folder with {', '.join(files)}; {advice}")
    root = Path(local).expanduser()
    if not root.is_dir():
        state = "is a file" if root.exists() else "does not exist"
        raise DataMissing(f"{root} {state}; expected a folder with {', '.join(files)}; {advice}")
    places = [place / part for place in (root, root / name) for part in ("", *inside)]
    folder = next((place for place in places if any(os.path.lexists(place / file) for file in files)), root)
    missing = [file for file in files if not os.path.lexists(folder / file)]
    if missing:
        rest = [file for file in files if file not in missing]
        expected = f"it beside {', '.join(rest)}" if rest else "a folder that holds them"
        raise DataMissing(f"{folder} has no {', '.join(missing)}; expected {expected}; {advice}")
    return folder


def read_lines(path: Path, advice: str) -> list[str]:
    """The lines of a UTF-8 file, without their ends. Raises DataMissing or DataCorrupt."""
    text = decode(read_bytes(path, advice), path, "utf-8", advice)
    return [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]


def check_count(path: Path, got: int, expected: int, advice: str) -> None:
    """Raises DataCorrupt unless a file holds as many dialogues as were published."""
    if got != expected:
        raise DataCorrupt(f"{path}: got {got:,} dialogues; expected {expected:,}, as published; {advice}")
