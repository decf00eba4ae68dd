"""Diversity: are simulated people as unlike each other as people are? Language-model crowds collapse to one average person.

The panel answers the same questions as the people did: of twenty items one is picked, all questions of a user in one mood, for the later
part of a log is mostly one sitting. A pick is a vector: the item's content and its place in the order of popularity. Each user's picks
are dealt into two halves with means ``A_u`` and ``B_u``; then

    between = mean over u, v != u of |A_u - B_v|^2,   within = mean over u of |A_u - B_u|^2,   ratio = sqrt(between / within)

is 1 for a crowd of one and the same person, whatever that person likes, and grows with what tells people apart. Both sums are closed
in moments of the halves, so users are resampled as everywhere else.

*human* is the log; *one person* are users who all pick by the crowd's tastes; *uniform* pick blindly.
"""

from __future__ import annotations

import numpy as np

from recoworld.evaluation.fidelity.asking.questions import choices
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, drawn_sums, figure
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.choice import shares, shares_of_counts
from recoworld.types import Floats, Ints

MOST = 20
"""Questions a user."""


def asks(witness: Witness) -> int:
    """User-slates that `measure` puts before users, at most."""
    return MOST * len(witness.panel.users)


def measure(witness: Witness) -> Json:
    """Ratios of the simulator's picks, the people's, the crowd's and blind ones on the same questions."""
    panel = witness.panel
    asked = choices(panel, "random", most=MOST)
    counts = np.bincount(np.searchsorted(panel.users, asked.users), minlength=len(panel.users))
    asked = asked.take(counts[np.searchsorted(panel.users, asked.users)] >= 4)
    rng = np.random.Generator(np.random.PCG64([panel.seed, 6]))
    luck = rng.random(len(asked.users))
    crowd = shares_of_counts(panel.known.catalog.popularity[asked.items])
    picks = {
        "value": drawn(shares(witness.chances(asked.users, asked.items, moods=1)), luck),
        "human": asked.taken.argmax(axis=1),
        "one_person": drawn(crowd, luck),
        "uniform": rng.integers(asked.items.shape[1], size=len(luck)),
    }
    half = _halves(asked.users)
    x = np.concatenate([panel.known.catalog.features, panel.known.catalog.popularity_rank[:, None]], axis=1).astype(np.float64)
    row = np.arange(len(luck))
    found = {name: _ratio(x[asked.items[row, at]], asked.users, half, panel.seed) for name, at in picks.items()}
    sums = {name: figure(value) for name, value in found.items()}
    return {
        "questions": len(asked.users),
        "users": len(np.unique(asked.users)),
        "ratio": sums.pop("value") | sums,
        "relative_to_human": figure(found["value"] / found["human"]),
        "excess_relative_to_human": figure((found["value"] - 1) / (found["human"] - 1)),
    }


def drawn(pi: Doubles, luck: Floats | Doubles) -> Ints:
    """One column of each row, with its probability ``[m]``."""
    return np.asarray((np.cumsum(pi, axis=1) < luck[:, None] * pi.sum(axis=1, keepdims=True)).sum(axis=1).clip(0, pi.shape[1] - 1))


def _halves(users: Ints) -> Ints:
    """0 and 1 in turn within each user ``[m]``; users stand together."""
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    return (np.arange(len(users)) - np.repeat(starts, np.diff(np.append(starts, len(users))))) % 2


def _ratio(x: Doubles, users: Ints, half: Ints, seed: int) -> Doubles:
    distinct, place = np.unique(users, return_inverse=True)
    means = np.zeros((2, len(distinct), x.shape[1]))
    np.add.at(means, (half, place), x)
    a, b = means / np.stack([np.bincount(place[half == h], minlength=len(distinct)) for h in (0, 1)])[:, :, None]
    squares = (a * a).sum(axis=1) + (b * b).sum(axis=1)
    columns = np.concatenate([np.stack([np.ones(len(a)), squares, (a * b).sum(axis=1)], axis=1), a, b], axis=1)
    n, square, cross, *both = np.split(drawn_sums(columns, distinct, seed=seed), [1, 2, 3, 3 + x.shape[1]], axis=1)
    within = (square - 2 * cross) / n
    all_pairs = square / n - 2 * (both[0] * both[1]).sum(axis=1, keepdims=True) / n**2  # over u and v, u = v too
    between = (n * all_pairs - within) / (n - 1)
    return np.sqrt(between / within)[:, 0]
