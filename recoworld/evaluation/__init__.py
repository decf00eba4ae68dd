"""Evaluation: sessions and held-out ranking of several policies on the same users and luck, with intervals.

    from recoworld.configs import WorldConfig
    from recoworld.evaluation import evaluate

    board = evaluate(WorldConfig.of(dataset="mini"), ["random", "ease", "ease+instruct"], users=100)
    rich.print(board)      # or board.rows, board.csv(), board.as_dict()
"""

from __future__ import annotations

from recoworld.evaluation.leaderboard import Leaderboard
from recoworld.evaluation.runs import evaluate

__all__ = ["Leaderboard", "evaluate"]
