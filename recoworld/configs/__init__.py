"""Settings of a world, checked, and the named presets that ship with the package (`*.yaml` beside this file)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from recoworld.errors import ConfigError, UnknownName


class WorldConfig(BaseModel):
    """Everything that makes a world; the keyword arguments of every environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str = "mini"
    """A name in `recoworld.registry.DATASETS`, an imported log, or "recbole:PATH"."""
    data_dir: str | None = None
    """Folder of a local copy; else $RECOWORLD_DATA, else the download cache."""
    users: Literal["train", "validation", "test", "all"] = "train"
    """Whose sessions are simulated."""
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the split into train, validation and test users."""
    slate_size: Annotated[int, Field(ge=1)] = 10
    max_turns: Annotated[int, Field(ge=1)] = 20
    """A session is truncated after so many slates."""
    history_length: Annotated[int, Field(ge=0)] = 200
    """Items of a user's past, before the session, that an observation holds; the session's own items come on top."""
    instruction_turns: Annotated[int, Field(ge=1)] = 3
    """Slates for which an instruction stays in force."""
    reward: dict[str, float] | None = None
    """Weights of the parts in `recoworld.rewards`; None for its defaults."""
    simulator: str = "behavioral"
    """A name in `recoworld.registry.SIMULATORS` or "module:function"."""
    simulator_config: dict[str, Any] = Field(default_factory=dict)
    """Coefficients that differ from the simulator's defaults."""
    llm: str | None = None
    """The language model of a simulator that uses one, e.g. "openai:gpt-4o-mini"; the same as ``simulator_config={"llm": ...}``."""

    @model_serializer(mode="wrap")
    def _serialized(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `llm` where there is none: what was kept before it existed stays comparable."""
        out: dict[str, Any] = handler(self)
        return out if self.llm is not None else {name: value for name, value in out.items() if name != "llm"}

    @classmethod
    def of(cls, preset: str | None = None, **settings: Any) -> WorldConfig:
        """A preset (name or path of a YAML file) with settings on top. Raises ConfigError that names the setting."""
        if preset is not None and not isinstance(preset, str):
            raise ConfigError(f"preset: got {preset!r}; expected the name of one ({', '.join(presets())}) or the path of a YAML file")
        merged: dict[str, Any] = {**(_read(preset) if preset else {}), **settings}
        for key in merged:
            if key not in cls.model_fields:
                raise ConfigError(str(UnknownName("setting of the world", key, cls.model_fields)))
        try:
            return cls.model_validate(merged)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{where} = {first['input']!r}: {first['msg']}") from None


def presets() -> list[str]:
    """Names of the presets that ship with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in resources.files(__package__).iterdir() if entry.name.endswith(".yaml"))


def _read(preset: str) -> dict[str, Any]:
    file: Any = Path(preset)
    if not preset.endswith((".yaml", ".yml")):
        file = resources.files(__package__) / f"{preset}.yaml"
        if preset not in presets():
            raise UnknownName("preset", preset, presets())
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the settings in {preset!r}: {error}; expected a YAML file of settings") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"settings in {preset!r} are {type(content).__name__}; expected a mapping of names to values")
    return content
