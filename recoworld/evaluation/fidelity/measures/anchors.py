"""Rates where no impressions were logged: what simulated people do under EASE, beside what a large video feed published.

Tenrec's QK-video (Yuan et al. 2022, arXiv 2210.10629) counts 493 million impressions. Other people, other items, another recommender: an
anchor, no test.
"""

from __future__ import annotations

import numpy as np

from recoworld.evaluation.fidelity.asking.sums import Json, drawn_sums, figure, means, ratio
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.transcripts import transcript

ANCHOR = (
    "the rows of rates hold what simulated people do under EASE beside the figures of a video feed, QK-video: other people, an anchor and "
    "no test"
)
TENREC = {"clicked": 0.288, "liked": 0.071, "shared": 0.008}
"""Clicks per impression, and likes and shares per click."""


def anchored(witness: Witness) -> Json:
    """Clicks per slot, what follows per click; clicks by position, clicks and leaves by turn, both from 0."""
    turns, seed = transcript(witness), witness.panel.seed
    turns = turns.take(turns.policy == "ease")
    clicks = turns.clicked.sum(axis=1)
    found: Json = {"policy": "ease", "sessions": len(np.unique(turns.users)), "slates": len(turns.users)}
    for name in ("clicked", "liked", "commented", "shared"):
        done = getattr(turns, name)
        base = np.full(len(clicks), done.shape[1]) if name == "clicked" else clicks
        sums = drawn_sums(np.stack([done.sum(axis=1), base], axis=1), turns.users, seed=seed)
        found[name] = figure(ratio(sums[:, 0], sums[:, 1])) | ({"tenrec": {"value": TENREC[name]}} if name in TENREC else {})
    slots = means({str(slot): column for slot, column in enumerate(turns.clicked.T)}, turns.users, seed=seed)
    found["clicked"]["by_position"] = [{"position": int(slot)} | rate for slot, rate in slots.items()]
    found["by_turn"] = []
    for at in np.unique(turns.turn).tolist():
        now = turns.take(turns.turn == at)
        rates = means({"clicked": now.clicked.mean(axis=1), "left": now.left}, now.users, seed=seed)
        found["by_turn"].append({"turn": at, "sessions": len(now.users)} | rates)
    return found
