"""Diversity: are simulated people as unlike each other as people are? Language-model crowds collapse to one average person.

The panel answers the same questions as the people did: of twenty items (of half of a small catalogue) one is picked. A pick is a vector:
the item's content and its place in the order of popularity. Each user's picks are dealt into two halves with means ``A_u`` and ``B_u``;
then

    between = mean over u, v != u of |A_u - B_v|^2,   within = mean over u of |A_u - B_u|^2,   ratio = sqrt(between / within)

is 1 for a crowd of one and the same person, whatever that person likes, and grows with what tells people apart. Both sums are closed
in moments of the halves, so users are resampled as everywhere else. Twice:

- `ratio`: all questions of a user in one mood, dealt at random; of people likewise. The later part of a log is mostly one sitting, so mood
  and person are not told apart, on either side.
- `across_moods`: the two halves in two moods; of people, what they took first against what they took last. Mood is no help here: users who
  share one taste and differ by mood alone come out as 1.

*human* is the log; *one person* are users who all pick by the crowd's tastes; *uniform* pick blindly.
"""

from __future__ import annotations

import numpy as np

from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.questions import Questions, choices, nth
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, drawn_sums, figure, ratio
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.choice import shares, shares_of_counts
from recoworld.types import Floats, Ints

SIZE = 20
"""Items of a question."""
MOST = 20
"""Questions a user."""


def asks(witness: Witness) -> int:
    """User-slates that `measure` puts before users, at most."""
    return 2 * MOST * len(witness.panel.users)


def measure(witness: Witness) -> Json:
    """Ratios of the simulator's picks, the people's, the crowd's and blind ones on the same questions."""
    panel = witness.panel
    asked = choices(panel, "random", size=max(2, min(SIZE, len(panel.truth.catalog) // 2)), most=MOST)
    asked = asked.take(_often(asked.users) >= 4)
    if len(np.unique(asked.users)) < 2:
        return {"skipped": "fewer than two of the users who are asked took four new items after the visible part of the log"}
    luck = np.random.Generator(np.random.PCG64([panel.seed, 6])).random((2, len(asked.users)))
    crowd = shares_of_counts(panel.known.catalog.popularity[asked.items])
    moods = [drawn(shares(witness.chances(asked.users, asked.items, moods=1, salt=salt)), luck[0]) for salt in (0, 1)]
    others = {
        "human": asked.taken.argmax(axis=1),
        "one_person": drawn(crowd, luck[0]),
        "uniform": (luck[1] * asked.items.shape[1]).astype(np.int64),
    }
    dealt, late = nth(asked.users) % 2, _late(panel, asked)
    x = np.concatenate([panel.known.catalog.features, panel.known.catalog.popularity_rank[:, None]], axis=1).astype(np.float64)
    out: Json = {"questions": len(asked.users), "users": len(np.unique(asked.users))}
    for name, half, mine in (("ratio", dealt, moods[0]), ("across_moods", late, np.where(late, moods[1], moods[0]))):
        picks = {"value": mine, **others}
        found = {who: _ratio(x[asked.items[np.arange(len(at)), at]], asked.users, half, panel.seed) for who, at in picks.items()}
        figures = {who: figure(value) for who, value in found.items()}
        out[name] = figures.pop("value") | figures
        out[name]["relative_to_human"] = figure(ratio(found["value"], found["human"]))
        out[name]["excess_relative_to_human"] = figure(ratio(found["value"] - 1, found["human"] - 1))
    return out


def _often(users: Ints) -> Ints:
    """How many rows each row's user has ``[m]``."""
    _, place, counts = np.unique(users, return_inverse=True, return_counts=True)
    return np.asarray(counts[place])


def _late(panel: Panel, asked: Questions) -> Ints:
    """1 for the later half of what each user took ``[m]``, by its place in the log."""
    rows, place = panel.later(panel.users)
    n_items, log = len(panel.truth.catalog), panel.truth.interactions
    keys, first = np.unique(panel.users[place] * n_items + log.items[rows], return_index=True)
    when = rows[first][np.searchsorted(keys, asked.users * n_items + asked.items[asked.taken])]
    order = np.lexsort((when, asked.users))
    out = np.empty(len(when), np.int64)
    out[order] = 2 * nth(asked.users[order]) >= _often(asked.users[order])
    return out


def drawn(pi: Doubles, luck: Floats | Doubles) -> Ints:
    """One column of each row, with its probability ``[m]``."""
    return np.asarray((np.cumsum(pi, axis=1) < luck[:, None] * pi.sum(axis=1, keepdims=True)).sum(axis=1).clip(0, pi.shape[1] - 1))


def _ratio(x: Doubles, users: Ints, half: Ints, seed: int) -> Doubles:
    distinct, place = np.unique(users, return_inverse=True)
    means = np.zeros((2, len(distinct), x.shape[1]))
    np.add.at(means, (half, place), x)
    a, b = means / np.stack([np.bincount(place[half == h], minlength=len(distinct)) for h in (0, 1)])[:, :, None]
    squares = (a * a).sum(axis=1) + (b * b).sum(axis=1)
    columns = np.concatenate([np.stack([np.ones(len(a)), squares, (a * b).sum(axis=1)], axis=1), a, b], axis=1)
    n, square, cross, *both = np.split(drawn_sums(columns, distinct, seed=seed), [1, 2, 3, 3 + x.shape[1]], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # one user, or answers all alike: NaN
        within = (square - 2 * cross) / n
        all_pairs = square / n - 2 * (both[0] * both[1]).sum(axis=1, keepdims=True) / n**2  # over u and v, u = v too
        between = (n * all_pairs - within) / (n - 1)
        return np.sqrt(between / within)[:, 0]
