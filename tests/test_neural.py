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


from recoworld.policies.ials import IALS
from recoworld.policies.neural import plackett
from recoworld.policies.neural.asked import arranged
from recoworld.policies.neural.belief import START, TOPIC_UNIT, Belief
from recoworld.policies.neural.knowledge import ItemKnowledge
from recoworld.policies.neural.scorer import MET, WIDE, ItemScorer, Sizes
from recoworld.policies.neural.session import SessionItems, session_of


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
    [(Kind.NONE, None), (Kind.MORE, "TFTFTF"), (Kind.ONLY, "TTTTTT"), (Kind.LESS, "FFFFFF"), (Kind.AVOID, "FFFFFF")],
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


def world_tables(world, factors=3):
    """Content and factors of items with a row of zeros in front."""
    features = torch.from_numpy(world.catalog.features)
    others = torch.randn(len(features), factors, generator=torch.Generator().manual_seed(0))
    return tuple(torch.cat([torch.zeros(1, part.shape[1]), part]) for part in (features, others))


def test_the_session_is_found_in_the_history(world):
    seen = observe(world)
    session = session_of(tensors(seen))
    start = world.history_length
    items, acts = (seen[name][:, start : start + 20].reshape(-1, 4, 5) for name in ("history", "history_acts"))
    assert session.items.shape == (24, 6, 5)
    np.testing.assert_array_equal(session.items[:, :4], items)
    np.testing.assert_array_equal(session.clicked[:, :4], acts >= Act.CLICKED)
    np.testing.assert_array_equal(session.skipped[:, :4], acts == Act.SKIPPED)
    assert (session.items[:, 4:] == 0).all()
    assert (session.turns == 4).all()
    expected = [20, (acts[3] >= Act.CLICKED).sum(), (acts[3] == Act.SKIPPED).sum(), (acts[3] == Act.UNSEEN).sum()]
    assert (session.counts[3] * 100).tolist() == pytest.approx(expected)


def by_hand(world, belief, taste, home, known, popularity, content, factors, row):
    """The module docstring's equations, a loop at a time: log-odds of all items, topics, surprise of one user."""
    w = {name: float(value) for name, value in zip(START, (belief.weights * belief.units).tolist(), strict=True)}
    fade, memory = (1 / (1 + np.exp(-w[name])) for name in ("fade", "memory"))
    x, q, seen, d = content[1:].numpy(), factors[1:].numpy(), observe(world), content.shape[1]
    clicks, liking, recent = np.zeros(d), np.zeros(q.shape[1]), np.zeros(d)
    likely, looks = np.zeros(d + 1), 0

    def logits(turn, topic):
        z = w["base"] + w["taste"] * taste[row] - w["known"] * known[row] + w["popularity"] * popularity + w["home"] * (x @ home[row])
        z = z + w["clicks"] * (x @ clicks) + w["liking"] * (q @ liking) - w["recent"] * np.square(x @ recent)
        return z + (w["focus"] * fade**turn * x[:, topic] if topic < d else 0.0)

    for turn in range(4):
        start = world.history_length + 5 * turn
        items, acts = seen["history"][row, start : start + 5] - 1, seen["history_acts"][row, start : start + 5]
        for topic in range(d + 1):
            chance = 1 / (1 + np.exp(-logits(turn, topic)[items]))
            likely[topic] += np.log(np.where(acts >= Act.CLICKED, chance, 1 - chance))[acts >= Act.SKIPPED].sum()
        hit, looked = items[acts >= Act.CLICKED], items[acts >= Act.SKIPPED]
        clicks, liking = fade * clicks + (x[hit] - x.mean(axis=0)).sum(axis=0), fade * liking + q[hit].sum(axis=0)
        recent = memory * recent + (1 - memory) * x[looked].mean(axis=0)
        looks += len(looked)
    prior = np.append(w["usual"] * home[row] + TOPIC_UNIT * belief.priors.detach().numpy(), w["none"])
    prior = np.exp(prior) / np.exp(prior).sum()
    joint = prior * np.exp(likely)
    topics = joint / joint.sum()
    mean = sum(share * (logits(4, topic) - logits(4, d)) for topic, share in enumerate(topics)) + logits(4, d)
    return mean, topics, -np.log(joint.sum()) / looks


def test_beliefs_are_those_of_the_equations(world):
    content, factors = world_tables(world)
    generator = torch.Generator().manual_seed(1)
    taste = torch.rand(24, len(content) - 1, generator=generator)
    home, popularity = torch.randn(24, content.shape[1], generator=generator) * 0.1, torch.randn(len(content) - 1, generator=generator)
    known = (torch.rand(24, len(content) - 1, generator=generator) < 0.3).float()
    belief = Belief(content, factors, popularity)
    with torch.no_grad():  # no weight is 0, and none is another's
        belief.weights.copy_(torch.tensor([-1.0, 2.0, 0.7, 0.3, 1.5, 0.4, 0.2, 3.0, 4.0, 1.0, 0.3, 5.0, 1.2]) / belief.units)
        belief.priors.copy_(torch.randn(content.shape[1], generator=generator) / TOPIC_UNIT)
        believed = belief(session_of(tensors(observe(world))), taste, home, known)
    for row in range(6):
        arguments = (part.numpy() for part in (taste, home, known, popularity))
        logits, topics, surprise = by_hand(world, belief, *arguments, content, factors, row)
        np.testing.assert_allclose(believed.logits[row], logits, atol=1e-4)
        np.testing.assert_allclose(believed.topics[row], topics, atol=1e-5)
        assert believed.surprise[row] == pytest.approx(surprise, abs=1e-5)


def test_a_session_about_one_thing_is_recognised():
    """Whoever clicks everything with feature 2 and nothing else is there for feature 2."""
    content = torch.cat([torch.zeros(1, 4), torch.eye(4).repeat(10, 1)])
    items = 1 + torch.arange(20).view(1, 4, 5)
    clicked = (content[items][..., 2] > 0).float()
    session = SessionItems(items=items, clicked=clicked, skipped=1 - clicked, turns=torch.tensor([4]))
    flat = torch.zeros(1, 40)
    belief = Belief(content, torch.zeros(41, 1), flat[0])
    with torch.no_grad():
        belief.weights.copy_(torch.tensor([-2.0, 0, 0, 0, 0, 0, 0, 0, 4.0, 4.0, 0, 0, 0]) / belief.units)
        believed = belief(session, flat, torch.zeros(1, 4), flat)
    assert believed.topics[0].argmax() == 2
    assert believed.topics[0, 2] > 0.95
    assert believed.logits[0].argmax() % 4 == 2


def test_an_empty_session_is_no_surprise_and_leaves_the_prior(world, knowledge):
    fresh = make_world(dataset="mini", slate_size=5, max_turns=6)
    fresh.reset(world.split.train[:3], np.arange(3))
    with torch.no_grad():
        out = scorer(world, knowledge)(tensors(observe(fresh)))
    assert (out.surprise == 0).all()
    assert out.scores.isfinite().all()


def test_only_surprise_teaches_the_belief(world, knowledge):
    net, seen = scorer(world, knowledge), tensors(observe(world))
    out = net(seen)
    out.scores.clamp(min=-100.0).square().mean().backward(retain_graph=True)
    assert net.belief.weights.grad is None
    assert net.wide.grad.abs().max() > 0
    out.surprise.mean().backward()
    assert (net.belief.weights.grad != 0).sum() >= 11  # with nothing of late, how long it lasts makes no difference


def test_an_item_of_this_session_is_below_all_others_and_one_of_the_past_may_come_again(world, knowledge):
    seen = observe(world)
    net = scorer(world, knowledge)
    with torch.no_grad():
        scores = net(tensors(seen)).scores[:, 0].numpy()
        net.belief.weights[list(START).index("known")] -= 1.0 / net.belief.units[list(START).index("known")]
        easier = net(tensors(seen)).scores[:, 0].numpy()
    marked = {}
    for name, acts in (("now", seen["history_acts"] >= Act.UNSEEN), ("before", seen["history_acts"] < Act.UNSEEN)):
        marked[name] = np.zeros_like(scores, dtype=bool)
        rows, columns = np.nonzero((seen["history"] > 0) & acts)
        marked[name][rows, seen["history"][rows, columns] - 1] = True
    assert scores[marked["now"]].max() < MET / 2 < scores[~marked["now"]].min()
    np.testing.assert_allclose((easier - scores)[marked["before"]], net.sizes.scale, atol=2e-2)  # MET is large
    np.testing.assert_allclose((easier - scores)[~marked["before"]], 0.0, atol=2e-2)


def test_scores_follow_the_formula(world, knowledge):
    """With all weights at zero but one, the scores are that quantity."""
    net, seen = scorer(world, knowledge), tensors(observe(world))
    believed = net._believed(seen)[1]
    items = net.belief.content[1:]
    expected = {"click": believed.logits, "popularity": net.belief.popularity, "recent": believed.recent @ items.T}
    expected |= {"recent_squared": expected["recent"].square(), "known": net._known(seen), "usual": items @ items.mean(dim=0)}
    with torch.no_grad():  # tolerances: MET is large
        net.wide.zero_()
        base = net(seen).scores[:, 0]
        for at, name in enumerate(WIDE):
            net.wide.zero_()
            net.wide[0, at] = 1 / WIDE[name]
            np.testing.assert_allclose(net(seen).scores[:, 0] - base, expected[name].detach().expand(24, -1), atol=2e-3)


def test_taste_is_by_what_was_taken(world, knowledge):
    """The root of the iALS score of the past alone: what happens in the session changes nothing."""
    seen = observe(world)
    before = seen["history_acts"] < Act.UNSEEN
    taste, home = knowledge.past(seen["history"] * before, seen["history_acts"] * before)
    policy = IALS()
    policy.fit(world.dataset, world.split)
    past = {"history": seen["history"] * before, "history_acts": seen["history_acts"] * before}
    np.testing.assert_allclose(taste, np.sqrt(policy.scores(past).clip(0, 4)), atol=1e-6)
    items = np.unique(past["history"][2][past["history"][2] > 0]) - 1
    np.testing.assert_allclose(home[2], world.catalog.features[items].mean(axis=0) - knowledge.crowd, atol=1e-6)


def test_the_transformer_reads_the_last_items_in_order(world, knowledge):
    """Another order of the same items is another state; what lies before the window is not read by it."""
    net = scorer(world, knowledge, sizes=Sizes(window=4))
    seen = tensors(observe(world))
    session, believed = net._believed(seen)
    swapped = {key: value.clone() for key, value in seen.items()}
    last = world.history_length + 19
    swapped["history"][:, [last - 1, last]] = seen["history"][:, [last, last - 1]]
    early = {key: value.clone() for key, value in seen.items()}
    early["history"][:, last - 4] = 1
    with torch.no_grad():
        states = [net.encoder(one, net.belief.content, session, believed) for one in (seen, swapped, early)]
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
            seen.append(net(tensors(observe(other))).scores)
    assert torch.allclose(seen[0], seen[1], atol=1e-4)
    assert torch.allclose(seen[0], seen[2], atol=1e-4)
