"""What our RLModules share: a network over the items of a world, fed with observations as they are."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from torch import Tensor

from recoworld.configs import WorldConfig
from recoworld.configs.training import TrainConfig
from recoworld.datasets import load_dataset
from recoworld.policies.neural.knowledge import ItemKnowledge
from recoworld.policies.neural.scorer import ItemScorer, Sizes

SURPRISE = "surprise"
"""What `_forward_train` gives of the network's: how unlikely the session was ``[n]``. Learners add it to their loss."""


class SlateModule(TorchRLModule):  # type: ignore[misc]  # Ray has no types
    """Base of the slate-aware RLModules.

    ``model_config``: world (settings of `WorldConfig`, for the item tables: each process builds its own), sizes (of
    `recoworld.policies.neural.scorer.Sizes`), and what a subclass reads. A subclass says how many scores an item has (`heads`).
    """

    framework = "torch"
    heads = 1

    def setup(self) -> None:
        """RLlib's hook: build the network."""
        world = WorldConfig.of(**self.model_config["world"])
        spaces = self.observation_space.spaces
        sizes = Sizes(**self.model_config.get("sizes", {}))
        self.net = ItemScorer(
            self.model_config.get("knowledge") or knowledge_of(world.dataset, world.data_dir, world.split_seed),
            profile=spaces["profile"].shape[0],
            told=spaces["instruction"].shape[0],
            heads=self.heads,
            sizes=sizes,
        )
        self.generator: torch.Generator | None = None
        """Of exploration; None for torch's own."""

    def reseed(self, seed: int) -> None:
        """From here on exploration follows from this seed."""
        device = next(self.parameters()).device
        self.generator = torch.Generator(device).manual_seed(seed)

def complete(loss: Tensor, module: Any) -> Tensor:
    """The loss, with a gradient of 0 for what it does not use: learners of a group wait for each other's gradient of every parameter, and
    instructions, say, may occur in the minibatch of one alone.
    """
    for parameter in module.parameters():
        loss = loss + 0.0 * parameter.sum()
    return loss


@lru_cache(maxsize=2)
def knowledge_of(dataset: str, data_dir: str | None, split_seed: int) -> ItemKnowledge:
    """One for all modules of a process."""
    data = load_dataset(dataset, data_dir=data_dir)
    return ItemKnowledge(data, data.split(seed=split_seed))


def module_spec(module: type[SlateModule], config: TrainConfig, sizes: Sizes, **model: Any) -> RLModuleSpec:
    """The spec of a slate-aware module for a training config's world."""
    return RLModuleSpec(module_class=module, model_config={"world": dict(config.world), "sizes": asdict(sizes), **model})
