"""Every setting of the language-model user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from recoworld.configs.checked import validated
from recoworld.errors import ConfigError, UnknownName
from recoworld.llm.items import Representation
from recoworld.llm.settings import ModelSettings


class LLMUserConfig(ModelSettings):
    """Settings of `recoworld.simulators.llm`."""

    # the model
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.8
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Of one reply; None for the characters of the longest one: digits are tokens of their own."""
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """How often a reply that cannot be read is asked for anew, with what was wrong."""

    # the prompt
    prompts: Path | None = None
    """Folder with Jinja2 files in place of the shipped ones (system.j2, turn.j2, retry.j2), or of some of them."""
    representation: Representation = "text"
    """How items are shown: their words; the same with images or captions from `images`; codes from ``Catalog.semantic_ids`` for titles."""
    images: str | None = None
    """ "module:function" of an item's index that gives the URL of its image (http, https or data), a caption, or None."""
    history_items: Annotated[int, Field(ge=0, le=200)] = 6
    """Titles of the user's log that it knows by heart: so many liked ones, half as many disliked ones, and of as many latest ones those
    that are not named yet."""
    memory_tokens: Annotated[int, Field(ge=0, le=100_000)] = 160
    """What may be remembered of the session, counted as a quarter of its characters."""

    # the reply
    thought_length: Annotated[int, Field(ge=1, le=1000)] = 48
    """Characters of the thought on an item at most."""

    # the person
    focus: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of sessions that begin with a genre in mind."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the traits that a person keeps for life."""

    @classmethod
    def of(cls, settings: dict[str, Any] | LLMUserConfig | None) -> LLMUserConfig:
        """A config out of overrides. Raises ConfigError that names the setting, with a suggestion for a misspelt one."""
        if isinstance(settings, cls):
            return settings
        for key in settings or {}:
            if key not in cls.model_fields:
                raise ConfigError(str(UnknownName("setting of the language-model user", key, cls.model_fields)))
        config = validated(cls, settings or {}, "language-model user")
        if (config.representation == "images") != (config.images is not None):
            got = f"representation={config.representation!r}, images={config.images!r}"
            raise ConfigError(f"language-model user: got {got}; expected representation='images' with images='module:function', or neither")
        return config
