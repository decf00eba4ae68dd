"""The network of SASRec."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from recoworld.policies.sequential.networks.windows import WindowNetwork, embedding


class SelfAttentive(WindowNetwork):
    """Item and place embeddings, blocks of causal self-attention, a last normalisation. Places are counted from the end."""

    def __init__(self, n_items: int, *, width: int, layers: int, heads: int, dropout: float, length: int) -> None:
        super().__init__()
        self.items = embedding(n_items, width)
        self.places = nn.Parameter(torch.randn(length, width) * 0.02)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def states(self, windows: Tensor) -> Tensor:
        """See `WindowNetwork`."""
        length = windows.shape[1]
        at = torch.arange(length)
        # none sees what came later, nor padding, but for itself: a row without anything to see would be NaN
        sees = (at[None, :] <= at[:, None]) & (windows[:, None, :] > 0) | torch.eye(length, dtype=torch.bool)
        x = self.dropout(self.items(windows) * self.items.embedding_dim**0.5 + self.places[-length:])
        for block in self.blocks:
            x = block(x, sees[:, None])
        return self.norm(x)


class _Block(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, sees: Tensor) -> Tensor:
        """x ``[b, L, w]``; sees: bool ``[b, 1, L, L]``."""
        b, length, width = x.shape
        query, key, value = self.mix(self.before(x)).view(b, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        met = scaled_dot_product_attention(query, key, value, attn_mask=sees).transpose(1, 2).reshape(b, length, width)
        x = x + self.dropout(self.out(met))
        return x + self.dropout(self.narrow(gelu(self.wide(self.between(x)))))
