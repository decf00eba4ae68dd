"""The Plackett-Luce distribution over slates: items drawn one after another without replacement, each by softmax among those left.

    P(a_1 .. a_k) = prod_j exp(s_{a_j}) / sum_{i not in a_1 .. a_{j-1}} exp(s_i)

(Luce 1959, Plackett 1975.) Where an instruction parts the items into two sorts (`recoworld.policies.neural.asked`), each slot is drawn from
its own. Shapes: `n` rows, `N` items, `k` slots.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NEVER = -1e9


def perturbed(scores: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Scores ``[n, N]`` + Gumbel noise: the k largest, in order, are such a draw (Kool et al. 2019), and so they are of any part."""
    return scores - torch.empty_like(scores).exponential_(generator=generator).log_()


def slot_log_probs(scores: Tensor, slates: Tensor, fits: Tensor) -> Tensor:
    """Log-probability of each slot's choice ``[n, k]``, among the items of its sort that no slot before it holds.

    scores ``[n, N]``, slates int64 ``[n, k]``, fits: the two sorts, bool ``[n, N]``; all alike where there is one. Exact, and stable
    however peaked the scores are.
    """
    chosen, sort = scores.gather(1, slates), fits.gather(1, slates)
    others = scores.scatter(1, slates, _NEVER)
    rest = others.masked_fill(fits, _NEVER).logsumexp(dim=1, keepdim=True)
    if bool(fits.any()):
        rest = torch.where(sort, others.masked_fill(~fits, _NEVER).logsumexp(dim=1, keepdim=True), rest)
    k = slates.shape[1]
    later = torch.ones(k, k, dtype=torch.bool, device=scores.device).triu() & (sort[:, :, None] == sort[:, None, :])
    left = torch.where(later, chosen[:, None, :], _NEVER).logsumexp(dim=2)
    return chosen - torch.logaddexp(left, rest.expand_as(left))


def log_prob(scores: Tensor, slates: Tensor, fits: Tensor) -> Tensor:
    """Logarithm of the probability of slates ``[n, k]`` in their order ``[n]``, given which slots hold which sort."""
    return slot_log_probs(scores, slates, fits).sum(dim=1)


def first_entropy(scores: Tensor) -> Tensor:
    """Entropy of the first slot's choice in nats ``[n]``; k times it bounds the slate's, which has no closed form."""
    logs = scores.log_softmax(dim=1)
    return -(logs.exp() * logs).sum(dim=1)


def first_divergence(scores: Tensor, others: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the first slot's choice, KL(scores || others), in nats ``[n]``."""
    ours, theirs = scores.log_softmax(dim=1), others.log_softmax(dim=1)
    return (ours.exp() * (ours - theirs)).sum(dim=1)
