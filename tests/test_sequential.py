"""GRU4Rec, SASRec and BPR: sequences by hand, losses by their formulas, what they must learn, and training that was cut off."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from recoworld.catalog import build_catalog
from recoworld.datasets import load_dataset
from recoworld.datasets.arrays import by_user, unknown_users
from recoworld.errors import ConfigError, MissingExtra
from recoworld.evaluation.starec import Protocol, benchmark
from recoworld.evaluation.starec.measure import ndcg, ranks
from recoworld.evaluation.starec.prepare import prepare
from recoworld.evaluation.starec.rankers import PolicyRanker
from recoworld.policies import make_policy
from recoworld.policies.sequential.bpr import BPR
from recoworld.policies.sequential.gru4rec import GRU4Rec
from recoworld.policies.sequential.learner import Arrays, Learner
from recoworld.policies.sequential.sasrec import SASRec
from recoworld.policies.sequential.scorer import NextItem
from recoworld.policies.sequential.sequences import Sequences, latest
from recoworld.types import Act, Bools, Floats
from recoworld.users import Dataset, Split

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402

from recoworld.policies.sequential.networks.attention import SelfAttentive  # noqa: E402
from recoworld.policies.sequential.networks.factors import Factors, Pairs  # noqa: E402
from recoworld.policies.sequential.networks.gru import Recurrent  # noqa: E402
from recoworld.policies.sequential.networks.windows import WindowNetwork, Windows  # noqa: E402

SMALL = {"width": 16, "length": 8, "negatives": 16, "batch": 16}


def small(name: str, **settings: int) -> NextItem:
    given = {**SMALL, "seed": 1, **settings}
    return GRU4Rec(hidden=16, dropout=0.1, **given) if name == "gru4rec" else SASRec(layers=1, dropout=0.1, **given)  # type: ignore[arg-type]


def logged(likes: list[list[int]], n_items: int) -> tuple[Dataset, Split]:
    users = np.repeat(np.arange(len(likes)), [len(items) for items in likes])
    log = by_user(users, np.concatenate(likes), None, None, n_users=len(likes))
    names = [f"i{i}" for i in range(n_items)]
    catalog = build_catalog(name="by hand", ids=names, titles=names, genres=[("A",)] * n_items)
    people = unknown_users([f"u{i}" for i in range(len(likes))])
    data = Dataset(name="by hand", catalog=catalog, users=people, interactions=log, explicit=False)
    nobody = np.arange(0)
    return data, Split(seed=0, visible_end=log.indptr[1:], train=np.arange(len(likes)), validation=nobody, test=nobody)


def wheel(n_items: int = 30, n_users: int = 150, turns: int = 14) -> Dataset:
    """Item i is followed by i + 1: who knows the last one knows the next; all are equally popular."""
    starts = np.random.default_rng(0).integers(n_items, size=n_users)
    return logged([[(start + step) % n_items for step in range(turns)] for start in starts], n_items)[0]


# ---- sequences


@pytest.mark.parametrize("length", [1, 3, 7, 40])
@pytest.mark.parametrize("seed", range(4))
def test_every_next_item_is_sought_once(length: int, seed: int) -> None:
    """Whatever the cuts; and what stands before it in its window is what stood before it in the log."""
    likes = [list(range(n)) for n in (0, 1, 2, 3, 8, 41, 95)]
    data, split = logged(likes, 100)
    windows = Sequences.of(data, split.train).windows(length, np.random.default_rng(seed))
    assert windows.shape[1] == length + 1
    real = (windows[:, :-1] > 0) & (windows[:, 1:] > 0)
    np.testing.assert_array_equal(windows[:, 1:][real], windows[:, :-1][real] + 1)  # consecutive, by the log's making
    assert (np.diff(windows > 0, axis=1) >= 0).all()  # padding in front alone
    assert (real.sum(axis=1) > 0).all()
    sought = np.bincount(windows[:, 1:][real], minlength=101)
    expected = np.zeros(101, int)
    for items in likes:
        expected[np.array(items[1:], int) + 1] += 1
    np.testing.assert_array_equal(sought, expected)


def test_windows_are_cut_elsewhere_in_each_epoch() -> None:
    data, split = logged([list(range(95))], 100)
    sequences = Sequences.of(data, split.train)
    ends = {tuple(sequences.windows(10, np.random.default_rng(seed))[:, -1]) for seed in range(20)}
    assert len(ends) > 5


def test_a_log_without_pairs_gives_no_windows() -> None:
    data, split = logged([[3], []], 5)
    assert Sequences.of(data, split.train).windows(4, np.random.default_rng(0)).shape == (0, 5)


def test_the_latest_likes_by_hand() -> None:
    history = np.array([[0, 5, 6, 7, 8, 9, 0], [0, 0, 0, 0, 0, 3, 4]])
    acts = np.array([[0, Act.RATED, Act.SKIPPED, Act.CLICKED, Act.DISLIKED, Act.LIKED, 0], [0, 0, 0, 0, 0, Act.UNSEEN, Act.SHARED]])
    seen = {"history": history, "history_acts": acts.astype(np.int8)}
    assert latest(seen, 2).tolist() == [[7, 9], [0, 4]]
    assert latest(seen, 4).tolist() == [[0, 5, 7, 9], [0, 0, 0, 4]]


# ---- losses


def test_the_loss_is_cross_entropy_over_item_and_negatives() -> None:
    """One window 1 2 3, sought are 2 and 3; the negative 3 does not count against itself."""

    class LastItem(WindowNetwork):
        def states(self, windows: Tensor) -> Tensor:
            return self.items(windows)

    network = LastItem()
    network.items = torch.nn.Embedding(5, 2, padding_idx=0)
    with torch.no_grad():
        network.items.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]]))
    loss = network.loss({"items": torch.tensor([[0, 1, 2, 3]]), "negatives": torch.tensor([3, 4])})
    first = -np.log(np.exp(0.0) / (np.exp(0.0) + np.exp(1.0) + np.exp(2.0)))  # after 1: scores of 2, 3, 4
    second = -np.log(np.exp(1.0) / (np.exp(1.0) + np.exp(-1.0)))  # after 2: scores of 3 and 4
    assert float(loss.detach()) == pytest.approx((first + second) / 2, rel=1e-6)


def test_the_loss_of_pairs_by_hand() -> None:
    network = Factors(1, 2, width=2, reg=0.1)
    with torch.no_grad():
        network.users.weight.copy_(torch.tensor([[1.0, 2.0]]))
        network.items.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    one = torch.tensor([0])
    loss = network.loss({"users": one, "liked": one, "others": one + 1})
    assert float(loss.detach()) == pytest.approx(np.log1p(np.exp(1.0)) + 0.1 * (5 + 1 + 1), rel=1e-6)


def test_pairs_hold_each_like_once() -> None:
    data, split = logged([[0, 1, 2], [2, 3]], 50)
    batches = list(Pairs(Sequences.of(data, split.train), 50, batch=2).batches(np.random.default_rng(0)))
    pairs = [(int(u), int(i)) for batch in batches for u, i in zip(batch["users"], batch["liked"], strict=True)]
    assert sorted(pairs) == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 3)]
    assert [len(batch["others"]) for batch in batches] == [2, 2, 1]


# ---- networks


@pytest.mark.parametrize("build", ["gru", "attention"])
def test_nothing_is_known_of_what_comes_later(build: str) -> None:
    torch.manual_seed(0)
    sizes = {"width": 8, "dropout": 0.0}
    network = Recurrent(20, hidden=8, **sizes) if build == "gru" else SelfAttentive(20, layers=2, heads=2, length=6, **sizes)
    first, second = torch.tensor([[0, 3, 4, 5, 6, 7]]), torch.tensor([[0, 3, 4, 5, 9, 1]])
    with torch.no_grad():
        a, b = network.eval().states(first), network.states(second)
    torch.testing.assert_close(a[:, :4], b[:, :4])
    assert not torch.allclose(a[:, 4], b[:, 4])
    assert torch.isfinite(a).all()  # also where there is nothing but padding


def test_padding_tells_self_attention_nothing() -> None:
    """Items that stand behind the padding's places have the same states whatever is put into the padding's row."""
    network = SelfAttentive(20, width=8, layers=2, heads=2, dropout=0.0, length=5).eval()
    window = torch.tensor([[0, 0, 3, 4, 5]])
    with torch.no_grad():
        before = network.states(window)[:, 2:]
        network.items.weight[0] = 7.0
        torch.testing.assert_close(network.states(window)[:, 2:], before)


# ---- what they must learn


@pytest.mark.parametrize("name", ["gru4rec", "sasrec"])
def test_who_reads_the_order_knows_the_next_item(name: str) -> None:
    """On the wheel the order says all, popularity nothing: 99 against chance, which is 0.355 for NDCG@20 of 20."""
    task = prepare(wheel(), Protocol(minimum=5, negatives=9, length=8))
    policy = small(name, epochs=30, patience=30)
    policy.learn(task.training, task.split)
    questions, places = task.test(task.drawn_users(None, 0), 0)
    found = ndcg(ranks(PolicyRanker(policy, task), questions, places), 10).mean()
    assert found > 0.97
    shuffled = replace(questions, history=np.random.default_rng(0).permuted(questions.history, axis=1))
    assert ndcg(ranks(PolicyRanker(policy, task), shuffled, places), 10).mean() < found - 0.1


def two_camps(n: int = 60) -> tuple[Dataset, Split]:
    """The first half like items 0 to 19, the others 20 to 39, ten each."""
    generator = np.random.default_rng(0)
    return logged([list(20 * (user % 2) + generator.permutation(20)[:10]) for user in range(n)], 40)


def test_bpr_learns_who_is_of_which_camp() -> None:
    data, split = two_camps()
    policy = BPR(factors=8, epochs=60, rate=0.02, batch=64)
    policy.fit(data, split)
    own = np.repeat([[True, False]], 20, axis=1).reshape(1, -1) == (split.train % 2 == 0)[:, None]
    known = policy.user_scores(split.train)
    liked = np.zeros_like(own)
    liked[data.interactions.users, data.interactions.items] = True
    fresh = own & ~liked  # of one's own camp, and never met
    assert (_mean(known, fresh) > _mean(known, ~own)).mean() > 0.95
    stranger = {"history": np.array([[0, 3, 5], [0, 0, 33]]), "history_acts": np.array([[0, 2, 2], [0, 0, 2]], np.int8)}
    folded = policy.scores(stranger)
    assert folded[0, :20].mean() > folded[0, 20:].mean()
    assert folded[1, 20:].mean() > folded[1, :20].mean()
    with pytest.raises(ConfigError, match="user 60"):
        policy.user_scores(np.array([60]))


def _mean(scores: Floats, where: Bools) -> Floats:
    return np.asarray((scores * where).sum(axis=1) / where.sum(axis=1))


def test_a_user_without_likes_gets_the_chart() -> None:
    data, split = two_camps()
    blank = {"history": np.zeros((1, 3), np.int64), "history_acts": np.zeros((1, 3), np.int8)}
    for policy in (BPR(factors=8, epochs=1), small("gru4rec", epochs=1), small("sasrec", epochs=1)):
        policy.fit(data, split)
        scores = policy.scores(blank)[0]
        assert int(scores.argmax()) == int(np.bincount(data.interactions.items).argmax())


# ---- training


class Kept:
    """A memory that a test can look into."""

    def __init__(self) -> None:
        self.arrays: list[Arrays] = []

    def load(self) -> Arrays | None:
        return self.arrays[-1] if self.arrays else None

    def save(self, arrays: Arrays) -> None:
        self.arrays.append({name: np.array(value) for name, value in arrays.items()})


@pytest.mark.parametrize("reached", [2, 4])
@pytest.mark.parametrize("name", ["gru4rec", "sasrec"])
def test_training_goes_on_as_if_it_had_not_been_cut_off(name: str, reached: int) -> None:
    data, split = two_camps()
    seen = {"history": np.arange(1, 25).reshape(4, 6), "history_acts": np.full((4, 6), 2, np.int8)}
    whole, memory = small(name, epochs=4), Kept()
    whole.learn(data, split, memory=memory)
    assert len(memory.arrays) == 4
    part = Kept()
    part.arrays = memory.arrays[:reached]
    heard: list[int] = []
    rest = small(name, epochs=4)
    rest.learn(data, split, memory=part, told=lambda epoch, most, best: heard.append(epoch))
    assert heard == [3, 4][reached - 2 :]
    np.testing.assert_array_equal(rest.scores(seen), whole.scores(seen))


def test_the_best_epoch_is_kept_and_patience_ends_it() -> None:
    data, split = two_camps()
    seen = {"history": np.arange(1, 25).reshape(4, 6), "history_acts": np.full((4, 6), 2, np.int8)}
    judged = iter([0.1, 0.5, 0.4, 0.5, 0.3, 0.9])
    scores, policy = [], small("sasrec", epochs=20, patience=3)

    def judge() -> float:
        scores.append(policy.scores(seen))
        return next(judged)

    policy.learn(data, split, judge=judge)
    assert len(scores) == 5  # three epochs after the second brought no more
    np.testing.assert_allclose(policy.scores(seen), scores[1], atol=1e-5)  # the last ones are computed in double precision
    assert np.abs(policy.scores(seen) - scores[-1]).max() > 1e-3


def test_the_seed_decides_the_weights_and_torch_is_left_as_it_was() -> None:
    data, split = two_camps()
    seen = {"history": np.arange(1, 25).reshape(4, 6), "history_acts": np.full((4, 6), 2, np.int8)}
    before = torch.random.get_rng_state()
    found = []
    for seed in (3, 3, 4):
        policy = small("sasrec", epochs=1, seed=seed)
        policy.fit(data, split)
        found.append(policy.scores(seen))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_diverging_loss_is_told() -> None:
    data, split = two_camps()
    windows = Windows(Sequences.of(data, split.train), 40, length=4, batch=8, negatives=4)
    assert next(windows.batches(np.random.default_rng(0)))["items"].shape == (8, 5)
    policy = BPR(epochs=5)
    policy.reg = float("nan")  # type: ignore[misc]
    with pytest.raises(ConfigError, match="lower rate="):
        policy.fit(data, split)


@pytest.mark.parametrize("name", ["bpr", "gru4rec", "sasrec"])
def test_without_torch_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    for module in ("bpr", "scorer"):
        monkeypatch.setattr(f"recoworld.policies.sequential.{module}.find_spec", lambda *_: None)
    with pytest.raises(MissingExtra, match=r"recoworld\[llm\]"):
        make_policy(name)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="heads"):
        SASRec(width=10, heads=3)
    with pytest.raises(ConfigError, match="dropout"):
        GRU4Rec(dropout=1.0)
    assert all(isinstance(make_policy(name), Learner) for name in ("bpr", "gru4rec", "sasrec"))


# ---- in the benchmark


def small_gru(seed: int = 0) -> NextItem:
    return small("gru4rec", epochs=2, seed=seed)


def test_the_benchmark_judges_training_and_goes_on_with_it(tmp_path: object) -> None:
    data, heard = load_dataset("mini"), []

    def cutting(method: str, stage: str, run: int, word: str) -> None:
        heard.append((stage, word))
        if stage == "epoch" and len(heard) == 2:
            raise KeyboardInterrupt

    spec = f"{__name__}:small_gru"
    cut = benchmark(data, [spec], runs=1, users=100, out=str(tmp_path), progress=cutting)
    assert cut.interrupted
    assert cut.rows == []
    assert heard[1][1].startswith("epoch 1, best ")
    heard.clear()
    whole = benchmark(data, [spec], runs=1, users=100, out=str(tmp_path), progress=lambda *words: heard.append((words[1], words[3])))
    assert [word[:7] for stage, word in heard if stage == "epoch"] == ["epoch 2"]
    alone = benchmark(data, [spec], runs=1, users=100)
    assert whole.rows[0]["ndcg@10"] == alone.rows[0]["ndcg@10"]
