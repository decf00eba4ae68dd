"""Which engine is shared, and how it is run: what "ray:" and its settings say, checked before anything is started."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from recoworld.errors import ConfigError, UnknownName
from recoworld.registry import LANGUAGE_MODELS


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which engine, and how it is run. Raises UnknownName, ConfigError."""

    spec: str
    """What stands behind "ray:"."""
    settings: dict[str, Any] = field(default_factory=dict)
    num_gpus: float = 0.0
    num_cpus: float = 0.0
    window_ms: float = 20.0
    max_batch: int = 512
    at_once: int = 1
    lifetime: Literal["detached"] | None = None
    shared_record: str | None = None

    def __post_init__(self) -> None:
        _check_spec(self.spec)
        for name, low in (("num_gpus", 0), ("num_cpus", 0), ("window_ms", 0), ("max_batch", 1), ("at_once", 1)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= 1e6:
                raise ConfigError(f"{name} of {self.model} is {value!r}; expected a number from {low}")
        if self.lifetime not in (None, "detached"):
            raise ConfigError(f"lifetime of {self.model} is {self.lifetime!r}; expected 'detached', or none")
        if self.shared_record is not None and not Path(self.shared_record).is_absolute():
            raise ConfigError(
                f"shared_record of {self.model} is {self.shared_record!r}; expected an absolute path, for the processes "
                "of a cluster have no folder in common"
            )
        try:
            json.dumps(self.settings)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"settings of {self.model}: {error}; expected what YAML can say") from error

    @property
    def model(self) -> str:
        """What messages call it."""
        return f"language model 'ray:{self.spec}'"

    @property
    def actor(self) -> str:
        """The actor's name: equal where everything is."""
        return "llm-" + hashlib.blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=12).hexdigest()


def _check_spec(spec: str) -> None:
    """What can be told without opening it: paths and packages are the engine's machine's."""
    if not spec:
        raise ConfigError("language model 'ray:' names no model; expected another behind it, e.g. 'ray:vllm:Qwen/Qwen3-0.6B'")
    head, colon, _ = spec.partition(":")
    if head == "ray":
        raise ConfigError(f"language model 'ray:{spec}': an engine that is shared already cannot be shared; leave out one 'ray:'")
    if head in LANGUAGE_MODELS or "/" in head or spec.endswith(".gguf"):
        return
    try:
        there = bool(colon) and find_spec(head.partition(".")[0]) is not None
    except ValueError:
        there = False
    if not there:
        raise UnknownName(LANGUAGE_MODELS.kind, head, LANGUAGE_MODELS)
