"""What pydantic finds wrong, as one sentence of ours."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from recoworld.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], settings: Any, whose: str) -> Model:
    """A mapping of settings as a model. Raises ConfigError of the first one that does not fit; whose: its first words."""
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise ConfigError(f"{whose}: {where} = {first['input']!r}: {first['msg']}") from None
