"""The harness's questions, sums and measures, against hand-made cases and closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.datasets import load_dataset
from recoworld.errors import ConfigError
from recoworld.evaluation.fidelity.asking.panel import Panel, make_panel
from recoworld.evaluation.fidelity.asking.questions import NEGATIVES, Questions, choices, mixtures, nth
from recoworld.evaluation.fidelity.asking.store import Answers
from recoworld.evaluation.fidelity.asking.sums import drawn_sums, figure, means
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures import alignment, choice, diversity, ratings
from recoworld.luck import Luck, combine
from recoworld.registry import SIMULATORS
from recoworld.simulators.behavioral import BehavioralSimulator
from recoworld.users import Dataset, Interactions


@pytest.fixture(scope="module")
def mini() -> Dataset:
    return load_dataset("mini")


@pytest.fixture(scope="module")
def panel(mini: Dataset) -> Panel:
    return make_panel(mini, users=100)


@pytest.fixture(scope="module")
def simulator(panel: Panel) -> BehavioralSimulator:
    made: BehavioralSimulator = SIMULATORS["behavioral"](panel.known, panel.split, {})
    return made


@pytest.fixture(scope="module")
def witness(panel: Panel, simulator: BehavioralSimulator) -> Witness:
    return Witness("behavioral", simulator, panel)


# what is known


def test_what_is_known_ends_with_the_visible_part(mini: Dataset) -> None:
    split = mini.split(seed=0)
    known, at = mini.known(split)
    log = mini.interactions
    for user in (0, 17, len(mini.users) - 1):
        mine = slice(log.indptr[user], split.visible_end[user])
        theirs = slice(known.interactions.indptr[user], known.interactions.indptr[user + 1])
        for column in ("items", "ratings", "times"):
            np.testing.assert_array_equal(getattr(log, column)[mine], getattr(known.interactions, column)[theirs])
    np.testing.assert_array_equal(at.visible_end, known.interactions.indptr[1:])
    np.testing.assert_array_equal(known.catalog.popularity, np.bincount(known.interactions.items, minlength=len(mini.catalog)))
    assert known.impressions is None
    assert known.random_ratings is None
    assert len(known.interactions) < len(log)


def test_nobody_who_is_asked_was_learned_from(mini: Dataset, panel: Panel) -> None:
    assert not np.isin(panel.users, panel.split.train).any()
    assert len(panel.users) == 100
    many = make_panel(mini, users=180)
    assert len(many.users) == 180
    assert "validation users join" in many.notes[0]
    np.testing.assert_array_equal(make_panel(mini, users=100).users, panel.users)
    assert not np.array_equal(make_panel(mini, users=50, seed=1).users, make_panel(mini, users=50).users)


@pytest.mark.parametrize("users", [1, 0, -3, 2.5, True])
def test_a_panel_of_fewer_than_two_is_refused(mini: Dataset, users: object) -> None:
    with pytest.raises(ConfigError, match="an integer from 2 on"):
        make_panel(mini, users=users)  # type: ignore[arg-type]


def test_a_log_with_nothing_held_out_is_refused(mini: Dataset) -> None:
    split = mini.split(seed=0)
    log = mini.interactions
    firsts = np.minimum(log.indptr[:-1] + 1, log.indptr[1:])
    short, _ = mini.known(replace(split, visible_end=firsts))
    with pytest.raises(ConfigError, match="after their visible part; expected at least two"):
        make_panel(short)


# questions


@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize("size", [5, 20])
def test_each_question_has_one_right_answer(panel: Panel, negatives: str, size: int) -> None:
    asked = choices(panel, negatives, size=size)  # type: ignore[arg-type]
    log, split = panel.truth.interactions, panel.truth_split
    assert asked.items.shape[1] == size
    assert (asked.taken.sum(axis=1) == 1).all()
    assert np.bincount(asked.users).max() <= 5
    for user, items, taken in zip(asked.users, asked.items, asked.taken, strict=True):
        ever = log.items[log.indptr[user] : log.indptr[user + 1]]
        before, later = ever[: split.visible_end[user] - log.indptr[user]], ever[split.visible_end[user] - log.indptr[user] :]
        assert len(set(items.tolist())) == size
        assert np.isin(items[taken], later).all()
        assert not np.isin(items[taken], before).any()
        assert not np.isin(items[~taken], ever).any()


def test_the_right_answer_stands_anywhere(panel: Panel) -> None:
    place = choices(panel, "random", most=50).taken.argmax(axis=1)
    counts = np.bincount(place, minlength=20)
    expected = len(place) / 20
    assert ((counts - expected) ** 2 / expected).sum() < 44  # chi-squared, 19 degrees of freedom: beyond it one time in a thousand
    assert np.abs(np.corrcoef(place, np.arange(len(place)))[0, 1]) < 0.1


def test_matched_negatives_are_as_popular_and_of_the_genre(panel: Panel) -> None:
    rank, genres = panel.known.catalog.popularity_rank, panel.known.catalog.genres
    by = {negatives: choices(panel, negatives) for negatives in NEGATIVES}

    def apart(asked: Questions) -> float:
        return float(np.abs(np.where(asked.taken, 0, rank[asked.items] - rank[asked.items[asked.taken]][:, None])).mean())

    def alike(asked: Questions) -> float:
        answer = genres[asked.items[asked.taken]]
        return float((genres[asked.items] & answer[:, None]).any(axis=2)[~asked.taken].mean())

    assert apart(by["popularity_matched"]) < 0.4 * apart(by["random"])
    assert alike(by["same_genre"]) == 1
    assert alike(by["random"]) < 0.6


def test_the_slate_alone_gives_nothing_away(panel: Panel) -> None:
    """Who knows nobody, and picks what is most or least typical of a slate, is as good as blind where negatives were matched.

    Blind is 0.227: the mean of 1 / log2(place + 1) over the first ten of twenty places, 0 for the others.
    """
    catalog = panel.known.catalog
    order = np.argsort(np.argsort(catalog.popularity, kind="stable")).astype(float)
    asked = choices(panel, "popularity_matched", most=50)
    middle = -np.abs(order[asked.items] - order[asked.items].mean(axis=1, keepdims=True)).astype(np.float32)
    for scores in (middle, -middle):
        mean = means({"ndcg": choice.gain(choice.ranked(scores, asked))}, asked.users)["ndcg"]
        assert mean["low"] - 0.03 < 0.227 < mean["high"] + 0.03
    popular = means({"ndcg": choice.gain(choice.ranked(catalog.popularity[asked.items], asked))}, asked.users)["ndcg"]
    assert popular["value"] < 0.33  # above blind at the ends of the catalogue alone; 0.5 among random items
    asked = choices(panel, "same_genre", size=5, most=50)
    kinds = catalog.genres[asked.items]
    assert (kinds == kinds[:, :1]).all()


def test_mixtures_have_the_wanted_share(panel: Panel) -> None:
    for others, taken in ((1, 10), (3, 5), (9, 2)):
        asked = mixtures(panel, others)
        assert (asked.taken.sum(axis=1) == taken).all()
        assert len(set(asked.users.tolist())) == len(asked.users)


def test_more_items_than_there_are_is_refused(panel: Panel) -> None:
    with pytest.raises(ConfigError, match="ask for fewer"):
        choices(panel, "random", size=10_000)


# measures


def handmade(taken: list[list[int]]) -> Questions:
    matrix = np.array(taken, bool)
    return Questions(users=np.arange(len(matrix)), items=np.arange(matrix.size).reshape(matrix.shape), taken=matrix)


def test_ranks_and_gains_by_hand() -> None:
    asked = handmade([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    scores = np.array([[3, 2, 1], [5, 1, 9], [1, 1, 1]], np.float32)
    rank = choice.ranked(scores, asked)
    assert rank.tolist() == [1, 1, 2]  # a tie keeps the order of the slate
    np.testing.assert_allclose(choice.gain(np.array([0, 1, 9, 10])), [1, 1 / np.log2(3), 1 / np.log2(11), 0])


def test_shares_are_the_conditional_logit() -> None:
    p = np.array([[0.5, 0.2, 0.9]])
    odds = p / (1 - p)
    np.testing.assert_allclose(choice.shares(p.astype(np.float32)), odds / odds.sum(), rtol=1e-5)


def test_calibration_by_hand() -> None:
    rng = np.random.default_rng(0)
    pi = rng.dirichlet(np.ones(5), size=20_000)
    taken = np.arange(5) == diversity.drawn(pi, rng.random(len(pi)))[:, None]
    asked = Questions(users=np.arange(len(pi)), items=np.zeros(pi.shape, np.int64), taken=taken)
    error, curve = choice.calibration(pi, asked)
    assert error["value"] < 0.005
    assert all(abs(point["said"] - point["came"]["value"]) < 0.02 for point in curve)
    sharp = pi**3 / (pi**3).sum(axis=1, keepdims=True)
    off, _ = choice.calibration(sharp, asked)
    assert off["value"] > 0.05


def test_yes_and_no_by_hand() -> None:
    asked = handmade([[1, 0, 0, 0], [1, 1, 0, 0]])
    yes = np.array([[1, 1, 0, 0], [1, 0, 0, 1]], bool)
    found = alignment.judged(yes, asked, 0)
    assert found["accuracy"]["value"] == pytest.approx(5 / 8)
    assert found["precision"]["value"] == pytest.approx(2 / 4)
    assert found["recall"]["value"] == pytest.approx(2 / 3)
    assert found["f1"]["value"] == pytest.approx(4 / 7)


def test_the_best_threshold_is_the_best() -> None:
    rng = np.random.default_rng(0)
    scores, taken = rng.integers(0, 9, (30, 6)).astype(np.float32), rng.random((30, 6)) < 0.4
    cut = alignment._best_cut(scores, Questions(users=np.arange(30), items=np.zeros((30, 6), np.int64), taken=taken))
    right = {float(c): (scores >= c)[taken].mean() + (scores < c)[~taken].mean() for c in np.unique(scores)}  # as if one in two was taken
    assert right[cut] == pytest.approx(max(right.values()))


def test_who_always_says_no_is_right_about_most(witness: Witness) -> None:
    found = alignment.measure(witness)
    assert found["tuned_at"] == "1:1"
    for mix, share in (("1:1", 0.5), ("1:3", 0.75), ("1:9", 0.9)):
        assert found[mix]["always_no"]["accuracy"]["value"] == share
        assert found[mix]["always_no"]["f1"]["value"] == 0


def test_the_threshold_is_tuned_on_the_largest_mixture_that_there_is(mini: Dataset) -> None:
    short = make_panel(brief(mini, 5))
    with pytest.raises(ConfigError, match="took 10 new items"):
        mixtures(make_panel(brief(mini, 5), group="train"), 1)
    found = alignment.measure(Witness("behavioral", SIMULATORS["behavioral"](short.known, short.split, {}), short))
    assert found["tuned_at"] == "1:3"
    assert found.keys() == {"threshold", "tuned_at", "1:3", "1:9"}
    assert 0 < found["1:3"]["tuned"]["recall"]["value"] < 1  # it does not always say no


def brief(data: Dataset, later: int) -> Dataset:
    """Everybody's log up to so many interactions after the visible part; at 80 %, which the split keeps."""
    log, kept = data.interactions, 5 * later
    starts = log.indptr[:-1]
    ends = np.minimum(log.indptr[1:], starts + kept)
    rows = log.rows(starts, ends)
    cut = Interactions(
        indptr=np.concatenate([[0], np.cumsum(ends - starts)]), items=log.items[rows], ratings=log.ratings[rows], times=log.times[rows]
    )
    return replace(data, interactions=cut)


@pytest.mark.parametrize("n", [12, 14, 24])
def test_small_catalogues_are_asked_what_they_have(mini: Dataset, n: int) -> None:
    """Questions of five where there are not twenty never met; of half the items where users are compared."""
    catalog, many = mini.catalog, len(mini.users)
    few = {name: getattr(catalog, name)[:n] for name in ("ids", "titles", "genres", "years", "popularity", "texts", "people", "durations")}
    rng = np.random.Generator(np.random.PCG64(0))
    drawn = np.stack([rng.permutation(n)[:6] for _ in range(many)])
    items = np.concatenate([np.tile(drawn[:, :2], (1, 8)), drawn[:, 2:]], axis=1).astype(np.int32)  # 2 items 8 times, then 4 new ones
    ones = np.ones(items.size, np.float32)
    taken = Interactions(indptr=np.arange(many + 1) * 20, items=items.ravel(), ratings=4 * ones, times=np.arange(items.size))
    small = make_panel(replace(mini, catalog=replace(catalog, **few), interactions=taken))
    asked = Witness("behavioral", SIMULATORS["behavioral"](small.known, small.split, {}), small)
    found = choice.measure(asked)
    assert "skipped" in found["random"]
    assert found["random_5"]["shown"] == 5
    assert 0 < found["random_5"]["ndcg@10"]["value"] < 1
    assert list(found)[:2] == ["random", "random_5"]
    compared = diversity.measure(asked)
    assert compared["users"] == len(small.users)
    assert compared["ratio"]["value"] > 0


def test_who_took_too_little_is_not_compared(mini: Dataset) -> None:
    short = make_panel(brief(mini, 3))
    found = diversity.measure(Witness("behavioral", SIMULATORS["behavioral"](short.known, short.split, {}), short))
    assert "four new items" in found["skipped"]


def test_distance_of_histograms_by_hand() -> None:
    one, other = np.array([[1.0, 1, 1, 1, 1]]), np.array([[0.0, 0, 0, 0, 5]])
    assert ratings.distance(one, other)[0] == pytest.approx(0.8)
    assert ratings.distance(one, 7 * one)[0] == pytest.approx(0)


def test_ratings_by_hand(panel: Panel, witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users who always say four stars: their errors are the log's distances from four."""
    four = np.zeros((1, 1, 5), np.float32)
    four[..., 3] = 1
    monkeypatch.setattr(witness, "stars", lambda users, items: np.repeat(four, len(users), axis=0))
    found = ratings.measure(witness)
    _, _, stars = ratings._sampled(panel, panel.truth.interactions, later=True)
    assert found["rmse"]["value"] == pytest.approx(np.sqrt(((stars - 4) ** 2).mean()), abs=1e-6)
    assert found["mae"]["value"] == pytest.approx(np.abs(stars - 4).mean(), abs=1e-6)
    assert found["mean"]["value"] == pytest.approx(4)
    assert found["share_1_2"]["value"] == 0
    assert found["share_1_2"]["human"]["value"] == pytest.approx((stars <= 2).mean())
    assert found["ks"]["value"] == pytest.approx(max((stars < 4).mean(), (stars > 4).mean()))


def test_diversity_is_one_for_one_person_and_grows_with_what_parts_people() -> None:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(400), 10)
    half = nth(users) % 2
    noise = rng.standard_normal((len(users), 3))
    who = rng.standard_normal((400, 3))[users]
    for spread in (0.0, 0.5, 1.0):
        got = diversity._ratio(spread * who + noise, users, half, 0)[0]
        # halves of five: noise of variance 1/5 each, persons of variance spread^2
        assert got == pytest.approx(np.sqrt((0.4 + 2 * spread**2) / 0.4), rel=0.05)


def test_diversity_is_what_the_definition_says() -> None:
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(6), 4)
    x, half = rng.standard_normal((24, 2)), nth(users) % 2
    a, b = (np.stack([x[(users == u) & (half == h)].mean(axis=0) for u in range(6)]) for h in (0, 1))
    within = np.mean([((a[u] - b[u]) ** 2).sum() for u in range(6)])
    between = np.mean([((a[u] - b[v]) ** 2).sum() for u in range(6) for v in range(6) if u != v])
    assert diversity._ratio(x, users, half, 0)[0] == pytest.approx(np.sqrt(between / within))


# intervals


def test_intervals_of_sums_are_those_of_means() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(2000) + 1
    found = means({"x": values}, np.arange(2000))["x"]
    assert found["value"] == pytest.approx(values.mean())
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.12)
    clustered = means({"x": np.repeat(values[:200], 10)}, np.repeat(np.arange(200), 10))["x"]
    assert clustered["high"] - clustered["low"] == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.2)


def test_what_is_undefined_is_said_to_be() -> None:
    assert figure(np.array([np.nan, 1.0])) == {"value": None, "low": None, "high": None}
    assert means({"x": np.array([np.nan, np.nan])}, np.arange(2))["x"]["value"] is None
    assert means({"x": np.array([np.nan, 3.0])}, np.arange(2))["x"]["value"] == 3
    np.testing.assert_allclose(drawn_sums(np.ones((4, 2)), np.array([0, 0, 1, 1]), resamples=3), 4)


# witnesses


class Silent:
    """A simulator that only acts: the behavioural one without its opinions."""

    def __init__(self, inner: BehavioralSimulator) -> None:
        self.inner, self.asked = inner, 0

    def begin(self, users, luck):
        return self.inner.begin(users, luck)

    def respond(self, mindset, history, slates, luck):
        self.asked += len(slates)
        return self.inner.respond(mindset, history, slates, luck)


def test_chances_are_the_rates_of_what_is_done(panel: Panel, simulator: BehavioralSimulator) -> None:
    """The same opening, two thousand lucks: how often an item that is looked at is clicked."""
    user, n = panel.users[:1], 2000
    world = Witness("behavioral", simulator, panel).world(10)
    slates = np.argsort(-simulator.taste.of(user)[0][0])[None, 5:15].astype(np.int64)
    world.reset(np.repeat(user, n), np.zeros(n, np.int64))  # one seed: one opening
    state = world.state
    said = simulator.chances(state.mindset, state.history, np.repeat(slates, n, axis=0), Luck(state.keys))[0]
    feedback, _ = simulator.respond(state.mindset, state.history, np.repeat(slates, n, axis=0), Luck(combine(np.arange(n), 5)))
    looked = feedback.examined.sum(axis=0)
    rate = feedback.clicked.sum(axis=0) / looked
    assert (np.abs(rate - said) < 4.5 * np.sqrt(said * (1 - said) / looked)).all()
    assert said.max() - said.min() > 0.02


def test_stars_are_a_distribution_around_what_is_expected(panel: Panel, simulator: BehavioralSimulator) -> None:
    world = Witness("behavioral", simulator, panel).world(10)
    world.reset(panel.users[:50], np.zeros(50, np.int64))
    slates = np.random.default_rng(0).permuted(np.tile(np.arange(len(panel.known.catalog)), (50, 1)), axis=1)[:, :10]
    said = simulator.stars(world.state.mindset, world.state.history, slates, Luck(world.state.keys))
    assert said.shape == (50, 10, 5)
    np.testing.assert_allclose(said.sum(axis=2), 1, atol=1e-5)
    expected = simulator.taste.at(panel.users[:50], slates)[1]
    middle = (expected > 2.8) & (expected < 3.2)
    np.testing.assert_allclose((said @ np.arange(1, 6))[middle], expected[middle], atol=0.06)


def test_who_only_acts_is_asked_by_showing(panel: Panel, simulator: BehavioralSimulator) -> None:
    asked = choices(panel, "random")
    silent = Silent(simulator)
    told: list[int] = []
    acting = Witness("silent", silent, panel, moods=6, told=told.append)
    assert not acting.rates
    assert ratings.measure(acting)["skipped"].startswith("'silent' does not rate")
    seen, said = acting.chances(asked.users, asked.items), Witness("b", simulator, panel).chances(asked.users, asked.items)
    assert silent.asked == sum(told) == 6 * len(asked.users)
    assert ((seen > 0) & (seen < 1)).all()
    assert np.corrcoef(seen.ravel(), said.ravel())[0, 1] > 0.3
    assert choice.gain(choice.ranked(seen, asked)).mean() > 0.3  # chance is 0.227


def test_answers_do_not_depend_on_who_else_is_asked(witness: Witness, panel: Panel) -> None:
    asked = choices(panel, "random")
    together = witness.chances(asked.users, asked.items)
    np.testing.assert_allclose(witness.chances(asked.users[7:9], asked.items[7:9]), together[7:9], atol=1e-6)
    assert np.abs(witness.chances(asked.users, asked.items, salt=1) - together).max() > 0.01


def test_nothing_is_asked_twice(tmp_path, panel: Panel, simulator: BehavioralSimulator) -> None:
    asked = choices(panel, "random").take(np.arange(20))
    silent = Silent(simulator)
    first = Witness("silent", silent, panel, answers=Answers(tmp_path, "one")).chances(asked.users, asked.items)
    count = silent.asked
    again = Witness("silent", silent, panel, answers=Answers(tmp_path, "one")).chances(asked.users, asked.items)
    np.testing.assert_array_equal(first, again)
    assert silent.asked == count
    Witness("silent", silent, panel, answers=Answers(tmp_path, "other")).chances(asked.users, asked.items)
    assert silent.asked == 2 * count


def test_nothing_held_out_reaches_an_answer(mini: Dataset) -> None:
    """Whatever anybody did later, the same simulator says the same to the same questions, bit for bit."""
    split, rng = mini.split(seed=0), np.random.default_rng(3)
    log = mini.interactions
    later = np.arange(len(log)) >= split.visible_end[log.users]
    items, stars = log.items.copy(), log.ratings.copy()
    items[later], stars[later] = rng.integers(len(mini.catalog), size=later.sum()), 6 - stars[later]
    forged = replace(mini, interactions=replace(log, items=items, ratings=stars))
    slates = rng.permuted(np.tile(np.arange(len(mini.catalog)), (60, 1)), axis=1)[:, :20]
    answers = []
    for dataset in (mini, forged):
        panel = make_panel(dataset, users=60)
        asked = Witness("b", SIMULATORS["behavioral"](panel.known, panel.split, {"epochs": 2}), panel)
        answers.append((asked.chances(panel.users, slates), asked.stars(panel.users, slates), panel.scores("ease", panel.users, slates)))
    for true, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(true, other)
    world = make_world(dataset="mini")  # where the whole log is known, the plant is seen
    whole = Witness("b", world.simulator, make_panel(mini, users=60))
    assert np.abs(whole.chances(whole.panel.users, slates) - answers[0][0]).max() > 0.01
