"""Transfer: policies tuned against one simulator, judged in another, so that one that games its simulator shows.

``transfer(WorldConfig.of(dataset="mini"), ["behavioral", "quiet"])`` returns a `Transfer`, which ``rich.print`` shows as tables; its
figures are in `as_dict()` and `markdown()`, its picture is drawn by `png()`.
"""

from __future__ import annotations

from recoworld.evaluation.transfer.result import Transfer
from recoworld.evaluation.transfer.runs import transfer

__all__ = ["Transfer", "transfer"]
