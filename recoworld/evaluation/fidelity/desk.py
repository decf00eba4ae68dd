"""The folder of a report: finished sections and answers stay there, so that an interrupted report goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recoworld.dialogues import Corpus
from recoworld.evaluation.fidelity.asking.store import Answers
from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.fidelity.cost import Pilot
from recoworld.evaluation.store import Folder

REPORT = "fidelity.json"
_READ_DIALOGUES = ("dialogues", "mindset")
"""Sections that depend on the corpus."""


class Desk:
    """fidelity.json, fidelity.md, pictures, sections/NAME.json, answers/ and pilot.json; without a folder nothing is kept."""

    def __init__(
        self, path: Path | None, settings: dict[str, Any], *, corpus: Corpus | None = None, fresh: bool = False, dry: bool = False
    ) -> None:
        """Refuses, with ConfigError, a folder of other settings (unless `fresh`), and one that cannot be written.

        dry: read what is there, and neither write, nor remove, nor make the folder.
        """
        self.path = None if dry and fresh else path
        self._dry = dry
        self._mark = digest(settings)
        self._dialogues = digest({"settings": settings, "corpus": [corpus.name, len(corpus)] if corpus else None})
        self._folder = None if path is None or dry else Folder(path, settings, fresh=fresh, report=REPORT)
        if path is not None and fresh and not dry:
            for old in [*path.glob("sections/*.json"), *path.glob("answers/*.npz"), path / "pilot.json"]:
                old.unlink(missing_ok=True)

    def publish(self, files: Mapping[str, str | bytes]) -> None:
        """Replace files, each complete or not at all. Raises ConfigError for a folder that cannot be written."""
        if self._folder is not None:
            self._folder.publish(files)

    def answers(self) -> Answers:
        """Where single answers are kept."""
        return Answers(None if self.path is None or self._dry else self.path / "answers", self._mark)

    def section(self, name: str) -> tuple[Json, float] | None:
        """What an earlier run measured, and how many seconds that took; None where there is nothing of these settings."""
        kept = self._read(f"sections/{name}.json", self._mark_of(name))
        return None if kept is None else (kept["found"], float(kept["seconds"]))

    def keep(self, name: str, found: Json, seconds: float) -> None:
        """Write a finished section."""
        self._write(f"sections/{name}.json", {"settings": self._mark_of(name), "seconds": seconds, "found": found})

    def pilot(self) -> Pilot | None:
        """Of an earlier run: what is kept must not seem quick."""
        kept = self._read("pilot.json", self._mark)
        return None if kept is None else Pilot(**kept["pilot"])

    def keep_pilot(self, pilot: Pilot) -> None:
        """Write it."""
        self._write("pilot.json", {"settings": self._mark, "pilot": pilot.as_dict()})

    def _mark_of(self, section: str) -> str:
        return self._dialogues if section in _READ_DIALOGUES else self._mark

    def _write(self, name: str, content: Json) -> None:
        self.publish({name: json.dumps(content, indent=1, allow_nan=False) + "\n"})

    def _read(self, name: str, mark: str) -> Any:
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8")) if self.path is not None else None
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and content.get("settings") == mark else None


def digest(settings: dict[str, Any]) -> str:
    """24 hexadecimal digits of settings."""
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12).hexdigest()
