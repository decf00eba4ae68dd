"""Evaluation: sessions and held-out ranking of several policies on the same users and the same luck, with intervals.

``evaluate(WorldConfig.of(dataset="mini"), ["random", "ease", "ease+instruct"], users=100)`` returns a `Leaderboard`, which
``rich.print`` shows as a table; its figures are in `rows`, `csv()` and `as_dict()`. What became of the replies of users who ask a
language model is in its `simulator_report`; where the model is gone in mid-run, ``LanguageModelError.board`` has what was finished.
"""

from __future__ import annotations

from recoworld.evaluation.leaderboard import Leaderboard
from recoworld.evaluation.runs import evaluate

__all__ = ["Leaderboard", "evaluate"]
