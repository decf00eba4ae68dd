"""STARec's protocol as an offline benchmark: rank twenty items, one of which the user liked next.

``benchmark(load_dataset("mini"), ["pop", "ease"])`` returns a `Table`, which ``rich.print`` shows beside the paper's figures.
"""

from __future__ import annotations

from recoworld.evaluation.starec.protocol import Protocol, Questions
from recoworld.evaluation.starec.rankers import Ranker
from recoworld.evaluation.starec.run import METHODS, benchmark
from recoworld.evaluation.starec.table import Table

__all__ = ["METHODS", "Protocol", "Questions", "Ranker", "Table", "benchmark"]
