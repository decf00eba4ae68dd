"""The report: what every section found, as JSON, as Markdown, on the terminal, and in pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.fidelity.showing.findings import suspicions

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """One simulator beside people, trivial baselines and the best recommender."""

    sections: dict[str, Json]
    """What each section found; a figure is ``{"value", "low", "high"}``, with its reference rows under their names."""
    settings: dict[str, Any]
    """What the figures depend on: equal settings, equal figures."""
    notes: tuple[str, ...] = ()
    """What a reader should know, in whole sentences."""
    interrupted: bool = False
    """Whether a section that was asked for is still missing."""
    seconds: dict[str, float] = field(default_factory=dict)
    """That each section took."""
    estimate: Json | None = None
    """What was expected of a slow simulator: slates, seconds, tokens."""

    @cached_property
    def findings(self) -> list[str]:
        """What speaks against the simulator, in whole sentences (`recoworld.evaluation.fidelity.showing.findings`)."""
        return suspicions(self.sections)

    @property
    def skipped(self) -> dict[str, str]:
        """Sections that could not be measured, and why."""
        return {name: str(found["skipped"]) for name, found in self.sections.items() if "skipped" in found}

    def as_dict(self) -> dict[str, Any]:
        """The contents of ``fidelity.json``."""
        return {
            **self.sections,
            "findings": self.findings,
            "notes": list(self.notes),
            "interrupted": self.interrupted,
            "settings": self.settings,
            "seconds": self.seconds,
            "estimate": self.estimate,
        }

    def markdown(self) -> str:
        """The contents of ``fidelity.md``: findings, the table, notes."""
        from recoworld.evaluation.fidelity.showing.show import markdown

        return markdown(self)

    def files(self) -> dict[str, str]:
        """Contents of ``fidelity.json`` and ``fidelity.md``, by name."""
        return {"fidelity.json": json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n", "fidelity.md": self.markdown()}

    def pictures(self) -> dict[str, bytes]:
        """PNG files by name. Raises MissingExtra without matplotlib."""
        from recoworld.evaluation.fidelity.showing.pictures import drawn

        return drawn(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The table, the findings and the notes, for the terminal."""
        from recoworld.evaluation.fidelity.showing.show import shown

        yield from shown(self, options.max_width)
