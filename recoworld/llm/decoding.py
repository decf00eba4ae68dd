"""A causal model of `transformers` that continues rows of tokens: prefill after a prefix that all rows share, then cached steps.

The loop is our own, for each row has its own random numbers, its own grammar and its own end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

ROOM = 64
"""Tokens by which a cache grows at once; a copy at each step would cost more than the model."""
SCORED = 512
"""Logits of a second pass over continuations, in tokens, that are held at once."""
_ALMOST_ONE = 1.0 - 1e-6  # times a sum in float32 it stays below the sum


@dataclass(kw_only=True)
class Row:
    """What is to be continued, and what was said so far."""

    ids: Sequence[int]
    limit: int
    """New tokens at most."""
    uniforms: Any
    """One number in [0, 1) a new token, float32 ``[limit]``."""
    matcher: Any = None
    """An `xgrammar.GrammarMatcher`, or None."""
    tokens: list[int] = field(default_factory=list)
    """The last one ends the reply, unless `limit` did."""
    logprobs: list[float] = field(default_factory=list)
    """In nats, of the model itself: at temperature 1 and without grammar."""


class Decoder:
    """Not thread-safe."""

    def __init__(self, model: Any, stops: Sequence[int]) -> None:
        """model: on its device, in evaluation mode; stops: tokens that end a reply."""
        import torch

        self.model, self.stops, self.torch = model, frozenset(stops), torch
        self.device = model.device
        self._prefix: tuple[tuple[int, ...], Any] = ((), None)

    def generate(
        self, rows: Sequence[Row], shared: int, *, temperature: float, top_p: float, done: Callable[[int], None], apply: Any = None
    ) -> None:
        """Fill in the rows' tokens; `done(i)` is told of each row as it ends.

        shared: tokens at the beginning that all rows have in common, fewer than the shortest row has. apply: what the rows' grammars
        forbid is taken out of the logits.
        """
        torch = self.torch
        with torch.inference_mode():
            cache, mask, logits = self._prefill([row.ids for row in rows], shared)
            position, present, alive = mask.sum(dim=1), list(range(len(rows))), set(range(len(rows)))
            while True:
                chosen, logprobs = self._chosen([rows[i] if i in alive else None for i in present], logits, temperature, top_p, apply)
                for i, token, logprob in zip(present, chosen.tolist(), logprobs.tolist(), strict=True):
                    if i not in alive:
                        continue
                    row = rows[i]
                    row.tokens.append(token)
                    row.logprobs.append(min(logprob, 0.0))
                    if token in self.stops or len(row.tokens) >= row.limit:
                        alive.discard(i)
                        done(i)
                if not alive:
                    return
                if len(alive) <= 0.75 * len(present):  # the rows that ended go when they are many, for leaving costs a copy
                    keep = torch.tensor([at for at, i in enumerate(present) if i in alive], device=self.device)
                    present = [i for i in present if i in alive]
                    cache.batch_select_indices(keep)
                    mask, position, chosen = mask[keep], position[keep], chosen[keep]
                mask = torch.cat([mask, mask.new_ones(len(present), 1)], dim=1)
                logits = self._forward(chosen[:, None], mask, position[:, None], cache)[:, -1]
                position = position + 1

    def score(self, rows: Sequence[Sequence[int]], shared: int, continuations: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
        """Log-probability in nats of each row's continuations, none of them empty."""
        torch = self.torch
        with torch.inference_mode():
            cache, mask, logits = self._prefill(rows, shared)
            first = logits.float().log_softmax(dim=-1)
            sums = [[float(first[i, ids[0]]) for ids in each] for i, each in enumerate(continuations)]
            longer = [(i, j) for i, each in enumerate(continuations) for j, ids in enumerate(each) if len(ids) > 1]
            longer.sort(key=lambda at: len(continuations[at[0]][at[1]]))
            step = max(1, SCORED // max((len(continuations[i][j]) for i, j in longer), default=1))
            for start in range(0, len(longer), step):
                some = longer[start : start + step]
                texts = [continuations[i][j] for i, j in some]
                of = torch.tensor([i for i, _ in some], device=self.device)
                fed = self._tensor([[*ids[:-1], *[0] * (len(texts[-1]) - len(ids))] for ids in texts])
                wide = torch.cat([mask[of], mask.new_ones(fed.shape)], dim=1)
                position = mask[of].sum(dim=1, keepdim=True) + torch.arange(fed.shape[1], device=self.device)
                following = self._forward(fed, wide, position, _taken(cache, of), keep=0).float().log_softmax(dim=-1)
                for row, ((i, j), ids) in enumerate(zip(some, texts, strict=True)):
                    sums[i][j] += float(following[row, torch.arange(len(ids) - 1), self._tensor(ids[1:])].sum())
        return sums

    def forget(self) -> None:
        """Drop the prefix that was kept from the last call."""
        self._prefix = ((), None)

    def known(self, ids: Sequence[int]) -> bool:
        """Whether this prefix is in the cache from the last call."""
        return self._prefix[0] == tuple(ids)

    def _prefill(self, rows: Sequence[Sequence[int]], shared: int) -> tuple[Any, Any, Any]:
        """The cache of all rows, padded after the shared prefix; their mask ``[n, length]``; the logits that follow ``[n, v]``."""
        torch = self.torch
        longest = max(map(len, rows))
        pads = [longest - len(ids) for ids in rows]
        fed = self._tensor([[*[0] * pad, *ids[shared:]] for pad, ids in zip(pads, rows, strict=True)])
        mask = self._tensor([[1] * shared + [0] * pad + [1] * (len(ids) - shared) for pad, ids in zip(pads, rows, strict=True)])
        position = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
        cache = _taken(self._shared(rows[0][:shared]), torch.zeros(len(rows), dtype=torch.long, device=self.device)) if shared else _cache()
        return cache, mask, self._forward(fed, mask, position, cache)[:, -1]

    def _shared(self, ids: Sequence[int]) -> Any:
        """The cache of the prefix ``[1, shared]``, kept until another one comes."""
        if not self.known(ids):
            fed, cache = self._tensor([list(ids)]), _cache()
            self._forward(fed, self.torch.ones_like(fed), self.torch.arange(len(ids), device=self.device)[None], cache)
            self._prefix = (tuple(ids), cache)
        return self._prefix[1]

    def _forward(self, fed: Any, mask: Any, position: Any, cache: Any, *, keep: int = 1) -> Any:
        """Logits ``[n, keep, v]``, of all tokens for keep=0."""
        return self.model(
            input_ids=fed, attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True, logits_to_keep=keep
        ).logits

    def _chosen(self, rows: Sequence[Row | None], logits: Any, temperature: float, top_p: float, apply: Any) -> tuple[Any, Any]:
        """One token a row ``[n]`` and its log-probability; None stands for a row that has ended."""
        torch = self.torch
        logits = logits.float()
        total = logits.logsumexp(dim=-1)
        allowed = apply(logits.clone(), [row and row.matcher for row in rows]) if apply else logits
        if temperature <= 0:
            chosen = allowed.argmax(dim=-1)
        else:
            chances = (allowed / temperature).softmax(dim=-1)
            if top_p < 1:
                sorted_, order = chances.sort(dim=-1, descending=True)
                sorted_[sorted_.cumsum(dim=-1) - sorted_ >= top_p] = 0
                chances = torch.zeros_like(chances).scatter(-1, order, sorted_)
            sums = chances.cumsum(dim=-1)
            drawn = np.array([row.uniforms[len(row.tokens)] if row else 0.5 for row in rows], np.float32).clip(max=_ALMOST_ONE)
            chosen = torch.searchsorted(sums, sums[:, -1:] * torch.from_numpy(drawn).to(self.device)[:, None], right=True)[:, 0]
        for row, token in zip(rows, chosen.tolist(), strict=True):
            if row and row.matcher:
                row.matcher.accept_token(token)
        return chosen, logits.gather(-1, chosen[:, None])[:, 0] - total

    def _tensor(self, ids: Any) -> Any:
        return self.torch.tensor(ids, dtype=self.torch.long, device=self.device)


def common(rows: Sequence[list[int]], multiple: int = 32) -> int:
    """How many tokens all rows begin with, one less than the shortest has at most; rounded down, so that a prefix stays one."""
    first, last = min(rows), max(rows)
    most = min(min(map(len, rows)) - 1, len(first))
    same = next((i for i in range(most) if first[i] != last[i]), most)
    return same - same % multiple if len(rows) > 1 else 0


@lru_cache(maxsize=1)
def _layer() -> Any:
    """The class of a cache's layer that grows by `ROOM` tokens at once."""
    library: Any = import_module("transformers.cache_utils")

    class Growing(library.DynamicLayer):  # type: ignore[misc]  # imported when it is needed
        kept: tuple[Any, Any] | None = None

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            start, n = self.get_seq_length(), key_states.shape[-2]
            if self.kept is None or self.kept[0].shape[-2] < start + n:
                shapes = [(*new.shape[:-2], start + n + ROOM, new.shape[-1]) for new in (key_states, value_states)]
                kept = (key_states.new_empty(shapes[0]), value_states.new_empty(shapes[1]))
                for old, new in zip((self.keys, self.values) if start else (), kept, strict=False):  # type: ignore[has-type]
                    new[..., :start, :] = old
                self.kept = kept
            for buffer, new in zip(self.kept, (key_states, value_states), strict=True):
                buffer[..., start : start + n, :] = new
            keys, values = (buffer[..., : start + n, :] for buffer in self.kept)
            self.keys, self.values = keys, values
            return keys, values

        def batch_select_indices(self, indices: Any) -> None:
            super().batch_select_indices(indices)
            self.kept = None

    return Growing


def _cache() -> Any:
    return import_module("transformers.cache_utils").Cache(layer_class_to_replicate=_layer())


def _taken(cache: Any, rows: Any) -> Any:
    """A cache of its own with some rows of another, which stays as it is."""
    out = _cache()
    for layer in cache.layers:
        other = _layer()()
        other.lazy_initialization(layer.keys, layer.values)
        shape = (len(rows), *layer.keys.shape[1:])
        alone = layer.keys.shape[0] == 1
        other.keys, other.values = (each.expand(shape[0], *each.shape[1:]) if alone else each[rows] for each in (layer.keys, layer.values))
        out.layers.append(other)
    return out
