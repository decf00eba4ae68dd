"""Reward parts: what each is worth is a config, what each means is a function here. One function and one line add a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError, UnknownName
from recoworld.types import Feedback, Floats, Slates

DEFAULT_WEIGHTS = {"engagement": 1.0, "watch": 0.1, "retention": 1.0, "instruction": 0.25}
"""Retention over the session is the aim (RecoWorld, section 4): a turn that the user stays for is worth as much as a click on every slot.
A part is computed where it has a weight; give ``"diversity": 0.0`` to see it without rewarding it."""


@lru_cache(maxsize=16)
def _worth(k: int) -> Floats:
    """What each entry of a response ``[k * 6]`` is worth: whole numbers, so that their sums are exact in any order."""
    return np.tile(np.array([1, 1, 2, 3, 0, 0], np.float32), k)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What a reward part may look at."""

    catalog: Catalog
    slates: Slates
    feedback: Feedback
    response: Floats
    """The feedback as one array: click, like, comment, share, share watched, skip ``[n, k, 6]`` (`History.response`)."""


def engagement(outcome: Outcome) -> Floats:
    """Per slot: 1 a click, 1 more for a like, 2 for a comment, 3 for a share; in [0, 7]."""
    n, k = outcome.slates.shape
    return np.matmul(outcome.response.reshape(n, -1), _worth(k)) / np.float32(k)


def watch(outcome: Outcome) -> Floats:
    """Minutes watched; at least 0."""
    return np.add.reduce(outcome.feedback.watch, axis=1) / np.float32(60)


def retention(outcome: Outcome) -> Floats:
    """1 for a user who stays, 0 for one who leaves."""
    return 1 - outcome.feedback.left.astype(np.float32)


def instruction(outcome: Outcome) -> Floats:
    """How well the slate followed the instruction in force, 0 where there was none; in [0, 1]."""
    return outcome.feedback.followed


def diversity(outcome: Outcome) -> Floats:
    """1 less the mean cosine between the contents of two slots (intra-list diversity, Ziegler et al. 2005); in [0, 1], 0 for one slot."""
    k = outcome.slates.shape[1]
    if k == 1:
        return np.zeros(len(outcome.slates), np.float32)
    x = outcome.catalog.features.take(outcome.slates, axis=0)
    total = np.add.reduce(x, axis=1)  # |sum x|^2 = k + the sum of cosines of all ordered pairs
    return 1 - (np.add.reduce(total * total, axis=1) - np.float32(k)) / np.float32(k * (k - 1))


PARTS: dict[str, Callable[[Outcome], Floats]] = {
    "engagement": engagement,
    "watch": watch,
    "retention": retention,
    "instruction": instruction,
    "diversity": diversity,
}
"""All parts by name; add your own here: ``PARTS["mine"] = function``."""


class Reward:
    """A weighted sum of named parts."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        """weights: name -> weight of the parts to compute; None for `DEFAULT_WEIGHTS`. Raises UnknownName, ConfigError."""
        self.weights = dict(DEFAULT_WEIGHTS if weights is None else weights)
        for name, weight in self.weights.items():
            if name not in PARTS:
                raise UnknownName("reward part", name, PARTS)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= 1e6:
                raise ConfigError(f"weight of reward part {name!r}: got {weight!r}; expected a number from -1e6 to 1e6")
        if not self.weights:
            raise ConfigError(f"reward without parts; expected weights for some of {', '.join(PARTS)}")
        self.names = tuple(self.weights)
        self._functions = tuple(PARTS[name] for name in self.names)
        self._weights = np.array(list(self.weights.values()), np.float32)[:, None]

    def __call__(self, outcome: Outcome) -> tuple[Floats, Floats]:
        """Parts float32 ``[n, n_parts]`` in the order of `names`, and their weighted sum ``[n]``."""
        parts = np.empty((len(self.names), len(outcome.slates)), np.float32)
        for row, function in zip(parts, self._functions, strict=True):
            row[:] = function(outcome)
        return parts.T, np.add.reduce(parts * self._weights, axis=0)
