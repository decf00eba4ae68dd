"""Rollouts, held-out ranking and the leaderboard, on the built-in data."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.configs import WorldConfig
from recoworld.envs.codec import observe
from recoworld.errors import ConfigError, MissingExtra, UnknownName
from recoworld.evaluation import evaluate
from recoworld.evaluation.metrics import coverage, gini, intra_list_diversity, self_information
from recoworld.evaluation.ranking import opening_world, rank, scored
from recoworld.evaluation.rollout import rollout, rollout_chunks
from recoworld.evaluation.table import SessionTable
from recoworld.luck import Luck, combine
from recoworld.policies import make_policy
from recoworld.policies.als import ALS
from recoworld.policies.ease import EASE
from recoworld.session_io import read_jsonl
from recoworld.types import Observations, Recommender, Slates
from recoworld.world import World

MINI = WorldConfig.of(dataset="mini")
INTERVALS = ["return", "turns", "watch_minutes", "ctr", "like_rate", "instructions_per_turn", "diversity", "novelty", "ndcg@10", "hit@10"]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(MINI)


def fitted(name: str, world: World) -> Recommender:
    policy = make_policy(name)
    policy.fit(world.dataset, world.split)
    return policy


# rollout


@pytest.mark.parametrize("name", ["random", "ease+instruct", "oracle"])
def test_chunks_do_not_change_results(world: World, name: str) -> None:
    policy = fitted(name, world)
    users, seeds = np.repeat(world.split.test[:15], 2), np.tile([0, 1], 15)
    whole, parts = (rollout(world, policy, users, seeds, chunk=chunk) for chunk in (1024, 7))
    for field in fields(SessionTable):
        np.testing.assert_array_equal(getattr(whole, field.name), getattr(parts, field.name), err_msg=field.name)


def test_the_table_is_what_single_sessions_add_up_to(world: World) -> None:
    policy = fitted("ease+instruct", world)
    users = world.split.test[:6]
    table = rollout(world, policy, users, np.full(6, 3), policy_seed=5)
    bits = self_information(world.catalog.popularity)
    for row, user in enumerate(users):
        world.reset(np.array([user]), np.array([3]))
        met = {int(i) - 1 for i in world.state.history.items[0] if i}
        log = world.dataset.interactions
        met |= set(log.items[log.indptr[user] : world.split.visible_end[user]].tolist())
        sums = dict.fromkeys(["returned", "turns", "clicks", "watch", "instructions", "answered", "followed", "novelty", "repeats"], 0.0)
        over = False
        while not over:
            told = bool(world.state.history.standing.kind[0])
            luck = Luck(combine(5, 3, np.array([user]), world.state.history.turn))
            turn = world.step(policy.recommend(observe(world), luck))
            sums["returned"] += float(turn.reward[0])
            sums["turns"] += 1
            sums["clicks"] += int(turn.feedback.clicked.sum())
            sums["watch"] += float(turn.feedback.watch.sum())
            sums["instructions"] += int(turn.feedback.instruction.kind[0] > 0)
            sums["answered"] += told
            sums["followed"] += float(turn.feedback.followed[0]) if told else 0.0
            sums["novelty"] += float(bits[turn.slates].sum())
            sums["repeats"] += len(met & set(turn.slates[0].tolist()))
            met |= set(turn.slates[0].tolist())
            over = bool(turn.feedback.left[0] | world.cut[0])
        for name, value in sums.items():
            assert getattr(table, name)[row] == pytest.approx(value, rel=1e-5), name
        assert table.left[row] == turn.feedback.left[0]
        assert table.slots[row] == 10 * table.turns[row]
    assert table.shown.sum() == table.slots.sum()


def test_progress_counts_every_session_once(world: World) -> None:
    ended: list[int] = []
    rollout(world, fitted("random", world), world.split.test[:20], np.zeros(20, np.int64), progress=ended.append, chunk=8)
    assert sum(ended) == 20


def test_chunks_done_before_an_interruption_are_kept(world: World) -> None:
    users, ended = world.split.test[:9], []

    def stop_at_the_seventh(count: int) -> None:
        ended.append(count)
        if sum(ended) >= 7:
            raise KeyboardInterrupt

    kept: list[SessionTable] = []
    chunks = rollout_chunks(world, fitted("random", world), users, np.zeros(9, np.int64), progress=stop_at_the_seventh, chunk=3)
    with pytest.raises(KeyboardInterrupt):
        kept.extend(chunks)
    assert len(kept) == 2
    np.testing.assert_array_equal(SessionTable.joined(kept).user, users[:6])


def test_retention_counts_who_is_still_there() -> None:
    table = SessionTable.empty(np.arange(3), np.zeros(3, np.uint64), 1, 1)
    table.turns[:], table.left[:] = [1, 3, 4], [1, 1, 0]  # gone after slates 1 and 3; never
    np.testing.assert_allclose(table.retention(4), [2 / 3, 2 / 3, 1 / 3, 1 / 3])


# metrics by hand


def test_metrics_by_hand() -> None:
    np.testing.assert_allclose(self_information(np.array([3.0, 1.0, 0.0], np.float32)), -np.log2(np.array([4, 2, 1]) / 7))
    x = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(intra_list_diversity(x[[0, 0, 1]], np.array([[0, 1], [0, 2]])), [0.0, 1.0], atol=1e-7)
    assert intra_list_diversity(x[[0, 0, 1]], np.array([[0, 1, 2]]))[0] == pytest.approx(2 / 3)  # one alike pair of three
    assert coverage(np.array([2, 0, 1, 0])) == 0.5
    assert gini(np.full(5, 3)) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)  # (n - 1) / n


def test_ndcg_by_hand() -> None:
    slates = np.array([[4, 1, 2, 3, 0], [4, 1, 2, 3, 0], [4, 1, 2, 3, 0], [4, 1, 2, 3, 0]])
    relevant, visible = np.zeros((4, 6), np.bool_), np.zeros((4, 6), np.bool_)
    relevant[0, [4, 2]] = True  # first and third of two
    relevant[1, [4, 5]] = True  # first of two
    relevant[2, [2]] = True
    visible[2, [1]] = True  # so item 2 moves up to the second place
    ndcg, hit, some = scored(slates, relevant, visible)
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(ndcg, [(1 + 1 / 2) / ideal, 1 / ideal, 1 / np.log2(3), 0])
    np.testing.assert_array_equal(hit, [1, 1, 1, 0])
    np.testing.assert_array_equal(some, [True, True, True, False])


class Clairvoyant:
    """Knows the log: the best ranking there is."""

    name = "clairvoyant"

    def __init__(self, world: World, reverse: bool = False) -> None:
        self.world, self.reverse = world, reverse

    def fit(self, *_: object) -> None: ...

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        world, log = self.world, self.world.dataset.interactions
        out = []
        for user in world.state.history.users:
            begin, end = world.split.visible_end[user], log.indptr[user + 1]
            liked = log.items[begin:end][world.dataset.liked[begin:end]].tolist()
            seen = set(log.items[log.indptr[user] : begin].tolist())
            rest = [i for i in range(len(world.catalog)) if i not in set(liked)]
            unseen = [i for i in rest if i not in seen]
            out.append((unseen if self.reverse else liked + rest)[:10])
        return np.array(out)


def test_the_log_itself_ranks_perfectly(world: World) -> None:
    users = world.split.test[:40]
    opening = opening_world(world, users)
    best = rank(opening, Clairvoyant(opening), users)
    assert len(best.user)
    np.testing.assert_allclose(best.ndcg, 1)
    assert (rank(opening, Clairvoyant(opening, reverse=True), users).ndcg == 0).all()
    liked = [world.dataset.liked[world.split.visible_end[u] : world.dataset.interactions.indptr[u + 1]].any() for u in users]
    np.testing.assert_array_equal(best.user, users[liked])  # those without anything to find are left out


def test_ranking_sees_the_whole_visible_past_and_no_chunks(world: World) -> None:
    users = world.split.test[:20]
    opening = opening_world(world, users)
    seen = world.split.visible_end[users] - world.dataset.interactions.indptr[users]
    opening.reset(users, np.zeros(20, np.int64))
    assert ((opening.state.history.items > 0).sum(axis=1) == seen).all()
    whole, parts = (rank(opening, fitted("ease", world), users, chunk=chunk) for chunk in (1024, 3))
    np.testing.assert_array_equal(whole.ndcg, parts.ndcg)


# leaderboard


def test_the_leaderboard_is_as_the_issue_states(tmp_path: Path) -> None:
    board = evaluate(MINI, ["random", "oracle", "ease"], users=40, seeds=2, out=tmp_path, env="RecoWorld-Mini-v0")
    written = json.loads((tmp_path / "leaderboard.json").read_text())
    assert written == json.loads(json.dumps(board.as_dict()))
    assert [row["policy"] for row in written["rows"]] == ["oracle", "ease", "random"]
    assert [row["privileged"] for row in written["rows"]] == [True, False, False]
    front = {"dataset": "mini", "env": "RecoWorld-Mini-v0", "users": 40, "seeds": 2, "seed": 0, "interrupted": False}
    assert front.items() <= written.items()
    for row in written["rows"]:
        for metric in INTERVALS:
            assert row[metric]["low"] <= row[metric]["mean"] <= row[metric]["high"], metric
        assert {"coverage", "gini", "instruction_following", "fit_seconds", "run_seconds"} <= row.keys()
        assert row["sessions"] == 80
        assert len(row["retention"]) == MINI.max_turns
        assert (np.diff(row["retention"]) <= 0).all()
        assert row["reward_parts"].keys() == {"engagement", "watch", "retention", "instruction"}
    top, middle, last = written["rows"]
    assert top["difference"]["to"] == "ease"
    assert top["difference"]["mean"] == pytest.approx(top["return"]["mean"] - middle["return"]["mean"])
    assert top["difference"]["excludes_zero"]
    assert last["difference"] is None
    lines = list(csv.DictReader(io.StringIO((tmp_path / "leaderboard.csv").read_text())))
    assert [line["policy"] for line in lines] == ["oracle", "ease", "random"]
    assert float(lines[0]["return_low"]) == top["return"]["low"]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"ease.npz", "oracle.npz", "random.npz"}


def test_the_order_is_sensible() -> None:
    """random < popularity < personalised < instructed < oracle, with intervals of the differences that say so."""
    board = evaluate(MINI, ["random", "popularity", "ease", "ease+instruct", "oracle"], seeds=3)
    assert [row["policy"] for row in board.rows] == ["oracle", "ease+instruct", "ease", "popularity", "random"]
    assert all(row["difference"]["excludes_zero"] for row in board.rows[:-1])


def test_policies_do_not_depend_on_each_other() -> None:
    alone = evaluate(MINI, ["ease"], users=20).rows[0]
    beside = next(row for row in evaluate(MINI, ["random", "ease"], users=20).rows if row["policy"] == "ease")
    assert {k: v for k, v in alone.items() if "seconds" not in k and k != "difference"} == {
        k: v for k, v in beside.items() if "seconds" not in k and k != "difference"
    }


def test_an_interrupted_evaluation_keeps_what_is_done_and_goes_on(tmp_path: Path) -> None:
    names = ["random", "popularity", "genre"]

    def stop(policy: str, stage: str, ended: int, total: int) -> None:
        if policy == "genre" and ended:
            raise KeyboardInterrupt

    half = evaluate(MINI, names, users=30, out=tmp_path, progress=stop)
    assert half.interrupted
    assert {row["policy"] for row in half.rows} == {"random", "popularity"}
    assert json.loads((tmp_path / "leaderboard.json").read_text())["interrupted"]
    seen: list[tuple[str, str]] = []
    whole = evaluate(MINI, names, users=30, out=tmp_path, progress=lambda policy, stage, *_: seen.append((policy, stage)))
    assert {policy for policy, stage in seen if stage == "kept"} == {"random", "popularity"}
    assert {policy for policy, stage in seen if stage == "fit"} == {"genre"}
    straight = evaluate(MINI, names, users=30)
    assert not whole.interrupted
    assert [row["return"] for row in whole.rows] == [row["return"] for row in straight.rows]
    assert [row["difference"] for row in whole.rows] == [row["difference"] for row in straight.rows]


def test_an_evaluation_interrupted_after_its_last_policy_is_whole(tmp_path: Path) -> None:
    def stop(policy: str, stage: str, ended: int, total: int) -> None:
        if stage == "done":
            raise KeyboardInterrupt

    assert not evaluate(MINI, ["random"], users=5, out=tmp_path, progress=stop).interrupted


def test_other_settings_do_not_mix_with_what_is_there(tmp_path: Path) -> None:
    evaluate(MINI, ["random"], users=10, out=tmp_path)
    with pytest.raises(ConfigError, match=r"users: 10 there, 11 now.*--fresh"):
        evaluate(MINI, ["random"], users=11, out=tmp_path)
    with pytest.raises(ConfigError, match=r"evaluation \(config: max_turns: \d+ there, 5 now\)"):
        evaluate(WorldConfig.of(dataset="mini", max_turns=5), ["random"], users=10, out=tmp_path)
    assert evaluate(MINI, ["popularity"], users=11, out=tmp_path, fresh=True).rows[0]["policy"] == "popularity"
    (tmp_path / "leaderboard.json").write_text("[]")
    with pytest.raises(ConfigError, match="no leaderboard"):
        evaluate(MINI, ["random"], users=11, out=tmp_path)


def test_a_damaged_result_is_computed_again(tmp_path: Path) -> None:
    before = evaluate(MINI, ["random"], users=10, out=tmp_path).rows[0]["return"]
    (tmp_path / "results" / "random.npz").write_bytes(b"PK nonsense")
    assert evaluate(MINI, ["random"], users=10, out=tmp_path).rows[0]["return"] == before


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        evaluate(MINI, ["random"], users=5, out=tmp_path / "file" / "out")


def test_a_missing_extra_is_an_error_when_named_and_a_note_when_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise MissingExtra("implicit", "classic", "policy 'als'")

    monkeypatch.setattr(ALS, "fit", absent)
    with pytest.raises(MissingExtra, match=r"recoworld\[classic\]"):
        evaluate(MINI, ["als"], users=5)
    board = evaluate(MINI, ["all"], users=5)
    assert "als" not in {row["policy"] for row in board.rows}
    assert "ease" in {row["policy"] for row in board.rows}
    assert any("recoworld[classic]" in note for note in board.notes)
    assert not board.interrupted


def test_more_users_than_the_group_has_widen_it(world: World) -> None:
    untouched = len(world.split.test) + len(world.split.validation)
    board = evaluate(MINI, ["random"], users=untouched)
    assert board.settings["group"] == "all"
    assert board.settings["users"] == untouched
    assert "join them" in board.notes[0]
    assert len(board.notes) == 1
    board = evaluate(MINI, ["random"], users=untouched + 50)
    assert "50 of the" in board.notes[1]
    assert 0 < board.rows[0]["ranked_users"] <= untouched
    assert "all of them are taken" in evaluate(MINI, ["random"], users=len(world.dataset.users) + 1, group="all").notes[0]
    assert evaluate(MINI, ["random"], users=5, group="train").rows[0]["ndcg@10"] is None


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"users": 0}, ConfigError),
        ({"seeds": 0}, ConfigError),
        ({"seed": -1}, ConfigError),
        ({"group": "tests"}, UnknownName),
        ({"policies": []}, ConfigError),
        ({"policies": ["eas"]}, UnknownName),
        ({"save_sessions": 3}, ConfigError),
    ],
)
def test_wrong_arguments_say_so(bad: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        evaluate(MINI, **({"policies": ["random"]} | bad))  # type: ignore[arg-type]


def test_wrong_names_cost_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EASE, "fit", lambda *_: pytest.fail("fitted before the names were checked"))
    with pytest.raises(UnknownName, match="'popularity'"):
        evaluate(MINI, ["ease", "populrity"], users=5)


def test_sessions_are_saved_as_they_were_played(tmp_path: Path) -> None:
    row = evaluate(MINI, ["ease+instruct"], users=8, out=tmp_path, save_sessions=8).rows[0]
    saved = read_jsonl(tmp_path / "sessions" / "ease+instruct.jsonl")
    assert [session.policy for session in saved] == ["ease+instruct"] * 8
    assert np.mean([session.return_ for session in saved]) == pytest.approx(row["return"]["mean"])
    assert np.mean([session.n_turns for session in saved]) == pytest.approx(row["turns"]["mean"])


def test_the_leaderboard_of_movielens_orders_sensibly(ml1m_dir: Path) -> None:
    """random < popularity < EASE < EASE that follows instructions < oracle, with intervals that do not meet."""
    config = WorldConfig.of(dataset="ml-1m", data_dir=str(ml1m_dir))
    names = ["random", "popularity", "ease", "ease+instruct", "oracle"]
    board = evaluate(config, names, users=600, seed=0)
    rows = {row["policy"]: row["return"] for row in board.rows}
    for worse, better in pairwise(names):
        assert rows[worse]["high"] < rows[better]["low"], (worse, rows[worse], better, rows[better])


def test_the_oracles_sessions_can_be_saved(tmp_path: Path) -> None:
    """It reads the world that it plays in, not the one in which it was ranked before."""
    board = evaluate(WorldConfig.of(dataset="mini"), ["oracle"], users=20, seed=0, out=tmp_path, save_sessions=3)
    saved = read_jsonl(tmp_path / "sessions" / "oracle.jsonl")
    assert len(saved) == 3
    assert board.rows[0]["return"]["mean"] > 0


def test_all_leaves_out_what_learns_for_minutes() -> None:
    from recoworld.evaluation.runs import _names
    from recoworld.registry import POLICIES, SLOW

    assert set(SLOW) < set(POLICIES)
    assert set(_names(["all"])) == set(POLICIES) - set(SLOW)
    assert _names(["all", "sasrec", "random"])[-1] == "sasrec"
