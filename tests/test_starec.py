"""STARec's protocol against what can be worked out by hand, rankers good and bad, and the folder that a benchmark goes on from."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from recoworld.catalog import build_catalog
from recoworld.cli import app
from recoworld.datasets import load_dataset
from recoworld.datasets.arrays import by_user, unknown_users, with_popularity
from recoworld.errors import ConfigError, UnknownName
from recoworld.evaluation.starec import Protocol, Questions, benchmark
from recoworld.evaluation.starec.measure import ndcg, ranks, row_of
from recoworld.evaluation.starec.prepare import core, prepare
from recoworld.evaluation.starec.protocol import Benchmark
from recoworld.evaluation.starec.rankers import PolicyRanker, ranker
from recoworld.luck import Luck
from recoworld.policies.baselines import Popularity
from recoworld.policies.genre import GenreMatch
from recoworld.types import Ints, Observations, Slates
from recoworld.users import Dataset, Split

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs/results/starec-ml1m/table.json"


def logged(rows: list[tuple[int, int, float]], *, n_users: int, n_items: int, explicit: bool = True) -> Dataset:
    """A data set of (user, item, stars), in the order of time."""
    users, items, stars = (np.array(column) for column in zip(*rows, strict=True))
    log = by_user(users, items, stars, None, n_users=n_users)
    names = [f"i{i}" for i in range(n_items)]
    catalog = build_catalog(name="by hand", ids=names, titles=names, genres=[("A",)] * n_items)
    people = unknown_users([f"u{i}" for i in range(n_users)])
    return Dataset(name="by hand", catalog=with_popularity(catalog, log), users=people, interactions=log, explicit=explicit)


def by_hand() -> Dataset:
    """Three likes each keep users 0 to 3 and items 0 to 4; user 1 likes 0 twice; 2 is neither good nor bad to user 3, 5 bad to user 0."""
    likes = {0: [0, 1, 2, 3], 1: [3, 0, 2, 0, 4], 2: [1, 3, 4, 2], 3: [4, 0, 1, 5], 4: [4]}
    rows = [(user, item, 5.0) for user, items in likes.items() for item in items]
    return logged([*rows[:2], (0, 5, 2.0), *rows[2:], (3, 2, 3.0)], n_users=5, n_items=6)


@pytest.fixture(scope="module")
def mini() -> Benchmark:
    return prepare(load_dataset("mini"), Protocol())


class Oracle:
    """Knows the answer, and puts it at a place of the test's choice."""

    name = "oracle"

    def __init__(self, places: Ints, at: int) -> None:
        self.places, self.at = places, at

    def rank(self, questions: Questions) -> Ints:
        n, width = questions.candidates.shape
        others = np.array([[c for c in range(width) if c != place] for place in self.places])
        return np.insert(others, self.at - 1, self.places, axis=1).reshape(n, width)


class AsTheyCome:
    """The candidates in the order in which they are told."""

    name = "as they come"

    def rank(self, questions: Questions) -> Ints:
        return np.tile(np.arange(questions.candidates.shape[1]), (len(questions), 1))


class Slated:
    """A policy without scores: popularity as slates alone."""

    name = "slated"

    def __init__(self) -> None:
        self.base = Popularity()

    def fit(self, dataset: Dataset, split: Split) -> None:
        self.base.fit(dataset, split)

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        return self.base.recommend(observations, luck)


# ---- the protocol


def test_the_protocol_by_hand() -> None:
    task = prepare(by_hand(), Protocol(minimum=3, length=2, negatives=1))
    assert task.training.users.ids.tolist() == ["u0", "u1", "u2", "u3"]
    assert task.training.catalog.ids.tolist() == ["i0", "i1", "i2", "i3", "i4"]
    assert task.test_items.tolist() == [3, 4, 2, 1]  # user 3's 5 has fallen
    assert task.validation_items.tolist() == [2, 2, 4, 0]  # of user 1's two 0 the first counts: 3 0 2 4
    log = task.training.interactions
    assert [log.items[a:b].tolist() for a, b in zip(log.indptr[:-1], log.indptr[1:], strict=True)] == [[0, 1], [3, 0], [1, 3], [4]]
    assert task.training.catalog.popularity.tolist() == [2, 2, 0, 2, 1]  # of what is for training alone
    assert task.split.visible_end.tolist() == [2, 4, 6, 7]
    assert task.facts["positives"] == 15
    drawn = [set(task.test(np.array([user]), 0)[0].candidates[0].tolist()) for user in range(4)]
    assert drawn == [{3, 4}, {4, 1}, {2, 0}, {1, 3}]  # each has met all items but one


def test_histories_by_hand() -> None:
    rows = [(u, i, 5.0) for u in range(4) for i in ([0, 1, 2, 3, 4] if u != 1 else [2, 0, 1])]
    rows += [(u, i, 5.0) for u in range(4, 7) for i in range(5, 9)]
    task = prepare(logged(rows, n_users=7, n_items=9), Protocol(minimum=3, length=3, negatives=1))
    test, _ = task.test(np.array([0, 1]), 0)
    validation, _ = task.validation(np.array([0, 1]), 0)
    assert test.history.tolist() == [[2, 3, 4], [0, 3, 1]]  # with the validation item, as index + 1
    assert validation.history.tolist() == [[1, 2, 3], [0, 0, 3]]


@pytest.mark.parametrize("seed", range(5))
def test_candidates_hold_the_item_sought_once_and_others_never_met(mini: Benchmark, seed: int) -> None:
    data = load_dataset("mini")
    ids = {str(item): i for i, item in enumerate(data.catalog.ids)}
    inside = np.array([ids[str(item)] for item in mini.training.catalog.ids])
    users = mini.drawn_users(50, seed)
    for questions, places, sought in (
        (*mini.test(users, seed), mini.test_items),
        (*mini.validation(users, seed), mini.validation_items),
    ):
        assert questions.candidates.shape == (50, 20)
        assert (np.diff(np.sort(questions.candidates, axis=1), axis=1) > 0).all()
        np.testing.assert_array_equal(questions.candidates[np.arange(50), places], sought[users])
        for row, user in enumerate(users):
            own = data.users.index(str(mini.training.users.ids[user]))
            log = data.interactions
            met = set(log.items[log.indptr[own] : log.indptr[own + 1]].tolist())
            assert [inside[item] in met for item in questions.candidates[row]] == [c == places[row] for c in range(20)]


def test_all_items_never_met_are_equally_likely() -> None:
    """User 0 met items 0 to 3 of 9; the 2 negatives come from 5 others: each is drawn 2 times of 5, and each column holds the positive."""
    rows = [(u, i, 5.0) for u in range(3) for i in range(4)] + [(u, i, 5.0) for u in range(3, 6) for i in range(4, 9)]
    task = prepare(logged(rows, n_users=6, n_items=9), Protocol(minimum=3, negatives=2))
    asked = [task.test(np.array([0]), seed) for seed in range(2000)]
    drawn = np.concatenate([questions.candidates[0] for questions, _ in asked])
    share = np.bincount(drawn, minlength=9) / 2000
    assert share[:3].tolist() == [0, 0, 0]
    assert share[3] == 1
    np.testing.assert_allclose(share[4:], 0.4, atol=4 * (0.24 / 2000) ** 0.5)
    places = np.bincount([place[0] for _, place in asked], minlength=3) / 2000
    np.testing.assert_allclose(places, 1 / 3, atol=4 * (2 / 9 / 2000) ** 0.5)


def test_the_seed_decides_the_candidates(mini: Benchmark) -> None:
    users = mini.drawn_users(20, 0)
    first, again, other = (mini.test(users, seed)[0].candidates for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(mini.test(users, 1)[0].history, mini.test(users, 2)[0].history)


def test_the_core_is_taken_until_none_is_left() -> None:
    """Item 2 falls for want of users; then user 2 has one item left and falls, and with it nothing else."""
    users, items = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 1, 2])
    assert core(users, items, 2).tolist() == [0, 1, 2, 3]
    assert core(users, items, 3).tolist() == []


def test_ratings_from_the_middle_down_are_no_positives_whatever_the_scale() -> None:
    data = by_hand()
    halved = replace(data, interactions=replace(data.interactions, ratings=data.interactions.ratings / 2), rating_scale=(0.5, 2.5))
    first, second = (prepare(one, Protocol(minimum=3, negatives=1)) for one in (data, halved))
    np.testing.assert_array_equal(first.training.interactions.items, second.training.interactions.items)
    implicit = prepare(replace(data, explicit=False), Protocol(minimum=3, negatives=1))
    assert implicit.facts["positives"] == 16  # user 3's middling 2 counts


def test_a_sample_of_users_is_drawn_before_the_filter() -> None:
    data = load_dataset("mini")
    few, all_ = prepare(data, Protocol(sample=300), seed=1), prepare(data, Protocol(), seed=1)
    assert len(few.training.users) <= 300
    assert len(few.training.catalog) < len(all_.training.catalog)  # items with fewer than ten positives of these users fall
    assert few.test_items.max() < len(few.training.catalog)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"minimum": 4}, "none are left"),
        ({"minimum": 3, "negatives": 19}, "did not meet"),
        ({"minimum": 2}, "minimum"),
        ({"length": 0}, "length"),
        ({"sample": 0}, "sample"),
    ],
)
def test_what_cannot_be_asked_is_refused(protocol: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare(by_hand(), Protocol(**protocol))


# ---- the measure


def test_ndcg_by_hand() -> None:
    at = np.array([1, 2, 3, 6, 11, 20])
    one = np.log2
    np.testing.assert_allclose(ndcg(at, 1), [1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(ndcg(at, 5), [1, 1 / one(3), 0.5, 0, 0, 0])
    np.testing.assert_allclose(ndcg(at, 10), [1, 1 / one(3), 0.5, 1 / one(7), 0, 0])
    np.testing.assert_allclose(ndcg(at, 20), [1, 1 / one(3), 0.5, 1 / one(7), 1 / one(12), 1 / one(21)])


@pytest.mark.parametrize("at", [1, 2, 7, 20])
def test_who_knows_the_answer_puts_it_where_it_likes(mini: Benchmark, at: int) -> None:
    questions, places = mini.test(mini.drawn_users(100, 0), 3)
    assert set(ranks(Oracle(places, at), questions, places)) == {at}


def test_an_order_that_knows_nothing_is_chance(mini: Benchmark) -> None:
    """Candidates come in random order, so the item sought stands at each of 20 places equally often."""
    expected = np.mean(1 / np.log2(np.arange(1, 21) + 1.0))
    runs = [ranks(AsTheyCome(), *mini.test(mini.drawn_users(None, 0), seed)) for seed in range(4)]
    gains = ndcg(np.concatenate(runs), 20)
    assert abs(gains.mean() - expected) < 4 * gains.std() / len(gains) ** 0.5


def test_intervals_count_a_user_once_however_many_runs_it_has() -> None:
    users, found = np.arange(200), np.random.default_rng(0).integers(1, 21, 200)
    once, thrice = row_of([found], users, seed=0), row_of([found] * 3, users, seed=0)
    assert {key: once[key] for key in ("low", "high", "ndcg@10")} == pytest.approx({k: thrice[k] for k in ("low", "high", "ndcg@10")})
    assert once["low"] < once["ndcg@10"] < once["high"]
    assert thrice["runs"] == pytest.approx([once["ndcg@10"]] * 3)


@pytest.mark.parametrize(
    "order",
    [np.zeros((10, 20), np.int64), np.tile(np.arange(20), (9, 1)), np.tile(np.arange(1, 21), (10, 1)), np.tile(np.arange(20.0), (10, 1))],
)
def test_what_is_no_order_is_refused(mini: Benchmark, order: Any) -> None:
    class Bad:
        name = "bad"

        def rank(self, questions: Questions) -> Ints:
            return np.asarray(order)

    with pytest.raises(ConfigError, match=r"'bad'.*each column"):
        ranks(Bad(), *mini.test(mini.drawn_users(10, 0), 0))


# ---- who enters


def test_popularity_by_hand() -> None:
    """In training 0, 1 and 3 have two likes each, 4 one and 2 none; ties stay as the candidates stand."""
    task = prepare(by_hand(), Protocol(minimum=3, negatives=1))
    policy = Popularity()
    policy.fit(task.training, task.split)
    candidates = np.array([[2, 4, 0], [3, 1, 2], [4, 1, 3]])
    questions = Questions(users=np.arange(3), history=np.zeros((3, 40), np.int32), candidates=candidates)
    assert PolicyRanker(policy, task).rank(questions).tolist() == [[2, 1, 0], [0, 1, 2], [1, 2, 0]]


def test_a_policy_without_scores_ranks_by_its_slates_as_with_scores(mini: Benchmark) -> None:
    bare, scored = Slated(), Popularity()
    for policy in (bare, scored):
        policy.fit(mini.training, mini.split)
    questions, _ = mini.test(mini.drawn_users(64, 0), 0)
    counts = mini.training.catalog.popularity[questions.candidates]
    orders = [PolicyRanker(policy, mini).rank(questions) for policy in (bare, scored)]
    first, second = (np.take_along_axis(counts, order, axis=1) for order in orders)
    np.testing.assert_array_equal(first, second)  # but for ties, which a slate breaks by the item's index


def test_policies_see_the_history_as_likes(mini: Benchmark) -> None:
    genre = GenreMatch()
    genre.fit(mini.training, mini.split)
    questions, places = mini.test(mini.drawn_users(None, 0), 0)
    assert ndcg(ranks(PolicyRanker(genre, mini), questions, places), 10).mean() > 0.4  # chance is 0.23


def made_ranker() -> AsTheyCome:
    return AsTheyCome()


def made_nothing() -> int:
    return 3


def test_any_ranker_and_any_policy_enters_by_name(tmp_path: Path) -> None:
    data = load_dataset("mini")
    table = benchmark(data, ["pop", "ease+instruct", f"{__name__}:made_ranker", f"{__name__}:Slated"], runs=1, users=100)
    assert [row["method"] for row in table.rows] == ["pop", "ease+instruct", f"{__name__}:made_ranker", f"{__name__}:Slated"]
    pop, slated = table.rows[0], table.rows[3]
    assert pop["ndcg@10"] == pytest.approx(slated["ndcg@10"], abs=1.5)
    with pytest.raises(ConfigError, match="made a int"):
        benchmark(data, [f"{__name__}:made_nothing"], runs=1)
    with pytest.raises(UnknownName, match="sasrec"):
        benchmark(data, ["sasrek"], runs=1)
    with pytest.raises(ConfigError, match="got none"):
        benchmark(data, [])


# ---- the folder


def test_an_agent_is_told_of_the_candidates_alone(mini: Benchmark) -> None:
    pytest.importorskip("jinja2")
    agent = ranker("starec:scripted", mini, seed=0, judge=lambda _: 0.0)
    questions, _ = mini.test(np.arange(4), 0)
    order = agent.rank(questions)
    assert (np.sort(order, axis=1) == np.arange(questions.candidates.shape[1])).all()
    with pytest.raises(UnknownName, match="scriptd"):
        ranker("starec:scriptd", mini, seed=0, judge=lambda _: 0.0).rank(questions)


def test_what_is_finished_is_kept(tmp_path: Path) -> None:
    data, heard = load_dataset("mini"), []

    def interrupting(method: str, stage: str, run: int, word: str) -> None:
        heard.append((method, stage, run))
        if (method, stage, run) == ("genre", "fit", 1):
            raise KeyboardInterrupt

    part = benchmark(data, ["pop", "genre"], runs=2, users=50, out=tmp_path, progress=interrupting)
    assert part.interrupted
    assert json.loads((tmp_path / "table.json").read_text())["interrupted"]
    assert [len(row["runs"]) for row in part.rows] == [2, 1]
    heard.clear()
    whole = benchmark(data, ["pop", "genre"], runs=2, users=50, out=tmp_path, progress=lambda *words: heard.append(words[:3]))
    assert [entry for entry in heard if entry[1] == "kept"] == [("pop", "kept", 0), ("pop", "kept", 1), ("genre", "kept", 0)]
    assert not whole.interrupted
    alone = benchmark(data, ["pop", "genre"], runs=2, users=50)
    figures = [[row["ndcg@5"] for row in table.rows] for table in (whole, alone)]
    assert figures[0] == figures[1]
    with pytest.raises(ConfigError, match="another"):
        benchmark(data, ["pop"], runs=2, users=60, out=tmp_path)
    assert benchmark(data, ["pop"], runs=1, users=60, out=tmp_path, fresh=True).settings["asked"] == 60


def test_the_table_is_as_the_issue_has_it(tmp_path: Path) -> None:
    table = benchmark(replace(load_dataset("mini"), name="ml-1m"), ["pop"], runs=3, users=40, seed=5, out=tmp_path)
    stored = json.loads((tmp_path / "table.json").read_text())
    row = stored["rows"][0]
    assert {"method", "ndcg@1", "ndcg@5", "ndcg@10", "ndcg@20", "low", "high", "paper"} <= set(row)
    assert row["paper"] == {"ndcg@10": 49.08}
    assert stored["seeds"] == [5, 6, 7]
    assert row["ndcg@1"] <= row["ndcg@5"] <= row["ndcg@10"] <= row["ndcg@20"] <= 100
    assert row["ndcg@10"] == pytest.approx(np.mean(row["runs"]))
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    assert "49.08" in capture.get()
    assert "77.16" in capture.get()  # STARec's own, which was not run
    assert f"| pop | {row['ndcg@1']:.2f} |" in (tmp_path / "table.md").read_text()


def test_the_command(tmp_path: Path) -> None:
    words = ["benchmark", "starec", "--dataset", "mini", "--methods", "pop,genre", "--runs", "1", "--users", "30", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert [row["method"] for row in json.loads((tmp_path / "table.json").read_text())["rows"]] == ["pop", "genre"]
    wrong = CliRunner().invoke(app, ["benchmark", "starec", "--dataset", "mini", "--methods", "popp"])
    assert wrong.exit_code == 2
    assert "did you mean" in wrong.output
    absent = CliRunner().invoke(app, ["benchmark", "starec", "--dataset", "amazon-cds", "--data-dir", str(tmp_path)])
    assert absent.exit_code == 2
    assert "CDs_and_Vinyl_5.json" in absent.output


# ---- the record


def test_the_page_says_what_the_table_of_record_says() -> None:
    if not RECORD.is_file():
        pytest.skip("docs/results/starec-ml1m/table.json is not part of this checkout")
    table, page = json.loads(RECORD.read_text()), (ROOT / "docs/starec.md").read_text(encoding="utf-8")
    assert not table["interrupted"]
    assert len(table["seeds"]) == 3
    for row in table["rows"]:
        said = re.search(rf"^\| {row['method']} \|(.*)\|$", page, re.MULTILINE)
        assert said, f"docs/starec.md has no row {row['method']}"
        figures = [f"{row[f'ndcg@{k}']:.2f}" for k in (1, 5, 10, 20)]
        assert [cell.strip() for cell in said[1].split("|")][:4] == figures
