"""Is this an answer? What a simulator says, held against what `recoworld.types` promises of it, before anything is computed of it.

A comparison with NaN is false, so that a chance of NaN would rank like the best of guesses; a wrong shape may fit after broadcasting.
Nothing here costs more than a look at each number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recoworld.errors import SimulatorFailed
from recoworld.types import LEVELS, Feedback, Instruction, Mindset

_SLACK = 1e-6  # of float32
_SUM = 1e-3  # how far the five ratings may be from 1 in all
_WORDS = {"f": "floats", "b": "booleans", "iu": "integers"}


def chances(where: str, said: Any, shape: tuple[int, ...]) -> None:
    """Probabilities of clicks ``[n, k]``; 0 and 1 are allowed. where: begins the message. Raises SimulatorFailed, as all below."""
    _between(where, said, shape, "items")


def stars(where: str, said: Any, shape: tuple[int, ...]) -> None:
    """Probabilities of ratings ``[n, k, 5]``."""
    _between(where, said, shape, "ratings")
    sums = said.sum(axis=-1, dtype=np.float64)
    if (np.abs(sums - 1) > _SUM).any():
        raise SimulatorFailed(
            f"{where} probabilities of the five ratings that sum to {sums.min():.4g} up to {sums.max():.4g}; expected 1 for each item"
        )


def satisfaction(where: str, said: Any, n: int) -> None:
    """Of `n` dialogues: one number in [0, 1] each, or NaN for none."""
    given = np.asarray(said, np.float64)
    bad = ~np.isnan(given) & ~((given >= 0) & (given <= 1))
    if given.size != n or bad.any():
        got = f"{given.size} answers for {n} dialogues" if given.size != n else f"{given[bad][0]:.3g} for a dialogue"
        raise SimulatorFailed(f"{where} {got}; expected one number from 0 to 1 a dialogue, or NaN for none")


def mindset(where: str, said: Any, n: int) -> None:
    """Of `n` users. A level that is NaN for all of them is one that the simulator does not know: sections leave it open."""
    if not isinstance(said, Mindset):
        raise SimulatorFailed(f"{where} {type(said).__name__}; expected a recoworld.types.Mindset")
    _array(f"{where} Mindset.levels =", said.levels, (n, len(LEVELS)), "f")
    known = ~np.isnan(said.levels).all(axis=0)
    levels = said.levels if known.all() else said.levels[:, known]
    _between(f"{where} Mindset.levels =", levels, levels.shape, "levels")
    interest = said.interest
    width = interest.shape[1] if isinstance(interest, np.ndarray) and interest.ndim == 2 else 1
    _array(f"{where} Mindset.interest =", interest, (n, width), "f")
    if not np.isfinite(interest).all():
        raise SimulatorFailed(f"{where} Mindset.interest = NaN or infinity for some users; expected finite floats, shape {interest.shape}")
    _array(f"{where} Mindset.intent =", said.intent, (n,), "iu")


def feedback(where: str, said: Any, n: int, k: int) -> None:
    """Of `n` users to slates of `k` items."""
    if not isinstance(said, Feedback):
        raise SimulatorFailed(f"{where} {type(said).__name__}; expected a recoworld.types.Feedback")
    for name in ("examined", "clicked", "liked", "commented", "shared"):
        _array(f"{where} Feedback.{name} =", getattr(said, name), (n, k), "b")
    _array(f"{where} Feedback.left =", said.left, (n,), "b")
    _between(f"{where} Feedback.watch =", said.watch, (n, k), "slots", "seconds from 0 on", np.inf)
    _between(f"{where} Feedback.followed =", said.followed, (n,), "users")
    if said.response is not None:
        _between(f"{where} Feedback.response =", said.response, (n, k, 6), "deeds")
    for name, cause, effect in (
        ("a click without a look (clicked, not examined)", said.examined, said.clicked),
        ("a like, comment or share without a click", said.clicked, said.liked | said.commented | said.shared),
        ("watching without a click", said.clicked, said.watch > 0),
    ):
        if (effect & ~cause).any():
            raise SimulatorFailed(f"{where} {name} in {int((effect & ~cause).sum()):,} of {n * k:,} slots; expected none")
    _instruction(where, said.instruction, n)


def _instruction(where: str, said: Any, n: int) -> None:
    if not isinstance(said, Instruction):
        raise SimulatorFailed(f"{where} Feedback.instruction = {type(said).__name__}; expected Instruction.none({n}), or an Instruction")
    if said is Instruction.none(n):
        return
    for name in ("kind", "aspect", "value", "phrasing"):
        _array(f"{where} Feedback.instruction.{name} =", getattr(said, name), (n,), "iu")


def _array(where: str, said: Any, shape: tuple[int, ...], kinds: str, expected: str = "") -> None:
    if not isinstance(said, np.ndarray) or said.shape != shape or said.dtype.kind not in kinds:
        got = f"{said.dtype} of shape {said.shape}" if isinstance(said, np.ndarray) else type(said).__name__
        raise SimulatorFailed(f"{where} {got}; expected an array of {expected or _WORDS[kinds]}, shape {shape}")


def _between(
    where: str, said: Any, shape: tuple[int, ...], unit: str, expected: str = "numbers from 0 to 1", high: float = 1.0
) -> None:
    """Floats from 0 to `high`, infinity excluded."""
    _array(where, said, shape, "f", f"{expected} (floats)")
    if not said.size:
        return
    lowest, highest = float(said.min()), float(said.max())  # NaN if one is
    if lowest >= -_SLACK and highest <= high + _SLACK and highest < np.inf:
        return
    nan = int(np.isnan(said).sum())
    got = f"NaN for {nan:,} of {said.size:,} {unit}" if nan else f"numbers from {lowest:.4g} to {highest:.4g}"
    raise SimulatorFailed(f"{where} {got}; expected {expected}, shape {shape}")
