"""SlateQ (Ie et al. 2019, arXiv 1905.12767): the long-term value of a slate out of a choice model and of values of its items.

    Q(s, A) = sum_i P(i | s, A) Qbar(s, i), over the slate's items and choosing none of them (`recoworld.policies.neural.choice`)

One network scores all items twice: with the choice model's logits, learned by cross-entropy on what was chosen, and with Qbar, learned
by temporal differences on the items chosen; what choosing none is worth, and how likely it is, come from the session's state.

Departures from the paper:
- Several items of a slate may be clicked here. The choice is one of them, each as likely, or none if none was.
- The reward of a turn is the slate's. The paper's is that of the item chosen.
- The choice model learns along with the values. The paper trains it beforehand, from a log.
- Targets are computed once an iteration, with the target network, over the whole batch, and may be lambda-returns (Peng's Q(lambda)).
- A session that reached its last turn has no value; one that is cut off by the end of a sample goes on in the target network's opinion.
- To explore, noise is added to the logits before slates are optimised: with the optimiser `top` that is a Plackett-Luce draw.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor, nn

from recoworld.configs.training import TrainConfig
from recoworld.policies.neural import choice, plackett
from recoworld.policies.neural.asked import arranged
from recoworld.policies.neural.scorer import MET, Scored, Sizes
from recoworld.training.algorithm import Algorithm
from recoworld.training.responses import RESPONSE
from recoworld.training.settings import Amount, Count, Share
from recoworld.training.slate_module import SURPRISE, SlateModule, complete, module_spec
from recoworld.training.synchronous import Settings, SynchronousLearner, mean, synchronous
from recoworld.training.views import SLATE

_SCALE = 10.0
"""Values, and the logit of choosing none, are this many times what their layer says: they have further to go than other weights."""
_ROWS = 1024  # at a time, where a whole batch is looked at
CHOICES, VALUES = "choices", "values"

Judged = tuple[Tensor, Tensor, Tensor, Tensor]
"""Logits and values of the items ``[n, N]``, logit and value of choosing none ``[n]``."""


class SlateQ(SlateModule, ValueFunctionAPI, InferenceOnlyAPI):  # type: ignore[misc]  # Ray has no types
    """Choice logits and values of all items, a target network, and a slate optimiser.

    ``model_config``: optimiser ("top", "greedy", "lp"), shortlist (items, the likeliest, among which greedy and lp choose), temperature
    (of the noise on logits when exploring), learns ("best": values of the best next slate; "shown": of the one really shown, SARSA).
    """

    heads = 2

    def setup(self) -> None:
        """RLlib's hook. At first all items are worth the same, so that the likeliest are shown."""
        super().setup()
        self.none = nn.Linear(self.net.sizes.width, 3)
        """State -> logit and value of choosing none, and what all items are worth."""
        with torch.no_grad():
            self.net.wide[1].zero_()
            self.none.weight.zero_()
            self.none.bias.copy_(torch.tensor([0.0, 1.0, 1.0]))
        shared = {id(part): part for part in (self.net._past, self.net.catalog, *self.net.buffers())}
        self.target = nn.ModuleDict({"net": deepcopy(self.net, shared), "none": deepcopy(self.none)}).requires_grad_(False)

    def get_non_inference_attributes(self) -> list[str]:
        """RLlib's question: what can those do without who only act?"""
        return ["target"]

    def judge(self, seen: dict[str, Tensor], *, target: bool = False) -> Judged:
        """What the network, or the target network, thinks of all items; met ones are out of the question (`MET`)."""
        net, none = (self.target["net"], self.target["none"]) if target else (self.net, self.none)
        return self._judged(net(seen), none)

    def slates(self, judged: Judged, seen: dict[str, Tensor]) -> Tensor:
        """The best ones that follow the instruction ``[n, k]``."""
        logits, values, null, null_value = judged
        k, optimise = seen["slate"].shape[1], choice.OPTIMISERS[self.model_config["optimiser"]]
        size = min(max(self.model_config["shortlist"], k), logits.shape[1])

        def best(own: Tensor, rows: Tensor) -> Tensor:
            among = own.topk(size, dim=1).indices
            worth = values[rows].gather(1, among)
            return among.gather(1, optimise(own.gather(1, among), worth, null[rows], null_value[rows], k))

        return arranged(logits, best, seen, self.net.fits(seen), self.net.met(seen))

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """What the target network expects from each turn on ``[n]``: of the best slate, or of the one shown where one was."""
        with torch.no_grad():
            parts = [self._worth(_rows(batch, start)) for start in range(0, len(batch[Columns.ACTIONS]), _ROWS)]
            return torch.cat(parts)

    def follow(self, tau: float) -> None:
        """Move the target network by a share of what it lacks."""
        for name, part in self.target.items():
            for theirs, ours in zip(part.parameters(), getattr(self, name).parameters(), strict=True):
                theirs.data.lerp_(ours.data, tau)

    def _worth(self, batch: dict[str, Any]) -> Tensor:
        seen = batch[Columns.OBS]
        judged = self.judge(seen, target=True)
        slates = self.slates(judged, seen)
        if self.model_config["learns"] == "shown":
            slates = torch.where(batch[Columns.LOSS_MASK][:, None], batch[Columns.ACTIONS].long(), slates)
        logits, values, null, null_value = judged
        worth = choice.slate_value(logits.gather(1, slates), values.gather(1, slates), null, null_value)
        return worth * (seen["turn"][:, 0] < 1)

    @staticmethod
    def _judged(out: Scored, none: nn.Linear) -> Judged:
        null, null_value, common = none(out.state).unbind(dim=1)
        return out.scores[:, 0], (out.scores[:, 1] + common[:, None]) * _SCALE, null * _SCALE, null_value * _SCALE

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            logits, *rest = self.judge(batch[Columns.OBS])
            warm = self.model_config["temperature"]
            tried = logits if not warm else warm * plackett.perturbed(logits / warm, self.generator)
            return {Columns.ACTIONS: self.slates((tried, *rest), batch[Columns.OBS])}

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            return {Columns.ACTIONS: self.slates(self.judge(batch[Columns.OBS]), batch[Columns.OBS])}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        """Log-probabilities of the choices, and their values, ``[n, k + 1]``: the slots, then none of them."""
        seen, slates = batch[Columns.OBS], batch[Columns.ACTIONS].long()
        out = self.net(seen)
        logits, values, null, null_value = self._judged(out, self.none)
        met = self.net.met(seen).gather(1, slates) * MET  # where nothing unmet was left
        logits, values = logits.gather(1, slates) - met, values.gather(1, slates) - met * _SCALE
        return {CHOICES: choice.log_choice(logits, null), VALUES: torch.cat([values, null_value[:, None]], dim=1), SURPRISE: out.surprise}


class SlateQLearner(SynchronousLearner):
    """Cross-entropy of the choice, squared error of the value of what was chosen, and a target network that follows."""

    def compute_loss_for_module(
        self, *, module_id: str, config: AlgorithmConfig, batch: dict[str, Tensor], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        """RLlib's hook."""
        weight = config.learner_config_dict["value_loss"]
        chosen = choices(batch[RESPONSE][..., 0])
        likelihood = mean(-(chosen * fwd_out[CHOICES]).sum(dim=1), batch)
        error = (fwd_out[VALUES] - batch[Postprocessing.VALUE_TARGETS][:, None]) / _SCALE
        value = mean((chosen * error.square()).sum(dim=1), batch)
        expected = mean((fwd_out[CHOICES].exp() * fwd_out[VALUES]).sum(dim=1), batch)
        surprise = mean(fwd_out[SURPRISE], batch)
        logged = {"choice_loss": likelihood, "value_loss": value, "value": expected, "surprise": surprise}
        self.metrics.log_dict(logged, key=module_id, window=1)
        return complete(likelihood + weight * value + surprise, self.module[module_id])

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """RLlib's hook at the end of an iteration."""
        super().after_gradient_based_update(timesteps=timesteps)
        settings = self.config.learner_config_dict
        if self._weights_seq_no % settings["target_every"] == 0:  # counts iterations, and is part of checkpoints
            self.module.foreach_module(lambda _, module: module.follow(settings["tau"]))

    def get_parameters(self, module: Any) -> list[nn.Parameter]:
        """Those that are learned: not the target network's."""
        return [parameter for parameter in super().get_parameters(module) if parameter.requires_grad]


def choices(clicked: Tensor) -> Tensor:
    """What was chosen, as probabilities ``[n, k + 1]``, from clicks ``[n, k]``: the clicked, each as likely, or none of them."""
    none = (clicked.sum(dim=1, keepdim=True) == 0).to(clicked.dtype)
    marked = torch.cat([clicked, none], dim=1)
    return marked / marked.sum(dim=1, keepdim=True)


def _rows(batch: dict[str, Any], start: int) -> dict[str, Any]:
    part = slice(start, start + _ROWS)
    seen = {key: value[part] for key, value in batch[Columns.OBS].items()}
    return {Columns.OBS: seen, Columns.ACTIONS: batch[Columns.ACTIONS][part], Columns.LOSS_MASK: batch[Columns.LOSS_MASK][part]}


class SlateQSettings(Settings):
    """Ie et al. 2019."""

    optimiser: Literal["top", "greedy", "lp"] = "top"
    """Items of the largest v Qbar; one after the other; or the optimum."""
    shortlist: Count = 30
    """Items, the likeliest to be chosen, among which slates are optimised: with more, ``greedy`` and ``lp`` fill a slate around a few
    precious items with ones that nobody would click: right where one item is chosen, wrong where several are."""
    learns: Literal["best", "shown"] = "best"
    """The next slate in the targets: the best one (Q-learning), or the one that was shown (SARSA)."""
    lambda_: Share = 0.9
    """0: one step to the target network's value; above: the rewards that followed count, too."""
    temperature: Amount = 0.2
    """Of the Gumbel noise on logits that explores."""
    tau: Annotated[float, Field(gt=0, le=1)] = 1.0
    """How far the target network follows, every so many iterations:"""
    target_every: Count = 1
    value_loss: Amount = 1.0
    """Weight of the values' loss beside the choice model's."""
    sizes: Sizes = Sizes(scale=1.0)
    """Of the network; the choice model's logits are log-odds of clicks as they are."""


def _slate_q(config: TrainConfig, settings: SlateQSettings) -> AlgorithmConfig:
    model = settings.model_dump(include={"optimiser", "shortlist", "learns", "temperature"})
    return synchronous(config, settings, SlateQLearner, module_spec(SlateQ, config, sizes=settings.sizes, **model))


SLATE_Q = Algorithm(settings=SlateQSettings, view=SLATE, build=_slate_q)
