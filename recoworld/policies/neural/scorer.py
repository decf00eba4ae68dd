"""The network: an observation becomes a number for every item, or several.

Wide and deep (Cheng et al. 2016): a weighted sum of a few quantities that are known to matter, whose weights are learned and may shift
with the session, and two-tower products of session state with item embedding and with content.
Shapes: `n` users, `N` items, `d` content features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from recoworld.policies.neural.asked import arranged, fitting
from recoworld.policies.neural.belief import Belief, Believed
from recoworld.policies.neural.encoder import SessionEncoder
from recoworld.policies.neural.knowledge import ItemKnowledge
from recoworld.policies.neural.session import Seen, SessionItems, past_of, session_of
from recoworld.types import Act

MET = -1e4
"""What an item of this session scores less: never shown again while another is left."""
WIDE = {"click": 30.0, "popularity": 30.0, "recent": 100.0, "recent_squared": 200.0, "known": 60.0, "usual": 250.0}
"""The wide part's quantities: log-odds of a click by the belief, popularity, the product of the item's content with what was seen of late,
and its square, for boredom is not linear, whether it is in the user's past, and its product with the mean content. A weight is its
parameter times the number here, some 30 over the quantity's standard deviation among items: Adam moves all parameters by about the
learning rate, and these have further to go than those of the deep part."""
_LEAN = 10.0
"""Unit of the weights of contents that are the same in all sessions."""
_DEEP, _SHIFT = 0.2, 0.002
"""Units of what the session's state says of items and contents, and of how it shifts the wide part's weights: small, for these are many,
and the noise of a policy's gradient goes into each (docs/LOG.md)."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of the network."""

    width: int = 32
    """Of the session's state and of the item embeddings."""
    window: int = 32
    """Items that the transformer reads."""
    layers: int = 1
    attention_heads: int = 2
    scale: float = 4.0
    """What the log-odds of a click are multiplied with at first: the less, the more is explored."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What the network says."""

    scores: Tensor
    """``[n, heads, N]``; those shown in this session `MET` less."""
    state: Tensor
    """``[n, width]``."""
    surprise: Tensor
    """How unlikely the session was to the belief ``[n]``: a loss (`recoworld.policies.neural.belief`)."""


class ItemScorer(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """Observation (`recoworld.envs.codec`, tensors) -> `Scored`.

    The belief learns from its surprise alone, not from what scores are good for. What the items are and what the log says of them
    (`ItemKnowledge`) is no parameter: the state dict holds the learned weights alone, and the catalogue may be large.
    """

    def __init__(self, knowledge: ItemKnowledge, *, profile: int, told: int, heads: int = 1, sizes: Sizes | None = None) -> None:
        """profile, told: columns of the observation's profile and instruction."""
        super().__init__()
        self.sizes = sizes = sizes or Sizes()
        self.heads, self.catalog = heads, knowledge.catalog
        self._past = PastTable(knowledge)
        n_items, d = knowledge.features.shape
        tables = (torch.as_tensor(part) for part in (knowledge.features, knowledge.factors))
        content, factors = (torch.cat([torch.zeros_like(part[:1]), part]) for part in tables)
        self.belief = Belief(content, factors, torch.as_tensor(knowledge.popularity))
        self.encoder = SessionEncoder(
            features=d,
            profile=profile,
            told=told,
            width=sizes.width,
            window=sizes.window,
            layers=sizes.layers,
            attention_heads=sizes.attention_heads,
        )
        self.register_buffer("gains", torch.tensor(list(WIDE.values())), persistent=False)
        start = torch.tensor([sizes.scale * (name == "click") / gain for name, gain in WIDE.items()])
        self.wide = nn.Parameter(start.repeat(heads, 1))
        self.shift = nn.Linear(sizes.width, heads * len(WIDE), bias=False)
        self.query = nn.Linear(sizes.width, heads * sizes.width, bias=False)
        self.lean = nn.Parameter(torch.zeros(heads, d))
        self.toward = nn.Linear(sizes.width, heads * d, bias=False)
        self.items = nn.Parameter(torch.randn(n_items, sizes.width, generator=torch.Generator().manual_seed(0)) / sizes.width**0.5)
        nn.init.zeros_(self.shift.weight)
        nn.init.zeros_(self.query.weight)
        nn.init.zeros_(self.toward.weight)

    def forward(self, seen: Seen, wide: Tensor | None = None) -> Scored:
        """Scores, state and surprise; wide: other weights of the wide part, for each row its own ``[n, heads, len(WIDE)]``."""
        session, believed = self._believed(seen)
        state = self.encoder(seen, self.belief.content, session, believed)
        n, items = len(state), self.belief.content[1:]
        recent, usual = believed.recent @ items.T, items @ items.mean(dim=0)
        per_item = (self.belief.popularity.expand(n, -1), recent, recent.square(), self._known(seen), usual.expand(n, -1))
        columns = torch.stack([believed.logits, *per_item], dim=1)  # [n, len(WIDE), N]
        shifted = (self.wide if wide is None else wide) + self.shift(state).view(n, self.heads, -1) * _SHIFT
        toward = self.lean * _LEAN + self.toward(state).view(n, self.heads, -1) * _DEEP
        deep = self.query(state).view(n, self.heads, -1) * _DEEP
        scores = torch.cat([toward, deep], dim=2) @ torch.cat([items, self.items], dim=1).T
        scores = torch.baddbmm(scores, shifted * self.gains, columns)
        return Scored(scores=scores + self.met(seen)[:, None] * MET, state=state, surprise=believed.surprise)

    def state(self, seen: Seen) -> Tensor:
        """The state alone ``[n, width]``."""
        session, believed = self._believed(seen)
        return self.encoder(seen, self.belief.content, session, believed)

    def surprise(self, seen: Seen) -> Tensor:
        """The surprise alone ``[n]``."""
        return self._believed(seen)[1].surprise

    def fits(self, seen: Seen) -> Tensor:
        """Which items fit the instruction in force, bool ``[n, N]``."""
        return fitting(seen, self.catalog)

    def slates(self, scores: Tensor, seen: Seen, fits: Tensor) -> Tensor:
        """The highest of scores ``[n, N]`` as slates that follow the instruction, int64 ``[n, k]``; fits: what `fits` says of `seen`."""
        k = seen["slate"].shape[1]
        return arranged(scores, lambda own, rows: own.topk(k, dim=1).indices, seen, fits, self.met(seen))

    def met(self, seen: Seen) -> Tensor:
        """Which items the user has met in this session, float ``[n, N]``."""
        return self._marked(seen["history"] * (seen["history_acts"] >= Act.UNSEEN))

    def _known(self, seen: Seen) -> Tensor:
        """Which items are in the user's past, float ``[n, N]``."""
        return self._marked(past_of(seen)[0])

    def _marked(self, history: Tensor) -> Tensor:
        return torch.zeros(len(history), len(self.belief.content), device=history.device).scatter_(1, history.long(), 1.0)[:, 1:]

    def _believed(self, seen: Seen) -> tuple[SessionItems, Believed]:
        session = session_of(seen)
        taste, home = self._past(seen)
        return session, self.belief(session, taste, home, self._known(seen))


class PastTable:
    """`ItemKnowledge.past`, kept for each past that was met: it stays the same through a session, and from session to session."""

    def __init__(self, knowledge: ItemKnowledge, *, limit: int = 1 << 29) -> None:
        """limit: bytes; when they are full, all is forgotten."""
        self._knowledge = knowledge
        n_items, d = knowledge.features.shape
        self._most = max(1024, limit // (2 * n_items + 4 * d))
        self._where: dict[bytes, int] = {}
        self._scores, self._home = torch.zeros(0, n_items, dtype=torch.float16), torch.zeros(0, d)

    def __call__(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """Scores float32 ``[n, N]``, of half precision, and content ``[n, d]``."""
        device = seen["history"].device
        items, deeds = (part.cpu().numpy() for part in past_of(seen))
        keys = [a.tobytes() + b.tobytes() for a, b in zip(items, deeds, strict=True)]
        new = {key: row for row, key in enumerate(keys) if key not in self._where}
        if new:
            if len(self._where) + len(new) > self._most:
                self._where, self._scores, self._home = {}, self._scores[:0], self._home[:0]
                new = {key: row for row, key in enumerate(keys)}
            rows = np.fromiter(new.values(), np.int64)
            scores, home = self._knowledge.past(items[rows], deeds[rows])
            self._where.update(zip(new, range(len(self._where), len(self._where) + len(new)), strict=True))
            self._scores = torch.cat([self._scores, torch.as_tensor(scores).half().to(self._scores.device)])
            self._home = torch.cat([self._home, torch.as_tensor(home).to(self._home.device)])
        self._scores, self._home = self._scores.to(device), self._home.to(device)
        at = torch.tensor([self._where[key] for key in keys], device=device)
        return self._scores[at].float(), self._home[at]
