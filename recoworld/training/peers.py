"""Advantages among peers: several sessions of one user under the same luck tell what the slates did from what would have happened anyway.

The world's luck hangs on seed, user and turn, not on what was shown, so sessions that share them differ by their slates alone (common
random numbers). In each turn the mean advantage of those still there is taken off, as GRPO does with a group's returns (Shao et al.
2024, arXiv 2402.03300). A peer's advantage does not depend on one's own slate, so the gradient stays unbiased but for the share 1/m that
one's own has in the mean of m; its variance on MovieLens-1M falls about fivefold (docs/LOG.md).
"""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from torch import Tensor

PEERS = "peers"
"""The column: int64 ``[n]``, equal for turns of the same user, luck and place in the session."""


class AmongPeers(ConnectorV2):  # type: ignore[misc]  # Ray has no types
    """Goes behind RLlib's `GeneralAdvantageEstimation`."""

    def __call__(self, *, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """RLlib's hook; a batch without the column stays as it is."""
        for part in batch.values():
            if PEERS in part:
                part[Postprocessing.ADVANTAGES] = among_peers(part[Postprocessing.ADVANTAGES], part[PEERS], part[Columns.LOSS_MASK])
        return batch


def among_peers(advantages: Tensor, peers: Tensor, real: Tensor) -> Tensor:
    """Advantages ``[n]`` less the mean of their peers, standardised; who has no peer left keeps its own. Rows that are not `real` count
    for nothing.
    """
    advantages = advantages - advantages[real].mean()  # RLlib's standardisation counted artificial rows, too
    _, where = peers.unique(return_inverse=True)
    weight = real.to(advantages.dtype)
    count = torch.zeros_like(advantages).index_add_(0, where, weight)[where]
    total = torch.zeros_like(advantages).index_add_(0, where, weight * advantages)[where]
    apart = torch.where(count > 1, advantages - total / count.clamp(min=1), advantages)
    return apart / apart[real].std(correction=0).clamp(min=1e-4)
