"""When to ask a server again: waits that are a function of (seed, attempt), requests per minute, and whether the server is there."""

from __future__ import annotations

import email.utils
import logging
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b

from recoworld.errors import ConfigError

log = logging.getLogger("recoworld.llm")

_FIRST = 0.5
LONGEST = 20.0
"""Seconds between two tries at most, where the server does not say."""


def backoff(seed: int, attempt: int) -> float:
    """Seconds to wait after failed try number `attempt` (from 0): twice as long each time, times a number in [0.5, 1) drawn from both.

    The number spreads requests that failed together; being drawn from their seeds, it needs no generator that all share.
    """
    draw = int.from_bytes(blake2b(f"{seed}:{attempt}".encode(), digest_size=8).digest(), "big") / 2**64
    return min(LONGEST, _FIRST * 2.0 ** min(attempt, 10)) * (0.5 + draw / 2)


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds that the server asks to be left alone: from Retry-After, in seconds or as a date, or from retry-after-ms."""
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return _sane(float(milliseconds) / 1000)
        if text is not None:
            return _sane(float(text))
    except ValueError:
        pass
    date = email.utils.parsedate_tz(text) if text else None
    return None if date is None else _sane(email.utils.mktime_tz(date) - now())


def _sane(seconds: float) -> float | None:
    return max(0.0, seconds) if seconds == seconds and seconds < float("inf") else None


class Pace:
    """At most so many requests, or tokens, a minute, evenly spaced: none is saved up, so that no window of a minute has more."""

    def __init__(self, per_minute: float | None, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        if per_minute is not None and per_minute <= 0:
            raise ConfigError(f"{what} is {per_minute}; expected a number above 0, or None for no limit")
        self._each = 60.0 / per_minute if per_minute else 0.0
        self._clock, self._free = clock, float("-inf")

    def take(self, amount: float = 1.0) -> float:
        """Seconds to wait before this may go."""
        now = self._clock()
        begin = max(now, self._free)
        self._free = begin + amount * self._each
        return begin - now

    def settle(self, guessed: float, used: float) -> None:
        """What was taken by a guess turned out as `used`."""
        self._free += (used - guessed) * self._each


class Health:
    """Whether a server is there; says once when it is gone, and once when it is back."""

    def __init__(self, url: str, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.url, self.patience, self._clock = url, patience, clock
        self._since: float | None = None
        self._pause = float("-inf")

    def gone(self, why: str) -> float:
        """Note that it did not answer. Returns the seconds of patience left, 0 or less when it is at an end."""
        now = self._clock()
        if self._since is None:
            self._since = now
            log.warning("%s is gone (%s); waiting up to %.0f s for it", self.url, why, self.patience)
        return self._since + self.patience - now

    def back(self, sent: float) -> None:
        """Note that it answered what was sent at this time: an answer to what was sent before it was gone says nothing."""
        if self._since is not None and sent >= self._since:
            log.warning("%s is back after %.0f s", self.url, self._clock() - self._since)
            self._since = None

    def pause(self, seconds: float) -> None:
        """It asked to be left alone, by all."""
        self._pause = max(self._pause, self._clock() + seconds)

    def paused(self) -> float:
        """Seconds until it may be asked."""
        return max(0.0, self._pause - self._clock())
