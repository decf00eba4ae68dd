"""GRU4Rec: a recurrent network over the last liked items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recoworld.policies.params import whole
from recoworld.policies.sequential.scorer import NextItem

if TYPE_CHECKING:
    from recoworld.policies.sequential.networks.windows import WindowNetwork


class GRU4Rec(NextItem):
    """Session-based recommendations with recurrent neural networks (Hidasi et al. 2016, arXiv 1511.06939).

    One GRU layer over item embeddings, whose state is brought to the embeddings' width. Departures: the loss is cross-entropy over
    negatives drawn uniformly, not over the others of the batch (see `NextItem`), and items in and out share one embedding.
    """

    name = "gru4rec"

    def __init__(
        self,
        *,
        width: int = 64,
        hidden: int = 128,
        dropout: float = 0.3,
        length: int = 40,
        negatives: int = 256,
        rate: float = 0.002,
        batch: int = 64,
        epochs: int = 60,
        patience: int = 4,
        seed: int = 0,
    ) -> None:
        """width: of item embeddings. hidden: of the GRU. length: items read. negatives: drawn for each batch of pieces. rate: Adam's.

        epochs: at most; patience: without progress. Raises ConfigError, and MissingExtra where torch is not installed.
        """
        self.hidden: Final = whole("hidden", hidden, 1, 4096)
        super().__init__(
            width=width,
            dropout=dropout,
            length=length,
            negatives=negatives,
            rate=rate,
            batch=batch,
            epochs=epochs,
            patience=patience,
            seed=seed,
        )

    def network(self, n_items: int) -> WindowNetwork:
        """See `NextItem`."""
        from recoworld.policies.sequential.networks.gru import Recurrent

        return Recurrent(n_items, width=self.width, hidden=self.hidden, dropout=self.dropout)
