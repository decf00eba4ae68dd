"""What every recommender must hold to. Subclass it in a test module of your own:

    class TestMine(RecommenderTests):
        expected_ndcg = (0.05, 0.20)      # optional: on the data set `mini`

        def make(self) -> Recommender:
            return Mine()

The tests load the data set `mini`; override `load` for another one.
"""

from __future__ import annotations

import numpy as np
import pytest

from recoworld.errors import ConfigError
from recoworld.luck import Luck, combine
from recoworld.registry import DATASETS
from recoworld.types import Act, Ints, Observations, Recommender, Slates
from recoworld.users import Dataset, Split


class RecommenderTests:
    """Conformance suite: pytest collects the tests of a subclass that implements `make`."""

    expected_ndcg: tuple[float, float] | None = None
    """Where NDCG@10 on validation users' hidden likes must lie (`hidden_ndcg`); None: not checked."""

    def make(self) -> Recommender:
        """A new recommender, not fitted."""
        raise NotImplementedError(f"{type(self).__name__}: implement make() so that it returns the recommender under test")

    def load(self) -> Dataset:
        """The data set to test on."""
        dataset: Dataset = DATASETS["mini"]()
        return dataset

    @pytest.fixture
    def dataset(self) -> Dataset:
        """What `load` gives, once for all tests."""
        return _fitted(type(self))[0]

    @pytest.fixture
    def split(self) -> Split:
        """Who is for training, and what is visible."""
        return _fitted(type(self))[1]

    @pytest.fixture
    def policy(self) -> Recommender:
        """What `make` gives, fitted once for all tests."""
        return _fitted(type(self))[2]

    @pytest.fixture
    def strangers(self, dataset: Dataset, split: Split) -> Observations:
        """First observations of 64 users whom the policy has not been fitted on."""
        return first_observations(dataset, split, split.validation[:64])

    def test_it_has_a_name(self) -> None:
        """Reports and leaderboards print it."""
        name = self.make().name
        assert isinstance(name, str)
        assert name

    def test_slates_hold_different_items_of_the_catalogue(self, policy: Recommender, strangers: Observations, dataset: Dataset) -> None:
        """For users whom it was not fitted on."""
        check_slates(policy.recommend(strangers, luck_of(strangers)), strangers, dataset)

    def test_the_same_question_has_the_same_answer(self, policy: Recommender, strangers: Observations) -> None:
        """All randomness comes from `luck`."""
        first, second = (policy.recommend(strangers, luck_of(strangers)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_fitting_again_changes_nothing(self, policy: Recommender, strangers: Observations, dataset: Dataset, split: Split) -> None:
        """The same data make the same policy."""
        again = self.make()
        again.fit(dataset, split)
        np.testing.assert_array_equal(again.recommend(strangers, luck_of(strangers)), policy.recommend(strangers, luck_of(strangers)))

    @pytest.mark.parametrize("size", [1, 7])
    def test_a_user_does_not_depend_on_the_batch(self, policy: Recommender, strangers: Observations, size: int) -> None:
        """Split and shuffled batches get the same slates, item for item."""
        luck = luck_of(strangers)
        whole, n = policy.recommend(strangers, luck), len(strangers["slate"])
        order = np.random.default_rng(0).permutation(n)
        for start in range(0, n, size):
            rows = order[start : start + size]
            part = {key: value[rows] for key, value in strangers.items()}
            np.testing.assert_array_equal(policy.recommend(part, Luck(luck.keys[rows])), whole[rows])

    def test_observations_are_left_alone(self, policy: Recommender, strangers: Observations) -> None:
        """They may be read-only, and are not changed."""
        given = {key: value.copy() for key, value in strangers.items()}
        for value in given.values():
            value.flags.writeable = False
        policy.recommend(given, luck_of(given))
        for key, value in strangers.items():
            np.testing.assert_array_equal(given[key], value)

    def test_a_user_without_history_gets_a_slate(self, policy: Recommender, strangers: Observations, dataset: Dataset) -> None:
        """A cold start."""
        blank = {key: np.zeros_like(value) for key, value in strangers.items()}
        check_slates(policy.recommend(blank, luck_of(blank)), blank, dataset)

    def test_a_user_who_has_met_everything_gets_a_slate(self, policy: Recommender, strangers: Observations, dataset: Dataset) -> None:
        """Nothing new is left to show."""
        n, n_items = len(strangers["slate"]), len(dataset.catalog)
        order = np.argsort(np.random.default_rng(0).random((n, n_items)), axis=1).astype(np.int32)
        full = {**strangers, "history": order + 1, "history_acts": np.full((n, n_items), Act.CLICKED, np.int8)}
        check_slates(policy.recommend(full, luck_of(full)), full, dataset)

    def test_the_whole_catalogue_is_a_slate(self, policy: Recommender, dataset: Dataset, split: Split) -> None:
        """As many slots as items."""
        whole = first_observations(dataset, split, split.validation[:3], slate_size=len(dataset.catalog))
        check_slates(policy.recommend(whole, luck_of(whole)), whole, dataset)

    def test_more_slots_than_items_are_refused(self, policy: Recommender, dataset: Dataset, split: Split) -> None:
        """One slot too many is a ConfigError that tells the number of items."""
        many = first_observations(dataset, split, split.validation[:2], slate_size=len(dataset.catalog) + 1)
        with pytest.raises(ConfigError, match=str(len(dataset.catalog))):
            policy.recommend(many, luck_of(many))

    def test_accuracy(self, policy: Recommender, dataset: Dataset, split: Split) -> None:
        """The gate `expected_ndcg`."""
        if self.expected_ndcg is None:
            pytest.skip("no expected_ndcg")
        low, high = self.expected_ndcg
        found = hidden_ndcg(policy, dataset, split, split.validation)
        assert low <= found <= high, f"NDCG@10 is {found:.4f}; expected {low} to {high}"


_FITTED: dict[type, tuple[Dataset, Split, Recommender]] = {}


def _fitted(suite: type[RecommenderTests]) -> tuple[Dataset, Split, Recommender]:
    if suite not in _FITTED:
        _FITTED.clear()  # pytest is done with one class before it starts another
        dataset, policy = suite().load(), suite().make()
        split = dataset.split(seed=0)
        policy.fit(dataset, split)
        _FITTED[suite] = dataset, split, policy
    return _FITTED[suite]


def first_observations(dataset: Dataset, split: Split, users: Ints, *, slate_size: int = 10, history_length: int = 100) -> Observations:
    """What a policy sees of these users before the first slate, laid out as in `recoworld.envs.codec`."""
    log, catalog, n = dataset.interactions, dataset.catalog, len(users)
    items, acts = np.zeros((n, history_length), np.int32), np.zeros((n, history_length), np.int8)
    for i, user in enumerate(users):
        end = split.visible_end[user]
        seen = slice(max(log.indptr[user], end - history_length), end)
        length = seen.stop - seen.start
        items[i, history_length - length :] = log.items[seen] + 1
        acts[i, history_length - length :] = np.where(dataset.liked[seen], Act.RATED, Act.DISLIKED)
    return {
        "profile": dataset.users.features[users],
        "history": items,
        "history_acts": acts,
        "slate": np.zeros((n, slate_size), np.int32),
        "feedback": np.zeros((n, slate_size, 6), np.float32),
        "instruction": np.zeros((n, 6 + catalog.features.shape[1] + 2), np.float32),
        "instruction_code": np.zeros((n, 4), np.int32),
        "turn": np.zeros((n, 1), np.float32),
    }


def luck_of(observations: Observations, seed: int = 0) -> Luck:
    """Luck for a batch of observations."""
    return Luck(combine(seed, np.arange(len(observations["slate"]))))


def check_slates(slates: Slates, observations: Observations, dataset: Dataset) -> None:
    """Fails unless these are slates that a world would take."""
    n, k = observations["slate"].shape
    assert slates.dtype == np.int64, f"slates are {slates.dtype}; expected int64"
    assert slates.shape == (n, k), f"slates have shape {slates.shape}; expected {(n, k)}"
    assert slates.min() >= 0, f"a slate holds {slates.min()}; expected item indices from 0"
    assert slates.max() < len(dataset.catalog), f"a slate holds {slates.max()}; expected item indices below {len(dataset.catalog)}"
    assert (np.diff(np.sort(slates, axis=1), axis=1) > 0).all(), "a slate holds an item twice"


def hidden_ndcg(policy: Recommender, dataset: Dataset, split: Split, users: Ints, *, k: int = 10, history_length: int = 100) -> float:
    """Mean NDCG@k of first slates against what the users liked after the split, ranked among the whole catalogue.

    Gain 1 for each hidden item at or above the like threshold; users without one are left out (Järvelin & Kekäläinen 2002).
    """
    seen = first_observations(dataset, split, users, slate_size=k, history_length=history_length)
    slates = policy.recommend(seen, luck_of(seen))
    log, discount, found = dataset.interactions, 1 / np.log2(np.arange(k) + 2.0), []
    for user, slate in zip(users, slates, strict=True):
        rest = slice(split.visible_end[user], log.indptr[user + 1])
        liked = np.unique(log.items[rest][dataset.liked[rest]])
        if liked.size:
            found.append(discount[np.isin(slate, liked)].sum() / discount[: liked.size].sum())
    return float(np.mean(found))
