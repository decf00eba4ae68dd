"""RLlib's own offline algorithms on logged sessions: behaviour cloning of slates, and conservative Q-learning of proto-actions."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from ray.rllib.algorithms.cql import CQL as RLlibCQL
from ray.rllib.algorithms.cql import CQLConfig
from ray.rllib.algorithms.cql.torch.cql_torch_learner import CQLTorchLearner
from ray.rllib.algorithms.marwil import MARWIL, MARWILConfig
from ray.rllib.algorithms.marwil.torch.marwil_torch_learner import MARWILTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.utils.metrics import ALL_MODULES
from ray.tune.result import TRAINING_ITERATION
from torch import Tensor

from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.policies.neural.scorer import MET, Sizes
from recoworld.training.algorithm import Algorithm
from recoworld.training.from_log import FromLog, LogSettings, fed, prepare
from recoworld.training.settings import Count, Positive
from recoworld.training.slate_module import SURPRISE, module_spec
from recoworld.training.slate_policy import SlatePolicy
from recoworld.training.views import SLATE, View

_PROTO = View("vector", "proto")


class ClonedPolicy(SlatePolicy):
    """`SlatePolicy` that learns from the slates of others.

    These may hold items that the user had met already, which it never shows itself: in training they are not held against it.
    """

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        out = super()._forward_train(batch, **kwargs)
        scores, fits = out[Columns.ACTION_DIST_INPUTS].chunk(2, dim=1)
        shown = torch.zeros_like(scores).scatter_(1, batch[Columns.ACTIONS].long(), 1.0)
        scores = scores - shown * self.net.met(batch[Columns.OBS]) * MET
        return {**out, Columns.ACTION_DIST_INPUTS: torch.cat([scores, fits], dim=1)}


class LoggedMARWIL(FromLog, MARWIL):  # type: ignore[misc]  # Ray has no types
    """RLlib's MARWIL, of which behaviour cloning is a case."""


class LoggedCQL(FromLog, RLlibCQL):  # type: ignore[misc]  # Ray has no types
    """RLlib's CQL."""


class LoggedCQLLearner(CQLTorchLearner):  # type: ignore[misc]  # Ray has no types
    """RLlib's, which forgets after each iteration how many gradients it has taken, and would clone the log for ever."""

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """RLlib's hook."""
        super().before_gradient_based_update(timesteps=timesteps)
        taken = self._weights_seq_no * self.config.dataset_num_iters_per_learner
        self.metrics.log_value((ALL_MODULES, TRAINING_ITERATION), taken, reduce="sum")


class CloningLearner(MARWILTorchLearner):  # type: ignore[misc]  # Ray has no types
    """RLlib's, which also teaches the network what sessions are about."""

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Tensor]) -> Tensor:
        """RLlib's hook."""
        loss = super().compute_loss_for_module(module_id=module_id, config=config, batch=batch, fwd_out=fwd_out)
        return loss + fwd_out[SURPRISE].mean()


class BCSettings(LogSettings):
    """Cloning of the logged slates by their exact Plackett-Luce likelihood.

    With `beta` above 0 it is MARWIL (Wang et al. 2018): turns from which the session went better than expected weigh more.
    """

    lr: Positive = 1e-3
    beta: Annotated[float, Field(ge=0, le=1)] = 0.0
    value_loss: Annotated[float, Field(ge=0)] = 0.01
    """Weight of the value function's loss, where `beta` is above 0."""
    sizes: Sizes = Sizes()
    """Of the network."""


class CQLSettings(LogSettings):
    """Kumar et al. 2020, with entropy and uniform samples, on vectors and proto-actions (`recoworld.training.views`).

    RLlib 2.60 moves the target network once an iteration: here by `tau` for each gradient taken since.
    """

    lr: Positive = 3e-4
    """Of actor, critics and entropy weight."""
    hidden: tuple[Count, ...] = (256, 256)
    """Units of each hidden layer."""
    conservatism: Annotated[float, Field(ge=0)] = 5.0
    """Weight of the conservative loss, alpha of the paper."""
    samples: Count = 10
    """Actions drawn for it, of each of three kinds."""
    warm_up: Annotated[int, Field(ge=0)] = 1000
    """Gradients at the beginning of training in which the actor clones the log (`bc_iters` of RLlib)."""
    tau: Annotated[float, Field(gt=0, le=1)] = 0.005
    """Share of the new weights in the target network, a gradient."""


def _bc(config: TrainConfig, settings: BCSettings) -> Any:
    built = MARWILConfig(algo_class=LoggedMARWIL).rl_module(rl_module_spec=module_spec(ClonedPolicy, config, sizes=settings.sizes))
    built.training(lr=settings.lr, beta=settings.beta, vf_coeff=settings.value_loss, bc_logstd_coeff=0.0)
    built.learners(learner_class=CloningLearner)
    built.offline_data(postprocess_inputs=True)  # else RLlib refuses beta; nothing else reads it
    return fed(built, config, settings, SLATE)


def _cql(config: TrainConfig, settings: CQLSettings) -> Any:
    if config.learners.num > 1:
        raise ConfigError(
            f"learners.num = {config.learners.num}: RLlib's CQL does not average gradients over learners; expected 0 or 1 for cql"
        )
    built = CQLConfig(algo_class=LoggedCQL).rl_module(
        model_config=DefaultModelConfig(fcnet_hiddens=list(settings.hidden), fcnet_activation="relu", head_fcnet_hiddens=[])
    )
    built.learners(learner_class=LoggedCQLLearner)
    built.training(
        lr=None,
        actor_lr=settings.lr,
        critic_lr=settings.lr,
        alpha_lr=settings.lr,
        tau=1.0 - (1.0 - settings.tau) ** settings.updates,
        bc_iters=settings.warm_up + 1,  # it compares after it has counted
        num_actions=settings.samples,
        min_q_weight=settings.conservatism,
    )
    return fed(built, config, settings, _PROTO)


BC = Algorithm(settings=BCSettings, view=SLATE, build=_bc, prepare=prepare)
CQL = Algorithm(settings=CQLSettings, view=_PROTO, build=_cql, prepare=prepare)
