"""Struct of arrays: the one shape in which everything of a batch of users is held."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Batch:
    """Mixin of a dataclass whose fields are arrays ``[n, ...]``, other batches, or None: `n` users side by side.

    A field that is none of these is shared by the whole batch and travels unchanged.
    """

    def take(self, rows: NDArray[Any]) -> Self:
        """The batch of these rows (indices or a mask), copied."""
        return self._map(lambda value: value.take(rows) if isinstance(value, Batch) else value[rows])

    def copy(self) -> Self:
        """A deep copy: nothing done to the one is seen in the other."""
        return self._map(lambda value: value.copy())

    def put(self, rows: NDArray[Any], other: Self) -> Self:
        """This batch with `rows` replaced by those of `other`, in order; this batch itself is left as it is."""

        def merged(mine: Any, theirs: Any) -> Any:
            if isinstance(mine, Batch):
                return mine.put(rows, theirs)
            out = mine.copy()
            out[rows] = theirs
            return out

        return self._map(merged, other)

    def _map(self, function: Any, other: Any = None) -> Self:
        changes = {}
        for field in fields(self):  # type: ignore[arg-type]  # the mixin is of dataclasses alone
            value = getattr(self, field.name)
            if isinstance(value, Batch | np.ndarray):
                changes[field.name] = function(value) if other is None else function(value, getattr(other, field.name))
        return replace(self, **changes)  # type: ignore[type-var]
