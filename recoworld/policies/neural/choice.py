"""Which slate is best when the user chooses one item of it, or none: the conditional logit and SlateQ's optimisers.

A user with logits u for the items and u_0 for none of them chooses item i of slate A with probability

    P(i | A) = v_i / (v_0 + sum_{j in A} v_j),  v = exp(u),

so the slate is worth Q(A) = (v_0 Q_0 + sum_{i in A} v_i Q_i) / (v_0 + sum_{i in A} v_i) (Ie et al. 2019, arXiv 1905.12767). The optimisers
seek the `k` items of the largest Q(A). Items whose v is 0 beside the largest are taken only where no others are left.

Shapes: `n` rows, `N` items, `k` slots; the items' logits and values are ``[n, N]``, those of choosing none ``[n]``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_ROUNDS = 100
"""Of Dinkelbach's iteration: it ends after five or so, and superlinearly."""

Optimiser = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""(logits, values, logits of none, values of none, k) -> slates int64 ``[n, k]``."""


def weights(logits: Tensor, null: Tensor) -> tuple[Tensor, Tensor]:
    """v of the items ``[n, N]`` and of none ``[n]``, divided by the row's largest: Q(A) is the same, and nothing overflows."""
    largest = torch.maximum(logits.amax(dim=1), null)
    return (logits - largest[:, None]).exp(), (null - largest).exp()


def log_choice(logits: Tensor, null: Tensor) -> Tensor:
    """Log-probabilities of choosing each item of slates with these logits ``[n, k]``, and last of choosing none: ``[n, k + 1]``."""
    return torch.cat([logits, null[:, None]], dim=1).log_softmax(dim=1)


def slate_value(logits: Tensor, values: Tensor, null: Tensor, null_value: Tensor) -> Tensor:
    """Q(A) ``[n]`` of slates with these logits and values ``[n, k]``."""
    return (log_choice(logits, null).exp() * torch.cat([values, null_value[:, None]], dim=1)).sum(dim=1)


def top(logits: Tensor, values: Tensor, null: Tensor, null_value: Tensor, k: int) -> Tensor:
    """The k largest v_i Q_i, best first. Values of 0 or more are expected: of what is worth less, the least likely would be taken."""
    v, _ = weights(logits, null)
    return _among(v, v * values).topk(k, dim=1).indices


def greedy(logits: Tensor, values: Tensor, null: Tensor, null_value: Tensor, k: int) -> Tensor:
    """One item after the other, each the one with which the slate so far is worth most; in that order."""
    v, v_0 = weights(logits, null)
    worth, gain, mass = v_0 * null_value, v * values, v_0
    left, slate = v.clone(), []
    for _ in range(k):
        ratio = (worth[:, None] + gain) / (mass[:, None] + v).clamp(min=torch.finfo(v.dtype).tiny)
        best = _among(left, ratio).argmax(dim=1, keepdim=True)
        slate.append(best)
        worth, mass = worth + gain.gather(1, best)[:, 0], mass + v.gather(1, best)[:, 0]
        left = left.scatter(1, best, -1.0)
    return torch.cat(slate, dim=1)


def lp(logits: Tensor, values: Tensor, null: Tensor, null_value: Tensor, k: int) -> Tensor:
    """The optimum, by descending v_i (Q_i - Q(A)).

    Q(A) is a ratio of two linear functions of the choice of items, so the problem is a linear program (Charnes & Cooper 1962), whose
    optimum is a slate. Dinkelbach (1967) finds the same one: the k largest v_i (Q_i - q), with q the worth of the slate before, until it
    grows no more.
    """
    v, v_0 = weights(logits, null)
    slate = top(logits, values, null, null_value, k)
    worth = _worth(slate, v, v_0, values, null_value)
    for _ in range(_ROUNDS):
        other = _among(v, v * (values - worth[:, None])).topk(k, dim=1).indices
        then = _worth(other, v, v_0, values, null_value)
        better = then > worth
        if not better.any():
            break
        slate, worth = torch.where(better[:, None], other, slate), torch.where(better, then, worth)
    return slate


OPTIMISERS: dict[str, Optimiser] = {"top": top, "greedy": greedy, "lp": lp}


def _worth(slate: Tensor, v: Tensor, v_0: Tensor, values: Tensor, null_value: Tensor) -> Tensor:
    """Q(A) ``[n]``."""
    chosen = v.gather(1, slate)
    mass = (v_0 + chosen.sum(dim=1)).clamp(min=torch.finfo(v.dtype).tiny)
    return (v_0 * null_value + (chosen * values.gather(1, slate)).sum(dim=1)) / mass


def _among(left: Tensor, scores: Tensor) -> Tensor:
    """The scores, with those out of the question last: -1 in `left` behind 0."""
    out = torch.where(left > 0, scores, torch.finfo(scores.dtype).min)
    return torch.where(left < 0, -torch.inf, out)
