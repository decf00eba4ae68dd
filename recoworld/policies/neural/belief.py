"""What this session is about, by Bayes' rule.

A mixture of click models, one for each topic g that a session may be about (a content feature), and one for none. Item i, with content x_i,
root of the collaborative score a_i and factors q_i, is clicked by a user who looks at it before slate t with log-odds

    z_tig = b + w_a a_i + w_p popularity_i + w_h x_i . home + w_c x_i . c_t + w_q q_i . l_t - w_r (x_i . r_t)^2 + w_g f^t x_ig
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

_START = {
    "base": (-4.0, 60.0),
    "taste": (4.0, 60.0),
    "popularity": (0.0, 10.0),
    "home": (1.0, 60.0),
    "clicks": (0.1, 10.0),
    "liking": (0.0, 60.0),
    "recent": (1.0, 60.0),
    "focus": (2.0, 60.0),
    "fade": (2.0, 30.0),
    "memory": (0.5, 30.0),
    "usual": (3.0, 100.0),
    "none": (2.0, 30.0),
}
"""Where training starts, and the unit of each weight: Adam moves all parameters by about the learning rate. b, w_a, w_p, w_h, w_c, w_q, w_r,
w_g; the log-odds of f and m; w_b; and the prior log-odds of no topic. A recommender by taste that takes clicks seriously."""
_TOPIC_UNIT = 30.0


@dataclass(frozen=True, kw_only=True)
class Believed:
    """What there is to know before the next slate."""

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

    def detached(self) -> Believed:
        """The same, without gradients."""
        return Believed(**{name: value.detach() for name, value in vars(self).items()})


class Belief(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """See the module's docstring."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([start / unit for start, unit in _START.values()]))
        self.priors = nn.Parameter(torch.zeros(features))
        self.register_buffer("units", torch.tensor([unit for _, unit in _START.values()]), persistent=False)

    def forward(
        self, session: SessionItems, taste: Tensor, home: Tensor, popularity: Tensor, content: Tensor, factors: Tensor
    ) -> Believed:
        """taste ``[n, N]``, home ``[n, d]``, popularity ``[N]``; content and factors with a row of zeros in front ``[N + 1, ...]``."""
        w = dict(zip(_START, (self.weights * self.units).unbind(), strict=True))
        fade, memory = w["fade"].sigmoid(), w["memory"].sigmoid()
        items, (n, slates, k) = session.items, session.items.shape
        d = content.shape[1]
        x, q = content[items], factors[items]  # [n, T, k, ...]
        centre = content.sum(dim=0) / (len(content) - 1)
        clicked = session.clicked.unsqueeze(2)  # [n, T, 1, k]
        clicks = (clicked @ torch.cat([x - centre, q], dim=3)).squeeze(2)
        looked = (session.looked.unsqueeze(2) @ x).squeeze(2) / session.looked.sum(dim=2, keepdim=True).clamp(min=1.0)
        gains = torch.cat([w["clicks"].expand(d), w["liking"].expand(q.shape[3])])
        added = fading(clicks, fade) * gains  # [n, T + 1, d + r]
        recent = fading((1 - memory) * looked, memory)
        focus = w["focus"] * fade ** torch.arange(slates + 1, device=x.device)

        base = w["base"] + w["taste"] * taste + w["popularity"] * popularity + (w["home"] * home) @ content[1:].T  # [n, N]
        shown = base.gather(1, (items - 1).clamp(min=0).flatten(1)).view(n, slates, k)
        shown = shown + (torch.cat([x, q], dim=3) @ added[:, :-1, :, None]).squeeze(3)
        shown = shown - w["recent"] * (x @ recent[:, :-1, :, None]).squeeze(3).square()
        under = shown[..., None] + torch.cat([focus[:-1, None, None] * x, torch.zeros_like(x[..., :1])], dim=3)  # [n, T, k, d + 1]
        sign = session.clicked - session.skipped  # 0: not looked at
        likely = (logsigmoid(under * sign[..., None]) * session.looked[..., None]).sum(dim=(1, 2))
        prior = torch.cat([w["usual"] * home + self.priors * _TOPIC_UNIT, w["none"].expand(n, 1)], dim=1).log_softmax(dim=1)
        joint = prior + likely
        total = joint.logsumexp(dim=1, keepdim=True)
        topics = (joint - total).exp()

        now = session.turns[:, None, None]
        added = added.gather(1, now.expand(-1, -1, added.shape[2]))[:, 0]
        recent = recent.gather(1, now.expand(-1, -1, d))[:, 0]
        interest = added[:, :d] + focus[session.turns][:, None] * topics[:, :-1]
        logits = base + torch.cat([interest, added[:, d:]], dim=1) @ torch.cat([content, factors], dim=1)[1:].T
        logits = logits - w["recent"] * (recent @ content[1:].T).square()
        surprise = -total[:, 0] / session.looked.sum(dim=(1, 2)).clamp(min=1.0)
        return Believed(logits=logits, topics=topics, interest=interest, recent=recent, surprise=surprise)
