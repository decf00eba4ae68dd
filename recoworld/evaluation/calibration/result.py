"""What calibration found, and the files that it leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recoworld.errors import CacheUnwritable, ConfigError
from recoworld.evaluation.calibration.correction import Correction
from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.store import Folder
from recoworld.files import check_writable, replacing
from recoworld.version import __version__

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

PRESET, FACTS = "calibrated.yaml", "calibration.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated:
    """A simulator's fitted settings, and how well it did before and after on people it had never seen."""

    simulator: str
    config: dict[str, Any]
    """Its settings: those given, with what was fitted on top."""
    correction: Correction
    """A diagnosis: no preset holds it, and no simulator behaves by it."""
    facts: Json
    """`settings`, `fitted` (coefficient -> before, after), `correction`, `test` (figures by metric and stage), `rates` (of impressions),
    `notes`."""

    @property
    def log_loss(self) -> tuple[float, float]:
        """Of the choices of test users, before and after; the same twice where nothing was fitted."""
        found = self.facts["test"]["log_loss"]
        return found["before"]["value"], found.get("after", found["before"])["value"]

    @property
    def worse(self) -> bool:
        """Whether the fit made it worse on test users: the whole interval of the paired change of log-loss is above 0."""
        low = self.facts["test"]["log_loss"].get("after", {}).get("change", {}).get("low")
        return low is not None and low > 0

    @property
    def preset(self) -> str:
        """A YAML file for ``--config`` and `WorldConfig.of`: the data set, the simulator and its settings."""
        about = self.facts["settings"]
        fitted = ", ".join(self.facts["fitted"]) or "no coefficient"
        heading = f"# {self.simulator} users, {fitted} fitted on training users of {about['dataset']} by RecoWorld {__version__}.\n"
        if self.worse:
            heading += "# On test users it is worse than before: keep the old coefficients.\n"
        settings = {"dataset": about["dataset"], "simulator": self.simulator, "simulator_config": self.config}
        return heading + yaml.safe_dump(settings, sort_keys=False)

    def save(self, folder: Path) -> list[str]:
        """Write calibrated.yaml, if anything was fitted, and calibration.json, each complete or not at all. Raises CacheUnwritable.

        Returns their names. A preset that another calibration left there goes where nothing was fitted.
        """
        contents = {PRESET: self.preset} if self.facts["fitted"] else {}
        contents[FACTS] = json.dumps(self.facts, indent=1) + "\n"
        try:
            if PRESET not in contents:
                (folder / PRESET).unlink(missing_ok=True)
            for name, content in contents.items():
                with replacing(folder / name) as temporary:
                    temporary.write_text(content, encoding="utf-8")
        except OSError as error:
            why = error.strerror or error
            raise CacheUnwritable(f"cannot write to {folder} ({why}); choose another folder, or free the disk") from None
        return list(contents)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from recoworld.evaluation.calibration.show import tables

        yield from tables(self.facts)


def claim(folder: Path, settings: Json, *, fresh: bool) -> None:
    """Raises ConfigError for a folder with a calibration of other settings, unless `fresh`, and for one that cannot be written."""
    if not fresh:
        Folder(folder, settings, report=FACTS)
        return
    try:
        check_writable(folder)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder} ({error.strerror or error}); choose another folder, or free the disk") from None
