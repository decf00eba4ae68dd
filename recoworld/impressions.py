"""A log of what was shown, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.batch import Batch
from recoworld.errors import ConfigError
from recoworld.types import Bools, Feedback, Floats, Ints, Slates, Turn

_WHOLE = ("users", "slates", "met", "sessions", "first_slot", "times")
_KINDS = {"watch": "f"} | dict.fromkeys(_WHOLE, "iu")  # of dtype; the others are "b"
_ONE_A_SLATE = ("users", "left", "sessions", "first_slot", "times")


@dataclass(frozen=True, kw_only=True, eq=False)
class Impressions(Batch):
    """Slates that were shown, one row each, and what came of them; None for what was not logged."""

    users: Ints
    """Indices into the simulator's users ``[m]``."""
    slates: Slates
    """Item indices ``[m, k]``."""
    clicked: Bools
    """``[m, k]``, as are the next five."""
    liked: Bools | None = None
    commented: Bools | None = None
    shared: Bools | None = None
    watch: Floats | None = None
    """Seconds."""
    met: NDArray[np.uint8] | None = None
    """How often the user had met the item before, as in `History.exposures`; None for never."""
    left: Bools | None = None
    """Whether the session ended with this slate ``[m]``."""
    sessions: Ints | None = None
    """Which slates belong together ``[m]``: equal numbers, one session of one user, in order of time."""
    first_slot: Ints | None = None
    """Place on the page of the slate's first item, from 0 ``[m]``; None for 0. For logs that tell items apart, not pages."""
    times: Ints | None = None
    """When it was shown ``[m]``: seconds, of the same clock as `Interactions.times`."""

    def __post_init__(self) -> None:
        if self.slates.ndim != 2 or not self.slates.size:
            raise ConfigError(f"impressions: slates have shape {self.slates.shape}; expected [m, k], at least one slate of one slot")
        for field in fields(self):
            value, kinds = getattr(self, field.name), _KINDS.get(field.name, "b")
            shape = self.slates.shape[: 1 if field.name in _ONE_A_SLATE else 2]
            if value is not None and (value.shape != shape or value.dtype.kind not in kinds):
                raise ConfigError(f"impressions: {field.name} is {value.dtype} {value.shape}; expected dtype kind {kinds!r} and {shape}")
        for name in ("liked", "commented", "shared", "watch"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) & (value >= 0) & ((value == 0) | self.clicked)).all():
                raise ConfigError(f"impressions: {name} is given for items without a click, or not a number from 0 on; expected 0 there")

    @classmethod
    def from_turns(cls, turns: Iterable[tuple[Ints, Turn]]) -> Impressions:
        """Of simulated turns, each with the indices of its users ``[n]``, e.g. ``(world.state.history.users, world.step(slates))``."""
        return cls.joined(cls(users=users, slates=turn.slates, **deeds(turn.feedback)) for users, turn in turns)

    @classmethod
    def joined(cls, parts: Iterable[Impressions]) -> Impressions:
        """One after another; a field that some lack is dropped. Raises ConfigError for none, or for slates of several lengths."""
        several = list(parts)
        if len({part.slates.shape[1] for part in several}) != 1:
            raise ConfigError(f"impressions: got {len(several)} parts; expected at least one, all with slates of one length")
        columns = {field.name: [getattr(part, field.name) for part in several] for field in fields(cls)}
        merged: dict[str, Any] = {name: None if any(v is None for v in all_) else np.concatenate(all_) for name, all_ in columns.items()}
        return cls(**merged)

    def rates(self, durations: Floats) -> dict[str, float]:
        """Click rate by slot; of clicks, the rate of each action and the mean share watched; rate of leaving. NaN where there is no click.

        durations: `Catalog.durations`.
        """
        out = {f"click rate, slot {j + 1}": float(rate) for j, rate in enumerate(self.clicked.mean(axis=0))}
        for name, action in (("liked", "likes"), ("commented", "comments"), ("shared", "shares")):
            if getattr(self, name) is not None:
                out[f"{action} per click"] = mean(getattr(self, name)[self.clicked])
        if self.watch is not None:
            out["share watched"] = mean((self.watch / durations[self.slates])[self.clicked])
        return out if self.left is None else {**out, "leaving": float(self.left.mean())}


def deeds(feedback: Feedback) -> dict[str, Any]:
    """What was done, by the names of `Impressions`."""
    return {name: getattr(feedback, name) for name in ("clicked", "liked", "commented", "shared", "watch", "left")}


def mean(values: NDArray[np.bool_] | Floats) -> float:
    """NaN for nothing."""
    return float(values.mean()) if values.size else float("nan")
