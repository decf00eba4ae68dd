"""The network of GRU4Rec."""

from __future__ import annotations

from torch import Tensor, nn

from recoworld.policies.sequential.networks.windows import WindowNetwork, embedding


class Recurrent(WindowNetwork):
    """Embeddings, dropout, one GRU layer, a projection to the embeddings' width.

    Padding in front moves the state, too, and always in the same way: a start that is learned.
    """

    def __init__(self, n_items: int, *, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.items = embedding(n_items, width)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = nn.GRU(width, hidden, batch_first=True)
        self.out = nn.Linear(hidden, width)

    def states(self, windows: Tensor) -> Tensor:
        """See `WindowNetwork`."""
        return self.out(self.recurrent(self.dropout(self.items(windows)))[0])
