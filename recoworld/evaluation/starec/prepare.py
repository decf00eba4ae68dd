"""A data set becomes a benchmark: positives, the 10-core, the last two items of each user held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError
from recoworld.evaluation.starec.protocol import Benchmark, Protocol
from recoworld.types import Bools, Ints
from recoworld.users import Dataset, Interactions, Split, Users

_ITEMS = ("ids", "titles", "genres", "years", "popularity", "texts", "people", "durations")
_SAMPLE = 4  # stream of random numbers


def prepare(dataset: Dataset, protocol: Protocol, *, seed: int = 0) -> Benchmark:
    """The benchmark of a data set; `seed` draws `Protocol.sample`.

    Raises ConfigError where too few users and items are left, or too few items that a user has not met.
    """
    log = dataset.interactions
    chosen = np.flatnonzero(_first_of_each(log) & _sampled(len(dataset.users), protocol, seed)[log.users] & _positive(dataset))
    chosen = chosen[core(log.users[chosen], log.items[chosen].astype(np.int64), protocol.minimum)]
    if not len(chosen):
        raise ConfigError(
            f"data set {dataset.name!r}: of {len(dataset.users):,} users and {len(dataset.catalog):,} items none are left that have "
            f"{protocol.minimum} positives each; expected a data set with more, or a smaller minimum="
        )
    people, owners = np.unique(log.users[chosen], return_inverse=True)
    things, items = np.unique(log.items[chosen], return_inverse=True)
    counts = np.bincount(owners)
    ends = np.cumsum(counts)
    training = np.ones(len(chosen), np.bool_)
    training[ends - 1] = training[ends - 2] = False
    met = _met(log, people, things)
    _check_room(dataset.name, met, len(things), protocol.negatives)
    kept = Interactions(
        indptr=np.concatenate([[0], np.cumsum(counts - 2)]).astype(np.int64),
        items=items[training].astype(np.int32),
        ratings=log.ratings[chosen][training],
        times=log.times[chosen][training],
    )
    nobody = np.arange(0)
    return Benchmark(
        protocol=protocol,
        training=Dataset(
            name=dataset.name,
            catalog=_catalog(dataset.catalog, things, np.bincount(kept.items, minlength=len(things)).astype(np.float32)),
            users=_users(dataset.users, people),
            interactions=kept,
            explicit=False,  # every interaction that is left is liked
            source=dataset.source,
        ),
        split=Split(seed=seed, visible_end=kept.indptr[1:], train=np.arange(len(people)), validation=nobody, test=nobody),
        validation_items=items[ends - 2].astype(np.int64),
        test_items=items[ends - 1].astype(np.int64),
        met=met,
    )


def core(users: Ints, items: Ints, minimum: int) -> Ints:
    """Positions of the interactions that are left when users and items with fewer than `minimum` are taken out until none is left."""
    left = np.arange(len(users))
    while len(left):
        fine = (np.bincount(users[left])[users[left]] >= minimum) & (np.bincount(items[left])[items[left]] >= minimum)
        if fine.all():
            break
        left = left[fine]
    return left


def _positive(dataset: Dataset) -> Bools:
    """Ratings above the middle of their scale ``[n]``."""
    low, high = dataset.rating_scale
    return dataset.interactions.ratings > (low + high) / 2 if dataset.explicit else np.ones(len(dataset.interactions), np.bool_)


def _first_of_each(log: Interactions) -> Bools:
    """Where a user meets an item for the first time ``[n]``."""
    out = np.zeros(len(log), np.bool_)
    wide = int(log.items.max(initial=0)) + 1
    out[np.unique(log.users * wide + log.items, return_index=True)[1]] = True
    return out


def _sampled(n: int, protocol: Protocol, seed: int) -> Bools:
    out = np.ones(n, np.bool_)
    if protocol.sample is not None:
        out[np.random.Generator(np.random.PCG64([seed, _SAMPLE])).permutation(n)[protocol.sample :]] = False
    return out


def _met(log: Interactions, people: Ints, things: NDArray[np.int32]) -> Interactions:
    """The log of these people with these things alone, in new indices."""
    rows = log.rows(log.indptr[people], log.indptr[people + 1])
    owners = np.repeat(np.arange(len(people)), np.diff(log.indptr)[people])
    kept = np.isin(log.items[rows], things)
    rows, owners = rows[kept], owners[kept]
    return Interactions(
        indptr=np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(people)))]).astype(np.int64),
        items=np.searchsorted(things, log.items[rows]).astype(np.int32),
        ratings=log.ratings[rows],
        times=log.times[rows],
    )


def _check_room(name: str, met: Interactions, n_items: int, negatives: int) -> None:
    most = max(len(np.unique(met.items[start:end])) for start, end in zip(met.indptr[:-1], met.indptr[1:], strict=True))
    if n_items - most < negatives:
        raise ConfigError(
            f"data set {name!r}: one user met {most:,} of the {n_items:,} items that are left; expected at least {negatives} that it did "
            "not meet: use a data set with more items, or a smaller negatives="
        )


def _catalog(catalog: Catalog, rows: NDArray[np.int32], popularity: NDArray[np.float32]) -> Catalog:
    return replace(catalog, **{**{field: getattr(catalog, field)[rows] for field in _ITEMS}, "popularity": popularity})


def _users(users: Users, rows: Ints) -> Users:
    return replace(users, ids=users.ids[rows], features=users.features[rows], descriptions=users.descriptions[rows])
