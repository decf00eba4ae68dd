"""Self-supervised Q-learning and actor-critic (Xin et al. 2020, arXiv 2006.05779) from logged sessions of slates.

One network predicts the next item and learns, beside that, what items are worth: the Q-learning regularises it (SQN), or weighs it (SAC).
Departures from the paper:

- It has sequences of items, we have slates. Every clicked item of a slate is one sample (s, a): s is what the policy saw before the
  slate, r the reward of the whole turn, s' what it saw after it, final if the user left. Slots that were not clicked, and turns without
  a click, teach nothing directly, as in the paper; what they cost is in the state and in the rewards of the turns around them.
- Clicks on items that the user had met already are left out, for such are never recommended.
- Its double Q-learning alternates between two whole networks by a coin for each batch. Ours are two heads of one network, with a coin
  for each turn. As there, no slowly moving target network.
- A head's Q(s, a) is a level of the state plus a score of the item (Wang et al. 2016); heads start at 0, while the supervised one starts
  as a blend of recommenders that know nothing of sessions (`ItemScorer`).
- "sac": the weights Q(s, a) are cut off below 0 (rewards may be negative here) and divided by their mean, so that the learning rate does
  not hang on the unit of rewards; until they have a positive mean, all are 1. The paper switches them on after a fixed number of steps.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from ray.rllib.algorithms.marwil import MARWILConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from torch import Tensor, nn

from recoworld.configs.training import TrainConfig
from recoworld.luck import combine
from recoworld.policies.neural.scorer import Scored, Sizes
from recoworld.policies.neural.session import Seen
from recoworld.training.algorithm import Algorithm
from recoworld.training.from_log import CLICKED, SLATES, LogSettings, fed, prepare
from recoworld.training.offline import LoggedMARWIL
from recoworld.training.slate_module import SURPRISE, SlateModule, module_spec
from recoworld.training.views import SLATE

_NEXT, _VALUES, _MET = "next_item", "values", "met"
_COIN = 0x5A  # the learners' own stream of numbers


class SQNModule(SlateModule):
    """Head 0 says which item is clicked next, and is what is served; heads 1 and 2 what items are worth."""

    heads = 3

    def setup(self) -> None:
        """RLlib's hook."""
        super().setup()
        self.level = nn.Linear(self.net.sizes.width, 2)
        with torch.no_grad():
            self.net.wide[1:] = 0.0

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            seen = batch[Columns.OBS]
            return {Columns.ACTIONS: self.net.slates(self.net(seen).scores[:, 0], seen, self.net.fits(seen))}

    _forward_exploration = _forward_inference

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        out = self.net(seen)
        return {_NEXT: out.scores[:, 0], _VALUES: self._values(out), _MET: self.net.met(seen), SURPRISE: out.surprise}

    def values(self, seen: Seen) -> Tensor:
        """What each item is worth by each of the two heads ``[n, 2, N]``; next to nothing if already met."""
        return self._values(self.net(seen))

    def _values(self, out: Scored) -> Tensor:
        return out.scores[:, 1:] + self.level(out.state)[..., None]


def double_q(rewards: Tensor, left: Tensor, after: Tensor, main: Tensor, gamma: float) -> Tensor:
    """Targets ``[n]`` of double Q-learning (van Hasselt 2010): the item that one head finds best next, at the other's value.

    rewards, left: of the turn ``[n]``. after: values of all items afterwards ``[n, 2, N]``. main: which head learns ``[n]``.
    """
    row = torch.arange(len(main), device=main.device)
    best = after[row, main].argmax(dim=1)
    return rewards + gamma * (1.0 - left.float()) * after[row, 1 - main, best]


class SQNLearner(TorchLearner):  # type: ignore[misc]  # Ray has no types
    """The losses. ``config.learner_config_dict``: rl and variant of `SQNSettings`."""

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """RLlib's hook: the coins of an iteration follow from the seed and from how many iterations the weights are old."""
        super().before_gradient_based_update(timesteps=timesteps)
        word = combine(*(np.array([part]) for part in (self.config.seed or 0, self._weights_seq_no, _COIN)))[0]
        self._coins = torch.Generator().manual_seed(int(word >> np.uint64(1)))

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Tensor]) -> Tensor:
        """RLlib's hook."""
        rl, variant = config.learner_config_dict["rl"], config.learner_config_dict["variant"]
        slates, following = batch[SLATES], fwd_out[_NEXT]
        rows, slots = (batch[CLICKED] & (fwd_out[_MET].gather(1, slates) == 0)).nonzero(as_tuple=True)
        if not len(rows):
            return fwd_out[SURPRISE].mean()
        items = slates[rows, slots]
        entropy = -following.log_softmax(dim=1)[rows, items]
        weight, td_loss = torch.ones_like(entropy), torch.zeros(())
        if rl > 0:
            main = torch.randint(2, (len(slates),), generator=self._coins).to(slates.device)
            with torch.no_grad():
                after = self.module[module_id].unwrapped().values(batch[Columns.NEXT_OBS])
            target = double_q(batch[Columns.REWARDS], batch[Columns.TERMINATEDS], after, main, config.gamma)
            worth = fwd_out[_VALUES][rows, main[rows], items]
            td_loss = 0.5 * (worth - target[rows]).square().mean()
            if variant == "sac":
                weight = relative(worth.detach())
            self.metrics.log_dict({"td_loss": td_loss.detach(), "q_mean": worth.detach().mean()}, key=module_id, window=1)
        supervised = (weight * entropy).mean()
        self.metrics.log_dict({"supervised_loss": supervised.detach(), "cross_entropy": entropy.detach().mean()}, key=module_id, window=1)
        return supervised + rl * td_loss + fwd_out[SURPRISE].mean()


def relative(worth: Tensor) -> Tensor:
    """Weights of mean 1 in proportion to values ``[n]``, those below 0 taken for 0; all 1 where the mean is next to nothing."""
    weight = worth.clamp(min=0.0)
    mean = weight.mean()
    return weight / mean if mean > 1e-3 else torch.ones_like(weight)


class SQNSettings(LogSettings):
    """See the module's docstring."""

    variant: Literal["sqn", "sac"] = "sqn"
    """ "sqn": the two losses are added; "sac": the supervised one is weighed by the values, too."""
    rl: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the temporal-difference loss; 0: supervised learning alone."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Discount a turn, the paper's."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    sizes: Sizes = Sizes()
    """Of the network."""


def _sqn(config: TrainConfig, settings: SQNSettings) -> Any:
    built = MARWILConfig(algo_class=LoggedMARWIL).rl_module(rl_module_spec=module_spec(SQNModule, config, sizes=settings.sizes))
    built.training(lr=settings.lr, beta=0.0)
    built.learners(learner_class=SQNLearner, learner_config_dict={"rl": settings.rl, "variant": settings.variant})
    return fed(built, config, settings, SLATE)


SQN = Algorithm(settings=SQNSettings, view=SLATE, build=_sqn, prepare=prepare)
