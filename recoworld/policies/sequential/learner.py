"""What a policy that is trained epoch by epoch promises: it stops when a judge sees no more progress, and goes on where it was cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from recoworld.users import Dataset, Split

Arrays = dict[str, NDArray[Any]]
Judge = Callable[[], float]
"""How good the policy is as it stands; more is better."""
Told = Callable[[int, int, float | None], None]
"""Called after each epoch with its number, the most there may be, and the best judgement so far."""


class Memory(Protocol):
    """Where unfinished training is kept."""

    def load(self) -> Arrays | None:
        """What `save` was given last, None where there is nothing."""
        ...

    def save(self, arrays: Arrays) -> None:
        """Keep it, instead of what was there."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A recommender that can be trained under another's judgement."""

    def learn(
        self, dataset: Dataset, split: Split, *, judge: Judge | None = None, memory: Memory | None = None, told: Told | None = None
    ) -> None:
        """As `Recommender.fit`, which is this without a judge."""
        ...
