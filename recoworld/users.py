"""The people of a data set, what they did, and which part of it a policy may see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from recoworld.impressions import Impressions

IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Users:
    """Visible facts about users. What is hidden of a user (taste, mindset) lives in a simulator, never here."""

    ids: NDArray[np.str_]
    """External ids ``[n_users]``, unique."""
    features: NDArray[np.float32]
    """Demographics in [0, 1] ``[n_users, p]``; `p` is 1 and all are 0 where nothing is known."""
    feature_names: tuple[str, ...]
    descriptions: NDArray[np.str_]
    """The same in words ``[n_users]``, e.g. "woman, 25-34, programmer"; "" where nothing is known."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.features.shape != (n, len(self.feature_names)) or len(self.descriptions) != n:
            raise ConfigError(
                f"users: features {self.features.shape}, {len(self.feature_names)} feature names and {len(self.descriptions)} descriptions "
                f"do not fit {n} ids; expected one row a user and one column a feature name"
            )
        if len(self._index) != n:
            raise ConfigError(f"users: {n - len(self._index)} ids occur twice; expected unique ids")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {str(user): i for i, user in enumerate(self.ids.tolist())}

    def index(self, user_id: str | int) -> int:
        """Index of an external user id. Raises UnknownName."""
        try:
            return self._index[str(user_id)]
        except KeyError:
            raise UnknownName("user", user_id, self._index) from None


@dataclass(frozen=True, kw_only=True, eq=False)
class Interactions:
    """A log in compressed rows: user `u` did ``items[indptr[u]:indptr[u + 1]]``, in order of time."""

    indptr: IntArray
    """``[n_users + 1]``."""
    items: NDArray[np.int32]
    """Item indices ``[n]``."""
    ratings: NDArray[np.float32]
    """Stars ``[n]``; 1.0 throughout where the log has no ratings."""
    times: IntArray
    """Seconds since 1970 ``[n]``; where the log has no times, the position in the log."""

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def users(self) -> IntArray:
        """The user of each interaction ``[n]``."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def holds(self, users: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Whether each of these users did each of these items, arrays that broadcast."""
        wide = int(max(self.items.max(initial=0), items.max(initial=0))) + 1
        return np.isin(users.astype(np.int64) * wide + items, self.users * wide + self.items)

    def rows(self, starts: IntArray, ends: IntArray) -> IntArray:
        """The positions ``[starts[i], ends[i])`` of all `i`, one after another."""
        lengths = ends - starts
        offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        return np.arange(int(lengths.sum())) + offsets


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Who and what a policy may learn from. Made by `Dataset.split`."""

    seed: int
    visible_end: IntArray
    """``[n_users]``: user `u`'s interactions ``[indptr[u], visible_end[u])`` are visible to a policy, the rest came after."""
    train: IntArray
    """Indices of the users whose logs models are fitted on."""
    validation: IntArray
    test: IntArray

    def group(self, name: str) -> IntArray:
        """The users "train", "validation", "test" or "all". Raises UnknownName."""
        groups = {"train": self.train, "validation": self.validation, "test": self.test}
        if name == "all":
            return np.arange(len(self.visible_end))
        if name not in groups:
            raise UnknownName("group of users", name, [*groups, "all"])
        return groups[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A catalogue, its users, and what they did."""

    name: str
    catalog: Catalog
    users: Users
    interactions: Interactions
    explicit: bool
    """Whether `interactions.ratings` are ratings that people gave."""
    rating_scale: tuple[float, float] = (1.0, 5.0)
    like_threshold: float = 4.0
    """Ratings from here on count as liked; without ratings every interaction does."""
    source: str = ""
    """Where the data is from, its licence and what to cite."""
    impressions: Impressions | None = None
    """What the users were shown, and what became of it, where that was logged."""
    random_ratings: Interactions | None = None
    """Ratings of items that were drawn for the users, not chosen by them, where such were asked for."""

    def __post_init__(self) -> None:
        log = self.interactions
        ends_right = len(log.indptr) == len(self.users) + 1 and log.indptr[0] == 0 and log.indptr[-1] == len(log)
        if not ends_right or (np.diff(log.indptr) < 0).any() or len(log.ratings) != len(log) or len(log.times) != len(log):
            raise ConfigError(
                f"data set {self.name!r}: interactions do not fit {len(self.users)} users; expected an ascending indptr of n_users + 1 "
                "entries from 0 to the length of the log"
            )
        if len(log) and (log.items.min() < 0 or log.items.max() >= len(self.catalog)):
            span = f"{log.items.min()} to {log.items.max()}"
            raise ConfigError(f"data set {self.name!r}: item indices reach from {span}; expected 0 to {len(self.catalog) - 1}")

    @cached_property
    def liked(self) -> NDArray[np.bool_]:
        """Which interactions were positive ``[n]``."""
        if not self.explicit:
            return np.ones(len(self.interactions), dtype=np.bool_)
        return self.interactions.ratings >= self.like_threshold

    def split(self, *, seed: int = 0, visible: float = 0.8, validation: float = 0.1, test: float = 0.1) -> Split:
        """Split by time within each user and by user.

        The first ``ceil(visible * n_u)`` interactions of every user are visible to policies (at least one stays hidden from
        three interactions on); whole users are drawn into train, validation and test, which are disjoint. The same seed gives
        the same split on every machine. Raises ConfigError.
        """
        if not (0 < visible < 1 and validation >= 0 and test >= 0 and validation + test < 1):
            got = f"visible={visible}, validation={validation}, test={test}"
            raise ConfigError(f"split: got {got}; expected visible in (0, 1) and shares of users whose sum is below 1")
        counts = np.diff(self.interactions.indptr)
        shown = np.ceil(visible * counts).astype(np.int64)
        shown = np.where(counts >= 3, np.minimum(shown, counts - 1), counts)
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(self.users))
        n_validation, n_test = round(validation * len(order)), round(test * len(order))
        return Split(
            seed=seed,
            visible_end=self.interactions.indptr[:-1] + shown,
            test=np.sort(order[:n_test]),
            validation=np.sort(order[n_test : n_test + n_validation]),
            train=np.sort(order[n_test + n_validation :]),
        )

    def known(self, split: Split) -> tuple[Dataset, Split]:
        """The data set without what came after the visible part of each user, and the same groups of users in it.

        Nothing that is left out is anywhere in it, whatever reads it: popularity is counted anew, and impressions and
        `random_ratings` are not there.
        """
        log = self.interactions
        starts, ends = log.indptr[:-1], split.visible_end
        rows = log.rows(starts, ends)
        indptr = np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64)
        seen = Interactions(indptr=indptr, items=log.items[rows], ratings=log.ratings[rows], times=log.times[rows])
        popularity = np.bincount(seen.items, minlength=len(self.catalog)).astype(np.float32)
        catalog = replace(self.catalog, popularity=popularity)
        rest = replace(self, catalog=catalog, interactions=seen, impressions=None, random_ratings=None)
        return rest, replace(split, visible_end=indptr[1:])
