"""The simulator under test, by whatever name it goes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel

from recoworld.configs import WorldConfig, presets
from recoworld.datasets import cached_arrays
from recoworld.errors import ConfigError, RecoWorldError, UnknownName
from recoworld.evaluation.fidelity.asking.checked import raising
from recoworld.evaluation.fidelity.identity import source_of
from recoworld.registry import SIMULATORS
from recoworld.types import UserSimulator
from recoworld.users import Dataset, Split

Build = Callable[[Dataset, Split], UserSimulator]


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """Who is asked. Made by `candidate`."""

    name: str
    simulator: str
    """What `WorldConfig.simulator` calls it; a preset's name is another."""
    settings: dict[str, Any]
    """Its own, as given."""
    build: Build | None
    """Makes it of a data set; None for one that is made already."""
    made: UserSimulator | None = None
    source: str | None = None
    """Digest of the code that it is written in; None for RecoWorld's own."""

    def of(self, dataset: Dataset, split: Split) -> UserSimulator:
        """The simulator of this data set. Raises what the builder raises."""
        if self.build is not None:
            return self.build(dataset, split)
        assert self.made is not None  # one of the two is given
        return self.made


def candidate(simulator: Any, settings: dict[str, Any] | None = None) -> Candidate:
    """Resolve a simulator.

    simulator: a name in `recoworld.registry.SIMULATORS`, a preset (`recoworld.configs.presets`) or its YAML file,
    "module:attribute", a class or function ``(dataset, split, settings, *, cached)``, or a simulator itself. settings: its own.
    Raises UnknownName, ConfigError.
    """
    if isinstance(simulator, str):
        name, registered, settings = _named(simulator, settings or {})
        thing = SIMULATORS[registered]
    else:
        name, thing, settings = _name_of(simulator), simulator, settings or {}
        registered = name
    if _makes(thing):
        build = partial(_made, name, thing, settings)
        return Candidate(name=name, simulator=registered, settings=settings, build=build, source=source_of(thing))
    if settings:
        raise ConfigError(f"settings: got {settings} for {name!r}, which is made already; expected none")
    return Candidate(name=name, simulator=registered, settings={}, build=None, made=_checked(name, thing), source=source_of(thing))


def coefficients(simulator: UserSimulator) -> dict[str, Any]:
    """All that a simulator says of its own settings; nothing where it says nothing."""
    config = getattr(simulator, "config", None)
    return config.model_dump(mode="json") if isinstance(config, BaseModel) else {}


def _makes(thing: Any) -> bool:
    """Whether it makes simulators, and is none."""
    return inspect.isclass(thing) or inspect.isroutine(thing)


def _name_of(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}" if _makes(thing) else str(getattr(thing, "name", type(thing).__name__))


def _named(name: str, settings: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Name, registered name, settings."""
    if name.endswith((".yaml", ".yml")) or (name in presets() and name not in SIMULATORS):
        preset = WorldConfig.of(name)
        return name, preset.simulator, {**preset.simulator_config, **settings}
    if name in SIMULATORS or name.count(":") == 1:
        return name, name, settings
    raise UnknownName("simulator", name, [*SIMULATORS, *presets()])


def _made(name: str, make: Callable[..., Any], settings: dict[str, Any], dataset: Dataset, split: Split) -> UserSimulator:
    try:
        inspect.signature(make).bind(dataset, split, settings, cached=cached_arrays)
    except TypeError as error:
        raise ConfigError(f"simulator {name!r}: {error}; expected it to take (dataset, split, settings, *, cached)") from None
    with raising(name, passing=RecoWorldError):  # its own checks of its settings, in its own words
        made = make(dataset, split, dict(settings), cached=cached_arrays)
    return _checked(name, made)


def _checked(name: str, thing: Any) -> UserSimulator:
    if isinstance(thing, UserSimulator):
        return thing
    raise ConfigError(f"simulator {name!r}: got {type(thing).__name__}; expected a UserSimulator, with begin(...) and respond(...)")
