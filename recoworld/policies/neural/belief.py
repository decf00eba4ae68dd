"""What this session is about, by Bayes' rule.

A mixture of click models, one for each topic g that a session may be about (a content feature), and one for none. Item i, with content x_i,
root of the collaborative score a_i and factors q_i, known_i = 1 where it is in the user's past, is clicked by a user who looks at it before
slate t with log-odds

    z_tig = b + w_a a_i - w_k known_i + w_p popularity_i + w_h x_i . home + w_c x_i . c_t + w_q q_i . l_t - w_r (x_i . r_t)^2 + w_g f^t x_ig
    c_t = f c_{t-1} + sum of clicked (x - mean x),  l_t the same of q:    what clicks have added to the interest, and how it fades
    r_t = m r_{t-1} + (1 - m) mean of looked at x:                        what was seen of late

and the belief in a topic is ``p_g ~ prior_g exp(w_b home_g) prod P(click or skip | g)`` over all slots that were looked at. All weights are
learned by maximum likelihood of the sessions. Shapes: `n` users, `N` items, `T` slates of `k` slots, `d` content features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from recoworld.policies.neural.session import SessionItems, fading

START = {
    "base": (-3.0, 100.0),
    "taste": (3.0, 100.0),
    "known": (3.0, 100.0),
    "popularity": (0.0, 15.0),
    "home": (0.0, 100.0),
    "clicks": (0.0, 10.0),
    "liking": (0.0, 60.0),
    "recent": (0.0, 100.0),
    "focus": (0.5, 100.0),
    "fade": (2.0, 30.0),
    "memory": (0.0, 30.0),
    "usual": (0.0, 100.0),
    "none": (0.0, 30.0),
}
"""Where training starts, and the unit of each weight: b, w_a, w_k, w_p, w_h, w_c, w_q, w_r, w_g; the log-odds of f and m; w_b; and the
prior log-odds of no topic. At first it goes by taste, and knows next to nothing of sessions. Adam moves all parameters by about the
learning rate, hence the units."""
TOPIC_UNIT = 30.0


@dataclass(frozen=True, kw_only=True)
class Believed:
    """What there is to know before the next slate. Only `surprise` has a gradient."""

    logits: Tensor
    """Log-odds of a click if looked at, under the mean topic ``[n, N]``."""
    topics: Tensor
    """Probability of each topic, and last of none ``[n, d + 1]``."""
    interest: Tensor
    """What the session adds to the interest in contents, in log-odds: clicks and topic ``[n, d]``."""
    recent: Tensor
    """What was seen of late ``[n, d]``."""
    surprise: Tensor
    """How unlikely the session so far was: -log P(clicks and skips) per slot looked at ``[n]``."""


class Belief(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """See the module's docstring."""

    def __init__(self, content: Tensor, factors: Tensor, popularity: Tensor) -> None:
        """content, factors: of items, a row of zeros in front ``[N + 1, ...]``. popularity ``[N]``."""
        super().__init__()
        for name, values in (("content", content), ("factors", factors), ("popularity", popularity)):
            self.register_buffer(name, values, persistent=False)
        self.register_buffer("units", torch.tensor([unit for _, unit in START.values()]), persistent=False)
        self.weights = nn.Parameter(torch.tensor([start / unit for start, unit in START.values()]))
        self.priors = nn.Parameter(torch.zeros(content.shape[1]))

    def forward(self, session: SessionItems, taste: Tensor, home: Tensor, known: Tensor) -> Believed:
        """taste ``[n, N]``, home ``[n, d]``: `ItemKnowledge.past`. known: 1 for items of the user's past ``[n, N]``."""
        w = dict(zip(START, (self.weights * self.units).unbind(), strict=True))
        fade, memory = w["fade"].sigmoid(), w["memory"].sigmoid()
        n, slates, _ = session.items.shape
        d, centre = self.content.shape[1], self.content.sum(dim=0) / len(self.popularity)
        row, slate, slot = session.looked.nonzero(as_tuple=True)  # [m]: all that was looked at
        item, clicked = session.items[row, slate, slot], session.clicked[row, slate, slot]
        x, q = self.content[item], self.factors[item]

        def slatewise(values: Tensor) -> Tensor:
            return values.new_zeros(n * slates, values.shape[1]).index_add(0, row * slates + slate, values).view(n, slates, values.shape[1])

        clicks = fading(slatewise((x - centre) * clicked[:, None]), fade) * w["clicks"]  # [n, T + 1, d]
        liking = fading(slatewise(q * clicked[:, None]), fade) * w["liking"]
        mean = slatewise(x) / session.looked.sum(dim=2, keepdim=True).clamp(min=1.0)
        recent = fading((1 - memory) * mean, memory)
        focus = w["focus"] * fade ** torch.arange(slates + 1, device=x.device)

        def then(values: Tensor) -> Tensor:  # index_select: its gradient is added up in a fixed order
            return values.flatten(0, 1).index_select(0, row * (slates + 1) + slate)

        at = w["base"] + w["taste"] * taste[row, item - 1] - w["known"] * known[row, item - 1] + w["popularity"] * self.popularity[item - 1]
        at = at + (x * (w["home"] * home[row] + then(clicks))).sum(dim=1) + (q * then(liking)).sum(dim=1)
        at = at - w["recent"] * (x * then(recent)).sum(dim=1).square()
        under = at[:, None] + torch.cat([focus.index_select(0, slate)[:, None] * x, torch.zeros_like(x[:, :1])], dim=1)  # [m, d + 1]
        chance = logsigmoid(under * (2 * clicked - 1)[:, None])
        prior = torch.cat([w["usual"] * home + self.priors * TOPIC_UNIT, w["none"].expand(n, 1)], dim=1).log_softmax(dim=1)
        joint = prior.index_add(0, row, chance)
        total = joint.logsumexp(dim=1, keepdim=True)
        surprise = -total[:, 0] / session.looked.sum(dim=(1, 2)).clamp(min=1.0)

        with torch.no_grad():
            user, now = torch.arange(n, device=x.device), session.turns
            topics, late = (joint - total).exp(), recent[user, now]
            interest = clicks[user, now] + focus[now, None] * topics[:, :-1]
            items = torch.cat([self.content, self.factors], dim=1)[1:]
            logits = torch.cat([w["home"] * home + interest, liking[user, now]], dim=1) @ items.T
            logits += w["base"] + w["taste"] * taste - w["known"] * known + w["popularity"] * self.popularity
            logits -= w["recent"] * (late @ items[:, :d].T).square()
        return Believed(logits=logits, topics=topics, interest=interest, recent=late, surprise=surprise)
