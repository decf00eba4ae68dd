"""SASRec: self-attention over the last liked items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from recoworld.errors import ConfigError
from recoworld.policies.params import whole
from recoworld.policies.sequential.scorer import NextItem

if TYPE_CHECKING:
    from recoworld.policies.sequential.networks.windows import WindowNetwork


class SASRec(NextItem):
    """Self-attentive sequential recommendation (Kang & McAuley 2018, arXiv 1808.09781).

    Item and place embeddings, then blocks of causal self-attention and a feed-forward layer. Departures: layers are normalised before,
    not after, their inputs are changed, as has become usual; the activation is GELU; the loss has many negatives (see `NextItem`).
    """

    name = "sasrec"

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        length: int = 40,
        negatives: int = 256,
        rate: float = 0.002,
        batch: int = 64,
        epochs: int = 60,
        patience: int = 4,
        seed: int = 0,
    ) -> None:
        """width: of item embeddings. length: items read. negatives: drawn for each batch of pieces. rate: Adam's.

        epochs: at most; patience: without progress. Raises ConfigError, and MissingExtra where torch is not installed.
        """
        self.layers: Final = whole("layers", layers, 1, 64)
        self.heads: Final = whole("heads", heads, 1, 64)
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
        if width % heads:
            raise ConfigError(f"heads: got {heads} for a width of {width}; expected a number that divides the width")

    def network(self, n_items: int) -> WindowNetwork:
        """See `NextItem`."""
        from recoworld.policies.sequential.networks.attention import SelfAttentive

        return SelfAttentive(n_items, width=self.width, layers=self.layers, heads=self.heads, dropout=self.dropout, length=self.length)
