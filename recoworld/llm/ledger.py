"""What became of all replies: counted, for a report."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any

from recoworld.llm.model import Usage
from recoworld.text import plain

_EXAMPLES = 10


class Ledger:
    """Counts, safe for threads; no reply depends on them."""

    def __init__(self, *own: str) -> None:
        """own: names of what its owner counts besides, reported in any case."""
        self._own = own
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()
        self._examples: list[str] = []
        self._usage = Usage()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())

    def add(self, name: str, number: int = 1) -> None:
        """Count something that `report` has by this name."""
        with self._lock:
            self._counts[name] += number

    def call(self, usage: Usage) -> None:
        """Count one call of the model."""
        with self._lock:
            self._counts["calls"] += 1
            self._usage += usage

    def problem(self, kind: str, message: str, text: str) -> None:
        """Count a reply that could not be read, and keep a few of them."""
        with self._lock:
            self._problems[kind] += 1
            if len(self._examples) < _EXAMPLES:
                self._examples.append(f"{message}: {plain(text, 200)}")

    def report(self) -> dict[str, Any]:
        """The counts and shares, ready for JSON.

        replies: those that were wanted; valid_first, valid_again: those that could be read at once, or when asked for anew; filled: the
        others, for which somebody else's answer stands; problems: what was wrong, by kind.
        """
        with self._lock:
            counts, usage = Counter(self._counts), self._usage
            problems, examples = dict(self._problems), list(self._examples)
        n = max(counts["replies"], 1)
        names = ("calls", "replies", "valid_first", "valid_again", "filled", *self._own)
        return {
            **{name: counts[name] for name in names},
            "valid_share": (counts["valid_first"] + counts["valid_again"]) / n,
            "valid_first_share": counts["valid_first"] / n,
            "filled_share": counts["filled"] / n,
            "prompt_tokens": usage.prompt,
            "cached_tokens": usage.cached,
            "completion_tokens": usage.completion,
            "cached_share": usage.cached / max(usage.prompt, 1),
            "problems": problems,
            "examples": examples,
        }
