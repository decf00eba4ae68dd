"""The sections of the report: name -> the module that measures it, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from recoworld.errors import ConfigError, UnknownName

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
"""In the order of the report. Each module has ``measure(witness)``, its part of the report or ``{"skipped": why}``, and ``asks(witness)``,
how many slates that puts before a user each, at most."""


def section(name: str) -> Any:
    """The module of a section."""
    return import_module(f"recoworld.evaluation.fidelity.measures.{SECTIONS[name]}")


def chosen(names: Sequence[str]) -> list[str]:
    """Names of sections, or "all", in the order of the report. Raises UnknownName, ConfigError for none."""
    for name in names:
        if name not in SECTIONS and name != "all":
            raise UnknownName("section", name, [*SECTIONS, "all"])
    wanted = [name for name in SECTIONS if name in names or "all" in names]
    if not wanted:
        raise ConfigError(f"sections: got none; expected 'all' or some of {', '.join(SECTIONS)}")
    return wanted
