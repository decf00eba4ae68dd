"""A data set in a line or two."""

from __future__ import annotations

import numpy as np

from recoworld.users import Dataset


def summary(dataset: Dataset) -> str:
    """Its name and sizes; and a line each on what was shown, and on what was drawn at random, where it has them."""
    kind = f"ratings {dataset.rating_scale[0]:g} to {dataset.rating_scale[1]:g}" if dataset.explicit else "no ratings"
    sizes = f"{len(dataset.users):,} users, {len(dataset.catalog):,} items, {len(dataset.interactions):,} interactions"
    return "\n".join([f"{dataset.name}: {sizes}, {kind}", *(f"{label}: {value}" for label, value in exposure(dataset))])


def exposure(dataset: Dataset) -> list[tuple[str, str]]:
    """What was shown, and what was drawn at random: label and value of each that the data set has."""
    rows, shown, drawn = [], dataset.impressions, dataset.random_ratings
    if shown is not None:
        m, k = shown.slates.shape
        sessions = "sessions not logged" if shown.sessions is None else f"{len(np.unique(shown.sessions)):,} sessions"
        clicks = f"{np.count_nonzero(shown.clicked):,} clicks ({shown.clicked.mean():.2%} of items shown)"
        rows.append(("impressions", f"{m:,} slates of {k}, {clicks}, {sessions}"))
    if drawn is not None:
        users = np.count_nonzero(np.diff(drawn.indptr))
        mean = f"mean {drawn.ratings.mean():.2f}" if len(drawn) else "no mean"
        rows.append(("random ratings", f"{len(drawn):,} of {users:,} users, {mean}"))
    return rows
