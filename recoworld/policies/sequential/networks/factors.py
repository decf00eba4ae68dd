"""Users and items as vectors, compared in pairs: BPR's loss. Shapes: `b` pairs, `w` width."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from recoworld.policies.sequential.networks.training import Batch
from recoworld.policies.sequential.sequences import Sequences


class Pairs:
    """Each like once an epoch, against an item drawn uniformly."""

    def __init__(self, liked: Sequences, n_items: int, *, batch: int) -> None:
        self._users, self._items, self._n_items, self._batch = liked.owners, liked.items.astype(np.int64), n_items, batch
        self._taken = np.sort(self._users * n_items + self._items)

    def batches(self, generator: np.random.Generator) -> Iterator[Batch]:
        """`users`, `liked` and `others` ``[b]``; an item drawn that the user likes is drawn once more."""
        order = generator.permutation(len(self._users))
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            users, others = self._users[rows], generator.integers(self._n_items, size=len(rows))
            pairs = users * self._n_items + others
            at = np.minimum(np.searchsorted(self._taken, pairs), len(self._taken) - 1)
            again = self._taken[at] == pairs
            others[again] = generator.integers(self._n_items, size=int(again.sum()))
            parts = {"users": users, "liked": self._items[rows], "others": others}
            yield {name: torch.as_tensor(part) for name, part in parts.items()}


class Factors(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """Two embeddings."""

    def __init__(self, n_users: int, n_items: int, *, width: int, reg: float) -> None:
        super().__init__()
        self.users, self.items, self.reg = nn.Embedding(n_users, width), nn.Embedding(n_items, width), reg
        for part in (self.users, self.items):
            nn.init.normal_(part.weight, std=0.1)

    def loss(self, batch: Batch) -> Tensor:
        """Mean of -log P(liked before other), and the penalty."""
        user, liked, other = self.users(batch["users"]), self.items(batch["liked"]), self.items(batch["others"])
        loss = -logsigmoid((user * (liked - other)).sum(dim=1)).mean()
        return loss + self.reg * torch.stack([part.square().sum(dim=1).mean() for part in (user, liked, other)]).sum()

    def vectors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of users and items, in double precision."""
        users, items = (part.weight.detach().double().numpy() for part in (self.users, self.items))
        return users, items
