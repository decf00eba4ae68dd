"""What happened in the session so far, as numbers out of an observation (`recoworld.envs.codec`), in torch.

Shapes: `n` users, `h` history, `k` slots a slate, `d` content features. Where the session begins in a history is told by the acts, so one
network serves worlds with any length of history and session.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

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
    liking: Tensor
    """Sum of the factors of what was clicked ``[n, r]``."""
    passing: Tensor
    """The same of what was looked at and passed over ``[n, r]``."""
    counts: Tensor
    """Slots shown, clicked, skipped and not looked at, in units of `_LONG` slates ``[n, 4]``."""


_LONG = 20


def session_facts(seen: Seen, table: Tensor, factors: Tensor, memory: Tensor) -> SessionFacts:
    """Read the session's part of the history.

    table, factors: content and factors of items ``[N + 1, d]`` and ``[N + 1, r]``, row 0 zeros (padding); the mean content of all items is
    taken off clicks and skips. memory: m in (0, 1).
    """
    k = seen["slate"].shape[1]
    used = (seen["history_acts"] >= Act.UNSEEN).any(dim=0).nonzero()[:, 0]  # the same columns for all users
    first = int(used[0]) if len(used) else -k  # up to the end, or the order of a sum would hang on the others
    items, acts = seen["history"][:, first:].long(), seen["history_acts"][:, first:].long()
    n, slates = len(items), items.shape[1] // k
    content = table[items]
    centre = table.sum(dim=0) / (len(table) - 1)
    clicked, skipped = (acts >= Act.CLICKED).to(content.dtype), (acts == Act.SKIPPED).to(content.dtype)
    unseen = (acts == Act.UNSEEN).to(content.dtype)
    clicks = (content - centre).mul(clicked[..., None]).sum(dim=1)
    skips = (content - centre).mul(skipped[..., None]).sum(dim=1)
    looked = (clicked + skipped).view(n, slates, k)
    mean = (content.view(n, slates, k, content.shape[2]) * looked[..., None]).sum(dim=2) / looked.sum(dim=2).clamp(min=1.0)[..., None]
    turns = (items > 0).sum(dim=1, keepdim=True) // k
    age = turns - 1 - torch.arange(slates, device=items.device)
    weight = torch.where(age >= 0, (1 - memory) * memory ** age.clamp(min=0), 0.0)
    recent = (mean * weight[..., None]).sum(dim=1)
    sums = [turns * k, *(one.sum(dim=1, keepdim=True) for one in (clicked, skipped, unseen))]
    liking, passing = (embedding_bag(items, factors, per_sample_weights=one, mode="sum") for one in (clicked, skipped))
    counts = torch.cat(sums, dim=1) / (_LONG * k)
    return SessionFacts(clicks=clicks, skips=skips, recent=recent, liking=liking, passing=passing, counts=counts)


def past_of(seen: Seen) -> tuple[Tensor, Tensor]:
    """The history before the session: items and acts ``[n, h]``, zeros elsewhere."""
    before = seen["history_acts"] < Act.UNSEEN
    return seen["history"] * before, seen["history_acts"] * before
