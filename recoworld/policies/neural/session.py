"""What happened in the session so far, as numbers out of an observation (`recoworld.envs.codec`), in torch.

Shapes: `n` users, `h` history, `k` slots a slate, `T` slates that a session may have, `d` content features. Where the session begins in a
history is told by the acts, so one network serves worlds with any length of history and session.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recoworld.types import Act

Seen = dict[str, Tensor]
LONG = 20
"""Slates that a long session has: the unit of counts."""


@dataclass(frozen=True, kw_only=True)
class SessionItems:
    """The slots of the session, slate by slate; those not shown yet hold padding."""

    items: Tensor
    """Item index + 1, 0 is padding ``[n, T, k]``."""
    clicked: Tensor
    """1 for clicked ``[n, T, k]``."""
    skipped: Tensor
    """1 for looked at and passed over ``[n, T, k]``."""
    turns: Tensor
    """Slates shown ``[n]``."""

    @property
    def looked(self) -> Tensor:
        """1 for looked at ``[n, T, k]``."""
        return self.clicked + self.skipped

    @property
    def counts(self) -> Tensor:
        """Slots shown, clicked, skipped and not looked at, in units of `LONG` slates ``[n, 4]``."""
        k = self.items.shape[2]
        clicked, skipped = self.clicked.sum(dim=(1, 2)), self.skipped.sum(dim=(1, 2))
        shown = (self.turns * k).to(clicked.dtype)
        return torch.stack([shown, clicked, skipped, shown - clicked - skipped], dim=1) / (LONG * k)


def session_of(seen: Seen) -> SessionItems:
    """The session's part of the history."""
    k = seen["slate"].shape[1]
    used = (seen["history_acts"] >= Act.UNSEEN).any(dim=0).nonzero()[:, 0]  # the same columns for all users
    first = int(used[0]) if len(used) else seen["history"].shape[1]  # up to the end, or the order of a sum would hang on the others
    n, h = seen["history"].shape
    items, acts = (seen[name][:, first:].reshape(n, (h - first) // k, k) for name in ("history", "history_acts"))
    return SessionItems(
        items=items.long(),
        clicked=(acts >= Act.CLICKED).float(),
        skipped=(acts == Act.SKIPPED).float(),
        turns=(items[:, :, 0] > 0).sum(dim=1),
    )


def fading(sums: Tensor, memory: Tensor) -> Tensor:
    """``s_0 = 0, s_t = memory s_{t-1} + sums_{t-1}`` for t = 0 .. T: what is left of ``[n, T, d]`` before each slate ``[n, T + 1, d]``."""
    slates = sums.shape[1]
    age = torch.arange(slates + 1, device=sums.device)[:, None] - 1 - torch.arange(slates, device=sums.device)
    return torch.where(age >= 0, memory ** age.clamp(min=0), 0.0) @ sums


def past_of(seen: Seen) -> tuple[Tensor, Tensor]:
    """The history before the session: items and acts ``[n, h]``, zeros elsewhere."""
    before = seen["history_acts"] < Act.UNSEEN
    return seen["history"] * before, seen["history_acts"] * before
