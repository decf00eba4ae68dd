"""REINFORCE with top-K off-policy correction (Chen et al. 2019, arXiv 1812.02353) of `SlatePolicy`.

The gradient of a turn sums, over the slate's items a, ``min(pi(a)/beta(a), cap) * K (1 - pi(a))^(K-1) * A * grad log pi(a)``: pi is the
softmax over the catalogue, beta the same under the weights that drew the slate, K the slots, A the turn's advantage.

Departures from the paper:
- The world is there to be played in, so batches are fresh; beta is known, not estimated from a log by a second network.
- Slates are drawn by Plackett-Luce without replacement; the paper draws with replacement and drops what came twice.
- The reward of a slate is credited to all its items. The paper's rewards belong to single items.
- A is a generalised advantage estimate (lambda 1 would be the return less a learned value), less the mean of the turn's peers
  (`recoworld.training.peers`), standardised over the batch; the paper has the return alone.
- Where an instruction parts the items into two sorts, pi and beta are over the items of one (`recoworld.policies.neural.asked`).
- What is summed over the items is divided by K, so that one learning rate suits slates of any size.
- Session encoder and items are those of `ItemScorer`; met items are left out of the softmax.
"""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from recoworld.configs.training import TrainConfig
from recoworld.policies.neural import plackett
from recoworld.training.algorithm import Algorithm
from recoworld.training.distribution import PlackettLuce
from recoworld.training.policy_gradient import PolicyGradientLearner, PolicyGradientSettings
from recoworld.training.settings import Count, Positive, Share
from recoworld.training.slate_module import module_spec
from recoworld.training.slate_policy import SlatePolicy
from recoworld.training.synchronous import synchronous
from recoworld.training.views import SLATE

BEHAVIOUR = "behaviour_logp"
"""The column: log beta(a) of the slate's items under the weights that drew it, float32 ``[n, k]``."""


def item_log_probs(scores: Tensor, slates: Tensor, fits: Tensor) -> Tensor:
    """Log-probability of each item of the slates ``[n, k]`` under the softmax over the catalogue, or over the items of its sort where an
    instruction parts it: scores ``[n, N]``, fits bool ``[n, N]``.
    """
    whole = [scores.masked_fill(part, -1e9).logsumexp(dim=1, keepdim=True) for part in (fits, ~fits)]
    return scores.gather(1, slates) - torch.where(fits.gather(1, slates), whole[1], whole[0])


def top_k_loss(scores: Tensor, slates: Tensor, fits: Tensor, advantages: Tensor, behaviour: Tensor, cap: float) -> Tensor:
    """Whose gradient is the one above, divided by K ``[n]``.

    scores, fits ``[n, N]``, slates int64 ``[n, k]``, advantages ``[n]``, behaviour: log beta ``[n, k]``. cap: the largest importance ratio.
    """
    k = slates.shape[1]
    logs = item_log_probs(scores, slates, fits)
    now = logs.detach()
    ratio = (now - behaviour).exp().clamp(max=cap)
    weight = ratio * k * (1 - now.exp()) ** (k - 1)
    return -(weight * logs).sum(dim=1) * advantages / k


class ReinforcePolicy(SlatePolicy):
    """`SlatePolicy` that notes the probability of each item that it draws."""

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        with torch.no_grad():
            scores = self.net(seen).scores[:, 0]
            fits = self.net.fits(seen)
            slates = self.net.slates(plackett.perturbed(scores, self.generator), seen, fits)
            return {Columns.ACTIONS: slates, BEHAVIOUR: item_log_probs(scores, slates, fits)}


class ReinforceLearner(PolicyGradientLearner):
    """The corrected policy gradient."""

    def policy_loss(self, law: PlackettLuce, batch: dict[str, Any], settings: dict[str, Any]) -> Tensor:
        """Of each turn ``[n]``."""
        slates, advantages = batch[Columns.ACTIONS].long(), batch[Postprocessing.ADVANTAGES]
        return top_k_loss(law.scores, slates, law.fits, advantages, batch[BEHAVIOUR], settings["cap"])


class ReinforceSettings(PolicyGradientSettings):
    """Chen et al. 2019."""

    lr: Positive = 3e-4
    gamma: Share = 0.9
    epochs: Count = 1
    """Passes over the batch of an iteration: without a trust region, few."""
    cap: Positive = 20.0
    """Largest importance ratio, the paper's e^3."""


def _reinforce(config: TrainConfig, settings: ReinforceSettings) -> AlgorithmConfig:
    return synchronous(config, settings, ReinforceLearner, module_spec(ReinforcePolicy, config, sizes=settings.sizes, peers=settings.peers))


REINFORCE = Algorithm(settings=ReinforceSettings, view=SLATE, build=_reinforce)
