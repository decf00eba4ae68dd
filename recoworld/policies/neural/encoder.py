"""A causal transformer over the items that a user met last, in this session and before, and what became of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recoworld.policies.neural.belief import Believed
from recoworld.policies.neural.session import Seen, SessionItems
from recoworld.types import Act


class SessionEncoder(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """Observation -> state ``[n, width]``.

    The last `window` items of the history, each the sum of its content's projection, an embedding of its act and one of its place, go
    through pre-norm self-attention in which none sees what came later (Kang & McAuley 2018, SASRec). The last one's output, with
    profile, instruction, turn, the last slate's feedback, the session's counts and what is believed of it, makes the state.
    """

    def __init__(self, *, features: int, profile: int, told: int, width: int, window: int, layers: int, attention_heads: int) -> None:
        super().__init__()
        self.window = window
        self.item, self.act = nn.Linear(features, width, bias=False), nn.Embedding(len(Act), width)
        self.place = nn.Parameter(torch.zeros(window, width))
        block = nn.TransformerEncoderLayer(
            width, attention_heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        known = width + profile + told + 1 + 6 + 4 + 3 * features + 1
        self.mix = nn.Sequential(nn.Linear(known, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.GELU())
        self.register_buffer("later", torch.ones(window, window, dtype=torch.bool).triu(1), persistent=False)

    def forward(self, seen: Seen, content: Tensor, session: SessionItems, believed: Believed) -> Tensor:
        """content: of items ``[N + 1, features]``, row 0 zeros."""
        history = seen["history"]
        at = torch.arange(history.shape[1], device=history.device)
        # the last items that were met, in order, padding in front: it stands in front and behind in a history
        last = torch.where(history > 0, at + 1, at - len(at)).topk(min(self.window, len(at)), dim=1).indices.flip(1)
        items, acts = history.gather(1, last).long(), seen["history_acts"].gather(1, last).long()
        tokens = self.item(content[items]) + self.act(acts) + self.place[-items.shape[1] :]
        later = self.later[: items.shape[1], : items.shape[1]]
        out = self.blocks(tokens, mask=later)[:, -1]
        told = [seen["profile"], seen["instruction"], seen["turn"], seen["feedback"].mean(dim=1), session.counts]
        return self.mix(torch.cat([out, *told, believed.topics, believed.interest, believed.recent], dim=1))
