"""What an instruction asks of a slate: how many slots hold items that fit it, and which these are.

The instruction is followed by construction, in full and not more than that: half of the slots for "more", "different" and
"surprise", all for "only", none for "less" and "avoid" (`recoworld.instructions.compliance`); the rest is drawn from what does not fit.
What a network learns is which items, of either sort. Shapes: `n` users, `N` items, `k` slots.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recoworld.catalog import Catalog
from recoworld.instructions import matches
from recoworld.policies.instruct import instructions_of
from recoworld.policies.neural.session import Seen
from recoworld.types import Kind

Best = Callable[[Tensor, Tensor], Tensor]
_NEVER = -1e9


def fitting(seen: Seen, catalog: Catalog) -> Tensor:
    """Which items fit the instruction in force, bool ``[n, N]``; none where there is no instruction."""
    code = seen["instruction_code"]
    out = torch.zeros(len(code), len(catalog), dtype=torch.bool, device=code.device)
    rows = code[:, 0].nonzero()[:, 0]
    if len(rows):
        said = instructions_of(code[rows].cpu().numpy())
        out[rows] = torch.as_tensor(matches(said, catalog), device=code.device)
    return out


def arranged(scores: Tensor, best: Best, seen: Seen, fits: Tensor, met: Tensor) -> Tensor:
    """Slates int64 ``[n, k]`` that follow the instruction: of either sort the best, fitting items spread evenly from the first slot on.

    scores ``[n, N]``. best: scores of some rows, and which rows -> their best slates; it is asked again with one sort out of the question.
    fits: bool ``[n, N]``. met: above 0 for items that count for nobody ``[n, N]``.
    """
    kinds, k = seen["instruction_code"][:, 0].long(), seen["slate"].shape[1]
    rows = kinds.nonzero()[:, 0]
    slates = best(scores, torch.arange(len(scores), device=scores.device))
    if not len(rows):
        return slates
    own, fit = scores[rows], fits[rows]
    first, second = best(own.masked_fill(~fit, _NEVER), rows), best(own.masked_fill(fit, _NEVER), rows)
    share = _share(kinds[rows], fit, met[rows] == 0, k)[:, None]
    place = torch.arange(k, device=scores.device, dtype=torch.float32)
    # fitting ones at 0, 1/m, 2/m, ..., the others half a step into 1/(k - m)
    fitting_at = torch.where(place < share, place / share.clamp(min=1), torch.inf)
    other_at = torch.where(place < k - share, (place + 0.5) / (k - share).clamp(min=1), torch.inf)
    order = torch.cat([fitting_at, other_at], dim=1).argsort(dim=1, stable=True)[:, :k]
    slates[rows] = torch.cat([first, second], dim=1).gather(1, order)
    return slates


def _share(kinds: Tensor, fit: Tensor, unmet: Tensor, k: int) -> Tensor:
    """How many of `k` slots hold fitting items ``[m]``: as many as are asked for, where there are so many unmet ones of either sort."""
    wanted = torch.full_like(kinds, (k + 1) // 2)
    wanted[kinds == Kind.ONLY] = k
    wanted[(kinds == Kind.LESS) | (kinds == Kind.AVOID)] = 0
    return wanted.minimum((fit & unmet).sum(dim=1)).maximum(k - (~fit & unmet).sum(dim=1)).clamp(0, k)
