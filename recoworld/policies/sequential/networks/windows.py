"""What a network over windows of items is asked, and its loss. Shapes: `b` windows, `L` items, `w` width, `m` negatives, `N` items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from recoworld.policies.sequential.networks.training import Batch
from recoworld.policies.sequential.sequences import Sequences


class Windows:
    """A log's likes as batches of windows, each with negatives of its own."""

    def __init__(self, sequences: Sequences, n_items: int, *, length: int, batch: int, negatives: int) -> None:
        self._sequences, self._n_items, self._length = sequences, n_items, length
        self._batch, self._negatives = batch, negatives

    def batches(self, generator: np.random.Generator) -> Iterator[Batch]:
        """`items` int64 ``[b, L + 1]``, index + 1, 0 in front; `negatives` ``[m]``, index + 1."""
        windows = self._sequences.windows(self._length, generator)
        windows = windows[generator.permutation(len(windows))]
        for start in range(0, len(windows), self._batch):
            drawn = generator.integers(1, self._n_items + 1, size=self._negatives)
            yield {"items": torch.as_tensor(windows[start : start + self._batch]), "negatives": torch.as_tensor(drawn)}


class WindowNetwork(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """A subclass sets `items`, an embedding of N + 1 rows whose row 0 is padding, and implements `states`."""

    items: nn.Embedding

    def states(self, windows: Tensor) -> Tensor:
        """What is known after each item ``[b, L, w]`` of windows ``[b, L]``."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of each next item against itself and the negatives; a negative that is the item itself does not count."""
        past, sought = batch["items"][:, :-1], batch["items"][:, 1:]
        real = past > 0
        states, sought = self.states(past)[real], sought[real]
        own = (states * self.items(sought)).sum(dim=1, keepdim=True)
        others = states @ self.items(batch["negatives"]).T
        others = others.masked_fill(sought[:, None] == batch["negatives"], -torch.inf)
        return cross_entropy(torch.cat([own, others], dim=1), torch.zeros(len(own), dtype=torch.int64))

    def item_vectors(self) -> NDArray[Any]:
        """The item embeddings as they stand, not a copy ``[N, w]``."""
        return np.asarray(self.items.weight.detach().numpy()[1:])

    def last_states(self, windows: NDArray[np.int64]) -> NDArray[Any]:
        """What is known after the last item of each ``[b, w]``."""
        with torch.no_grad():
            return np.asarray(self.states(torch.as_tensor(windows))[:, -1].numpy())


def embedding(n_items: int, width: int) -> nn.Embedding:
    """Of items, row 0 for padding; small at first."""
    made = nn.Embedding(n_items + 1, width, padding_idx=0)
    with torch.no_grad():
        made.weight.normal_(std=width**-0.5)
        made.weight[0] = 0.0
    return made
