"""The Plackett-Luce distribution over slates: items drawn one after another without replacement, each by softmax among those left.

    P(a_1 .. a_k) = prod_j exp(s_{a_j}) / sum_{i not in a_1 .. a_{j-1}} exp(s_i)

(Luce 1959, Plackett 1975.) Shapes: `n` rows, `N` items, `k` slots.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sample(scores: Tensor, k: int, generator: torch.Generator | None = None) -> Tensor:
    """Slates int64 ``[n, k]`` from scores ``[n, N]``: the k largest of score + Gumbel noise are such a draw (Kool et al. 2019)."""
    noise = torch.empty_like(scores).exponential_(generator=generator).log_()
    return (scores - noise).topk(k, dim=1).indices


def log_prob(scores: Tensor, slates: Tensor) -> Tensor:
    """Logarithm of the probability of slates ``[n, k]`` in their order ``[n]``."""
    return slot_log_probs(scores, slates).sum(dim=1)


def slot_log_probs(scores: Tensor, slates: Tensor) -> Tensor:
    """Of each slot's choice, given those before it ``[n, k]``; exact, and stable however peaked the scores are."""
    chosen = scores.gather(1, slates)
    rest = scores.scatter(1, slates, -torch.inf).logsumexp(dim=1, keepdim=True)
    # those left at slot j: the rest, and the slate from its end back to j
    left = torch.cat([rest, chosen.flip(1)], dim=1).logcumsumexp(dim=1)[:, 1:].flip(1)
    return chosen - left


def first_entropy(scores: Tensor) -> Tensor:
    """Entropy of the first slot's choice in nats ``[n]``; k times it bounds the slate's, which has no closed form."""
    logs = scores.log_softmax(dim=1)
    return -(logs.exp() * logs).sum(dim=1)


def first_divergence(scores: Tensor, others: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the first slot's choice, KL(scores || others), in nats ``[n]``."""
    ours, theirs = scores.log_softmax(dim=1), others.log_softmax(dim=1)
    return (ours.exp() * (ours - theirs)).sum(dim=1)
