"""A policy over slates: scores for all items, from which a slate is drawn without replacement."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from torch import Tensor, nn

from recoworld.policies.neural import plackett
from recoworld.training.distribution import PlackettLuce
from recoworld.training.slate_module import SURPRISE, SlateModule

SLOT_LOGP = "slot_logp"
"""The column: log-probability of each slot's choice when the slate was drawn, float32 ``[n, k]``."""
_WORTH = 10.0
"""What a session's return is counted in, so that one learning rate suits all parameters."""


class SlatePolicy(SlateModule, ValueFunctionAPI):  # type: ignore[misc]  # Ray has no types
    """Plackett-Luce over the whole catalogue, with a value head on the session's state.

    Exploring, it draws the slate itself and gives its exact log-probability, so that an env runner need not carry a score for every item;
    ACTION_DIST_INPUTS is then a placeholder ``[n, 2]``. In training it holds the scores and which items fit the instruction ``[n, 2 N]``.
    """

    def setup(self) -> None:
        """RLlib's hook."""
        super().setup()
        self.value = nn.Linear(self.net.sizes.width, 1)  # times _WORTH
        nn.init.zeros_(self.value.weight)
        nn.init.ones_(self.value.bias)

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        with torch.no_grad():
            scores = self.net(seen).scores[:, 0]
            fits = self.net.fits(seen)
            slates = self.net.slates(plackett.perturbed(scores, self.generator), seen, fits)
            logs = plackett.slot_log_probs(scores, slates, fits)
            return {
                Columns.ACTIONS: slates,
                SLOT_LOGP: logs,
                Columns.ACTION_LOGP: logs.sum(dim=1),
                Columns.ACTION_DIST_INPUTS: torch.zeros(len(slates), 2, device=slates.device),
            }

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        with torch.no_grad():
            return {Columns.ACTIONS: self.net.slates(self.net(seen).scores[:, 0], seen, self.net.fits(seen))}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        out = self.net(seen)
        return {
            Columns.ACTION_DIST_INPUTS: torch.cat([out.scores[:, 0], self.net.fits(seen).float()], dim=1),
            Columns.EMBEDDINGS: out.state,
            SURPRISE: out.surprise,
        }

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """Expected return from here on ``[n]``: none after the last turn."""
        seen = batch[Columns.OBS]
        state = self.net.state(seen) if embeddings is None else embeddings
        return self.value(state)[:, 0] * _WORTH * (seen["turn"][:, 0] < 1)

    def get_train_action_dist_cls(self) -> type[PlackettLuce]:
        """RLlib's question: how are actions distributed?"""
        return PlackettLuce

    get_exploration_action_dist_cls = get_inference_action_dist_cls = get_train_action_dist_cls
