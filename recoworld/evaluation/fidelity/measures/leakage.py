"""Leakage: does the simulator answer from taste, or from having read the data set?

Language models have read MovieLens. So the same questions (1 item taken later among 19 of like popularity) are put to the simulator as it
is, and built anew of a catalogue whose titles, people and descriptions are masked, and of one whose dates are ten years later
(`recoworld.evaluation.fidelity.asking.rewritten`). A large fall with masked titles means that it lives on what it knows of the titles, be
it knowledge or memory; a fall with shifted dates, that it remembers. `difference` is paired, question by question.

`checks` are facts of this panel, computed and not assumed:

| key | is | must be |
|---|---|---|
| held_out_known | held-out (user, item) pairs, first met after the visible part, that the simulator is given | 0 |
| held_out_pairs | how many there are | |
| later_known | interactions that the simulator is given beyond the visible parts | 0 |
| popularity_beyond | catalogue counts beyond the visible log's | 0 |
| impressions_known, random_ratings_known | whether it is given what users were shown, or were asked to rate | false |
| training_users_asked | | 0 |
| answer_and_slot | correlation of being the right answer with the place in the slate | about 0 |
| answer_and_index | the same with the place in the catalogue, which is often by date | |
| answer_and_popularity | the same with popularity: what the matching has left of it | about 0 |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.evaluation.fidelity.asking.panel import Panel
from recoworld.evaluation.fidelity.asking.questions import Questions, choices
from recoworld.evaluation.fidelity.asking.rewritten import masked, panel_of, shifted
from recoworld.evaluation.fidelity.asking.sums import Json, means, moments, pearson, statistic
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.choice import gain, ranked
from recoworld.types import Ints
from recoworld.users import Dataset

USERS, MOST = 300, 2
"""Who is asked, and how many questions each."""
CHANGES: dict[str, Callable[[Dataset], Dataset]] = {"masked": masked, "shifted": shifted}


def asks(witness: Witness) -> int:
    """User-slates that `measure` takes at most."""
    return 0 if witness.build is None else (1 + len(CHANGES)) * min(USERS, len(witness.panel.users)) * MOST * witness.moods


def measure(witness: Witness) -> Json:
    """See the module's docstring; NDCG@10 of the choices, and the facts."""
    panel = witness.panel
    asked = choices(panel, "popularity_matched", size=min(20, len(panel.known.catalog)), most=MOST)
    found: Json = {"checks": checks(panel, asked)}
    if witness.build is None:
        return found | {"ndcg@10": {"skipped": f"nobody knows how to build {witness.name!r} of another catalogue"}}
    rng = np.random.Generator(np.random.PCG64([panel.seed, 12]))
    asked = asked.take(np.isin(asked.users, rng.permutation(np.unique(asked.users))[:USERS]))
    gains = {"as_it_is": gain(ranked(witness.chances(asked.users, asked.items), asked))}
    for name, change in CHANGES.items():
        known = change(panel.known)
        other = witness.beside(name, witness.build(known, panel.split), panel_of(panel, known))
        gains[name] = gain(ranked(other.chances(asked.users, asked.items), asked))
    blind = gain(ranked(np.zeros(asked.items.shape, np.float32), asked))
    falls = {name: gains[name] - gains["as_it_is"] for name in CHANGES}
    figures, differences = (means(columns, asked.users, seed=panel.seed) for columns in (gains | {"uniform": blind}, falls))
    uniform = figures.pop("uniform")
    measured = {name: each | {"uniform": uniform} for name, each in figures.items()}
    for name in CHANGES:
        measured[name]["difference"] = differences[name]
    return found | {"questions": len(asked.users), "users": len(np.unique(asked.users)), "ndcg@10": measured}


def checks(panel: Panel, asked: Questions) -> Json:
    """The facts of the module's docstring."""
    known, n_items = panel.known, len(panel.known.catalog)
    everyone = np.arange(len(known.users))
    rows, owner = panel.later(everyone)
    visible = panel.truth_split.visible_end - panel.truth.interactions.indptr[:-1]
    later = _distinct(owner * n_items + panel.truth.interactions.items[rows])
    held_out = np.setdiff1d(later, _visible_pairs(panel, everyone), assume_unique=True)
    given = _distinct(known.interactions.users * n_items + known.interactions.items)
    counted = np.bincount(known.interactions.items, minlength=n_items)
    sides: dict[str, NDArray[Any]] = {
        "answer_and_slot": np.broadcast_to(np.arange(asked.items.shape[1]), asked.items.shape),
        "answer_and_index": asked.items,
        "answer_and_popularity": known.catalog.popularity_rank[asked.items],
    }
    taken = asked.taken - asked.taken.mean(axis=1, keepdims=True)
    inside = {name: moments(side - side.mean(axis=1, keepdims=True), taken).sum(axis=1) for name, side in sides.items()}
    correlations = {name: statistic(pearson, each, asked.users, seed=panel.seed) for name, each in inside.items()}
    return {
        "held_out_pairs": len(held_out),
        "held_out_known": int(np.isin(held_out, given, assume_unique=True).sum()),
        "later_known": int(np.maximum(np.diff(known.interactions.indptr) - visible, 0).sum()),
        "popularity_beyond": float(np.maximum(known.catalog.popularity - counted, 0).sum()),
        "impressions_known": known.impressions is not None,
        "random_ratings_known": known.random_ratings is not None,
        "training_users_asked": int(np.isin(panel.users, panel.split.train).sum()),
        **correlations,
    }


def _visible_pairs(panel: Panel, users: Ints) -> Ints:
    log, ends = panel.truth.interactions, panel.truth_split.visible_end[users]
    seen = log.rows(log.indptr[users], ends)
    return _distinct(np.repeat(users, ends - log.indptr[users]) * len(panel.truth.catalog) + log.items[seen])


def _distinct(keys: Ints) -> Ints:
    """``np.unique``, many times as fast on a million pairs: it sorts, where that hashes."""
    keys = np.sort(keys)
    return keys[np.diff(keys, prepend=keys[:1] - 1) > 0]
