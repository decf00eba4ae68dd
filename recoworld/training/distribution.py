"""The Plackett-Luce distribution as RLlib's learners want one."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.distribution.distribution import Distribution
from torch import Tensor

from recoworld.policies.neural import plackett


class PlackettLuce(Distribution):  # type: ignore[misc]  # Ray has no types
    """Slates of `k` different items, by scores and by what fits the instruction ``[n, N]`` (`recoworld.policies.neural.plackett`)."""

    def __init__(self, scores: Tensor, fits: Tensor) -> None:
        super().__init__()
        self.scores, self.fits = scores, fits

    def sample(self, **kwargs: Any) -> Tensor:
        """`SlatePolicy` draws its own, with a generator of its own."""
        raise NotImplementedError("slates are drawn by SlatePolicy, which knows how many slots they have")

    rsample = sample

    def logp(self, value: Tensor, **kwargs: Any) -> Tensor:
        """Exact log-probability of slates ``[n, k]``: ``[n]``."""
        return plackett.log_prob(self.scores, value.long(), self.fits)

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
        """Two numbers an item."""
        return 2 * int(space.nvec[0])

    @classmethod
    def from_logits(cls, logits: Tensor, **kwargs: Any) -> PlackettLuce:
        """From scores, and 1 for what fits, side by side ``[n, 2 N]``."""
        scores, fits = logits.chunk(2, dim=1)
        return cls(scores, fits > 0.5)
