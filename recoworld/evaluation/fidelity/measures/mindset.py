"""Mindset: does satisfaction mean anything, and do instructions come from what was shown and from who speaks?

Three hundred users play whole sessions, half of them served by EASE, the others by popularity or at random. What is asked:

| key | is |
|---|---|
| foretells | whether low satisfaction after a turn, or its drop, foretells an instruction or a leave at the *next* turn: AUC |
| hazard | rate of leaving at the next turn, by quartile of satisfaction |
| variety, grounded, consistent | of the instructions, see `recoworld.evaluation.fidelity.measures.sayings` |
| words | of an instruction: mean and quantiles; *human*: of the user's messages in a corpus of dialogues, where one is given |

*turn*: what the number of the turn alone foretells. *nothing*: a coin. Instructions are looked for among those who have not just given
one, for whoever has spoken waits for an answer first.
"""

from __future__ import annotations

import numpy as np

from recoworld.dialogues import Corpus
from recoworld.errors import ConfigError
from recoworld.evaluation.fidelity.asking.sums import Json, auc, drawn_sums, figure, means, ratio, statistic
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.sayings import consistent, grounded, variety
from recoworld.evaluation.fidelity.measures.terseness import terseness
from recoworld.evaluation.fidelity.measures.transcripts import Transcript, slates_asked, transcript


def asks(witness: Witness) -> int:
    """User-slates that `measure` takes at most."""
    return slates_asked(witness)


def measure(witness: Witness) -> Json:
    """See the module's docstring; where there are dialogues, their users' messages are counted beside the instructions."""
    panel, turns = witness.panel, transcript(witness)
    said = turns.take(turns.said)
    found: Json = {"sessions": len(np.unique(turns.users)), "turns": len(turns.users), "served": _served(turns, panel.seed)}
    if np.isfinite(turns.satisfaction).all():
        found |= {"foretells": foretells(turns, panel.seed), "hazard": hazard(turns, panel.seed)}
    else:
        found |= {"foretells": {"skipped": f"nobody knows how satisfied the users of {witness.name!r} are"}}
    if not len(said.users):
        return found | {name: {"skipped": "nobody gave an instruction"} for name in ("variety", "grounded", "consistent", "words")}
    return found | {
        "variety": variety(said, panel.known.catalog, panel.seed),
        "grounded": grounded(said, panel.known.catalog, panel.seed),
        "consistent": consistent(said, np.unique(turns.users), panel.known, panel.seed),
        "words": words(said, witness.corpus, panel.seed),
    }


def words(said: Transcript, corpus: Corpus | None, seed: int) -> Json:
    """Words of an instruction, each figure beside that of the corpus' users where there is one in which any says something."""
    found: Json = terseness(said.text.tolist(), speakers=said.users, seed=seed)["words"]
    try:
        human = {} if corpus is None else terseness(corpus, seed=seed)["words"]
    except ConfigError:  # no user says anything
        human = {}
    return {name: entry | ({"human": human[name]} if name in human else {}) for name, entry in found.items()}


def _served(turns: Transcript, seed: int) -> Json:
    """By policy: turns a session, and shares of turns with an instruction, and of sessions that were left."""
    found: Json = {}
    for name in np.unique(turns.policy).tolist():
        mine = turns.take(turns.policy == name)
        new = (mine.turn == 0).astype(np.float64)
        sums = drawn_sums(np.stack([new, np.ones(len(new)), mine.said, mine.left], axis=1), mine.users, seed=seed)
        rates = {"turns": sums[:, 1] / sums[:, 0], "instructions": sums[:, 2] / sums[:, 1], "left": sums[:, 3] / sums[:, 0]}
        found[name] = {"sessions": int(new.sum())} | {key: figure(value) for key, value in rates.items()}
        found[name] |= means({"satisfaction": mine.satisfaction}, mine.users, seed=seed)
    return found


def foretells(turns: Transcript, seed: int) -> Json:
    """AUC of satisfaction (the lower the sooner) and of its drop for what happens at the next turn."""
    now = np.flatnonzero(np.diff(turns.users) == 0)  # the session went on
    next_said, next_left, silent = turns.said[now + 1], turns.left[now + 1], ~turns.said[now]
    signs = {"level": -turns.satisfaction[now], "drop": (turns.before - turns.satisfaction)[now], "turn": turns.turn[now]}
    everyone = np.ones(len(now), np.bool_)
    found: Json = {}
    for name, event, some in (
        ("instruction", next_said, silent),
        ("leave", next_left, everyone),
        ("either", next_said | next_left, silent),
    ):
        if not some.any():
            continue
        rows = {key: figure(auc(sign[some], event[some], turns.users[now][some], seed=seed)) for key, sign in signs.items()}
        trivial = {"turn": rows.pop("turn"), "nothing": {"value": 0.5}}
        found[name] = {"turns": int(some.sum()), "events": int(event[some].sum())} | {key: row | trivial for key, row in rows.items()}
    return found


def hazard(turns: Transcript, seed: int) -> Json:
    """Rate of leaving at the next turn by quartile of satisfaction, the lowest first, and the lowest's over the highest's."""
    now = np.flatnonzero(np.diff(turns.users) == 0)
    if not now.size:
        return {"skipped": "no session has a second turn"}
    level, left, users = turns.satisfaction[now], turns.left[now + 1], turns.users[now]
    quarter = np.searchsorted(np.quantile(level, [0.25, 0.5, 0.75]), level, "right")
    columns = np.zeros((len(now), 8))
    columns[np.arange(len(now)), quarter] = 1
    columns[np.arange(len(now)), 4 + quarter] = left
    sums = drawn_sums(columns, users, seed=seed)
    rates = [ratio(sums[:, 4 + q], sums[:, q]) for q in range(4)]
    quartiles = [
        {"satisfaction": float(level[quarter == q].mean()), "turns": int((quarter == q).sum()), **figure(rates[q])}
        for q in range(4)
        if (quarter == q).any()
    ]
    overall = statistic(lambda s: ratio(s[:, 4:].sum(axis=1), s[:, :4].sum(axis=1)), columns, users, seed=seed)
    steepness = figure(ratio(rates[0], rates[3])) | {"nothing": {"value": 1.0}}
    return {"overall": overall, "quartiles": quartiles, "lowest_over_highest": steepness}
