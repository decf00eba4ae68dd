"""The sections of the report: name -> the module that measures it, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from recoworld.dialogues import Corpus, DialogueReader
from recoworld.errors import ConfigError, UnknownName
from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.fidelity.asking.witness import Witness

SECTIONS = {
    "choice": "choice",
    "alignment": "alignment",
    "ratings": "ratings",
    "diversity": "diversity",
    "consistency": "consistency",
    "counterfactual": "counterfactual",
    "policy_agreement": "agreement",
    "mindset": "mindset",
    "rates": "rates",
    "leakage": "leakage",
    "dialogues": "dialogues",
}
"""In the order of the report. Each module has ``measure(witness)`` and ``asks(witness)``; `dialogues` reads a corpus instead."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """One section, ready to be measured."""

    name: str
    witness: Witness
    corpus: Corpus | None = None

    @property
    def asks(self) -> int:
        """User-slates that it puts before users, at most; of dialogues, the judged messages."""
        if self.name != "dialogues":
            return int(self._module.asks(self.witness))
        reads = self.corpus is not None and isinstance(self.witness.simulator, DialogueReader)
        return sum(len(dialogue.judged) for dialogue in self.corpus.dialogues) if reads and self.corpus else 0

    def measure(self) -> Json:
        """Its part of the report; ``{"skipped": why}`` where there is nothing to measure. Raises MissingExtra, ConfigError."""
        if self.name != "dialogues":
            return dict(self._module.measure(self.witness))
        reader = self.witness.simulator
        if self.corpus is None:
            return {"skipped": "no dialogues were given"}
        if not isinstance(reader, DialogueReader):
            return {"skipped": f"{self.witness.name!r} reads no dialogues: it has no method satisfaction(dialogues)"}
        found = dict(self._module.measure(reader, self.corpus, seed=self.witness.panel.seed))
        self.witness.told(self.asks)
        return found

    @property
    def _module(self) -> Any:
        return import_module(f"recoworld.evaluation.fidelity.measures.{SECTIONS[self.name]}")


def chosen(names: Sequence[str]) -> list[str]:
    """Names of sections, or "all", in the order of the report. Raises UnknownName, ConfigError for none."""
    for name in names:
        if name not in SECTIONS and name != "all":
            raise UnknownName("section", name, [*SECTIONS, "all"])
    wanted = [name for name in SECTIONS if name in names or "all" in names]
    if not wanted:
        raise ConfigError(f"sections: got none; expected 'all' or some of {', '.join(SECTIONS)}")
    return wanted
