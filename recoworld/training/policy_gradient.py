"""What PPO and REINFORCE over slates share: advantages among peers, a value function, a bonus for entropy."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

from recoworld.training.distribution import PlackettLuce
from recoworld.training.peers import AmongPeers
from recoworld.training.settings import Amount, Count, Share
from recoworld.training.slate_module import SURPRISE, complete
from recoworld.training.synchronous import Settings, SynchronousLearner, mean


class PolicyGradientSettings(Settings):
    """What both have."""

    lambda_: Share = 0.5
    """Of generalised advantage estimation: the less, the more the value function is trusted (docs/LOG.md)."""
    value_loss: Amount = 0.01
    """Weight of the value function's squared error."""
    entropy: Amount = 0.0
    """Weight of the first slot's entropy."""
    peers: Count = 8
    """Sessions of one user under the same luck, whose mean advantage is taken off (`recoworld.training.peers`); 1 for none."""


class PolicyGradientLearner(SynchronousLearner):
    """A subclass says what the policy's loss is."""

    def build(self) -> None:
        """RLlib's hook."""
        super().build()
        self._learner_connector.append(AmongPeers())

    def policy_loss(self, law: PlackettLuce, batch: dict[str, Any], settings: dict[str, Any]) -> Tensor:
        """The loss of each turn ``[n]``, by the policy's scores as they are now."""
        raise NotImplementedError

    def compute_loss_for_module(
        self, *, module_id: str, config: AlgorithmConfig, batch: dict[str, Tensor], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        """RLlib's hook."""
        settings, law = config.learner_config_dict, PlackettLuce.from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
        policy = mean(self.policy_loss(law, batch, settings), batch)
        values = self.module[module_id].unwrapped().compute_values(batch, embeddings=fwd_out[Columns.EMBEDDINGS])
        value = mean((values - batch[Postprocessing.VALUE_TARGETS]).square(), batch)
        entropy = mean(law.entropy(), batch)
        surprise = mean(fwd_out[SURPRISE], batch)
        logged = {"policy_loss": policy, "value_loss": value, "entropy": entropy, "surprise": surprise}
        self.metrics.log_dict(logged, key=module_id, window=1)
        loss = policy + settings["value_loss"] * value - settings["entropy"] * entropy + surprise
        return complete(loss, self.module[module_id])
