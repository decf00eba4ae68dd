"""What is kept of a session: one number a session and quantity, from which every metric is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SessionTable:
    """`s` finished sessions of one policy, side by side. Counts and sums run over the whole session."""

    user: Ints
    """User index ``[s]``."""
    seed: NDArray[np.uint64]
    """Seed of the session ``[s]``."""
    returned: Doubles
    """Undiscounted sum of rewards ``[s]``."""
    parts: Doubles
    """Sums of the reward parts before weighting ``[s, n_parts]``."""
    turns: Ints
    """Slates shown ``[s]``."""
    left: Ints
    """1 if the user left, 0 if the session was cut at `max_turns` ``[s]``."""
    slots: Ints
    """Items shown ``[s]``."""
    examined: Ints
    clicks: Ints
    likes: Ints
    comments: Ints
    shares: Ints
    watch: Doubles
    """Seconds ``[s]``."""
    instructions: Ints
    """Instructions given ``[s]``."""
    answered: Ints
    """Slates shown while an instruction was in force ``[s]``."""
    followed: Doubles
    """Sum of their compliance ``[s]`` (`recoworld.instructions.compliance`)."""
    diversity: Doubles
    """Sum over slates of intra-list diversity ``[s]`` (`recoworld.evaluation.metrics.intra_list_diversity`)."""
    novelty: Doubles
    """Sum over slots of the item's self-information in bits ``[s]`` (`recoworld.evaluation.metrics.self_information`)."""
    repeats: Ints
    """Slots that held an item which the user had met already, in its visible log or on an earlier slate ``[s]``."""
    shown: Ints
    """How often each item was shown, all sessions together ``[n_items]``."""

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def empty(cls, users: Ints, seeds: NDArray[np.uint64], n_parts: int, n_items: int) -> SessionTable:
        """Sessions in which nothing has happened yet: zeros to add to."""
        zeros = {field.name: np.zeros(len(users), np.float64 if field.type == "Doubles" else np.int64) for field in fields(cls)}
        sized = {"parts": np.zeros((len(users), n_parts)), "shown": np.zeros(n_items, np.int64)}
        return cls(**zeros | sized | {"user": users.astype(np.int64), "seed": seeds.astype(np.uint64)})

    @classmethod
    def joined(cls, tables: Sequence[SessionTable]) -> SessionTable:
        """The sessions of all tables, in order."""
        columns = {field.name: [getattr(table, field.name) for table in tables] for field in fields(cls)}
        shown = np.sum(columns.pop("shown"), axis=0)
        return cls(**{name: np.concatenate(values) for name, values in columns.items()}, shown=shown)

    def retention(self, max_turns: int) -> Doubles:
        """Share of users who are still there after slate 1, 2, ..., `max_turns` ``[max_turns]``."""
        stayed = self.turns - self.left  # slates after which the user went on
        return np.asarray((stayed[:, None] > np.arange(max_turns)).mean(axis=0), np.float64)
