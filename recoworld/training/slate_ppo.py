"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) of `SlatePolicy`, with the ratio clipped slot by slot.

A slate is drawn item after item, so its probability is a product of `k` choices, and a small step multiplies to a large ratio: clipped as
a whole, ten slots reach the limit after one step of the optimiser, and what follows pulls back (docs/LOG.md). Each choice is therefore
an action of its own, with the turn's advantage, as the tokens of a language model are. RLlib's own PPO takes the same module, and clips the
whole.
"""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor
from torch import min as least

from recoworld.configs.training import TrainConfig
from recoworld.policies.neural import plackett
from recoworld.training.algorithm import Algorithm
from recoworld.training.distribution import PlackettLuce
from recoworld.training.policy_gradient import PolicyGradientLearner, PolicyGradientSettings
from recoworld.training.settings import Count, Positive, Share
from recoworld.training.slate_module import module_spec
from recoworld.training.slate_policy import SLOT_LOGP, SlatePolicy
from recoworld.training.synchronous import synchronous
from recoworld.training.views import SLATE


def slot_loss(now: Tensor, before: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The clipped surrogate, mean over slots ``[n]``: log-probabilities of each choice now and before ``[n, k]``, advantages ``[n]``."""
    ratio, gain = (now - before).exp(), advantages[:, None]
    return -least(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain).mean(dim=1)


class SlatePPOLearner(PolicyGradientLearner):
    """PPO's loss."""

    def policy_loss(self, law: PlackettLuce, batch: dict[str, Any], settings: dict[str, Any]) -> Tensor:
        """Of each turn ``[n]``."""
        now = plackett.slot_log_probs(law.scores, batch[Columns.ACTIONS].long(), law.fits)
        return slot_loss(now, batch[SLOT_LOGP], batch[Postprocessing.ADVANTAGES], settings["clip"])


class SlatePPOSettings(PolicyGradientSettings):
    """Schulman et al. 2017."""

    lr: Positive = 6e-4
    gamma: Share = 0.9
    epochs: Count = 2
    clip: Positive = 0.2
    """How far the ratio of a choice may move from 1 in an iteration."""


def _ppo(config: TrainConfig, settings: SlatePPOSettings) -> AlgorithmConfig:
    return synchronous(config, settings, SlatePPOLearner, module_spec(SlatePolicy, config, sizes=settings.sizes, peers=settings.peers))


PPO = Algorithm(settings=SlatePPOSettings, view=SLATE, build=_ppo)
