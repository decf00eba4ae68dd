"""The words by which simulators are called, and the worlds that they stand for.

| words | the simulator |
|---|---|
| `behavioral` | registered (`recoworld.registry.SIMULATORS`), with its defaults |
| `my_package.mine:build` | a function or object of one's own |
| `quiet`, `people.yaml` | a preset or a YAML file of settings (`recoworld.configs`) |
| `quiet:leave_base=-2,effort=0.1` | any of these with coefficients changed |

No name of a simulator holds "=", so what follows the last colon is coefficients exactly if there is one in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from recoworld.configs import WorldConfig, presets
from recoworld.errors import ConfigError, UnknownName
from recoworld.registry import SIMULATORS

_FILES = (".yaml", ".yml")


def names(text: str) -> list[str]:
    """A list separated by commas, in which ``a:x=1,y=2,b`` is ``a:x=1,y=2`` and ``b``."""
    found: list[str] = []
    for piece in filter(None, map(str.strip, text.split(","))):
        more = "=" in piece and ":" not in piece and not piece.endswith(_FILES)
        if more and found and "=" in found[-1].rpartition(":")[2]:
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return found


def simulated(config: WorldConfig, simulators: Sequence[str]) -> dict[str, WorldConfig]:
    """The world of each simulator, all over the data of `config`; what it sets stands, whatever a preset says.

    Raises ConfigError for fewer than two, or settings that no simulator has; UnknownName, which says what is near.
    """
    if {"simulator", "simulator_config"} & config.model_fields_set:
        raise ConfigError("transfer: the simulators are named in `simulators`; leave simulator and simulator_config out of the settings")
    listed = list(dict.fromkeys(simulators))
    if len(listed) < 2:
        got = f"only {listed[0]!r}" if listed else "none"
        raise ConfigError(f"simulators: got {got}; expected at least two different ones, e.g. behavioral,quiet: see `recoworld list`")
    common = config.model_dump(exclude_unset=True, exclude={"users"})
    # all worlds must have the same people
    common |= {name: getattr(config, name) for name in ("dataset", "data_dir", "split_seed")}
    return {name: _world(name, common) for name in listed}


def _world(name: str, common: dict[str, Any]) -> WorldConfig:
    base, coefficients = _parted(name)
    if base in SIMULATORS:
        config = WorldConfig.of(None, **common, simulator=base)
    elif base in presets() or base.endswith(_FILES):
        config = WorldConfig.of(base, **common)
    elif base.count(":") == 1:
        SIMULATORS[base]  # raises UnknownName where there is none
        config = WorldConfig.of(None, **common, simulator=base)
    else:
        raise UnknownName("simulator", base, [*SIMULATORS, *presets()])
    return config.model_copy(update={"simulator_config": {**config.simulator_config, **coefficients}}) if coefficients else config


def _parted(name: str) -> tuple[str, dict[str, Any]]:
    """The simulator and its coefficients."""
    base, _, last = name.rpartition(":")
    if "=" not in last or name.endswith(_FILES):
        return name, {}
    coefficients = {}
    for pair in last.split(","):
        key, equals, text = (part.strip() for part in pair.partition("="))
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = None
        if not base or not key or not equals or value is None:
            raise ConfigError(f"simulator {name!r}: cannot read {pair!r}; expected NAME:key=value,..., e.g. behavioral:talkative=0.1")
        coefficients[key] = value
    return base, coefficients
