"""What every data set is held to."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.errors import ConfigError, UnknownName
from recoworld.users import Dataset, Users


class DatasetTests:
    """Subclass it, say how to make the data set, and pytest does the rest.

    Example:
        >>> class TestMine(DatasetTests):
        ...     def make_dataset(self) -> Dataset:
        ...         return load(data_dir="tests/data")

    `make_dataset` is called anew for most tests, so let it be quick or remember its result. Override the fixture `dataset`
    instead where other fixtures are needed.
    """

    def make_dataset(self) -> Dataset:
        """The data set under test."""
        raise NotImplementedError(f"{type(self).__name__} needs make_dataset() or a fixture `dataset`")

    @pytest.fixture
    def dataset(self) -> Dataset:
        """The data set under test."""
        return self.make_dataset()

    def test_dtypes(self, dataset: Dataset) -> None:
        """Every array has the dtype that its class declares, and no object array is among them, so that none needs pickle."""
        catalog, users, log = dataset.catalog, dataset.users, dataset.interactions
        declared: dict[type[np.generic], list[NDArray[Any]]] = {
            np.bool_: [catalog.genres],
            np.int16: [catalog.years],
            np.int32: [catalog.people, log.items],
            np.int64: [log.indptr, log.times],
            np.float32: [catalog.popularity, catalog.durations, users.features, log.ratings],
        }
        for dtype, arrays in declared.items():
            assert [array.dtype for array in arrays] == [np.dtype(dtype)] * len(arrays)
        assert all(array.dtype.kind == "U" for array in (catalog.ids, catalog.titles, catalog.texts, users.ids, users.descriptions))
        for part in (catalog, users, log):
            assert not any(getattr(getattr(part, field.name), "dtype", None) == np.object_ for field in fields(part))

    def test_shapes(self, dataset: Dataset) -> None:
        """One row an item, a user, an interaction."""
        catalog, users, log = dataset.catalog, dataset.users, dataset.interactions
        assert all(len(a) == len(catalog) for a in (catalog.titles, catalog.years, catalog.popularity, catalog.texts, catalog.durations))
        assert catalog.genres.shape == (len(catalog), len(catalog.genre_names))
        assert catalog.people.ndim == 2
        assert users.features.shape == (len(users), len(users.feature_names))
        assert log.indptr.shape == (len(users) + 1,)
        assert len(log.items) == len(log.ratings) == len(log.times) == log.indptr[-1]

    def test_ids_are_unique(self, dataset: Dataset) -> None:
        """Ids are non-empty, occur once, and lead back to their rows; unknown ones are told."""
        owners: tuple[Catalog | Users, ...] = (dataset.catalog, dataset.users)
        for owner in owners:
            assert len(np.unique(owner.ids)) == len(owner.ids)
            assert (owner.ids != "").all()
            assert [owner.index(str(owner.ids[i])) for i in (0, -1)] == [0, len(owner.ids) - 1]
            with pytest.raises(UnknownName):
                owner.index("no such id \n")

    def test_interactions_are_in_range_and_order(self, dataset: Dataset) -> None:
        """Item indices exist; rows of users follow one another; within a user time never runs back."""
        log = dataset.interactions
        assert log.indptr[0] == 0
        assert (np.diff(log.indptr) >= 0).all()
        assert len(log) > 0
        assert 0 <= log.items.min() <= log.items.max() < len(dataset.catalog)
        same_user = np.diff(log.users) == 0
        assert (np.diff(log.times)[same_user] >= 0).all()

    def test_ratings(self, dataset: Dataset) -> None:
        """Ratings lie in the scale, the like threshold too; without ratings they are 1 and every interaction is liked."""
        ratings, (low, high) = dataset.interactions.ratings, dataset.rating_scale
        assert np.isfinite(ratings).all()
        if dataset.explicit:
            assert np.float32(low) <= ratings.min() <= ratings.max() <= np.float32(high)
            assert low <= dataset.like_threshold <= high
            assert dataset.liked.any()
        else:
            assert (ratings == 1).all()
            assert dataset.liked.all()

    def test_catalogue(self, dataset: Dataset) -> None:
        """Items have titles and genres, plausible years, durations above 0 s, and the log's counts or more as popularity."""
        catalog = dataset.catalog
        assert catalog.genres.any(axis=1).all()
        assert len(set(catalog.genre_names)) == len(catalog.genre_names)
        assert (catalog.titles != "").all()
        assert ((catalog.years == 0) | (catalog.years > 1000)).all()
        assert (catalog.durations > 0).all()
        assert (catalog.popularity >= 0).all()
        assert ((catalog.popularity > 0) | (np.bincount(dataset.interactions.items, minlength=len(catalog)) == 0)).all()
        assert catalog.people.size == 0 or -1 <= catalog.people.min() <= catalog.people.max() < len(catalog.people_names)

    def test_content_features(self, dataset: Dataset) -> None:
        """Content vectors are float32, non-negative and of length 1."""
        features = dataset.catalog.features
        assert features.dtype == np.float32
        assert features.shape[0] == len(dataset.catalog)
        assert (features >= 0).all()
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)

    def test_demographics(self, dataset: Dataset) -> None:
        """User features lie in [0, 1]."""
        features = dataset.users.features
        assert features.shape[1] >= 1
        assert 0 <= features.min() <= features.max() <= 1

    def test_split_is_complete_and_disjoint(self, dataset: Dataset) -> None:
        """Each user is in one of train, validation and test."""
        split = dataset.split()
        everyone = np.concatenate([split.train, split.validation, split.test])
        assert np.array_equal(np.sort(everyone), np.arange(len(dataset.users)))
        assert len(split.train) > 0

    def test_split_is_seeded(self, dataset: Dataset) -> None:
        """The same seed gives the same split; where there are users enough, another one another."""
        first, again, other = dataset.split(seed=3), dataset.split(seed=3), dataset.split(seed=4)
        assert all(np.array_equal(first.group(name), again.group(name)) for name in ("train", "validation", "test"))
        assert len(dataset.users) < 50 or not np.array_equal(first.test, other.test)
        with pytest.raises(ConfigError):
            dataset.split(visible=1.5)

    def test_visible_part(self, dataset: Dataset) -> None:
        """Policies see the start of each user's log; from three interactions on at least one stays hidden."""
        start, end = dataset.interactions.indptr[:-1], dataset.interactions.indptr[1:]
        visible_end = dataset.split().visible_end
        assert ((start <= visible_end) & (visible_end <= end)).all()
        assert (visible_end < end)[end - start >= 3].all()

    def test_is_the_same_again(self, dataset: Dataset) -> None:
        """Making it twice gives the same arrays in the same order."""
        again = self.make_dataset() if type(self).make_dataset is not DatasetTests.make_dataset else dataset
        assert np.array_equal(again.catalog.ids, dataset.catalog.ids)
        assert np.array_equal(again.users.ids, dataset.users.ids)
        assert np.array_equal(again.interactions.items, dataset.interactions.items)
        assert np.array_equal(again.interactions.times, dataset.interactions.times)
