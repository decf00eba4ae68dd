"""Diluted slates, the counterfactual, and the agreement of recommenders' ranks, on people made for the purpose and on `mini`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from recoworld.datasets import load_dataset
from recoworld.envs.codec import observe
from recoworld.errors import ConfigError
from recoworld.evaluation.agreement import kendall_tau
from recoworld.evaluation.fidelity.asking.panel import Panel, make_panel
from recoworld.evaluation.fidelity.asking.sums import Doubles
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures import agreement, counterfactual
from recoworld.evaluation.fidelity.measures.diluted import Diluted
from recoworld.evaluation.fidelity.measures.roster import IMPERSONAL, VARIANTS, Chart, roster
from recoworld.evaluation.fidelity.measures.sessions import MOST, TURNS, held_out, later_world, opened, played, some
from recoworld.evaluation.ranking import relevant_items
from recoworld.luck import Luck, combine
from recoworld.policies.scoring import Scorer
from recoworld.registry import SIMULATORS
from recoworld.types import Bools, Feedback, Floats, History, Instruction, Ints, Mindset, Slates
from recoworld.users import Dataset
from recoworld.world import World


@dataclass
class People:
    """They look at everything, click with their probability for each item, leave one time in ten, and are as satisfied as told."""

    chance: Floats
    satisfaction: float = 0.5

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        n = len(users)
        levels = np.full((n, 5), self.satisfaction, np.float32)
        return Mindset(levels=levels, interest=np.zeros((n, 1), np.float32), intent=np.full(n, -1, np.int16))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        n = len(slates)
        clicked = luck.uniform(slates.shape[1], 1) < self.chance[history.users[:, None], slates]
        never = np.zeros_like(clicked)
        feedback = Feedback(
            examined=~never,
            clicked=clicked,
            liked=never,
            commented=never,
            shared=never,
            watch=np.zeros(slates.shape, np.float32),
            left=luck.uniform(1, 2)[:, 0] < 0.1,
            followed=np.zeros(n, np.float32),
            instruction=Instruction.none(n),
        )
        return feedback, mindset


@pytest.fixture(scope="module")
def panel() -> Panel:
    return make_panel(load_dataset("mini"), users=60)


@pytest.fixture(scope="module")
def ease(panel: Panel) -> Scorer:
    policy = panel.policy("ease")
    assert isinstance(policy, Scorer)
    return policy


@pytest.fixture(scope="module")
def later(panel: Panel) -> Bools:
    """What everybody liked later ``[n_users, n_items]``."""
    return relevant_items(World(panel.truth, panel.truth_split, People(np.zeros((0, 0), np.float32))), np.arange(len(panel.truth.users)))


def witness(panel: Panel, people: Any) -> Witness:
    return Witness("made up", people, panel)


def behavioral(panel: Panel) -> Witness:
    return Witness("behavioral", SIMULATORS["behavioral"](panel.known, panel.split, {}), panel)


# dilution


def diluted(panel: Panel, ease: Scorer, k: int, met: int = 200) -> tuple[list[Slates], Ints]:
    """The slates of every dose, and the histories."""
    users = np.arange(len(panel.known.users))
    nobody = People(np.zeros((1, 1), np.float32))
    world = World(panel.known, panel.split, nobody, slate_size=k, max_turns=1, history_length=met)
    world.reset(users, np.zeros(len(users), np.int64))
    seen, luck = observe(world), Luck(combine(3, users))
    slates = [world.checked(Diluted(ease, dose).recommend(seen, luck)) for dose in counterfactual.DOSES]  # distinct items, or InvalidSlate
    return slates, seen["history"]


@pytest.mark.parametrize("k", [1, 7, 10])
def test_doses_are_nested_and_show_nothing_met(panel: Panel, ease: Scorer, k: int) -> None:
    slates, history = diluted(panel, ease, k)
    gone = [slate != slates[0] for slate in slates]
    assert not gone[0].any()
    assert gone[-1].all()
    for low, high, less, more in zip(gone[:-1], gone[1:], slates[:-1], slates[1:], strict=True):
        assert not (low & ~high).any()
        np.testing.assert_array_equal(more[low], less[low])  # the same random item in the same slot
    for dose, changed in zip(counterfactual.DOSES, gone, strict=True):
        many = changed.sum(axis=1)
        assert set(many) <= {int(np.floor(dose * k)), int(np.ceil(dose * k))}
        assert many.mean() == pytest.approx(dose * k, abs=4 * 0.5 / np.sqrt(len(many)))
        if dose:
            assert np.ptp(changed.mean(axis=0)) < 0.2  # no slot is spared
    for slate in slates:
        assert not (slate[:, :, None] + 1 == history[:, None, :]).any()


def test_doses_stay_distinct_where_items_run_out(panel: Panel, ease: Scorer) -> None:
    k = len(panel.known.catalog)
    for slate in diluted(panel, ease, k)[0]:
        assert slate.shape == (len(panel.known.users), k)


def test_random_items_are_random(panel: Panel, ease: Scorer) -> None:
    slates, _ = diluted(panel, ease, 10)
    shown = np.bincount(slates[-1].ravel(), minlength=len(panel.known.catalog))
    assert (shown > 0).mean() > 0.95
    assert len(np.unique(slates[0])) < len(np.unique(slates[-1]))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "half"])
def test_a_share_outside_0_to_1_is_refused(ease: Scorer, share: Any) -> None:
    with pytest.raises(ConfigError, match="share: got"):
        Diluted(ease, share)


# sessions and the log


def test_sessions_add_up(panel: Panel, ease: Scorer) -> None:
    told: list[int] = []
    asked = witness(panel, People(np.full((len(panel.known.users), len(panel.known.catalog)), 0.3, np.float32), 0.2))
    asked.told = told.append
    users = some(panel)
    got = played(asked, opened(asked), ease, users, name="ease")
    assert got.turns.sum() == sum(told)
    assert got.turns.max() <= TURNS
    np.testing.assert_array_equal(got.slots, 10 * got.turns)
    np.testing.assert_array_equal(got.frustrated, got.turns)  # 0.2 is below 0.3
    np.testing.assert_array_equal(got.left[got.turns < TURNS], 1)
    np.testing.assert_allclose(got.returned, got.clicks / 10 + got.turns - got.left, rtol=1e-5)  # the default reward by hand
    np.testing.assert_array_equal(got.skips, got.slots - got.clicks)
    assert got.first_clicks.mean() == pytest.approx(3, abs=0.6)


def test_some_are_the_same_few_of_the_panel(panel: Panel) -> None:
    few = some(panel, 7)
    assert len(np.unique(few)) == 7
    assert np.isin(few, panel.users).all()
    np.testing.assert_array_equal(few, some(panel, 7))
    np.testing.assert_array_equal(some(panel), panel.users)
    assert MOST == 300


class Clairvoyant(Scorer):
    """Knows what everybody liked later: the first of 0/1 scores are all hits."""

    name = "clairvoyant"

    def __init__(self, panel: Panel, later: Bools) -> None:
        self._later, self._panel = later, panel
        self._learned(panel.known.catalog)

    def fit(self, dataset: Any, split: Any) -> None:
        raise NotImplementedError

    def scores(self, observations: Any) -> Floats:
        out = np.zeros((len(observations["history"]), len(self.catalog)), np.float32)
        out[:] = self._later[self._panel.users]
        return out


def test_the_log_knows_what_was_liked(panel: Panel, later: Bools) -> None:
    found = held_out(panel, later_world(panel), Clairvoyant(panel, later))
    assert found.shape == (len(panel.users), 2)
    known = ~np.isnan(found[:, 0])
    np.testing.assert_allclose(found[known], 1)
    assert (later[panel.users][known].sum(axis=1) > 0).all()


# the counterfactual


def test_slope_by_hand() -> None:
    values = 2 - 3 * np.array(counterfactual.DOSES)
    np.testing.assert_allclose(counterfactual.slope(np.stack([values, values[::-1]])), [-3, 3])
    bent = np.array([[4.0, 3.0, 3.0, 3.0, 0.0]])  # (-1/2 * 4 - 1/4 * 3 + 1/4 * 3 + 1/2 * 0) / (5/8)
    np.testing.assert_allclose(counterfactual.slope(bent), [-3.2])
    relative = counterfactual.over_first(np.array([[2.0, 1.0], [0.0, 1.0], [-1.0, 1.0]]))
    np.testing.assert_allclose(relative, [[1, 0.5], [np.nan, np.nan], [np.nan, np.nan]])


def test_who_likes_everything_equally_sees_no_fall(panel: Panel) -> None:
    people = People(np.full((len(panel.known.users), len(panel.known.catalog)), 0.3, np.float32))
    found = counterfactual.measure(witness(panel, people))
    assert found["slope"] == {"value": pytest.approx(0), "low": pytest.approx(0), "high": pytest.approx(0)}
    assert found["slope"]["high"] >= 0
    assert not found["every_step_falls"]
    assert found["no_easy_mode"]["random_over_good_clicks"]["value"] == 1
    assert found["no_easy_mode"]["skipped"]["value"] == pytest.approx(0.7, abs=0.05)
    assert found["relative_slope"]["human"]["high"] < 0  # the people do


def test_who_likes_by_chance_sees_no_fall_that_is_sure(panel: Panel) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    people = People(rng.random((len(panel.known.users), len(panel.known.catalog)), dtype=np.float32))
    slope = counterfactual.measure(witness(panel, people))["slope"]
    assert slope["low"] < 0 < slope["high"]


def test_who_clicks_on_what_it_liked_later_falls_as_the_log_does(panel: Panel, later: Bools) -> None:
    found = counterfactual.measure(witness(panel, People(later.astype(np.float32))))
    assert found["slope"]["high"] < 0
    log, first = (found["relative_slope_first_clicks"][key] for key in ("human", "value"))
    assert first == pytest.approx(log["value"], abs=0.15)
    last = found["doses"][-1]
    assert last["relative_first_clicks"]["value"] == pytest.approx(last["relative_first_clicks"]["human"]["value"], abs=0.15)


def test_the_behavioural_users_fall(panel: Panel) -> None:
    asked, told = behavioral(panel), []
    asked.told = told.append
    found = counterfactual.measure(asked)
    assert 0 < sum(told) <= counterfactual.asks(asked)
    assert found["policy"] == "ease"
    assert found["slope"]["high"] < 0
    returns = [dose["return"]["value"] for dose in found["doses"]]
    assert returns == sorted(returns, reverse=True)
    assert found["doses"][0]["relative_return"]["value"] == 1
    hard = found["no_easy_mode"]
    assert hard["random_over_good_clicks"]["high"] < 1
    assert hard["skipped"]["value"] < hard["skipped"]["random"]["value"]
    assert hard["frustrated_turns"]["value"] < hard["frustrated_turns"]["random"]["value"]
    assert set(hard) - {"compared"} == set(hard["compared"])


def test_low_ratings_are_counted_from_the_log(panel: Panel) -> None:
    log = panel.truth.interactions
    low, n = 0, 0
    for user in panel.users.tolist():
        stars = log.ratings[panel.truth_split.visible_end[user] : log.indptr[user + 1]]
        low, n = low + int((stars <= 2).sum()), n + len(stars)
    people = People(np.zeros((len(panel.known.users), len(panel.known.catalog)), np.float32))
    frustrated = counterfactual.measure(witness(panel, people))["no_easy_mode"]["frustrated_turns"]
    assert frustrated["human"]["value"] == pytest.approx(low / n)
    assert "human_random" not in frustrated
    same = replace(panel, truth=replace(panel.truth, random_ratings=log))
    frustrated = counterfactual.measure(witness(same, people))["no_easy_mode"]["frustrated_turns"]
    assert frustrated["human_random"]["value"] > 0


def test_unknown_satisfaction_and_no_clicks_leave_figures_open(panel: Panel) -> None:
    people = People(np.zeros((len(panel.known.users), len(panel.known.catalog)), np.float32), float("nan"))
    found = counterfactual.measure(witness(panel, people))
    assert found["no_easy_mode"]["frustrated_turns"]["value"] is None
    assert found["no_easy_mode"]["random_over_good_clicks"]["value"] is None
    assert found["doses"][2]["satisfaction_at_end"]["value"] is None
    assert found["doses"][2]["likes_per_click"]["value"] is None


# the agreement of ranks


def test_taus_of_who_clicks_on_what_it_liked_later_and_of_who_clicks_on_all_else(panel: Panel, later: Bools) -> None:
    found = agreement.measure(witness(panel, People(later.astype(np.float32))))
    assert found["kendall_tau_first_slate"]["value"] > 0.75
    assert found["kendall_tau"]["value"] > 0.6
    assert not found["disputed"]
    assert found["decided"]["kendall_tau"]["value"] == 1
    contrary = agreement.measure(witness(panel, People(1 - later.astype(np.float32))))
    assert contrary["kendall_tau_first_slate"]["value"] < -0.75
    assert contrary["decided"]["kendall_tau"]["value"] == -1
    assert len(contrary["disputed"]) == contrary["decided"]["pairs"]
    assert [row["name"] for row in contrary["policies"]] == [row["name"] for row in found["policies"]]


def test_who_likes_everything_equally_ranks_nothing(panel: Panel) -> None:
    people = People(np.full((len(panel.known.users), len(panel.known.catalog)), 0.3, np.float32))
    found = agreement.measure(witness(panel, people))
    assert found["kendall_tau"]["value"] is None
    many = len(found["policies"])
    assert (found["decided"]["pairs"], found["decided"]["of"]) == (0, many * (many - 1) // 2)
    assert found["decided"]["kendall_tau"] == {"value": None}


def test_a_judge_of_charts_alone_ranks_the_personalised_no_better_than_chance(panel: Panel) -> None:
    """Whoever takes what is popular, whoever they are, agrees with the log on charts; of taste it knows nothing."""
    popular = np.tile(panel.known.catalog.popularity_rank.astype(np.float32), (len(panel.known.users), 1))
    found = agreement.measure(witness(panel, People(popular)))
    mine = [row["name"] for row in found["policies"] if row["name"] not in IMPERSONAL]
    assert found["kendall_tau_personalised"]["policies"] == len(mine) == len(found["policies"]) - 5
    by_name = {row["name"]: row for row in found["policies"]}
    log, value = ([by_name[name][key]["value"] for name in mine] for key in ("ndcg@10", "return"))
    assert found["kendall_tau_personalised"]["value"] == pytest.approx(kendall_tau(log, value))
    assert found["kendall_tau_personalised"]["value"] < found["kendall_tau"]["value"]


def test_like_is_compared_with_like(panel: Panel, later: Bools) -> None:
    """A simulator whose users do what people did later agrees with half a log about as well as the other half does, not better."""
    found = agreement.measure(witness(panel, People(later.astype(np.float32))))
    half, whole = found["kendall_tau_half_log"], found["kendall_tau"]
    assert half["value"] <= whole["value"] + 0.05
    assert half["low"] <= half["value"] <= half["high"]
    assert half["human"] == whole["human"] == found["kendall_tau_first_slate"]["human"]
    assert {"value", "human", "half_log"} <= found["kendall_tau_personalised"].keys()


def test_half_a_log_by_hand() -> None:
    value = np.array([[1.0, 2.0, 3.0]] * 3)
    same, other = value.copy(), np.array([[1.0, 3.0, 2.0]] * 3)
    found = agreement._personalised(["ease", "genre", "als"], [same, same, other], value)
    assert (found["value"], found["half_log"]["value"], found["human"]["value"]) == pytest.approx((1, (1 + 1 / 3) / 2, 1 / 3))
    assert agreement._personalised(["ease", "random"], [same[:, :2]] * 3, value[:, :2])["value"] is None


def test_catalogues_of_fewer_items_than_a_slate() -> None:
    data = few_items(load_dataset("mini"), 8)
    small = make_panel(data)
    for section in (counterfactual, agreement):
        found = section.measure(behavioral(small))
        assert "skipped" not in found or "slate_size" not in found["skipped"], found


def few_items(data: Dataset, n: int) -> Dataset:
    """Items taken for one of `n`, each under its number modulo `n`."""
    catalog, log = data.catalog, data.interactions
    few = {name: getattr(catalog, name)[:n] for name in ("ids", "titles", "genres", "years", "popularity", "texts", "people", "durations")}
    return replace(data, catalog=replace(catalog, **few), interactions=replace(log, items=log.items % n))


def test_decided_pairs_by_hand() -> None:
    spread = np.array([0.0, -0.1, 0.1, -0.1, 0.1])[:, None]  # the sample first
    log = np.array([3.0, 2.0, 1.0]) + spread * np.array([1, -1, 1])
    value = np.array([1.0, 5.0, 4.99]) + spread * np.array([1, -1, 1])
    found = agreement.decided(["a", "b", "c"], log, value)
    # b and c are level in the simulator; a beats both in the log, both beat a in the simulator
    assert found["decided"]["pairs"] == 2
    assert found["decided"]["of"] == 3
    assert found["decided"]["kendall_tau"]["value"] == -1
    assert found["disputed"] == [{"log": "a", "simulator": "b"}, {"log": "a", "simulator": "c"}]


def test_the_behavioural_users_rank_as_the_log_does(panel: Panel) -> None:
    asked, told = behavioral(panel), []
    asked.told = told.append
    found = agreement.measure(asked)
    assert 0 < sum(told) <= agreement.asks(asked)
    assert len(found["policies"]) >= 8
    assert found["kendall_tau"]["value"] > 0.4
    assert found["kendall_tau"]["low"] <= found["kendall_tau"]["value"] <= found["kendall_tau"]["high"]
    gains = [row["ndcg@10"]["value"] for row in found["policies"]]
    assert gains == sorted(gains, reverse=True)


def test_the_roster_is_of_different_recommenders(panel: Panel) -> None:
    world = later_world(panel)
    ranked: dict[str, Doubles] = {name: held_out(panel, world, policy)[:, 0] for name, policy in roster(panel)}
    assert {"random", "popularity", "genre", "item-knn", "ease", *VARIANTS} - {"als, 8 factors"} <= set(ranked)
    values = np.nan_to_num(np.stack(list(ranked.values())))
    assert len(np.unique(values, axis=0)) == len(values)


def test_charts_by_hand(panel: Panel) -> None:
    data, split = panel.known, panel.split
    train = np.isin(data.interactions.users, split.train)
    items, ratings = data.interactions.items[train], data.interactions.ratings[train]
    orders = {}
    for name in ("newest", "best rated", "long tail"):
        chart = Chart(name)
        chart.fit(data, split)
        orders[name] = np.argsort(-chart.scores({"history": np.zeros((1, 1), np.int32)})[0], kind="stable")
    years = data.catalog.years[orders["newest"]]
    assert (np.diff(years) <= 0).all()
    best, worst = orders["best rated"][0], orders["best rated"][-1]
    shrunk = [(ratings[items == i].sum() + 20 * ratings.mean()) / ((items == i).sum() + 20) for i in range(len(data.catalog))]
    assert shrunk[best] == pytest.approx(max(shrunk))
    assert shrunk[worst] == pytest.approx(min(shrunk))
    liked = np.bincount(items[ratings >= data.like_threshold], minlength=len(data.catalog))
    assert liked[orders["long tail"][0]] == liked[liked <= np.median(liked[liked > 0])].max()


def test_charts_that_a_data_set_cannot_have(panel: Panel) -> None:
    blank = replace(panel.known, explicit=False, catalog=replace(panel.known.catalog, years=np.zeros_like(panel.known.catalog.years)))
    for name, why in (("newest", "knows no years"), ("best rated", "has no ratings")):
        with pytest.raises(ConfigError, match=why):
            Chart(name).fit(blank, panel.split)
    names = [name for name, _ in roster(replace(panel, known=blank, _fitted={}))]
    assert "newest" not in names
    assert "best rated" not in names
    assert len(names) >= 8


def test_nothing_liked_later_is_skipped(panel: Panel) -> None:
    sour = replace(panel, truth=replace(panel.truth, like_threshold=99.0))
    for section in (counterfactual, agreement):
        assert list(section.measure(behavioral(sour))) == ["skipped"]
