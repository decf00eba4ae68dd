"""What a transfer found: as JSON, Markdown, tables and a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recoworld.errors import MissingExtra
from recoworld.evaluation.transfer.compare import Comparison, Row

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

Matrix = dict[str, dict[str, Row]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer:
    """Policies tuned in each simulator and judged in all: the same users and the same luck. Intervals are of 95 %, over users.

    An entry is ``{"mean", "low", "high"}``, with None where there is nothing to say.
    """

    simulators: dict[str, Any]
    """Name -> all its settings."""
    rows: list[Row]
    """One a candidate: name, family, whether it is privileged, `returns` on test users and on `tuning` users by simulator."""
    winners: dict[str, Row]
    """What each simulator chooses on its tuning users: the `candidate`, the `second`, and the `lead` over it there."""
    regrets: Matrix
    """``[a][b]``: return in b, on test users, of a's winner less that of b's own winner; below 0 is lost by tuning against a."""
    taus: Matrix
    """``[a][b]``: Kendall's tau-b of the two rankings; on the diagonal, of one simulator's on tuning and on test users."""
    families: dict[str, Row]
    """Family -> what each simulator has `chosen` of its settings, and the `regret` within the family."""
    settings: dict[str, Any]
    """What all sessions depend on."""
    notes: tuple[str, ...] = ()
    """What a reader should know, in whole sentences."""
    interrupted: bool = False
    """Whether a candidate is missing that was to compete."""

    @classmethod
    def of(cls, compared: Comparison | None, *, simulators: dict[str, Any], notes: Sequence[str], **rest: Any) -> Transfer:
        """From a comparison; None where nothing is finished yet."""
        if compared is None:
            return cls(simulators=simulators, rows=[], winners={}, regrets={}, taus={}, families={}, notes=tuple(notes), **rest)
        return cls(
            simulators=simulators,
            rows=compared.rows(),
            winners=compared.winners(),
            regrets=compared.regrets(),
            taus=compared.taus(),
            families=compared.families(),
            notes=tuple(notes),
            **rest,
        )

    @property
    def ordered(self) -> list[Row]:
        """The rows by return in the first simulator, the highest first."""
        first = next(iter(self.simulators))
        return sorted(self.rows, key=lambda row: (-row["returns"][first]["mean"], row["candidate"]))

    def as_dict(self) -> dict[str, Any]:
        """The contents of ``transfer.json``."""
        return {**vars(self), "notes": list(self.notes)}

    def markdown(self) -> str:
        """The contents of ``transfer.md``."""
        from recoworld.evaluation.transfer.markdown import report

        return report(self)

    def png(self) -> bytes:
        """The contents of ``transfer.png``. Raises MissingExtra without matplotlib."""
        from recoworld.evaluation.transfer.picture import drawn

        return drawn(self)

    def files(self) -> tuple[Transfer, dict[str, str | bytes]]:
        """The contents of all files, by name; without matplotlib there is no picture, and a note that says so."""
        result, picture = self, {}
        if self.rows:
            try:
                picture = {"transfer.png": self.png()}
            except MissingExtra as error:
                result = replace(self, notes=(*self.notes, f"transfer.png is left out: {error}"))
        text = json.dumps(result.as_dict(), indent=1, allow_nan=False) + "\n"
        return result, {"transfer.json": text, "transfer.md": result.markdown(), **picture}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """As tables for the terminal."""
        from recoworld.evaluation.transfer.show import tables

        yield from tables(self)
