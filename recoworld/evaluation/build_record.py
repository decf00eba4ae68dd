"""What an earlier build of a name did: NAME.build.json beside the imported log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recoworld.datasets.logs import preset_path, stamp
from recoworld.errors import CacheUnwritable, ConfigError
from recoworld.files import replacing


class Record:
    """Of which log and by which settings the parts of a world were made."""

    def __init__(self, name: str) -> None:
        """Nothing is known where the file cannot be read. Raises ConfigError for a bad name."""
        self.name = name
        self._path = preset_path(name).with_name(f"{name}.build.json")
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        self._found: dict[str, Any] = found if isinstance(found, dict) else {}

    def refuse_others(self, wanted: dict[str, Any], report: Path | None) -> None:
        """Raises ConfigError where a build of other settings would replace the world, or results in a folder that is not its own."""
        before = self._found.get("calibration")
        if preset_path(self.name).is_file() and not self.of_calibration(wanted):
            there = before if isinstance(before, dict) else {}
            other = [f"{key}: {there.get(key)!r} there, {value!r} now" for key, value in wanted.items() if there.get(key) != value]
            raise ConfigError(
                f"the world of {self.name!r} is there, calibrated otherwise ({'; '.join(other)}); choose a --name, or --overwrite it"
            )
        others = [] if report is None else [name for name in ("fidelity.json", "calibration.json") if (report / name).exists()]
        if others and str(report) not in self._reports():
            raise ConfigError(f"{report} holds {others[0]} of something else; choose another --out, or --overwrite it")

    def of_import(self, key: dict[str, Any]) -> bool:
        """Whether the log that is there now was imported by a build of the same log and columns."""
        there = stamp(self.name)
        return there is not None and self._found.get("import") == key and self._found.get("stamp") == list(there)

    def of_calibration(self, wanted: dict[str, Any]) -> bool:
        """Whether the last calibration had these settings."""
        return self._found.get("calibration") == wanted

    def imported(self, key: dict[str, Any]) -> None:
        """Note an import that is written; what was calibrated before is another's."""
        self._note({"import": key, "stamp": list(stamp(self.name) or ())})

    def reporting(self, report: Path) -> None:
        """Note a folder, before anything is written to it."""
        self._note(self._found | {"reports": sorted({*self._reports(), str(report)})})

    def calibrated(self, wanted: dict[str, Any]) -> None:
        """Note a calibration, before its preset is written: without that file it does not count."""
        self._note(self._found | {"calibration": wanted})

    def write(self, path: Path, content: str) -> None:
        """A file, complete or not at all. Raises CacheUnwritable."""
        try:
            with replacing(path) as temporary:
                temporary.write_text(content, encoding="utf-8")
        except OSError as error:
            raise CacheUnwritable(f"cannot write {path} ({error.strerror or error}); free the disk, or set RECOWORLD_HOME") from None

    def _reports(self) -> list[str]:
        found = self._found.get("reports")
        return found if isinstance(found, list) else []

    def _note(self, found: dict[str, Any]) -> None:
        self._found = found
        self.write(self._path, json.dumps(found))
