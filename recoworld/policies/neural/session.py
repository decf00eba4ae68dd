"""What happened in the session so far, as numbers out of an observation (`recoworld.envs.codec`), in torch.

Shapes: `n` users, `h` history_length items before the session and `s` slots of it, `k` slots a slate, `d` content features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recoworld.types import Act

Seen = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class SessionFacts:
    """Sums over the session's slots."""

    clicks: Tensor
    """Content of what was clicked less the catalogue's mean, summed ``[n, d]``."""
    skips: Tensor
    """The same of what was looked at and passed over ``[n, d]``."""
    recent: Tensor
    """Mean content looked at per slate, later slates weighing more: ``r <- m r + (1 - m) mean(x)`` ``[n, d]``."""
    counts: Tensor
    """Slates, clicks, skips and slots not looked at, over the most that there can be ``[n, 4]``."""


def session_facts(seen: Seen, table: Tensor, memory: Tensor, history_length: int) -> SessionFacts:
    """Read the session's part of the history.

    table: content of items ``[N + 1, d]``, row 0 zeros (padding); its mean over items is taken off clicks and skips. memory: m in (0, 1).
    """
    k = seen["slate"].shape[1]
    items, acts = seen["history"][:, history_length:].long(), seen["history_acts"][:, history_length:].long()
    n, slots = items.shape
    content = table[items]
    centre = table.sum(dim=0) / (len(table) - 1)
    clicked, skipped = (acts >= Act.CLICKED).to(content.dtype), (acts == Act.SKIPPED).to(content.dtype)
    unseen = (acts == Act.UNSEEN).to(content.dtype)
    clicks = (content - centre).mul(clicked[..., None]).sum(dim=1)
    skips = (content - centre).mul(skipped[..., None]).sum(dim=1)
    looked = (clicked + skipped).view(n, slots // k, k)
    mean = (content.view(n, slots // k, k, -1) * looked[..., None]).sum(dim=2) / looked.sum(dim=2).clamp(min=1.0)[..., None]
    turns = (items > 0).sum(dim=1, keepdim=True) // k
    age = turns - 1 - torch.arange(slots // k, device=items.device)
    weight = torch.where(age >= 0, (1 - memory) * memory ** age.clamp(min=0), 0.0)
    recent = (mean * weight[..., None]).sum(dim=1)
    counts = torch.cat([turns * k, clicked.sum(1, keepdim=True), skipped.sum(1, keepdim=True), unseen.sum(1, keepdim=True)], dim=1) / slots
    return SessionFacts(clicks=clicks, skips=skips, recent=recent, counts=counts)
