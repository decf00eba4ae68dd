"""The losses of policies over slates, against formulas worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rllib")
pytest.importorskip("ray", reason="needs the extra rllib")

# ruff: noqa: E402  # nothing of this can be imported without the extra
from recoworld.policies.neural import plackett
from recoworld.training.distribution import PlackettLuce
from recoworld.training.peers import among_peers
from recoworld.training.slate_ppo import slot_loss


def one_sort(scores):
    return torch.zeros_like(scores, dtype=torch.bool)


def test_each_slot_is_clipped_for_itself():
    before = torch.zeros(2, 3)
    now = torch.log(torch.tensor([[1.1, 1.5, 0.5], [1.1, 1.5, 0.5]]))
    gain, loss = slot_loss(now, before, torch.tensor([2.0, -1.0]), clip=0.2)
    # a gain counts up to 1.2, and what was lost counts in full; a loss counts from 0.8 on, and what got worse counts in full
    assert gain == pytest.approx(-2.0 * (1.1 + 1.2 + 0.5) / 3)
    assert loss == pytest.approx((1.1 + 1.5 + 0.8) / 3)


def test_a_slot_beyond_the_clip_does_not_stop_the_others():
    scores = torch.tensor([[0.0, 0.5, 1.0, -1.0]], requires_grad=True)
    slates = torch.tensor([[2, 0]])
    before = plackett.slot_log_probs(scores.detach(), slates, one_sort(scores)) - torch.tensor([[0.5, 0.0]])  # the first ratio is e^0.5
    slot_loss(plackett.slot_log_probs(scores, slates, one_sort(scores)), before, torch.ones(1), 0.2).sum().backward()
    second = torch.softmax(torch.tensor([0.0, 0.5, -1.0]), 0)  # items 0, 1, 3, once 2 is shown
    expected = torch.tensor([1 - second[0], -second[1], 0.0, -second[2]]) / -2
    np.testing.assert_allclose(scores.grad[0], expected, atol=1e-6)


def test_at_the_policy_that_played_the_gradient_is_that_of_the_log_probability():
    scores = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    slates = plackett.perturbed(scores.detach(), torch.Generator().manual_seed(1)).topk(3, dim=1).indices
    advantages = torch.tensor([1.0, -2.0, 0.5, 0.0])
    logs = plackett.slot_log_probs(scores, slates, one_sort(scores))
    (ours,) = torch.autograd.grad(slot_loss(logs, logs.detach(), advantages, 0.2).sum(), scores, retain_graph=True)
    (plain,) = torch.autograd.grad(-(plackett.log_prob(scores, slates, one_sort(scores)) * advantages).sum() / 3, scores)
    np.testing.assert_allclose(ours, plain, atol=1e-6)


def test_peers_are_compared_with_each_other_alone():
    advantages = torch.tensor([1.0, 3.0, 10.0, 20.0, 5.0, 99.0])
    peers = torch.tensor([7, 7, 8, 8, 9, 7])
    real = torch.tensor([True, True, True, True, True, False])
    apart = among_peers(advantages, peers, real)
    # the last has no peer left, only the mean of all; the artificial row counts for nobody
    raw = torch.tensor([-1.0, 1.0, -5.0, 5.0, 5.0 - 7.8])
    np.testing.assert_allclose(apart[:5], raw / raw.std(correction=0), rtol=1e-6)


def test_the_distribution_says_what_its_functions_say():
    scores = torch.randn(3, 8, generator=torch.Generator().manual_seed(2))
    slates = plackett.perturbed(scores, torch.Generator().manual_seed(3)).topk(4, dim=1).indices
    fits = torch.arange(8).expand(3, -1) % 2 == 0
    law = PlackettLuce.from_logits(torch.cat([scores, fits.float()], dim=1))
    assert torch.equal(law.logp(slates.float()), plackett.log_prob(scores, slates, fits))
    assert law.kl(law).abs().max() == pytest.approx(0.0, abs=1e-6)
    assert torch.equal(law.entropy(), plackett.first_entropy(scores))
    assert law.to_deterministic() is law
