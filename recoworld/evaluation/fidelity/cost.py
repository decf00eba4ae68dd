"""What a report will cost: a handful of questions are timed, and their tokens counted, before many are asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from recoworld.evaluation.fidelity.asking.sums import Json
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.types import UserSimulator

SLOW = 0.005
"""Seconds a user-slate from which on every answer is kept: below, asking again is cheaper than reading."""
_FEW, _MANY = 4, 256
_SALT = 99  # moods that no section asks in
_TOKENS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """One user-slate, on average."""

    seconds: float
    tokens: dict[str, float] | None
    """By kind, from simulators that count them: an attribute `usage` with `prompt_tokens` and `completion_tokens`."""

    @property
    def slow(self) -> bool:
        """Whether answers are worth keeping."""
        return self.seconds > SLOW

    def as_dict(self) -> Json:
        """As JSON, from which `Pilot(**...)` makes it again."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is to be asked, and what that costs: an upper bound on slates; a server that answers many at once is faster."""

    slates: dict[str, int]
    """User-slates a section, at most."""
    pilot: Pilot

    @property
    def total(self) -> int:
        """User-slates of all sections."""
        return sum(self.slates.values())

    def as_dict(self) -> Json:
        """As in ``fidelity.json``."""
        tokens = {kind: round(each * self.total) for kind, each in (self.pilot.tokens or {}).items()}
        seconds = {"seconds_per_slate": self.pilot.seconds, "seconds": self.pilot.seconds * self.total}
        return {"slates": self.slates, "total": self.total, **seconds, **tokens}

    def sentence(self) -> str:
        """For the terminal."""
        cost = [f"{self.total:,} slates at most", duration(self.pilot.seconds * self.total)]
        cost += [f"{round(each * self.total):,} {kind.replace('_', ' ')}" for kind, each in (self.pilot.tokens or {}).items()]
        timed = f"by a few that were timed: {1000 * self.pilot.seconds:.3g} ms each"
        return f"{', '.join(cost)} for the answers ({timed}), beside fitting the recommenders and reading what is kept"


def pilot(witness: Witness) -> Pilot:
    """Ask a few questions that no section asks; if they are quick, some more, for the first ones cost more than the rest."""
    _asked(witness, 1, 0)  # whatever is made once
    seconds, tokens = _asked(witness, _FEW, 1)
    if seconds <= SLOW:
        seconds, tokens = _asked(witness, _MANY, 2)
    return Pilot(seconds=seconds, tokens=tokens)


def _asked(witness: Witness, n: int, times: int) -> tuple[float, dict[str, float] | None]:
    """Seconds and tokens of each of `n` user-slates."""
    panel, rng = witness.panel, np.random.Generator(np.random.PCG64([witness.panel.seed, 8, times]))
    users = np.resize(panel.users, n)
    slates = np.stack([rng.permutation(len(panel.known.catalog))[:20] for _ in range(n)])
    before, start = used(witness.simulator), time.perf_counter()
    witness.chances(users, slates, moods=1, salt=_SALT + times)
    seconds, after = (time.perf_counter() - start) / n, used(witness.simulator)
    return seconds, {kind: (after[kind] - before[kind]) / n for kind in _TOKENS} if before and after else None


def used(simulator: UserSimulator) -> dict[str, float] | None:
    """Tokens so far, None from simulators that do not count them."""
    usage = getattr(simulator, "usage", None)
    counts = [usage.get(kind) if isinstance(usage, Mapping) else getattr(usage, kind, None) for kind in _TOKENS]
    return {kind: float(count) for kind, count in zip(_TOKENS, counts, strict=True) if count is not None} if None not in counts else None


def duration(seconds: float) -> str:
    """In the unit in which one would say it."""
    for unit, length in (("days", 172_800), ("hours", 7200), ("minutes", 120)):
        if seconds >= length:
            return f"about {seconds / (length / 2):.1f} {unit}"
    return f"about {max(seconds, 1):.0f} s"
