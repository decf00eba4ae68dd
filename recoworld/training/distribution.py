"""The Plackett-Luce distribution as RLlib's learners want one."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.distribution.distribution import Distribution
from torch import Tensor

from recoworld.policies.neural import plackett


class PlackettLuce(Distribution):  # type: ignore[misc]  # Ray has no types
    """Slates of `k` different items, by scores float32 ``[n, N]`` (`recoworld.policies.neural.plackett`)."""

    def __init__(self, scores: Tensor, k: int | None = None) -> None:
        super().__init__()
        self.scores, self.k = scores, k

    def sample(self, *, sample_shape: Any = None, **kwargs: Any) -> Tensor:
        """Slates ``[n, k]``. The module draws its own, with a generator of its own; this is for who asks RLlib's way."""
        return plackett.sample(self.scores, self.k or 1)

    def rsample(self, **kwargs: Any) -> Tensor:
        """There is none: draws are discrete."""
        raise NotImplementedError("slates are discrete; they cannot be reparametrised")

    def logp(self, value: Tensor, **kwargs: Any) -> Tensor:
        """Exact log-probability of slates ``[n, k]``: ``[n]``."""
        return plackett.log_prob(self.scores, value.long())

    def entropy(self, **kwargs: Any) -> Tensor:
        """Of the first slot's choice ``[n]``, in nats; the slate's has no closed form."""
        return plackett.first_entropy(self.scores)

    def kl(self, other: PlackettLuce, **kwargs: Any) -> Tensor:
        """Of the first slot's choice ``[n]``, in nats."""
        return plackett.first_divergence(self.scores, other.scores)

    def to_deterministic(self) -> PlackettLuce:
        """Itself: `SlatePolicy` shows the best items when it does not explore."""
        return self

    @staticmethod
    def required_input_dim(space: Any, **kwargs: Any) -> int:
        """One score an item."""
        return int(space.nvec[0])

    @classmethod
    def from_logits(cls, logits: Tensor, **kwargs: Any) -> PlackettLuce:
        """From scores ``[n, N]``."""
        return cls(logits)
