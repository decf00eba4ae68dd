"""Slates as arrays: reading them from what a policy hands over, and finding one's way in arrays of users and items."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import InvalidSlate
from recoworld.types import Bools, Ints


def as_array(value: Any, what: str) -> NDArray[Any]:
    """The value as an array. Raises InvalidSlate where rows differ in length or numbers are too large for NumPy."""
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidSlate(f"{what}: got {str(value)[:80]}, which is no array of integers ({error})") from None


def repeated(slates: NDArray[Any]) -> Bools:
    """Slots that hold an item which an earlier slot of the same slate holds already ``[n, k]``."""
    n, k = slates.shape
    if n == 1 and len(set(slates[0].tolist())) == k:  # a set is three times as fast as a sort for one user
        return np.zeros((1, k), np.bool_)
    order = np.sort(slates, axis=1)
    out = np.zeros((n, k), np.bool_)
    for row in np.flatnonzero((order[:, 1:] == order[:, :-1]).any(axis=1)):
        _, first = np.unique(slates[row], return_index=True)
        out[row] = True
        out[row, first] = False
    return out


@lru_cache(maxsize=16)
def row_starts(n: int, width: int) -> Ints:
    """Where the rows of a C-ordered ``[n, width]`` array begin, ``[n, 1]``."""
    return (np.arange(n, dtype=np.int64) * width)[:, None]
