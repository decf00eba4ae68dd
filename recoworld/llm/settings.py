"""Settings of whoever asks a language model: which one, how it is opened, and where its replies are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from recoworld.llm.model import LanguageModel


class ModelSettings(BaseModel):
    """What `recoworld.llm.make.make_model` is called with."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

    llm: Any = "local"
    """What `recoworld.llm.make.make_model` takes: "local", "openai:gpt-4o-mini", "vllm:Qwen/...", "scripted", ..., or a `LanguageModel`."""
    llm_config: dict[str, Any] = Field(default_factory=dict)
    """Settings of that model's backend, e.g. ``{"device": "cuda"}``."""
    record: Path | None = None
    """File in which every reply is kept, so that none is asked for twice and the run can be repeated without the model."""

    @field_validator("llm")
    @classmethod
    def _is_a_model(cls, value: Any) -> Any:
        if (isinstance(value, str) and value) or isinstance(value, LanguageModel):
            return value
        raise ValueError("expected the name of a language model, or one")

    @field_serializer("llm")
    def _named(self, value: Any) -> str:
        return value if isinstance(value, str) else str(value.name)
