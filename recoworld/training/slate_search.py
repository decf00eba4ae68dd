"""Parameter-exploring policy gradient (Sehnke et al. 2010) over what few weights decide: `ItemScorer`'s wide part.

Every session is played by a policy of its own, without noise in its slates: the wide weights w plus or minus a normal draw,
``w +- spread * eps``. Two sessions of the same user under the same luck have the same draw with opposite signs, so half the difference of
their returns, d, tells what the draw is worth and nothing of the user or the luck. Of all pairs of an iteration

    g = argmin sum (d - g . eps)^2,    w <- w + step / (1 + iteration / settle) * spread * g

which is the gradient of the mean return in units of the spread, by least squares (Salimans et al. 2017 have the same pairs, and a sum in
place of least squares). The belief (`recoworld.policies.neural.belief`) learns of all turns by maximum likelihood beside it; nothing else
of the network moves, so what is said of a state or an item by name stays nothing.

What this does that gradients through actions did not do here (docs/LOG.md): a weight's worth shows in whole returns, so boredom that a
slate causes five turns later counts, with no value function in between; and five weights need few sessions.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from torch import Tensor

from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.policies.neural.scorer import WIDE, Sizes
from recoworld.training.algorithm import Algorithm
from recoworld.training.settings import Count, Positive
from recoworld.training.slate_module import SURPRISE, SlateModule, complete, module_spec
from recoworld.training.synchronous import Settings, Synchronous, synchronous
from recoworld.training.views import SLATE

APART = "apart"
"""The column: the draw that the session is played with, float32 ``[n, len(WIDE)]``; 0 for the click, whose weight sets the scale."""


class SearchPolicy(SlateModule):
    """Shows the items with the highest scores; exploring, rows 2 i and 2 i + 1 have weights apart by the same draw, up and down."""

    _draws: Tensor | None = None

    def reseed(self, seed: int) -> None:
        """From here on exploration follows from this seed, with new draws."""
        super().reseed(seed)
        self._draws = None

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        with torch.no_grad():
            apart = self._apart(len(seen["turn"]), seen["turn"].device)
            slates = self._slates(seen, self.net.wide + self.model_config["spread"] * apart[:, None])
        return {Columns.ACTIONS: slates, APART: apart}

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            return {Columns.ACTIONS: self._slates(batch[Columns.OBS], None)}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Tensor]:
        return {SURPRISE: self.net.surprise(batch[Columns.OBS])}

    def _slates(self, seen: dict[str, Tensor], wide: Tensor | None) -> Tensor:
        return self.net.slates(self.net(seen, wide).scores[:, 0], seen, self.net.fits(seen))

    def _apart(self, n: int, device: torch.device) -> Tensor:
        """The draws of `n` rows; the same until `reseed`."""
        if self._draws is None or len(self._draws) != n:
            draws = torch.randn(-(-n // 2), len(WIDE), generator=self.generator, device=device)
            draws[:, list(WIDE).index("click")] = 0.0
            self._draws = torch.stack([draws, -draws], dim=1).flatten(0, 1)[:n]
        return self._draws


class SearchLearner(TorchLearner):  # type: ignore[misc]  # Ray has no types
    """The belief's likelihood."""

    def compute_loss_for_module(
        self, *, module_id: str, config: AlgorithmConfig, batch: dict[str, Tensor], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        """RLlib's hook."""
        surprise = fwd_out[SURPRISE].mean()
        self.metrics.log_dict({"surprise": surprise}, key=module_id, window=1)
        return complete(surprise, self.module[module_id])


class Search(Synchronous):
    """Moves the wide weights by the sessions just played, before the belief learns of them."""

    def _with_earlier(self, episodes: list[SingleAgentEpisode]) -> list[SingleAgentEpisode]:
        draws, differences = pairs(episodes)
        settings = self.config.learner_config_dict
        size = settings["step"] / (1 + self.iteration / settings["halve"]) * settings["spread"]
        move = np.zeros(len(WIDE))
        free = np.flatnonzero(draws.any(axis=0))
        move[free] = size * np.linalg.lstsq(draws[:, free], differences, rcond=None)[0]
        self.learner_group.foreach_learner(partial(_moved, move=move))
        return super()._with_earlier(episodes)


def pairs(episodes: list[SingleAgentEpisode]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draws ``[m, len(WIDE)]`` and half the differences of returns ``[m]`` of the sessions that were opened first, which are all over.

    Those that follow in the same row are left out: they are cut where the sample ends, the longer ones more often.
    """
    draws = np.stack([np.asarray(one.get_extra_model_outputs(APART, 0)) for one in episodes])
    first = np.r_[True, (draws[1:] != draws[:-1]).any(axis=1)]
    rows = np.flatnonzero(first)
    up, down = rows[::2], rows[1::2]
    if len(up) != len(down) or (draws[up] != -draws[down]).any() or not all(episodes[row].is_done for row in rows):
        raise AssertionError("sessions do not come in pairs")  # the settings were checked
    returns = np.array([one.get_return() for one in episodes])
    return draws[up].astype(np.float64), (returns[up] - returns[down]) / 2


def _moved(learner: Any, *, move: NDArray[np.float64]) -> None:
    """In every learner alike, so that they stay the same."""
    for module in learner.module.values():
        wide = module.unwrapped().net.wide
        wide.data[0] += torch.as_tensor(move, dtype=wide.dtype, device=wide.device)


class SearchSettings(Settings):
    """Sehnke et al. 2010."""

    lr: Positive = 1e-3
    """Of the belief."""
    epochs: Count = 1
    spread: Positive = 0.01
    """Of the draws, in units of the parameters."""
    step: Positive = 1.5
    """Spreads that a weight moves for each unit of return that a spread of it is worth."""
    halve: Positive = 4.0
    """Iterations until steps are half as large; after as many more a third, and so on."""
    sizes: Sizes = Sizes(scale=1.0)


def _search(config: TrainConfig, settings: SearchSettings) -> AlgorithmConfig:
    runners, turns = config.env_runners, config.world_config().max_turns
    if runners.envs % 2 or runners.fragment < turns:
        got = f"envs {runners.envs} and fragment {runners.fragment}"
        raise ConfigError(f"env_runners: got {got}; expected an even number of sessions, played to their end in {turns} steps (max_turns)")
    spec = module_spec(SearchPolicy, config, sizes=settings.sizes, peers=2, spread=settings.spread)
    return synchronous(config, settings, SearchLearner, spec, algorithm=Search)


SEARCH = Algorithm(settings=SearchSettings, view=SLATE, build=_search)
