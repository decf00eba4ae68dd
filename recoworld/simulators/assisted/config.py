"""Settings of behavioural users who ask a language model about a part of what they do: coefficients and the model's side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from recoworld.configs.checked import validated
from recoworld.errors import ConfigError, UnknownName
from recoworld.llm.settings import ModelSettings
from recoworld.simulators.config import BehavioralConfig


class AskedConfig(ModelSettings):
    """What is said of a model, its record and its prompts."""

    behavior: BehavioralConfig = BehavioralConfig()
    """Coefficients of the behavioural user; given beside the other settings, by their own names."""
    prompts: Path | None = None
    """Folder with Jinja2 files in place of the shipped ones (`recoworld.simulators.assisted.brief`), or of some of them."""
    history_items: Annotated[int, Field(ge=0, le=200)] = 8
    """Titles of the user's log that it knows by heart: so many liked ones, half as many disliked ones."""

    @classmethod
    def of(cls, settings: dict[str, Any] | Self | None, kind: str) -> Self:
        """A config out of overrides, coefficients among them. kind: whose settings these are, in an error's words.

        Raises ConfigError that names the setting, with a suggestion for a misspelt one.
        """
        if isinstance(settings, cls):
            return settings
        given = dict(settings or {})
        own = set(cls.model_fields) - {"behavior"}
        for key in given:
            if key not in own and key not in BehavioralConfig.model_fields:
                raise ConfigError(str(UnknownName(f"setting of {kind}", key, [*own, *BehavioralConfig.model_fields])))
        behavior = BehavioralConfig.of({key: value for key, value in given.items() if key not in own})
        return validated(cls, {"behavior": behavior, **{key: value for key, value in given.items() if key in own}}, kind)
