"""A policy over slates: scores for all items, from which a slate is drawn without replacement; trained by RLlib's own PPO."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from ray.rllib.algorithms.ppo import PPO as RLlibPPO
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from recoworld.configs.training import TrainConfig
from recoworld.policies.neural import plackett
from recoworld.policies.neural.scorer import Sizes
from recoworld.training.algorithm import Algorithm
from recoworld.training.distribution import PlackettLuce
from recoworld.training.peers import AmongPeers
from recoworld.training.playing import iterate
from recoworld.training.responses import RESPONSE, responses_connector
from recoworld.training.runner import SlateRunner
from recoworld.training.slate_module import SlateModule, module_spec, slots
from recoworld.training.views import SLATE

_ODDS, _WORTH = 10.0, 10.0
"""What a click's log-odds and a session's return are counted in, so that one learning rate suits all parameters."""
Positive = Annotated[float, Field(gt=0)]
Amount = Annotated[float, Field(ge=0)]


class SlatePolicy(SlateModule, ValueFunctionAPI):  # type: ignore[misc]  # Ray has no types
    """Plackett-Luce over the whole catalogue, with a value head on the session's state.

    Exploring, it draws the slate itself and gives its exact log-probability, so that an env runner need not carry a score for every item;
    ACTION_DIST_INPUTS is then a placeholder ``[n, 1]``. In training it holds the scores ``[n, N]``.
    """

    def setup(self) -> None:
        """RLlib's hook."""
        super().setup()
        self.value = nn.Linear(self.net.sizes.width, 1)  # times _WORTH
        nn.init.zeros_(self.value.weight)
        nn.init.ones_(self.value.bias)
        self.slope, self.offset = nn.Parameter(torch.tensor(0.02)), nn.Parameter(torch.full((self.k,), -0.2))  # times _ODDS

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
        return self.value(state)[:, 0] * _WORTH

    def odds(self, scores: Tensor) -> Tensor:
        """Log-odds of a click on each slot, from the scores of what it holds ``[n, k]``."""
        return (self.slope * scores + self.offset) * _ODDS

    def get_train_action_dist_cls(self) -> type[PlackettLuce]:
        """RLlib's question: how are actions distributed?"""
        return PlackettLuce

    get_exploration_action_dist_cls = get_inference_action_dist_cls = get_train_action_dist_cls


class SlatePPO(RLlibPPO):  # type: ignore[misc]  # Ray has no types
    """RLlib's, whose iterations lose nothing to a runner that dies."""

    def training_step(self) -> None:
        """One iteration."""
        iterate(self)


class SlatePPOLearner(PPOTorchLearner):  # type: ignore[misc]  # Ray has no types
    """RLlib's, with advantages among peers, and a click loss that the same scores are to explain.

    What a user clicked among what it looked at says at once which items it likes now; the return says it late and through much noise.
    So the scores, brought to a click's log-odds by a slope, an offset and a term by slot that are learned along, are also trained by the
    cross-entropy of the clicks (self-supervision beside reinforcement, as Xin et al. 2020 have it, arXiv 2006.05779).
    """

    def build(self) -> None:
        """RLlib's hook."""
        super().build()
        self._learner_connector.append(AmongPeers())

    def compute_loss_for_module(
        self, *, module_id: str, config: PPOConfig, batch: dict[str, Tensor], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        """RLlib's hook."""
        loss = super().compute_loss_for_module(module_id=module_id, config=config, batch=batch, fwd_out=fwd_out)
        weight = config.learner_config_dict["click"]
        if not weight:
            return loss
        scores = fwd_out[Columns.ACTION_DIST_INPUTS].gather(1, batch[Columns.ACTIONS].long())
        clicks = click_loss(self.module[module_id].unwrapped().odds(scores), batch[RESPONSE], batch[Columns.LOSS_MASK])
        self.metrics.log_value((module_id, "click_loss"), clicks, window=1)
        return loss + weight * clicks


def click_loss(logits: Tensor, response: Tensor, real: Tensor) -> Tensor:
    """Mean cross-entropy, in nats, of the clicks on the slots that were looked at.

    logits ``[n, k]``; response ``[n, k, 6]`` as in `recoworld.training.responses`; real ``[n]``: turns that took place.
    """
    clicked = response[..., 0]
    looked = ((clicked + response[..., 5]) > 0) & real[:, None]
    return binary_cross_entropy_with_logits(logits[looked], clicked[looked])


class PPOSettings(BaseModel):
    """Proximal policy optimisation (Schulman et al. 2017) of `SlatePolicy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lr: Positive = 1e-3
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Discount a turn."""
    lambda_: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Of generalised advantage estimation."""
    clip: Positive = 0.2
    click: Amount = 1.0
    """Weight of the click loss beside PPO's own."""
    entropy: Amount = 0.0
    """Weight of the first slot's entropy."""
    value_loss: Amount = 0.01
    """Weight of the value function's squared error."""
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
        PPOConfig(algo_class=SlatePPO)
        .env_runners(env_runner_cls=SlateRunner)
        .learners(learner_class=SlatePPOLearner, learner_connector=responses_connector)
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
            learner_config_dict={"click": settings.click},
        )
    )


PPO = Algorithm(settings=PPOSettings, view=SLATE, build=_ppo)
