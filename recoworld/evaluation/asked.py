"""What a run's users say of themselves: the `report` of their simulator, of whose replies a language model's are counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from recoworld.configs import WorldConfig
from recoworld.errors import ConfigError
from recoworld.evaluation.store import Folder
from recoworld.types import UserSimulator

LATEST, EARLIER = "simulator_report", "earlier_simulator_reports"
"""Under which leaderboard.json holds the last report, and those before it."""
_SHARES = {
    "valid_share": (("valid_first", "valid_again"), "replies"),
    "valid_first_share": (("valid_first",), "replies"),
    "filled_share": (("filled",), "replies"),
    "cached_share": (("cached_tokens",), "prompt_tokens"),
}  # of counts, see `recoworld.llm.ledger.Ledger.report`


class Asked:
    """The users of one run, and what became of their replies since it began: a simulator may serve many runs."""

    def __init__(self, config: WorldConfig, simulator: UserSimulator, folder: Folder | None = None) -> None:
        """Raises ConfigError where a folder's results are of another model or prompt, which settings as "local" do not tell apart."""
        self._config, self._simulator = config, simulator
        self._start, self._replies = _told(simulator), self._recorded()
        before = {} if folder is None else folder.before
        reports = (*(before.get(EARLIER) or ()), before.get(LATEST))
        self.earlier = tuple(report for report in reports if isinstance(report, dict))
        for what, words in (("llm", "language model"), ("prompts", "prompt")):
            for there in [report[what] for report in self.earlier if what in report]:
                if folder is not None and there != self._start.get(what, there):
                    raise ConfigError(
                        f"{folder.path} holds results of users by another {words} ({there!r} there, {self._start[what]!r} now); "
                        "choose another folder, or replace them: --fresh"
                    )

    def report(self, policies: list[str]) -> dict[str, Any] | None:
        """Of this run, which has finished these policies: None where nobody was asked, or the simulator reports nothing."""
        told = _told(self._simulator)
        if "calls" in told:
            told = _since(self._start, told)
            for name, (parts, whole) in _SHARES.items():
                if {name, parts[0], whole} <= told.keys():
                    told[name] = sum(told.get(part, 0) for part in parts) / max(told[whole], 1)
        if told and self._config.simulator_config.get("record") is not None:
            told["new_in_record"] = self._recorded() - self._replies
        if not told.get("calls", told) and not told.get("new_in_record"):
            return None
        return {"policies": sorted(policies), "simulator": self._config.simulator, **told}

    def _recorded(self) -> int:
        """How many replies the users' record holds."""
        record = self._config.simulator_config.get("record")
        if record is None or not Path(record).expanduser().is_file():
            return 0
        from recoworld.llm.store import Store

        with closing(Store(record, readonly=True)) as store:
            return sum(store.models().values())


def _told(simulator: UserSimulator) -> dict[str, Any]:
    """Its report as JSON can hold it; {} of a simulator that has none."""
    report = getattr(simulator, "report", None)
    content = json.dumps(dict(report()), default=str, skipkeys=True) if callable(report) else "{}"
    told: dict[str, Any] = json.loads(content, parse_constant=lambda _: None)  # NaN
    return told


def _since(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """A report of what came after another: whole numbers are counts, and lists grow."""
    out = dict(now)
    for name, value in now.items():
        was = before.get(name)
        if type(value) is int and type(was) is int:
            out[name] = value - was
        elif isinstance(value, list) and isinstance(was, list):
            out[name] = value[len(was) :]
        elif isinstance(value, dict) and isinstance(was, dict):
            out[name] = {key: count for key, count in _since(was, value).items() if count}
    return out
