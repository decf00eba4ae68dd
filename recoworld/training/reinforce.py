"""REINFORCE with top-K off-policy correction (Chen et al. 2019, arXiv 1812.02353) of `SlatePolicy`.

The gradient of a turn sums, over the slate's items a, ``min(pi(a)/beta(a), cap) * K (1 - pi(a))^(K-1) * A * grad log pi(a)``: pi is the
softmax over the catalogue, beta the same under the weights that drew the slate, K the slots, A the turn's advantage.

Departures from the paper:
- The world is there to be played in, so batches are fresh; beta is known, not estimated from a log by a second network.
- Slates are drawn by Plackett-Luce without replacement; the paper draws with replacement and drops what came twice.
- The reward of a slate is credited to all its items. The paper's rewards belong to single items.
- A is the discounted return from here on less a learned value and the mean of the turn's peers (`recoworld.training.peers`),
  standardised over the batch; the paper has the return alone.
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
from recoworld.training.peers import AmongPeers
from recoworld.training.slate_module import module_spec, slots
from recoworld.training.slate_policy import SlatePolicy
from recoworld.training.synchronous import Amount, Count, Positive, Settings, Share, SynchronousLearner, mean, synchronous
from recoworld.training.views import SLATE

BEHAVIOUR = "behaviour_logp"
"""The column: log beta(a) of the slate's items under the weights that drew it, float32 ``[n, k]``."""


def top_k_loss(scores: Tensor, slates: Tensor, advantages: Tensor, behaviour: Tensor, cap: float) -> Tensor:
    """Whose gradient is the one above, divided by K ``[n]``.

    scores ``[n, N]``, slates int64 ``[n, k]``, advantages ``[n]``, behaviour: log beta ``[n, k]``. cap: the largest importance ratio.
    """
    k = slates.shape[1]
    logs = scores.log_softmax(dim=1).gather(1, slates)
    now = logs.detach()
    ratio = (now - behaviour).exp().clamp(max=cap)
    weight = ratio * k * (1 - now.exp()) ** (k - 1)
    return -(weight * logs).sum(dim=1) * advantages / k


class ReinforcePolicy(SlatePolicy):
    """`SlatePolicy` that notes the probability of each item that it draws."""

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            scores = self.net(batch[Columns.OBS])[0][:, 0]
            slates = plackett.sample(scores, slots(batch), self.generator)
            return {Columns.ACTIONS: slates, BEHAVIOUR: scores.log_softmax(dim=1).gather(1, slates)}

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """Expected return from here on ``[n]``; none after the last turn, which nothing would teach."""
        return super().compute_values(batch, embeddings) * (batch[Columns.OBS]["turn"][:, 0] < 1)


class ReinforceLearner(SynchronousLearner):
    """The corrected policy gradient with advantages among peers, the baseline's squared error and an entropy bonus."""

    def build(self) -> None:
        """RLlib's hook."""
        super().build()
        self._learner_connector.append(AmongPeers())

    def compute_loss_for_module(
        self, *, module_id: str, config: AlgorithmConfig, batch: dict[str, Tensor], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        """RLlib's hook."""
        settings, scores = config.learner_config_dict, fwd_out[Columns.ACTION_DIST_INPUTS]
        slates, advantages = batch[Columns.ACTIONS].long(), batch[Postprocessing.ADVANTAGES]
        policy = mean(top_k_loss(scores, slates, advantages, batch[BEHAVIOUR], settings["cap"]), batch)
        values = self.module[module_id].unwrapped().compute_values(batch, embeddings=fwd_out[Columns.EMBEDDINGS])
        value = mean((values - batch[Postprocessing.VALUE_TARGETS]).square(), batch)
        entropy = mean(plackett.first_entropy(scores), batch)
        self.metrics.log_dict({"policy_loss": policy, "value_loss": value, "entropy": entropy}, key=module_id, window=1)
        return self.complete(policy + settings["value_loss"] * value - settings["entropy"] * entropy, module_id)


class ReinforceSettings(Settings):
    """Chen et al. 2019."""

    lr: Positive = 3e-4
    epochs: Count = 1
    """Passes over the batch of an iteration: without a trust region, few."""

    lambda_: Share = 1.0
    """Of generalised advantage estimation; 1 is the return less the value."""
    cap: Positive = 20.0
    """Largest importance ratio, the paper's e^3."""
    value_loss: Amount = 0.01
    """Weight of the baseline's loss."""
    entropy: Amount = 0.0
    """Weight of the first slot's entropy."""
    peers: Count = 8
    """Sessions of one user under the same luck, whose mean advantage is taken off (`recoworld.training.peers`); 1 for none."""


def _reinforce(config: TrainConfig, settings: ReinforceSettings) -> AlgorithmConfig:
    return synchronous(config, settings, ReinforceLearner, module_spec(ReinforcePolicy, config, sizes=settings.sizes, peers=settings.peers))


REINFORCE = Algorithm(settings=ReinforceSettings, view=SLATE, build=_reinforce)
