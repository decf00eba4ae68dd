"""Open Bandit Dataset: three fashion items on a page, shown by a random policy and by a bandit. From a local copy.

Y. Saito, S. Aihara, M. Matsutani, Y. Narita, "Open Bandit Dataset and Pipeline: Towards Realistic and Reproducible Off-Policy Evaluation",
NeurIPS Datasets and Benchmarks 2021, arXiv 2008.07146.

There are no user ids. A user here is everybody with the same four hashed features, so nothing that follows one person (sessions, what had
been met before, leaving) can be told, and none of it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog, build_catalog
from recoworld.datasets.arrays import by_user, cached_dataset, with_popularity
from recoworld.datasets.cache import fingerprint
from recoworld.datasets.columns import FLAG, ID, Column, Columns, read_columns
from recoworld.datasets.local import locate
from recoworld.errors import ConfigError, DataCorrupt
from recoworld.impressions import Impressions
from recoworld.users import Dataset, Users

ADDRESS = "https://github.com/st-tech/zr-obp/tree/master/obd"
WHOLE = "https://research.zozo.com/data.html"
SOURCE = f"Open Bandit Dataset, {WHOLE}, CC BY 4.0. Cite Y. Saito et al., Open Bandit Dataset and Pipeline, NeurIPS 2021, arXiv 2008.07146"
VERSION = 2
"""Of the parser; part of the cache's key."""
POLICIES = ("random", "bts")
ROWS = {
    "random/all": (10_000, 1_374_327),
    "random/men": (10_000, 452_949),
    "random/women": (10_000, 864_585),
    "bts/all": (10_000, 12_168_084),
    "bts/men": (10_000, 4_077_727),
    "bts/women": (10_000, 7_765_497),
}
"""Log -> rows in the small and in the whole release."""
_ADVICE = (
    f"get the folder obd/ of {ADDRESS} (the whole data are at {WHOLE}) and pass data_dir=, or set RECOWORLD_DATA to, the folder that holds "
    "random/all/all.csv, or that folder as obd/"
)
_FEATURES = tuple(f"user_feature_{i}" for i in range(4))
_SHOWN = {
    "timestamp": Column(kind="moment"),
    "item_id": ID,
    "position": Column(kind="i1", low=1, high=3),
    "click": FLAG,
    "propensity_score": Column(kind="f8", high=1),
    **dict.fromkeys(_FEATURES, Column(kind="words")),
}
_ITEM = {"item_id": ID, **{f"item_feature_{i}": Column(kind="words") for i in (1, 2, 3)}}


def load(*, data_dir: str | None = None, policies: Sequence[str] = POLICIES) -> Dataset:
    """Open Bandit Dataset: items of three campaigns (all, men, women), each shown in one of three places, and whether it was clicked.

    `Dataset.impressions` are the rows of the logs, one item a slate, `first_slot` its place on the page; first those of the random policy,
    then those of the bandit ("bts"). `policies` leaves one of them out: ``load(policies=["random"])`` is what was drawn at random.
    `Dataset.interactions` are the clicks; `explicit` is false. Users are the different rows of user features (see the module's docstring).
    The campaigns number their items anew, so item 3 of "men" is "men/3"; genres are the hashed item features 1 to 3.
    Not kept: propensity scores, the price-like item feature 0, user-item affinities. Nothing is watched: durations are 1 second.

    `data_dir`, or else the environment variable RECOWORLD_DATA, is the folder of the local copy. Needs the extra "parquet" (pyarrow).
    Raises ConfigError for policies, DataMissing, DataCorrupt or MissingExtra.
    """
    if not policies or not set(policies) <= set(POLICIES):
        raise ConfigError(f"open-bandit: got policies {list(policies)}; expected some of {', '.join(POLICIES)}")
    rows = {name: counts for name, counts in ROWS.items() if name.split("/")[0] in policies}
    files = [file for name in rows for file in _files(name)]
    folder = locate("obd", files, data_dir, _ADVICE, ("obd", "open_bandit_dataset"))
    key = fingerprint([folder / file for file in files], version=VERSION)
    return cached_dataset(f"open-bandit-{'-'.join(sorted(set(policies)))}-{key}", lambda: parse(folder, rows))


def parse(folder: Path, expected: Mapping[str, Sequence[int]]) -> Dataset:
    """The logs that `expected` names, each with one of the numbers of rows. Raises DataMissing, DataCorrupt or MissingExtra."""
    logs = {name: read_columns(folder / _files(name)[0], _SHOWN, _ADVICE) for name in expected}
    for name, table in logs.items():
        if len(table) not in expected[name]:
            counts = " or ".join(f"{count:,}" for count in expected[name])
            raise DataCorrupt(f"{table.path}: got {len(table):,} rows; expected {counts}, as published; {_ADVICE}")
        table.require("propensity_score", table["propensity_score"] > 0, "a probability above 0", _ADVICE)
    contexts: dict[str, Columns] = {}
    for name in expected:
        table = read_columns(folder / _files(name)[1], _ITEM, _ADVICE)
        table.unique("item_id", _ADVICE)
        other = contexts.setdefault(name.split("/")[1], table)
        if _rows(table) != _rows(other):
            raise DataCorrupt(f"{table.path} and {other.path} differ; expected the same items in one campaign; {_ADVICE}")
    starts = dict(zip(contexts, np.cumsum([0, *map(len, contexts.values())]), strict=False))
    people, users = _users(list(logs.values()))
    items = [_places(table, contexts[name.split("/")[1]]) + starts[name.split("/")[1]] for name, table in logs.items()]
    slates = np.concatenate(items).astype(np.int64)
    clicked, position, moment = (np.concatenate([table[name] for table in logs.values()]) for name in ("click", "position", "timestamp"))
    taken = np.flatnonzero(clicked)
    log = by_user(people[taken], slates[taken], None, moment[taken] // 1_000_000, n_users=len(users))
    return Dataset(
        name="open-bandit",
        catalog=with_popularity(_catalog(contexts), log),
        users=users,
        interactions=log,
        explicit=False,
        source=SOURCE,
        impressions=Impressions(
            users=people,
            slates=slates[:, None],
            clicked=clicked[:, None] > 0,
            first_slot=position.astype(np.int64) - 1,
            times=moment // 1_000_000,
        ),
    )


def _files(name: str) -> tuple[str, str]:
    """The log "random/men" and its items."""
    return f"{name}/{name.split('/')[1]}.csv", f"{name}/item_context.csv"


def _rows(context: Columns) -> list[list[str]]:
    return [context["item_id"].astype(str).tolist(), *(context.texts(name) for name in context.words)]


def _places(log: Columns, context: Columns) -> NDArray[np.int32]:
    return log.places("item_id", context["item_id"].astype(np.int64), f"an item of {context.path.name}", _ADVICE)


def _users(logs: list[Columns]) -> tuple[NDArray[np.int64], Users]:
    """The user of each row of all logs, and the users: different rows of features, sorted."""
    values = [sorted({word for log in logs for word in [*log.words[name], ""]}) for name in _FEATURES]
    rows = np.concatenate([np.stack([_coded(log, *pair) for pair in zip(_FEATURES, values, strict=True)], axis=1) for log in logs])
    different, people = np.unique(rows, axis=0, return_inverse=True)
    features = [column[:, None] == np.arange(1, len(known)) for column, known in zip(different.T, values, strict=True)]
    return people.reshape(-1).astype(np.int64), Users(
        ids=np.array(["-".join(map(str, row)) for row in different.tolist()], dtype=np.str_),
        features=np.concatenate(features, axis=1).astype(np.float32),
        feature_names=tuple(f"{name}={word}" for name, known in zip(_FEATURES, values, strict=True) for word in known[1:]),
        descriptions=np.zeros(len(different), dtype="<U1"),
    )


def _coded(log: Columns, name: str, known: list[str]) -> NDArray[np.int64]:
    """The rank in `known` of each row's word; 0, the rank of "", where it is empty."""
    return np.searchsorted(known, [*log.words[name], ""])[log[name]].astype(np.int64)


def _catalog(contexts: Mapping[str, Columns]) -> Catalog:
    ids = [f"{campaign}/{item}" for campaign, table in contexts.items() for item in table["item_id"].tolist()]
    columns = [[word for table in contexts.values() for word in table.texts(name)] for name in list(_ITEM)[1:]]
    ranks = [{word: rank for rank, word in enumerate(sorted(set(column) - {""}), 1)} for column in columns]
    genres = [
        tuple(f"feature {i}: {rank[word]}" for i, (rank, word) in enumerate(zip(ranks, words, strict=True), 1) if word)
        for words in zip(*columns, strict=True)
    ]
    titles = [f"item {item}" for item in ids]
    return build_catalog(name="open-bandit", ids=ids, titles=titles, genres=genres, default_duration=1.0)
