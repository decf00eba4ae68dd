"""Counter-based random numbers: a pure function of (seed, user, turn), computed over whole arrays.

The generator is splitmix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"): output `i` of key `s` is
``mix(s + (i + 1) * gamma)``. Nothing depends on call order or on who else is in the batch, so runs are reproducible, two policies meet
the same luck (common random numbers), and a session can be branched.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.float32]

_GAMMA = np.array(0x9E3779B97F4A7C15, dtype=np.uint64)
_MIX_1 = np.array(0xBF58476D1CE4E5B9, dtype=np.uint64)
_MIX_2 = np.array(0x94D049BB133111EB, dtype=np.uint64)
_SHIFTS = tuple(np.array(shift, dtype=np.uint64) for shift in (30, 27, 31))
_WORD = 2**64 - 1
_EIGHT = np.array(8, dtype=np.uint32)
_SCALE = np.array(2.0**-24, dtype=np.float32)
_HALF = np.array(2.0**-25, dtype=np.float32)
_ONE = np.array(1.0, dtype=np.float32)


def _mixed(z: Keys) -> Keys:
    """splitmix64's finaliser, in place."""
    a, b, c = _SHIFTS
    np.bitwise_xor(z, z >> a, out=z)
    np.multiply(z, _MIX_1, out=z)
    np.bitwise_xor(z, z >> b, out=z)
    np.multiply(z, _MIX_2, out=z)
    return np.bitwise_xor(z, z >> c, out=z)


@lru_cache(maxsize=64)
def _steps(width: int) -> Keys:
    """The counters ``(i + 1) * gamma`` of `width` outputs."""
    return np.arange(1, width + 1, dtype=np.uint64) * _GAMMA


@lru_cache(maxsize=64)
def _stream(number: int) -> Keys:
    """What a stream's number does to a key ``[1]``."""
    return _mixed(_steps(number + 1)[number:].copy())


def combine(keys: Any, *more: Any) -> Keys:
    """One key ``[n]`` out of several integers or integer arrays that broadcast, e.g. (seed, user, turn)."""
    parts = [np.atleast_1d(np.asarray(part)) for part in (keys, *more)]
    if all(part.size == 1 for part in parts):  # one session: Python's integers are four times as fast as NumPy's calls
        first, *others = (int(part[0]) & _WORD for part in parts)
        for other in others:
            first = _mixed_one(first) ^ other
        return np.array([_mixed_one(first)], np.uint64)
    key = parts[0].astype(np.uint64)
    for part in parts[1:]:
        key = _mixed(key + _GAMMA) ^ part.astype(np.uint64)
    return _mixed(key + _GAMMA)


def _mixed_one(z: int) -> int:
    """``_mixed(z + gamma)`` of one number."""
    z = (z + 0x9E3779B97F4A7C15) & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return z ^ (z >> 31)


class Luck:
    """The random numbers of `n` users for one turn.

    Every draw names a `stream`; the same stream gives the same numbers again, different streams are independent. Nobody writes to
    what was drawn.
    """

    def __init__(self, keys: Keys) -> None:
        """keys: one a user ``[n]``; or ``[turns, n]``, of which this is the first turn and `later` the next: all are drawn together."""
        self._keys, self._turn = keys, 0
        self._drawn: dict[tuple[int, int], Floats] = {}

    @property
    def keys(self) -> Keys:
        """One key a user, uint64 ``[n]``."""
        return self._keys if self._keys.ndim == 1 else self._keys[self._turn]

    def later(self) -> Luck | None:
        """The luck of the turn after, None after the last of them."""
        if self._turn + 1 >= len(self._keys) or self._keys.ndim == 1:
            return None
        after = Luck.__new__(Luck)
        after._keys, after._turn, after._drawn = self._keys, self._turn + 1, self._drawn
        return after

    def stream(self, number: int) -> Keys:
        """The keys of one stream, uint64 ``[n]``, for who draws by itself."""
        return self.keys ^ _stream(number)

    def bits(self, width: int, stream: int = 0) -> Keys:
        """uint64 ``[n, width]``."""
        return _mixed(self.stream(stream)[:, None] + _steps(width))

    def uniform(self, width: int, stream: int = 0) -> Floats:
        """float32 ``[n, width]`` in (0, 1), never 0 nor 1; 24 random bits each."""
        if self._keys.ndim == 1:
            return _uniform(self._keys, width, stream)
        drawn = self._drawn.get((width, stream))
        if drawn is None:
            drawn = self._drawn[width, stream] = _uniform(self._keys.reshape(-1), width, stream).reshape(*self._keys.shape, width)
        return drawn[self._turn]

    def integers(self, high: int, width: int, stream: int = 0) -> NDArray[np.int64]:
        """int64 ``[n, width]`` in [0, high)."""
        return (self.bits(width, stream) % np.uint64(high)).astype(np.int64)


def logistic(u: Floats) -> Floats:
    """Standard logistic noise out of uniform numbers: ``z > noise`` happens with probability sigmoid(z)."""
    return np.log(u / (_ONE - u))


def exponential(u: Floats) -> Floats:
    """Standard exponential noise out of uniform numbers: ``rate > noise`` happens with probability 1 - exp(-rate)."""
    return -np.log(u)


def gumbel(u: Floats) -> Floats:
    """Standard Gumbel noise out of uniform numbers: the argmax of ``log p + noise`` is a draw from p."""
    return -np.log(-np.log(u))


def _uniform(keys: Keys, width: int, stream: int) -> Floats:
    words = _mixed((keys ^ _stream(stream))[:, None] + _steps((width + 1) // 2))
    halves = (words if sys.byteorder == "little" else words.byteswap()).view(np.uint32)
    out = (halves >> _EIGHT).astype(np.float32)
    np.multiply(out, _SCALE, out=out)
    np.add(out, _HALF, out=out)
    return np.minimum(out, _ALMOST_ONE, out=out)[:, :width]


_ALMOST_ONE = np.array(1.0 - 2.0**-24, dtype=np.float32)
