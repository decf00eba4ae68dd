"""Whole sessions of the panel with a simulator, turn by turn: played once, read by every section that looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from recoworld.batch import Batch
from recoworld.datasets.cache import Arrays
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.sessions import TURNS, opened, some
from recoworld.evaluation.rollout import play
from recoworld.instructions import FORMS, sentence
from recoworld.types import Aspect, Bools, Feedback, Floats, Instruction, Ints, Kind, Recommender, Slates
from recoworld.world import World

POLICIES = ("ease", "popularity", "ease", "random")
"""Who serves the users, in turn: good slates for half of them, worse ones for the others, so that there are all moods to look at."""
_KEPT: WeakKeyDictionary[Witness, Transcript] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True, eq=False)
class Transcript(Batch):
    """`r` turns of sessions, one session a user: session by session, in order of time."""

    users: Ints
    """Whose turn each is ``[r]``."""
    turn: Ints
    """From 0 ``[r]``."""
    policy: NDArray[np.str_]
    """Who served ``[r]``."""
    slates: Slates
    """``[r, k]``."""
    examined: Bools
    clicked: Bools
    liked: Bools
    commented: Bools
    shared: Bools
    left: Bools
    """``[r]``."""
    before: Floats
    """Satisfaction ahead of the turn ``[r]``."""
    satisfaction: Floats
    """After it ``[r]``."""
    kind: NDArray[np.int8]
    """Of the instruction given in reply, as are the next three ``[r]``; see `recoworld.types.Instruction`."""
    aspect: NDArray[np.int8]
    value: NDArray[np.int32]
    text: NDArray[np.object_]
    """The sentence, "" for none."""

    @property
    def said(self) -> Bools:
        """Where an instruction was given ``[r]``."""
        return self.kind > 0


def slates_asked(witness: Witness) -> int:
    """The most user-slates that `transcript` can take."""
    return len(some(witness.panel)) * TURNS


def transcript(witness: Witness) -> Transcript:
    """Sessions of `recoworld.evaluation.fidelity.measures.sessions.some` of the panel, kept for as long as the witness lives."""
    if witness not in _KEPT:
        _KEPT[witness] = _played(witness)
    return _KEPT[witness]


def _played(witness: Witness) -> Transcript:
    panel, world = witness.panel, opened(witness)
    drawn = np.random.Generator(np.random.PCG64([panel.seed, 8])).permutation(some(panel))
    parts: list[Arrays] = []
    for name in dict.fromkeys(POLICIES):
        users = np.sort(np.concatenate([drawn[i :: len(POLICIES)] for i, other in enumerate(POLICIES) if other == name]))
        for start in range(0, len(users), witness.chunk):
            group = users[start : start + witness.chunk]
            question = ("transcript", name, world.slate_size, world.max_turns, group)
            parts.append(witness.kept(question, partial(_turns, witness, world, panel.policy(name), group)))
            parts[-1]["policy"] = np.full(len(parts[-1]["users"]), name)
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    columns["text"] = columns["text"].astype(object)
    order = np.lexsort((columns["turn"], columns["users"]))
    return Transcript(**{key: column[order] for key, column in columns.items()})


def _turns(witness: Witness, world: World, policy: Recommender, users: Ints) -> Arrays:
    """Columns of `Transcript` but `policy`, turn by turn."""
    seeds = np.full(len(users), witness.panel.seed, np.int64)
    world.reset(users, seeds)
    before = world.state.mindset.level("satisfaction").copy()
    at = np.zeros(len(users), np.int64)
    turns: list[Arrays] = []
    for rows, turn, _ in play(world, policy, users, seeds, policy_seed=witness.panel.seed):
        witness.told(len(rows))
        after = turn.mindset.level("satisfaction").copy()
        turns.append(
            {
                "users": users[rows],
                "turn": at[rows],
                "slates": turn.slates.copy(),
                **{deed: getattr(turn.feedback, deed) for deed in ("examined", "clicked", "liked", "commented", "shared", "left")},
                "before": before[rows],
                "satisfaction": after,
                **_words(turn.feedback, world.catalog),
            }
        )
        before[rows], at[rows] = after, at[rows] + 1
    return {key: np.concatenate([each[key] for each in turns]) for key in turns[0]}


def _words(feedback: Feedback, catalog: Any) -> dict[str, NDArray[Any]]:
    """The instruction's fields, and its sentences."""
    said = feedback.instruction
    text = [_sentence(said, row, catalog) if given else "" for row, given in enumerate(said.given.tolist())]
    return {"kind": said.kind, "aspect": said.aspect, "value": said.value, "text": np.array(text, np.str_)}


def _sentence(said: Instruction, row: int, catalog: Any) -> str:
    if (said.texts is not None and said.texts[row]) or (said.kind[row], said.aspect[row]) in FORMS:
        return sentence(said, row, catalog)
    return form_name(int(said.kind[row]), int(said.aspect[row]))  # nobody has words for it


def form_name(kind: int, aspect: int) -> str:
    """E.g. "more genre"."""
    return f"{Kind(kind).name} {Aspect(aspect).name}".lower()
