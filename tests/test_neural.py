"""The networks of trained policies: distribution, session quantities, scores."""

# ruff: noqa: E402  # nothing of this can be imported without the extra

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from recoworld.assembly import make_world
from recoworld.envs.codec import observation_space, observe
from recoworld.types import Act, Kind

torch = pytest.importorskip("torch", reason="needs the extra rllib")


from recoworld.policies.neural import plackett
from recoworld.policies.neural.asked import arranged
from recoworld.policies.neural.knowledge import ItemKnowledge
from recoworld.policies.neural.scorer import MET, WIDE, ItemScorer, Sizes
from recoworld.policies.neural.session import session_facts


@pytest.fixture(scope="module")
def world():
    world = make_world(dataset="mini", slate_size=5, max_turns=6)
    users = world.split.train[:24]
    world.reset(users, np.arange(24))
    generator = np.random.default_rng(0)
    for _ in range(4):
        world.step(np.stack([generator.permutation(len(world.catalog))[:5] for _ in users]))
    return world


@pytest.fixture(scope="module")
def knowledge(world):
    return ItemKnowledge(world.dataset, world.split)


def tensors(observations):
    return {key: torch.from_numpy(np.array(value)) for key, value in observations.items()}


def scorer(world, knowledge, **arguments):
    torch.manual_seed(0)
    space = observation_space(world)
    return ItemScorer(knowledge, profile=space["profile"].shape[0], told=space["instruction"].shape[0], **arguments)


def one_sort(scores):
    return torch.zeros_like(scores, dtype=torch.bool)


def test_the_probabilities_of_all_slates_sum_to_one_and_are_products_of_choices():
    scores = torch.tensor([[0.3, -1.0, 2.0, 0.0, 5.0]], dtype=torch.float64)
    slates = torch.tensor(list(permutations(range(5), 3)))
    logs = plackett.log_prob(scores.expand(len(slates), -1), slates, one_sort(scores.expand(len(slates), -1)))
    assert logs.exp().sum() == pytest.approx(1.0, abs=1e-12)
    e = scores[0].exp()
    first, second, third = slates[7].tolist()
    by_hand = e[first] / e.sum() * e[second] / (e.sum() - e[first]) * e[third] / (e.sum() - e[first] - e[second])
    assert logs[7].exp() == pytest.approx(float(by_hand), rel=1e-12)


def test_log_probabilities_stay_finite_and_right_when_one_item_takes_all():
    scores = torch.tensor([[200.0, 100.0, 0.0, -200.0]])
    assert plackett.log_prob(scores, torch.tensor([[0, 1]]), one_sort(scores)) == pytest.approx(0.0, abs=1e-6)
    assert plackett.log_prob(scores, torch.tensor([[1, 0]]), one_sort(scores)) == pytest.approx(-100.0, rel=1e-6)
    assert plackett.log_prob(scores, torch.tensor([[3, 2, 1, 0]]), one_sort(scores)) == pytest.approx(-400 - 200 - 100, rel=1e-6)


def test_draws_have_the_distribution():
    scores = torch.tensor([1.0, 0.0, -0.5, 0.7]).expand(40_000, -1)
    slates = plackett.perturbed(scores, torch.Generator().manual_seed(0)).topk(2, dim=1).indices
    assert (slates[:, 0] != slates[:, 1]).all()
    for pair in permutations(range(4), 2):
        share = (slates == torch.tensor(pair)).all(dim=1).float().mean()
        expected = plackett.log_prob(scores[:1], torch.tensor([pair]), one_sort(scores[:1])).exp()
        assert share == pytest.approx(float(expected), abs=4 * float(expected * (1 - expected) / 40_000) ** 0.5)


def test_two_sorts_are_drawn_each_for_itself():
    """Items 0, 2 and 4 fit; a slot that holds such a one was drawn among them, another among the rest."""
    scores, fits = torch.tensor([[0.3, -1.0, 2.0, 0.0, 5.0]]), torch.tensor([[True, False, True, False, True]])
    e = scores[0].exp()
    logs = plackett.slot_log_probs(scores, torch.tensor([[2, 3, 4, 1]]), fits)[0].exp()
    by_hand = [e[2] / (e[0] + e[2] + e[4]), e[3] / (e[1] + e[3]), e[4] / (e[0] + e[4]), 1.0]
    np.testing.assert_allclose(logs, by_hand, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "sorts"),
    [(Kind.NONE, None), (Kind.MORE, "TTFTTF"), (Kind.ONLY, "TTTTTT"), (Kind.LESS, "FFFFFF"), (Kind.AVOID, "FFFFFF")],
)
def test_slates_follow_an_instruction_with_the_best_of_either_sort(kind, sorts):
    k, scores = 6, torch.randn(1, 40, generator=torch.Generator().manual_seed(1))
    fits, met = torch.arange(40)[None] % 2 == 0, torch.zeros(1, 40)
    seen = {"instruction_code": torch.tensor([[int(kind), 1, 0, 0]]), "slate": torch.zeros(1, k)}
    (slate,) = arranged(scores, lambda own, rows: own.topk(k, dim=1).indices, seen, fits, met)
    assert len(set(slate.tolist())) == k
    if sorts is None:
        assert slate.tolist() == scores[0].topk(k).indices.tolist()
        return
    assert ["FT"[fits[0, item]] for item in slate] == list(sorts)
    for sort in (True, False):
        mine = [item for item in slate.tolist() if fits[0, item] == sort]
        assert mine == sorted((i for i in range(40) if fits[0, i] == sort), key=lambda i: -scores[0, i])[: len(mine)]


def test_too_few_items_that_fit_are_all_shown_and_met_ones_are_not():
    k, scores = 4, torch.arange(8.0)[None]
    fits, met = torch.tensor([[True, True, True] + [False] * 5]), torch.zeros(1, 8)
    met[0, 2] = 1.0
    seen = {"instruction_code": torch.tensor([[int(Kind.ONLY), 1, 0, 0]]), "slate": torch.zeros(1, k)}
    (slate,) = arranged(scores + met * MET, lambda own, rows: own.topk(k, dim=1).indices, seen, fits, met)
    assert sorted(slate.tolist()) == [0, 1, 6, 7]


def test_entropy_and_divergence_of_the_first_choice():
    even, uneven = torch.zeros(1, 8), torch.tensor([[1.0, 0, 0, 0, 0, 0, 0, 0]])
    assert plackett.first_entropy(even) == pytest.approx(np.log(8))
    p = torch.softmax(uneven, 1)
    assert plackett.first_divergence(uneven, even) == pytest.approx(float((p * (p * 8).log()).sum()), abs=1e-6)


def test_session_facts_are_what_a_loop_over_the_slots_adds_up(world):
    memory, features = 0.6, world.catalog.features
    centre, seen = features.mean(axis=0), observe(world)
    table = torch.zeros(len(features) + 1, features.shape[1])
    table[1:] = torch.from_numpy(features)
    factors = torch.zeros(len(features) + 1, 3)
    factors[1:] = torch.randn(len(features), 3, generator=torch.Generator().manual_seed(0))
    facts = session_facts(tensors(seen), table, factors, torch.tensor(memory))
    for row in range(len(seen["slate"])):
        clicks, skips, recent = np.zeros(features.shape[1]), np.zeros(features.shape[1]), np.zeros(features.shape[1])
        liking, passing = np.zeros(3), np.zeros(3)
        for turn in range(4):
            start = world.history_length + 5 * turn
            items, acts = seen["history"][row, start : start + 5] - 1, seen["history_acts"][row, start : start + 5]
            looked = acts >= Act.SKIPPED
            clicks += (features[items[acts >= Act.CLICKED]] - centre).sum(axis=0)
            skips += (features[items[acts == Act.SKIPPED]] - centre).sum(axis=0)
            liking += factors.numpy()[items[acts >= Act.CLICKED] + 1].sum(axis=0)
            passing += factors.numpy()[items[acts == Act.SKIPPED] + 1].sum(axis=0)
            recent = memory * recent + (1 - memory) * (features[items[looked]].mean(axis=0) if looked.any() else 0)
        for name, expected in (("clicks", clicks), ("skips", skips), ("recent", recent), ("liking", liking), ("passing", passing)):
            np.testing.assert_allclose(getattr(facts, name)[row].numpy(), expected, atol=1e-5)
        assert facts.counts[row, 0] == pytest.approx(20 / 100)


def test_an_item_already_met_is_below_all_others(world, knowledge):
    seen = observe(world)
    with torch.no_grad():
        scores = scorer(world, knowledge)(tensors(seen))[0][:, 0].numpy()
    met = world.state.history.exposures > 0
    met_shown = np.zeros_like(met)
    rows, columns = np.nonzero(seen["history"])
    met_shown[rows, seen["history"][rows, columns] - 1] = True
    assert scores[met_shown].max() < MET / 2 < scores[~met_shown].min()


def test_scores_follow_the_formula(world, knowledge):
    """With all weights at zero but one, the scores are that quantity."""
    seen = observe(world)
    net = scorer(world, knowledge, sizes=Sizes(scale=1.0))
    before = seen["history_acts"] < Act.UNSEEN
    past, home = knowledge.past(seen["history"] * before, seen["history_acts"] * before)
    with torch.no_grad():  # tolerances: MET is large, and the table of half precision
        for parameter in (net.wide, net.shift.weight, net.query.weight):
            parameter.zero_()
        base = net(tensors(seen))[0][:, 0]
        net.wide[0, 0] = 1 / WIDE["ease"]
        np.testing.assert_allclose((net(tensors(seen))[0][:, 0] - base).numpy(), past[:, 0], atol=2e-3)
        net.wide.zero_()
        net.wide[0, 4] = 1 / WIDE["home"]
        np.testing.assert_allclose((net(tensors(seen))[0][:, 0] - base).numpy(), home @ world.catalog.features.T, atol=2e-3)


def test_the_transformer_reads_the_last_items_in_order(world, knowledge):
    """Another order of the same items is another state; what lies before the window is not read by it."""
    net = scorer(world, knowledge, sizes=Sizes(window=4))
    seen = tensors(observe(world))
    facts = session_facts(seen, net.table, net.factors, torch.tensor(0.5))
    swapped = {key: value.clone() for key, value in seen.items()}
    last = world.history_length + 19
    swapped["history"][:, [last - 1, last]] = seen["history"][:, [last, last - 1]]
    early = {key: value.clone() for key, value in seen.items()}
    early["history"][:, last - 4] = 1
    with torch.no_grad():
        states = [net.encoder(one, net.table, facts) for one in (seen, swapped, early)]
    assert (states[0] - states[1]).abs().amax(dim=1).min() > 1e-6
    assert torch.equal(states[0], states[2])


def test_parameters_alone_are_in_the_state_dict(world, knowledge):
    """Item tables are rebuilt from the data set: weights sent to runners and stored stay small."""
    net = scorer(world, knowledge)
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()}


def test_a_past_is_scored_the_same_kept_or_new(world, knowledge):
    net, seen = scorer(world, knowledge), tensors(observe(world))
    first = net._past(seen)
    again = net._past({key: value[5:6] for key, value in seen.items()})
    assert torch.equal(first[0][5:6], again[0])
    assert torch.equal(first[1][5:6], again[1])
    assert first[0].amax(dim=2) == pytest.approx(1.0, abs=1e-3)


def test_the_same_person_is_read_alike_in_histories_of_any_length(world, knowledge):
    """Rankings are asked for with all of the past in sight; who met fewer items than the window holds has padding in front."""
    net = scorer(world, knowledge)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) * 1e-3)
    met = np.diff(world.dataset.interactions.indptr)
    users = np.argsort(met)[:16]
    assert met[users].min() < net.sizes.window
    seen = []
    for longer in ({}, {"history_length": 300, "max_turns": 9, "slate_size": 7}, {"history_length": 240, "max_turns": 2}):
        other = make_world(dataset="mini", **longer)
        other.reset(users, np.arange(16))
        with torch.no_grad():
            seen.append(net(tensors(observe(other)))[0])
    assert torch.allclose(seen[0], seen[1], atol=1e-4)
    assert torch.allclose(seen[0], seen[2], atol=1e-4)
