"""Constructor arguments of policies, checked where they come in."""

from __future__ import annotations

import math

from recoworld.errors import ConfigError


def real(name: str, value: float, low: float, high: float = math.inf) -> float:
    """A finite number in [low, high]. Raises ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise ConfigError(f"{name}: got {value!r}; expected a finite number from {low:g} to {high:g}")
    return float(value)


def whole(name: str, value: int, low: int, high: int = 1_000_000) -> int:
    """An integer in [low, high]. Raises ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name}: got {value!r}; expected an integer from {low} to {high}")
    return value
