"""What the paper reports, for the column beside ours: NDCG@10 in per cent, mean of 3 runs (arXiv 2508.18812)."""

from __future__ import annotations

PAPER: dict[str, dict[str, dict[str, float]]] = {
    "ml-1m": {
        "pop": {"ndcg@10": 49.08},
        "bpr": {"ndcg@10": 60.85},
        "gru4rec": {"ndcg@10": 75.47},
        "sasrec": {"ndcg@10": 76.51},
        "starec": {"ndcg@10": 77.16},
    },
    "amazon-cds": {
        "pop": {"ndcg@10": 47.69},
        "bpr": {"ndcg@10": 63.66},
        "gru4rec": {"ndcg@10": 70.84},
        "sasrec": {"ndcg@10": 79.47},
        "starec": {"ndcg@10": 82.63},
    },
}
"""Data set -> method -> figures."""
