"""What all agents can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_serializer, field_validator

from recoworld.configs.checked import validated
from recoworld.errors import ConfigError, UnknownName
from recoworld.llm.settings import ModelSettings
from recoworld.types import Recommender


class AgentConfig(ModelSettings):
    """Settings of `recoworld.policies.agents`; an agent's own stand in its file."""

    candidates: Any = "ease+instruct"
    """Who finds the items that the agent chooses from, and whose order stands where the agent says nothing: the name of a policy, or one.
    "ease+instruct" puts items that fit the instruction in force among them; "ease" does not."""
    n_candidates: Annotated[int, Field(ge=1, le=200)] = 20
    """Items that the agent is shown at once; of a larger slate the rest stays in the order of `candidates`."""
    history_items: Annotated[int, Field(ge=1, le=200)] = 20
    """The latest items of the user's history that it is told."""
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Of one reply; None for as many as the longest one has characters, so that none is cut that a grammar holds."""
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """How often a reply that cannot be read is asked for anew, with what was wrong."""
    prompts: Path | None = None
    """Folder with Jinja2 files in place of the shipped ones, or of some of them."""

    @field_validator("candidates")
    @classmethod
    def _is_a_policy(cls, value: Any) -> Any:
        if (isinstance(value, str) and value) or isinstance(value, Recommender):
            return value
        raise ValueError("expected the name of a policy, or one")

    @field_serializer("candidates")
    def _called(self, value: Any) -> str:
        return value if isinstance(value, str) else str(value.name)

    @classmethod
    def of(cls, kind: str, settings: dict[str, Any]) -> Self:
        """A config out of settings; kind: whose they are, in an error's words.

        Raises ConfigError that names the setting, with a suggestion for a misspelt one.
        """
        for key in settings:
            if key not in cls.model_fields:
                raise ConfigError(str(UnknownName(f"setting of agent {kind!r}", key, cls.model_fields)))
        return validated(cls, settings, f"agent {kind!r}")
