"""What a surrogate user can ask a tool for: genres, decades, and how well known items are."""

from __future__ import annotations

import numpy as np

from recoworld.catalog import NO_GENRE, Catalog
from recoworld.instructions import WELL_KNOWN
from recoworld.llm.words import NAME
from recoworld.text import clean
from recoworld.types import Bools

_MOST = 40  # genres that are told, the most frequent ones


def attributes(catalog: Catalog) -> dict[str, Bools]:
    """Name -> which items have it ``[n_items]``; names are cleaned, one a line of a list, and different."""
    out: dict[str, Bools] = {}
    frequent = np.argsort(-catalog.genres.sum(axis=0), kind="stable").tolist()
    for genre in frequent:
        name = clean(catalog.genre_names[genre], NAME)
        if catalog.genre_names[genre] != NO_GENRE and name and len(out) < _MOST:
            out.setdefault(name, catalog.genres[:, genre])
    out |= {f"{era}s": catalog.decades == era for era in catalog.eras.tolist()}
    known = catalog.popularity_rank >= WELL_KNOWN
    return out | {"well known": known, "little known": ~known}
