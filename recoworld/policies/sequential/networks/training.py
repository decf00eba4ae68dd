"""Epoch after epoch until the judge sees no more progress; what was reached is kept, and a killed run ends as one that was not.

All randomness of an epoch comes from (seed, epoch): the shuffling from NumPy, dropout from torch's own generator, which is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from recoworld.errors import ConfigError
from recoworld.policies.sequential.learner import Arrays, Judge, Memory, Told

Batch = dict[str, Tensor]
_START = 2**31 - 1  # of an epoch's seed: the first weights


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train."""

    rate: float
    """Adam's step."""
    epochs: int
    """At most."""
    patience: int
    """Epochs without progress, after which it is over."""
    seed: int


class Work(Protocol):
    """What there is to learn from."""

    def batches(self, generator: np.random.Generator) -> Iterator[Batch]:
        """One epoch's."""
        ...


def train(
    build: Callable[[], Any],
    work: Work,
    recipe: Recipe,
    *,
    judge: Judge | None,
    use: Callable[[Any], None],
    memory: Memory | None = None,
    told: Told | None = None,
) -> Any:
    """A network of `build`, trained; it has ``loss(batch) -> Tensor``.

    use: puts the network as it stands before the judge. Raises ConfigError where the loss is no longer finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(recipe.seed, _START))
        network = build()
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.rate)
        done, best_epoch, best_score = 0, 0, -np.inf
        best = _weights(network)
        before = memory.load() if memory is not None else None
        if before is not None:
            done, best_epoch, best_score, best = _restored(before, network, optimiser)
        while done < recipe.epochs and (judge is None or done - best_epoch < recipe.patience):
            torch.manual_seed(_seed(recipe.seed, done))
            _epoch(network, optimiser, work.batches(np.random.Generator(np.random.PCG64([recipe.seed, done]))))
            done += 1
            if judge is not None:
                use(network)
                score = judge()
                if score > best_score:
                    best_epoch, best_score, best = done, score, _weights(network)
            if memory is not None:
                memory.save(_kept(network, optimiser, best, (done, best_epoch, best_score)))
            if told is not None:
                told(done, recipe.epochs, None if judge is None else best_score)
    if judge is not None:
        network.load_state_dict(best)
    return network.eval()


def _epoch(network: Any, optimiser: Any, batches: Iterator[Batch]) -> None:
    network.train()
    for batch in batches:
        loss = network.loss(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if not torch.isfinite(loss):
            raise ConfigError(f"training: the loss is {loss.item()}; expected a finite number: lower rate=")
    network.eval()


def _seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _kept(network: nn.Module, optimiser: Any, best: dict[str, Tensor], reached: tuple[int, int, float]) -> Arrays:
    """Plain arrays: the weights, the best ones, and Adam's moments."""
    arrays = {"reached": np.array(reached, np.float64)}
    for part, weights in (("now", network.state_dict()), ("best", best)):
        arrays |= {f"{part}.{name}": value.numpy() for name, value in weights.items()}
    for number, state in optimiser.state_dict()["state"].items():
        arrays |= {f"adam.{number}.{name}": np.asarray(value) for name, value in state.items()}
    return arrays


def _restored(arrays: Arrays, network: nn.Module, optimiser: Any) -> tuple[int, int, float, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in arrays.items():
        part, _, name = key.partition(".")
        if part == "adam":
            number, _, moment = name.partition(".")
            state.setdefault(int(number), {})[moment] = torch.as_tensor(value.copy())
        elif part in parts:
            parts[part][name] = torch.as_tensor(value.copy())
    network.load_state_dict(parts["now"])
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    done, best_epoch, best_score = arrays["reached"].tolist()
    return int(done), int(best_epoch), best_score, parts["best"]
