"""Taste alignment: does a user tell what is to its taste from what is not? (Agent4Rec: Zhang et al. 2024, arXiv 2310.10108, section 4.1.)

Each user sees twenty items, of which it took one in 2, 4 or 10 later and never met the others, and says yes or no to each. Agent4Rec's
language-model users reach an accuracy of about 0.65 and a recall of about 0.75 throughout.

A simulator that knows chances says yes from a threshold on. `as_it_acts` puts it at 1/2; `tuned` where accuracy at 1:1 is highest among
*training* users, whose later items nobody has seen either; where none of them took ten, it is tuned on the next mixture in which taken
items weigh as much as the others together (`tuned_at`).

Whoever says no to everything is right about half, three quarters and nine tenths of the items: see `always_no` beside each accuracy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.evaluation.fidelity.asking.panel import Panel, make_panel
from recoworld.evaluation.fidelity.asking.questions import Questions, mixtures
from recoworld.evaluation.fidelity.asking.sums import Json, drawn_sums, figure, ratio
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.types import Floats

OTHERS = (1, 3, 9)


def asks(witness: Witness) -> int:
    """User-slates that `measure` puts before users, at most."""
    return len(witness.panel.users) * (1 + len(OTHERS)) * witness.moods


def measure(witness: Witness) -> Json:
    """Accuracy, precision, recall and F1 at 1:1, 1:3 and 1:9, beside popularity (tuned alike), always yes, always no, and a coin."""
    panel = witness.panel
    training = make_panel(panel.truth, users=len(panel.users), seed=panel.seed, split_seed=panel.split.seed, group="train")
    tuned_at, asked = _tuning(training)
    cut = _best_cut(witness.beside("training users", witness.simulator, training).chances(asked.users, asked.items), asked)
    popular = _best_cut(_popularity(panel, asked), asked)
    found: Json = {"threshold": cut, "tuned_at": f"1:{tuned_at}"}
    for others in OTHERS:
        try:
            asked = mixtures(panel, others)
        except ConfigError:
            continue  # nobody took that many
        chances, luck = witness.chances(asked.users, asked.items), np.random.Generator(np.random.PCG64([panel.seed, 3, others]))
        found[f"1:{others}"] = {
            "users": len(asked.users),
            "tuned": judged(chances >= cut, asked, panel.seed),
            "as_it_acts": judged(chances >= 0.5, asked, panel.seed),
            "popularity": judged(_popularity(panel, asked) >= popular, asked, panel.seed),
            "always_yes": judged(np.ones(asked.items.shape, np.bool_), asked, panel.seed),
            "always_no": judged(np.zeros(asked.items.shape, np.bool_), asked, panel.seed),
            "coin": judged(luck.random(asked.items.shape) < 0.5, asked, panel.seed),
        }
    return found


def _tuning(training: Panel) -> tuple[int, Questions]:
    """The mixture with the most taken items that there is, and its questions. Raises ConfigError where there is none."""
    for others in OTHERS[:-1]:
        try:
            return others, mixtures(training, others)
        except ConfigError:
            continue  # nobody took that many
    return OTHERS[-1], mixtures(training, OTHERS[-1])


def _popularity(panel: Panel, asked: Questions) -> Floats:
    return panel.known.catalog.popularity_rank[asked.items]


def judged(yes: NDArray[Any], asked: Questions, seed: int) -> Json:
    """The four figures, over all items of all users."""
    cells = np.stack([yes & asked.taken, yes & ~asked.taken, ~yes & asked.taken, ~yes & ~asked.taken])
    hits, false, missed, passed = drawn_sums(cells.sum(axis=2).T, asked.users, seed=seed).T
    return {
        "accuracy": figure(ratio(hits + passed, hits + false + missed + passed)),
        "precision": figure(ratio(hits, hits + false)),
        "recall": figure(ratio(hits, hits + missed)),
        "f1": figure(ratio(2 * hits, 2 * hits + false + missed)),
    }


def _best_cut(scores: Floats, asked: Questions) -> float:
    """The score from which on to say yes for the highest accuracy, the taken items weighing as much as the others together."""
    order = np.argsort(-scores, axis=None, kind="stable")
    values, taken = scores.ravel()[order], asked.taken.ravel()[order]
    right = np.cumsum(taken) / taken.sum() - np.cumsum(~taken) / (~taken).sum()  # yes to the first ones, no to the rest
    ends = np.flatnonzero(np.diff(values, append=-np.inf))  # equal scores go together
    return float(values[ends[np.argmax(right[ends])]])
