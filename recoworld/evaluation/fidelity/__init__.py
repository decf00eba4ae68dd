"""Fidelity: how far a simulated user resembles the real ones.

``fidelity("behavioral", dataset="ml-1m")`` puts the same questions to a simulator as held-out people answered in the log, and returns a
`Report`: every figure beside people's, what is trivial, and the best recommender's, and a sentence for each known failure of simulated
users that was found. It is built on what the log shows before the questions begin, so nothing that is asked about can leak.
"""

from __future__ import annotations

from recoworld.evaluation.fidelity.run import fidelity
from recoworld.evaluation.fidelity.showing.report import Report

__all__ = ["Report", "fidelity"]
