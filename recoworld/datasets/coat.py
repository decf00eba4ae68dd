"""Coat: people who chose coats to rate, and rated others that were drawn for them. From a local copy.

T. Schnabel, A. Swaminathan, A. Singh, N. Chandak, T. Joachims, "Recommendations as Treatments: Debiasing Learning and Evaluation",
ICML 2016, arXiv 1602.05352.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import build_catalog
from recoworld.datasets.arrays import by_user, cached_dataset, with_popularity
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.files import bad_line
from recoworld.datasets.local import locate, read_lines
from recoworld.datasets.order import drawn
from recoworld.errors import DataCorrupt
from recoworld.users import Dataset, Interactions, Users

ADDRESS = "https://www.cs.cornell.edu/~schnabts/mnar/"
SOURCE = f"Coat, {ADDRESS}, CC BY-NC 4.0. Cite T. Schnabel et al., Recommendations as Treatments, ICML 2016, arXiv 1602.05352"
FILES = ("train.ascii", "test.ascii", "user_item_features/item_features.ascii", "user_item_features/user_features.ascii")
VERSION = 2
"""Of the parser; part of the cache's key."""
_ADVICE = f"get coat.zip of {ADDRESS}, unpack it, and pass data_dir=, or set RECOWORLD_DATA to, the folder that holds train.ascii or coat/"
USER_FEATURES = {
    "gender": ("man", "woman"),
    "age": ("20-30", "30-40", "40-50", "50-60", "over 60", "under 20"),
    "home": ("rural", "suburban", "urban"),
    "fashion": ("moderately interested in fashion", "not interested in fashion", "very interested in fashion"),
}
ITEM_FEATURES = {
    "gender": ("for men", "for women"),
    "type": (
        *("bomber", "cropped", "field", "fleece", "insulated", "motorcycle", "other type", "packable", "parka", "pea", "rain", "shell"),
        *("track", "trench", "vest", "waterproof"),
    ),
    "colour": ("beige", "black", "blue", "brown", "gray", "green", "multi", "navy", "olive", "other colour", "pink", "purple", "red"),
    "front page": ("on the front page", "not on the front page"),
}
"""The columns of the files of features, in order, each 0 or 1 (as user_features_map.txt and item_features_map.txt beside them say)."""


@dataclass(frozen=True)
class Counts:
    """What the release holds."""

    users: int
    items: int
    chosen: int
    drawn: int

    def __str__(self) -> str:
        return f"{self.users:,} users, {self.items:,} coats, {self.chosen:,} ratings in train.ascii and {self.drawn:,} in test.ascii"


PUBLISHED = Counts(290, 300, 6_960, 4_640)


def load(*, data_dir: str | None = None) -> Dataset:
    """Coat: 290 people rated 24 coats of their choice each, and 16 that were drawn at random for them, with 1 to 5 stars.

    `Dataset.interactions` are the ratings of chosen coats (train.ascii), `Dataset.random_ratings` those of drawn ones (test.ascii); a coat
    may be in both. There are no times: each user's order is drawn at random (`recoworld.datasets.order`). Ids count rows and columns from
    0; genres are whom a coat is for, its type and its colour; users have gender, age, where they live and interest in fashion. Nothing is
    watched: durations are 1 second.

    `data_dir`, or else the environment variable RECOWORLD_DATA, is the folder of the local copy. Raises DataMissing or DataCorrupt.
    """
    folder = locate("coat", FILES, data_dir, _ADVICE)
    key = fingerprint([folder / name for name in FILES], version=VERSION)
    return cached_dataset(f"coat-{key}", lambda: parse(folder, PUBLISHED))


def parse(folder: Path, expected: Counts) -> Dataset:
    """The files of a folder, which must hold what `expected` says. Raises DataMissing or DataCorrupt."""
    chosen, random = (_matrix(folder / name, expected.items, 5, "ratings, 0 to 5") for name in FILES[:2])
    item_width, user_width = (sum(map(len, features.values())) for features in (ITEM_FEATURES, USER_FEATURES))
    coats = _matrix(folder / FILES[2], item_width, 1, "features, 0 or 1")
    people = _matrix(folder / FILES[3], user_width, 1, "features, 0 or 1")
    found = Counts(len(chosen), len(coats), int((chosen > 0).sum()), int((random > 0).sum()))
    if found != expected or len(random) != len(people) or len(people) != len(chosen):
        rows = f"{len(random):,} users in test.ascii, {len(people):,} in user_features.ascii"
        raise DataCorrupt(f"{folder}: got {found}, {rows}; expected {expected}, as published; {_ADVICE}")
    kinds = [_named(row, {name: ITEM_FEATURES[name] for name in ("gender", "type", "colour")}) for row in coats]
    log = _log(chosen)
    catalog = build_catalog(
        name="coat",
        ids=[str(i) for i in range(len(coats))],
        titles=[f"coat {i} ({', '.join(kind)})" for i, kind in enumerate(kinds)],
        genres=kinds,
        default_duration=1.0,
    )
    return Dataset(
        name="coat",
        catalog=with_popularity(catalog, log),
        users=Users(
            ids=np.arange(len(people)).astype(np.str_),
            features=people.astype(np.float32),
            feature_names=tuple(name for names in USER_FEATURES.values() for name in names),
            descriptions=np.array([", ".join(_named(row, USER_FEATURES)) for row in people], dtype=np.str_),
        ),
        interactions=log,
        explicit=True,
        rating_scale=(1.0, 5.0),
        like_threshold=4.0,
        source=SOURCE,
        random_ratings=_log(random),
    )


def _matrix(path: Path, width: int, highest: int, what: str) -> NDArray[np.int64]:
    """Whole numbers of 0 to `highest`, separated by spaces ``[lines, width]``."""
    digits = {str(value) for value in range(highest + 1)}
    rows = [line.split() for line in read_lines(path, _ADVICE)]
    for number, row in enumerate(rows, 1):
        if len(row) != width or not set(row) <= digits:
            odd = next((cell for cell in row if cell not in digits), None)
            got = f"{len(row)} numbers" if odd is None else odd
            raise bad_line(path, number, got, f"{width} {what}, separated by spaces", _ADVICE)
    return np.array(rows).astype(np.int64)


def _named(row: NDArray[np.int64], features: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names of the columns that are 1."""
    names = [name for group in features.values() for name in group]
    return tuple(name for name, value in zip(names, row, strict=False) if value)


def _log(matrix: NDArray[np.int64]) -> Interactions:
    users, items = np.nonzero(matrix)
    rows = drawn(users)
    return by_user(users[rows], items[rows], matrix[users, items][rows], None, n_users=len(matrix))
