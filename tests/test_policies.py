"""Policies against what can be worked out by hand, and all of them against the conformance suite."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from recoworld.catalog import build_catalog
from recoworld.errors import ConfigError, MissingExtra, UnknownName
from recoworld.instructions import FORMS, compliance, matches
from recoworld.luck import Luck, combine
from recoworld.policies import make_policy
from recoworld.policies.als import ALS
from recoworld.policies.baselines import Popularity, Random
from recoworld.policies.ease import EASE
from recoworld.policies.genre import GenreMatch
from recoworld.policies.instruct import InstructionFollowing, instructed_ease
from recoworld.policies.knn import ItemKNN
from recoworld.policies.scoring import MET, Scorer, demote_met, fixed_point, history_weights, top
from recoworld.registry import DATASETS, POLICIES
from recoworld.testing.recommenders import RecommenderTests, first_observations, luck_of
from recoworld.types import Act, Aspect, Floats, Instruction, Kind, Observations, Recommender
from recoworld.users import Dataset, Interactions, Split, Users

# bounds of NDCG@10 on `mini`: about three standard errors around what was measured
GATES = {
    "random": (0.0, 0.05),
    "popularity": (0.06, 0.14),
    "genre": (0.08, 0.16),
    "item-knn": (0.11, 0.21),
    "ease": (0.13, 0.24),
    "als": (0.13, 0.25),
    "ease+instruct": (0.13, 0.24),
}


def _suite(name: str) -> type[RecommenderTests]:
    def make(self: RecommenderTests) -> Recommender:
        return make_policy(name)

    return type(f"Test {name}", (RecommenderTests,), {"make": make, "expected_ndcg": GATES.get(name)})


for _name in [name for name in POLICIES if name != "oracle"] + ["als+instruct", "genre+instruct"]:  # the oracle needs a world
    globals()[f"Test_{_name}"] = _suite(_name)


class Fixed(Scorer):
    """Scores that a test chooses."""

    name = "fixed"

    def __init__(self, scores: Any = ()) -> None:
        self.given = np.array(scores, np.float32)

    def fit(self, dataset: Dataset, split: Split) -> None:
        self._learned(dataset.catalog)

    def scores(self, observations: Observations) -> Floats:
        return np.tile(self.given, (len(observations["slate"]), 1))


def logged(likes: list[list[int]], *, n_items: int = 5, dislikes: list[list[int]] | None = None, **catalog: Any) -> tuple[Dataset, Split]:
    """Users who liked and disliked these items, all of them for training."""
    n, dislikes = len(likes), dislikes or [[] for _ in likes]
    items = [item for pair in zip(likes, dislikes, strict=True) for part in pair for item in part]
    stars = [star for yes, no in zip(likes, dislikes, strict=True) for star in [5.0] * len(yes) + [2.0] * len(no)]
    ends = np.cumsum([len(yes) + len(no) for yes, no in zip(likes, dislikes, strict=True)])
    names, ids = [str(i) for i in range(n_items)], np.array([str(user) for user in range(n)])
    dataset = Dataset(
        name="by hand",
        catalog=build_catalog(name="by hand", ids=names, titles=names, **{"genres": [("A",)] * n_items, **catalog}),
        users=Users(ids=ids, features=np.zeros((n, 1), np.float32), feature_names=("-",), descriptions=np.full(n, "")),
        interactions=Interactions(
            indptr=np.concatenate([[0], ends]).astype(np.int64),
            items=np.array(items, np.int32),
            ratings=np.array(stars, np.float32),
            times=np.arange(len(items)),
        ),
        explicit=True,
    )
    nobody = np.arange(0)
    return dataset, Split(seed=0, visible_end=dataset.interactions.indptr[1:], train=np.arange(n), validation=nobody, test=nobody)


def seen(*items: int, k: int = 2, act: Act = Act.LIKED, code: tuple[int, ...] = (0, 0, 0, 0)) -> Observations:
    """One user who met these items, and what it asks for."""
    history = np.array([[0, *(item + 1 for item in items)]], np.int32)
    acts = np.where(history > 0, act, Act.NONE).astype(np.int8)
    return {"history": history, "history_acts": acts, "slate": np.zeros((1, k), np.int32), "instruction_code": np.array([code], np.int32)}


def shown(policy: Recommender, observations: Observations) -> list[int]:
    return [int(item) for item in policy.recommend(observations, luck_of(observations))[0]]


# scoring


def test_history_weights_count_what_was_liked() -> None:
    acts = np.array([[act.value for act in Act] + [Act.SKIPPED, Act.CLICKED]], np.int8)
    history = np.array([[0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1]], np.int32)  # item 0 disliked, then clicked; item 7 shared, then skipped
    weights = history_weights({"history": history, "history_acts": acts}, 9)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, [[1, 1, 0, 0, 1, 1, 1, 1, 0]])


def test_top_breaks_ties_by_index() -> None:
    scores = np.array([[1, 3, 3, 3, 0], [5, 5, 5, 5, 5], [0, 1, 2, 3, 4]], np.float32)
    np.testing.assert_array_equal(top(scores, 2), [[1, 2], [0, 1], [4, 3]])
    np.testing.assert_array_equal(top(scores, 4), [[1, 2, 3, 0], [0, 1, 2, 3], [4, 3, 2, 1]])
    np.testing.assert_array_equal(top(np.tile(scores, (1, 40)), 1)[:, 0], [1, 0, 4])


def test_top_refuses_nan() -> None:
    with pytest.raises(ConfigError, match="NaN"):
        top(np.array([[1, np.nan, np.nan]], np.float32), 2)


def test_met_items_come_last_the_longest_ago_first() -> None:
    dataset, split = logged([[0]])
    policy = Fixed([5, 4, 3, 2, 1])
    policy.fit(dataset, split)
    assert shown(policy, seen(0, 1, k=3)) == [2, 3, 4]
    assert shown(policy, seen(1, 0, 3, 2, k=3)) == [4, 1, 0]
    assert shown(policy, seen(0, 1, 2, 3, 4, 0, k=5)) == [1, 2, 3, 4, 0]
    demoted = demote_met(np.zeros((1, 5), np.float32), np.array([[0, 3]]))
    assert (demoted[0] <= MET).tolist() == [False, False, True, False, False]


def test_fixed_point_products_add_up_the_same_in_any_order() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(200, 64)), rng.normal(size=(300, 64))
    a = fixed_point(left / np.linalg.norm(left, axis=1, keepdims=True), 11)
    b = fixed_point(right / np.linalg.norm(right, axis=1, keepdims=True), 12)
    exact = (a.astype(np.float64) @ b.T.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(a @ b.T, exact)
    np.testing.assert_array_equal(np.stack([row @ b.T for row in a]), exact)


def test_an_unfitted_policy_says_so() -> None:
    for policy in (EASE(), Random(), instructed_ease()):
        with pytest.raises(ConfigError, match="fit"):
            policy.recommend(seen(0), luck_of(seen(0)))


def test_another_catalogues_history_is_refused() -> None:
    dataset, split = logged([[0, 1]])
    policy = Popularity()
    policy.fit(dataset, split)
    with pytest.raises(ConfigError, match="expected 0 to 5"):
        policy.recommend(seen(7), luck_of(seen(7)))


# families


def test_random_is_uniform_over_unmet_items() -> None:
    dataset, split = logged([[0]], n_items=10)
    policy = Random()
    policy.fit(dataset, split)
    observations = {key: np.repeat(value, 20_000, axis=0) for key, value in seen(0, 1, k=4).items()}
    slates = policy.recommend(observations, Luck(combine(0, np.arange(20_000))))
    shares = np.stack([np.bincount(slates[:, slot], minlength=10) for slot in range(4)]) / 20_000
    np.testing.assert_array_equal(shares[:, :2], 0)
    np.testing.assert_allclose(shares[:, 2:], 1 / 8, atol=4 * np.sqrt(1 / 8 * 7 / 8 / 20_000))


def test_popularity_counts_training_users_likes() -> None:
    dataset, split = logged([[3, 1], [3], [3, 2], [4, 4]], dislikes=[[0], [0], [0], []])
    policy = Popularity()
    policy.fit(dataset, split)
    np.testing.assert_array_equal(policy.scores(seen(0)), [[0, 1, 1, 3, 2]])
    assert shown(policy, seen(k=5)) == [3, 4, 1, 2, 0]
    policy.fit(dataset, Split(seed=0, visible_end=split.visible_end, train=np.array([3]), validation=split.train[:3], test=split.test))
    assert shown(policy, seen(k=2)) == [4, 0]


def test_genre_match_is_the_cosine_with_what_was_liked() -> None:
    genres = [("A",), ("A", "B"), ("B",), ("C",), ("A",)]
    dataset, split = logged([[0, 3], [0]], genres=genres, years=[1990, 1990, 2000, 2000, 2000])  # liked twice, once, never
    policy = GenreMatch(prior=0.5)
    policy.fit(dataset, split)
    # vectors: sqrt(3)/2 for the genres, split evenly, and 1/2 for the decade; profile: item 0 + item 4 = (sqrt(3), 0, 0; 1/2, 1/2)
    x = np.array([[1, 0, 0], [0.5**0.5, 0.5**0.5, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]) * 0.75**0.5
    x = np.hstack([x, 0.5 * np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]])])
    profile = np.array([3**0.5, 0, 0, 0.5, 0.5]) / np.sqrt(3.5)
    expected = x @ profile + 0.5 * np.array([1, 0, 0, 0.5, 0])
    np.testing.assert_allclose(policy.scores(seen(0, 4))[0], expected, atol=1e-3)
    np.testing.assert_allclose(policy.scores(seen(3, act=Act.SKIPPED))[0], [0.5, 0, 0, 0.25, 0])


def test_item_knn_by_hand() -> None:
    # likes by item: 0 by users 0 1 2, 1 by 0 1, 2 by 2 3, 3 by 3, 4 by nobody
    dataset, split = logged([[0, 1], [0, 1], [0, 2], [2, 3]])
    policy = ItemKNN(neighbors=5, shrinkage=0.0)
    policy.fit(dataset, split)
    to_0 = [0, 2 / 6**0.5, 1 / 6**0.5, 0, 0]
    to_2 = [1 / 6**0.5, 0, 0, 1 / 2**0.5, 0]
    np.testing.assert_allclose(policy.scores(seen(0))[0], to_0, atol=2e-6)
    np.testing.assert_allclose(policy.scores(seen(0, 2))[0], np.add(to_0, to_2), atol=2e-6)
    assert shown(policy, seen(3, k=2, act=Act.DISLIKED)) == [0, 1]  # nothing liked: in order of popularity, 1 before 2 by index

    policy = ItemKNN(neighbors=1, shrinkage=10.0)
    policy.fit(dataset, split)
    np.testing.assert_allclose(policy.scores(seen(0, 2))[0], [0, 2 / (6**0.5 + 10), 0, 1 / (2**0.5 + 10), 0], atol=2e-6)


def test_ease_is_the_ridge_regression_of_each_item_on_the_others() -> None:
    dataset, split = logged([[0, 1, 2], [0, 1], [1, 2, 3], [3, 4], [0, 4], [1, 3]])
    policy = EASE(l2=2.0)
    policy.fit(dataset, split)
    x = np.zeros((6, 5))
    x[dataset.interactions.users, dataset.interactions.items] = 1
    weights = np.zeros((5, 5))
    for j in range(5):
        rest = [i for i in range(5) if i != j]
        weights[rest, j] = np.linalg.solve(x[:, rest].T @ x[:, rest] + 2.0 * np.eye(4), x[:, rest].T @ x[:, j])
    for items in ([0], [1, 3], [0, 1, 2, 3, 4]):
        np.testing.assert_allclose(policy.scores(seen(*items))[0], weights[items].sum(axis=0), atol=2e-6)
    assert shown(policy, seen(k=2)) == [1, 0]  # no history: the popular ones


def test_als_folds_users_in_as_implicit_does() -> None:
    als = pytest.importorskip("implicit.als")
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    likes = [sorted(rng.choice(30, 6, replace=False).tolist()) for _ in range(80)]
    dataset, split = logged(likes, n_items=30)
    policy = ALS(factors=8, reg=0.5, alpha=4.0)
    policy.fit(dataset, split)
    matrix = sparse.csr_matrix((np.ones(480, np.float32), (dataset.interactions.users, dataset.interactions.items)), shape=(80, 30))
    model = als.AlternatingLeastSquares(factors=8, regularization=0.5, alpha=4.0, iterations=15, random_state=0, use_gpu=False)
    model.fit(matrix, show_progress=False)
    row = np.zeros((1, 30), np.float32)
    row[0, [2, 5, 7]] = 1
    user = model.recalculate_user(0, sparse.csr_matrix(row))
    expected = model.item_factors @ user / np.linalg.norm(user) / np.linalg.norm(model.item_factors, axis=1).max()
    np.testing.assert_allclose(policy.scores(seen(2, 5, 7))[0], expected, atol=3e-3)


def test_als_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.als", None)
    with pytest.raises(MissingExtra, match=r"recoworld\[classic\]"):
        ALS().fit(*logged([[0, 1]]))


@pytest.mark.parametrize("make", [EASE, ItemKNN])
def test_catalogues_too_large_for_pairs_are_refused(make: Callable[..., Scorer]) -> None:
    with pytest.raises(ConfigError, match=r"GiB for the pairs of 5 items.*'als'"):
        make(memory_limit=0.0).fit(*logged([[0, 1]]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: EASE(l2=0.0),
        lambda: EASE(l2=float("nan")),
        lambda: GenreMatch(prior=-1.0),
        lambda: ItemKNN(neighbors=0),
        lambda: ItemKNN(neighbors=2.5),  # type: ignore[arg-type]
        lambda: ALS(factors=True),
        lambda: ALS(alpha=0.5),
        lambda: InstructionFollowing(EASE(), diversity=1.0),
        lambda: InstructionFollowing(Random()),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match=r"got .*expected"):
        make()


# instructions


@pytest.fixture(scope="module")
def mini() -> Dataset:
    dataset: Dataset = DATASETS["mini"]()
    return dataset


@pytest.fixture(scope="module")
def ease(mini: Dataset) -> EASE:
    policy = EASE()
    policy.fit(mini, mini.split())
    return policy


def _value(aspect: Aspect, kind: Kind, dataset: Dataset) -> int:
    catalog = dataset.catalog
    return {
        Aspect.GENRE: catalog.genre_names.index("Drama"),
        Aspect.ERA: 1990,
        Aspect.POPULARITY: int(kind in (Kind.MORE, Kind.LESS)),
        Aspect.PERSON: int(np.bincount(catalog.people[catalog.people >= 0]).argmax()),
        Aspect.TITLE: int(catalog.popularity.argmax()),
    }[aspect]


@pytest.mark.parametrize(("kind", "aspect"), FORMS, ids=lambda form: form.name.lower())
@pytest.mark.parametrize("k", [1, 5, 10])
def test_each_form_of_instruction_is_followed(kind: Kind, aspect: Aspect, k: int, mini: Dataset, ease: EASE) -> None:
    plain = first_observations(mini, mini.split(), mini.split().validation[:20], slate_size=k)
    value = _value(aspect, kind, mini)
    code = np.tile(np.array([kind, aspect, value, 1], np.int32), (20, 1))
    code[::4] = 0  # every fourth says nothing
    told = {**plain, "instruction_code": code}
    own, slates = (InstructionFollowing(ease).recommend(each, luck_of(each)) for each in (plain, told))
    np.testing.assert_array_equal(slates[::4], own[::4])
    np.testing.assert_array_equal(own, ease.recommend(plain, luck_of(plain)))
    assert (np.diff(np.sort(slates, axis=1), axis=1) > 0).all()
    assert not (plain["history"][:, :, None] == slates[:, None, :] + 1).any()

    rows = np.flatnonzero(code[:, 0])
    said = Instruction.none(20).put(rows, _said(kind, aspect, value, len(rows))).take(rows)
    fit, before = (matches(said, mini.catalog, each[rows]).sum(axis=1) for each in (slates, own))
    if kind in (Kind.LESS, Kind.AVOID):
        bound = min(1, k // 2) if kind == Kind.LESS else 0
        np.testing.assert_array_equal(fit, np.minimum(before, bound))
    else:
        unmet = matches(said, mini.catalog)
        for i, row in enumerate(rows):
            unmet[i, plain["history"][row][plain["history"][row] > 0] - 1] = False
        bound = k if kind == Kind.ONLY else k // 2 + 1
        np.testing.assert_array_equal(fit, np.minimum(np.maximum(before, bound), np.maximum(unmet.sum(axis=1), before)))
        full = unmet.sum(axis=1) >= bound
        np.testing.assert_array_equal(compliance(said, mini.catalog, slates[rows])[full], 1.0)
        first = matches(said, mini.catalog, slates[rows][:, :1])[:, 0]
        assert first[fit > 0].all()


def _said(kind: Kind, aspect: Aspect, value: int, n: int) -> Instruction:
    filled = [np.full(n, number, kind_of) for number, kind_of in ((kind, np.int8), (aspect, np.int8), (value, np.int32), (0, np.uint32))]
    return Instruction(kind=filled[0], aspect=filled[1], value=filled[2], phrasing=filled[3])


@pytest.mark.parametrize("kind", [Kind.MORE, Kind.LESS, Kind.AVOID, Kind.ONLY, Kind.DIFFERENT])
def test_no_slate_within_the_bounds_scores_higher(kind: Kind) -> None:
    rng, k = np.random.default_rng(int(kind)), 3
    low, high = {Kind.LESS: (0, 1), Kind.AVOID: (0, 0), Kind.ONLY: (3, 3)}.get(kind, (2, 3))
    for _ in range(20):
        scores, is_a = rng.permutation(8).astype(np.float32), rng.permutation([True] * 4 + [False] * 4)
        dataset, split = logged([[0]], n_items=8, genres=[("A",) if a else ("B",) for a in is_a])
        policy = InstructionFollowing(Fixed(scores))
        policy.fit(dataset, split)
        fits = ~is_a if kind == Kind.DIFFERENT else is_a
        allowed = [slate for slate in itertools.combinations(range(8), k) if low <= fits[list(slate)].sum() <= high]
        best = max(allowed, key=lambda slate: scores[list(slate)].sum())
        assert sorted(shown(policy, seen(k=k, code=(kind, Aspect.GENRE, 0, 0)))) == list(best)


def test_wanted_items_are_spread_from_the_first_slot_on() -> None:
    dataset, split = logged([[0]], n_items=10, genres=[("B",)] * 5 + [("A",)] * 5)
    policy = InstructionFollowing(Fixed(np.arange(10, 0, -1)))
    policy.fit(dataset, split)
    more, less = (Kind.MORE, Aspect.GENRE, 0, 0), (Kind.LESS, Aspect.GENRE, 1, 0)
    assert shown(policy, seen(k=5)) == [0, 1, 2, 3, 4]
    assert shown(policy, seen(k=5, code=more)) == [5, 0, 6, 7, 1]
    assert shown(policy, seen(k=5, code=less)) == [0, 5, 6, 7, 8]
    assert shown(policy, seen(k=6, code=(Kind.ONLY, Aspect.GENRE, 0, 0))) == [5, 6, 7, 8, 9, 0]  # there are but five


def test_a_met_item_is_no_way_to_obey() -> None:
    dataset, split = logged([[0]], n_items=6, genres=[("A",)] * 3 + [("B",)] * 3)
    policy = InstructionFollowing(Fixed([6, 5, 4, 3, 2, 1]))
    policy.fit(dataset, split)
    assert shown(policy, seen(0, 1, k=3, code=(Kind.ONLY, Aspect.GENRE, 0, 0))) == [2, 3, 4]
    assert shown(policy, seen(3, 4, k=3, code=(Kind.AVOID, Aspect.GENRE, 0, 0))) == [0, 1, 5]
    assert shown(policy, seen(0, 1, 2, 3, 4, k=3, code=(Kind.AVOID, Aspect.GENRE, 0, 0))) == [5, 0, 1]  # one left, the oldest fill up


@pytest.mark.parametrize("kind", [Kind.NONE, Kind.MORE, Kind.AVOID])
def test_diversity_makes_slates_varied_and_keeps_to_the_instruction(kind: Kind, mini: Dataset, ease: EASE) -> None:
    given = first_observations(mini, mini.split(), mini.split().validation[:50])
    given["instruction_code"][:] = (kind, Aspect.GENRE if kind else Aspect.NONE, mini.catalog.genre_names.index("Drama") if kind else 0, 0)
    plain, varied = (InstructionFollowing(ease, diversity=weight).recommend(given, luck_of(given)) for weight in (0.0, 0.5))
    x = mini.catalog.features
    likeness = [np.einsum("nkd,njd->nkj", x[slates], x[slates]).mean() for slates in (plain, varied)]
    assert likeness[1] < likeness[0] - 0.05
    assert (np.diff(np.sort(varied, axis=1), axis=1) > 0).all()
    assert not (given["history"][:, :, None] == varied[:, None, :] + 1).any()
    drama = mini.catalog.genres[varied, mini.catalog.genre_names.index("Drama")].sum(axis=1)
    assert (drama >= 6).all() if kind == Kind.MORE else (drama == 0).all() or kind == Kind.NONE


# names


def test_names_make_policies() -> None:
    assert isinstance(make_policy("ease"), EASE)
    assert make_policy("ease+instruct").name == "ease+instruct"
    assert make_policy("genre+instruct").name == "genre+instruct"
    assert isinstance(make_policy("recoworld.policies.knn:ItemKNN"), ItemKNN)
    assert make_policy(f"{__name__}:Fixed+instruct").name == "fixed+instruct"


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("eese", UnknownName, "did you mean 'ease'"),
        ("als+instrct", UnknownName, r"did you mean 'als\+instruct'"),
        ("eese+instruct", UnknownName, "did you mean 'ease'"),
        ("no.such.module:Thing", ConfigError, "policy 'no.such.module:Thing': cannot import 'no.such.module'"),
        ("random+instruct", ConfigError, "'random' does not score items"),
        ("ease+instruct+instruct", ConfigError, "does not score items"),
        ("oracle+instruct", ConfigError, "does not score items"),
        ("math:pi", ConfigError, "cannot be made"),
        ("builtins:dict", ConfigError, "made a dict"),
        ("recoworld.policies.instruct:InstructionFollowing", ConfigError, "without required arguments"),
        (3, ConfigError, "got 3"),
    ],
)
def test_names_that_make_none(spec: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make_policy(spec)
