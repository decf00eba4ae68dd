"""A policy over slates: scores for all items, from which a slate is drawn without replacement; trained by RLlib's own PPO."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from torch import Tensor, nn

from recoworld.configs.training import TrainConfig
from recoworld.policies.neural import plackett
from recoworld.policies.neural.scorer import Sizes
from recoworld.training.algorithm import Algorithm
from recoworld.training.distribution import PlackettLuce
from recoworld.training.peers import AmongPeers
from recoworld.training.runner import SlateRunner
from recoworld.training.slate_module import SlateModule, module_spec, slots
from recoworld.training.views import SLATE

Positive = Annotated[float, Field(gt=0)]


class SlatePolicy(SlateModule, ValueFunctionAPI):  # type: ignore[misc]  # Ray has no types
    """Plackett-Luce over the whole catalogue, with a value head on the session's state.

    Exploring, it draws the slate itself and gives its exact log-probability, so that an env runner need not carry a score for every item;
    ACTION_DIST_INPUTS is then a placeholder ``[n, 1]``. In training it holds the scores ``[n, N]``.
    """

    def setup(self) -> None:
        """RLlib's hook."""
        super().setup()
        self.value = nn.Linear(self.net.sizes.width, 1)

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            scores, _ = self.net(batch[Columns.OBS])
            slates = plackett.sample(scores[:, 0], slots(batch), self.generator)
            return {
                Columns.ACTIONS: slates,
                Columns.ACTION_LOGP: plackett.log_prob(scores[:, 0], slates),
                Columns.ACTION_DIST_INPUTS: torch.zeros(len(slates), 1, device=slates.device),
            }

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            scores = self.net(batch[Columns.OBS])[0][:, 0]
            return {Columns.ACTIONS: scores.topk(slots(batch), dim=1).indices}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        scores, state = self.net(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: scores[:, 0], Columns.EMBEDDINGS: state}

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """Expected return from here on ``[n]``."""
        state = self.net.state(batch[Columns.OBS]) if embeddings is None else embeddings
        return self.value(state)[:, 0]

    def get_train_action_dist_cls(self) -> type[PlackettLuce]:
        """RLlib's question: how are actions distributed?"""
        return PlackettLuce

    get_exploration_action_dist_cls = get_inference_action_dist_cls = get_train_action_dist_cls


class SlatePPOLearner(PPOTorchLearner):  # type: ignore[misc]  # Ray has no types
    """RLlib's, with advantages among peers."""

    def build(self) -> None:
        """RLlib's hook."""
        super().build()
        self._learner_connector.append(AmongPeers())


class PPOSettings(BaseModel):
    """Proximal policy optimisation (Schulman et al. 2017) of `SlatePolicy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lr: Positive = 1e-3
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Discount a turn."""
    lambda_: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Of generalised advantage estimation."""
    clip: Positive = 0.2
    entropy: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the first slot's entropy."""
    value_loss: Annotated[float, Field(ge=0)] = 0.01
    epochs: Annotated[int, Field(ge=1)] = 2
    minibatch: Annotated[int, Field(ge=1)] = 512
    """Turns."""
    grad_clip: Positive = 1.0
    """Largest norm of all gradients together."""
    peers: Annotated[int, Field(ge=1)] = 8
    """Sessions of one user under the same luck, whose mean advantage is taken off (`recoworld.training.peers`); 1 for none."""
    sizes: Sizes = Sizes()
    """Of the network."""


def _ppo(config: TrainConfig, settings: PPOSettings) -> PPOConfig:
    return (
        PPOConfig()
        .env_runners(env_runner_cls=SlateRunner)
        .learners(learner_class=SlatePPOLearner)
        .rl_module(rl_module_spec=module_spec(SlatePolicy, config, sizes=settings.sizes, peers=settings.peers))
        .training(
            lr=settings.lr,
            gamma=settings.gamma,
            lambda_=settings.lambda_,
            clip_param=settings.clip,
            entropy_coeff=settings.entropy,
            vf_loss_coeff=settings.value_loss,
            vf_clip_param=float("inf"),
            use_kl_loss=False,
            num_epochs=settings.epochs,
            minibatch_size=settings.minibatch,
            grad_clip=settings.grad_clip,
            grad_clip_by="global_norm",
        )
    )


PPO = Algorithm(settings=PPOSettings, view=SLATE, build=_ppo)
