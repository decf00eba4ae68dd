"""The behavioural user: fast, batch-first, fitted on a log, with a mindset that moves.

A user `u` (n of them side by side) goes through a slate of `k` items `i` with content vectors ``x_i`` (`Catalog.features`). Its taste
(`recoworld.simulators.taste`) says how much each item attracts it, ``a_ui`` (about 0 to 1), and how many stars it expects to feel,
``s_ui``. Its mindset holds satisfaction S, boredom B, fatigue F, patience P and trust T, each in [0, 1], the current interest ``m`` and the
satiation ``g`` (both one number a content feature). Greek letters and other lower-case names are the coefficients of `BehavioralConfig`.
All noise is logistic, exponential or uniform and comes from `Luck`.

**Examination** is a cascade (Craswell et al. 2008) with geometric patience: slot ``j`` is examined if ``j c < E``, ``E ~ Exp(1)``,
``c = effort_u (1 + effort_fatigue F + effort_boredom B) / (1/2 + P)``.

**Click** on an examined item, by a logit on attraction (the attraction of the click model of Chapelle & Zhang 2009), current interest,
satiation (diminishing marginal utility of what is alike: McAlister 1982; Kapoor et al. 2015, "Just in time recommendations") and the wear
of repetition ``r_ui`` (times met before)::

    z = click_base + bias_u + click_attraction a + click_interest x.m - click_satiation (x.g)^2 - click_repeat min(r, 3) - click_fatigue F

**After the click** the user feels ``f = s + noise`` stars, watches ``watch_base + watch_stars (f - 3.5) - watch_fatigue F`` of the duration
(clipped to [0.03, 1]), and likes, comments, shares with logits ``base + action_stars (f - 3.5)``.

**The mindset** after the slate: every level relaxes towards an aim, ``L' = L + speed (aim - L)``. With the slate's value
``v = (watched shares - skip_cost * skips) / examined`` and, while an instruction is in force, its `compliance` c:

    S: aim v / value_full + heard (2 c - 1)                       B: aim boredom_satiation mean (x.g)^2 + boredom_repeat mean min(r, 1)
    F: aim 1, at fatigue_speed times the share examined           P: aim S'; an ignored instruction costs ignored (1 - c) at once
    T: aim c at trust_speed under an instruction, else S' at trust_drift
    m' = m + interest_pull (home_u - m) + interest_click sum_clicked (x - mean x) + noise
    g' = satiation_memory g + (1 - satiation_memory) mean_examined x

**Leaving** is a discrete-time proportional hazard (Cox 1972, complementary log-log): leave if ``E < exp(h)``, ``E ~ Exp(1)``,
``h = leave_base - leave_satisfaction (S - 1/2) - leave_patience (P - 1/2) - leave_trust (T - 1/2) + leave_boredom B + leave_fatigue F``.
A user whose hazard crosses `sense_at` senses that it is about to disengage (RecoWorld, section 3) and, if it is talkative and trusts
the recommender enough, gives a reflective instruction instead of leaving (`recoworld.simulators.reflection`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import Catalog
from recoworld.instructions import compliance
from recoworld.luck import Luck
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.reflection import reflect
from recoworld.simulators.taste import ArrayCache, Evidence, Taste, fit_taste, traits
from recoworld.types import LEVELS, Bools, Feedback, Floats, History, Instruction, Ints, Mindset, Slates
from recoworld.users import Dataset, Split

_BEGIN, _WISH, _RESPOND, _SPEAK = 1, 2, 3, 4  # streams of luck
S, B, F, P, T = range(5)  # columns of Mindset.levels


def _clip(x: Floats, low: Any, high: Any, out: Floats | None = None) -> Floats:
    """`np.clip` without its Python layers."""
    return np.minimum(np.maximum(x, low, out=out), high, out=out)


def _constant(value: float) -> NDArray[np.float32]:
    """A 0-d array: NumPy converts a Python float anew at every use, which costs more than the sum itself when n is 1."""
    return np.array(value, np.float32)


_ZERO, _HALF, _ONE, _NEUTRAL = _constant(0.0), _constant(0.5), _constant(1.0), _constant(3.5)
_THREE_TIMES = np.array(3, np.uint8)
_LEAST_WATCH, _UNIT_LOGISTIC, _UNIT_UNIFORM = _constant(0.03), _constant(np.sqrt(3) / np.pi), _constant(np.sqrt(12))


@dataclass(frozen=True, kw_only=True, eq=False)
class BehavioralMindset(Mindset):
    """A `Mindset` that also remembers what it has had enough of, and who the person is."""

    satiation: Floats
    """How much of each content feature was seen of late ``[n, d]``, in [0, 1]."""
    bias: Floats
    """The person's own log-odds of a click ``[n]``, `click_base` included."""
    effort: Floats
    """The person's own effort per slot ``[n]``."""
    talkative: Floats
    """The person's own probability of speaking up ``[n]``, at full trust."""


class BehavioralSimulator:
    """Simulated people of one data set. See the module's docstring for the equations."""

    def __init__(self, catalog: Catalog, taste: Taste, config: BehavioralConfig, *, seed: int = 0) -> None:
        self.catalog, self.taste, self.config = catalog, taste, config
        self._x = catalog.features
        self._centre = catalog.features.mean(axis=0)
        self._c = {name: _constant(value) for name, value in config.model_dump().items()}
        self._actions = np.array([[config.like_base], [config.comment_base], [config.share_base]], np.float32)
        self._rating_noise = _constant(taste.noise) * _UNIT_LOGISTIC
        person = traits(len(taste.users), seed)
        self._bias = (config.click_base + config.click_spread * person[:, 0]).astype(np.float32)
        self._effort = (config.effort * np.exp(config.effort_spread * person[:, 1])).astype(np.float32)
        self._talkative = _clip(config.talkative * (1 + 0.3 * person[:, 2]), 0.0, 1.0).astype(np.float32)
        self._speeds = np.array([getattr(config, f"{name}_speed") for name in LEVELS[:4]] + [config.trust_drift], np.float32)
        weights = {S: -config.leave_satisfaction, B: config.leave_boredom, F: config.leave_fatigue, P: -config.leave_patience, T: -config.leave_trust}
        self._leave_weights = np.array([weights[level] for level in range(5)], np.float32)
        self._leave_base = _constant(config.leave_base - 0.5 * (weights[S] + weights[P] + weights[T]))

    def begin(self, users: Ints, luck: Luck) -> BehavioralMindset:
        """Open a session: rested users, slightly hopeful, with their own taste and perhaps a genre in mind."""
        u = luck.uniform(4, _BEGIN)
        levels = np.empty((len(users), 5), np.float32)
        levels[:, S], levels[:, B], levels[:, F] = 0.5 + 0.1 * u[:, 0], 0.0, 0.1 * u[:, 1]
        levels[:, P], levels[:, T] = 0.5 + 0.3 * u[:, 2], 0.6
        interest = self.taste.home[users]
        genres = len(self.catalog.genre_names)
        # one's usual genres come to mind most: Gumbel-max over exp(10 * home)
        wish = np.argmax(10.0 * interest[:, :genres] - np.log(luck.exponential(genres, _WISH)), axis=1)
        focused = np.flatnonzero(u[:, 3] < self.config.focus)
        interest[focused, wish[focused]] += np.float32(self.config.focus_strength)
        intent = np.full(len(users), -1, np.int8)
        intent[focused] = wish[focused]
        return BehavioralMindset(
            levels=levels,
            interest=interest,
            intent=intent,
            satiation=np.zeros_like(interest),
            bias=self._bias[users],
            effort=self._effort[users],
            talkative=self._talkative[users],
        )

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, BehavioralMindset]:
        """One slate ``[n, k]`` to each user. Equations in the module's docstring, shapes in the comments."""
        if not isinstance(mindset, BehavioralMindset):
            raise TypeError(f"got a {type(mindset).__name__}; expected the BehavioralMindset that begin() returned")
        c, levels = self._c, mindset.levels
        n, k = slates.shape
        fatigue, boredom, patience = levels[:, F], levels[:, B], levels[:, P]
        u = luck.uniform(5 * k + self._x.shape[1] + 2, _RESPOND)
        stamina, leave_at = -np.log(u[:, 5 * k : 5 * k + 2]).T  # [n] each
        logistic = np.log(u[:, : 5 * k] / (_ONE - u[:, : 5 * k])).reshape(n, 5, k)

        effort = mindset.effort * (_ONE + c["effort_fatigue"] * fatigue + c["effort_boredom"] * boredom) / (patience + _HALF)
        examined = _slots(k) * effort[:, None] < stamina[:, None]  # [n, k]

        x = self._x.take(slates, axis=0)  # [n, k, d]
        attraction, stars = self.taste.at(history.users, slates)
        inner = np.empty((n, 2, self._x.shape[1]), np.float32)
        inner[:, 0], inner[:, 1] = mindset.interest, mindset.satiation
        both = np.matmul(inner, x.transpose(0, 2, 1))  # [n, 2, k]
        match, worn = both[:, 0], np.square(both[:, 1])
        repeats = np.minimum(history.exposures.reshape(-1).take(_row_starts(n, len(self.catalog)) + slates), _THREE_TIMES).astype(np.float32)
        clicked = (self._logits(mindset, attraction, match, worn, repeats) > logistic[:, 0]) & examined

        felt = stars - _NEUTRAL + logistic[:, 1] * self._rating_noise
        share = _clip(felt * c["watch_stars"] + (c["watch_base"] - c["watch_fatigue"] * fatigue)[:, None], _LEAST_WATCH, _ONE)
        share = share * clicked
        reacted = (felt * c["action_stars"])[:, None, :] + self._actions > logistic[:, 2:5]  # [n, 3, k]
        reacted = reacted & clicked[:, None, :]

        # per user: slots examined and clicked, durations watched, and how stale it was; [n] each
        sums = np.empty((4, n, k), np.float32)
        sums[0], sums[1], sums[2] = examined, clicked, share
        sums[3] = examined * (c["boredom_satiation"] * worn + c["boredom_repeat"] * np.minimum(repeats, _ONE))
        seen, hits, watched, stale = np.add.reduce(sums, axis=2)
        value = (watched - c["skip_cost"] * (seen - hits)) / seen
        followed = compliance(history.standing, self.catalog, slates)
        after = self._moods(levels, value, stale / seen, seen / np.float32(k), history.standing.kind > 0, followed)

        content = np.matmul(sums[:2].transpose(1, 0, 2), x)  # [n, 2, d]
        shown, pulled = content[:, 0], content[:, 1]
        drift = (u[:, 5 * k + 2 :] - _HALF) * (c["interest_noise"] * _UNIT_UNIFORM)
        drift += c["interest_pull"] * (self.taste.home.take(history.users, axis=0) - mindset.interest)
        drift += c["interest_click"] * (pulled - hits[:, None] * self._centre)
        now = BehavioralMindset(
            levels=after,
            interest=mindset.interest + drift,
            intent=mindset.intent,
            bias=mindset.bias,
            effort=mindset.effort,
            talkative=mindset.talkative,
            satiation=c["satiation_memory"] * mindset.satiation + (_ONE - c["satiation_memory"]) * (shown / seen[:, None]),
        )

        hazard = self.hazard(after)
        left = leave_at < hazard
        instruction = Instruction.none(n)
        sensing = hazard > c["sense_at"]
        if sensing.any():
            waiting = history.standing.given & (history.age + 1 < self.config.instruction_gap)
            rows = np.flatnonzero(sensing & ~waiting)
            speaks = luck.uniform(1, _SPEAK)[rows, 0] < mindset.talkative[rows] * (_HALF + _HALF * after[rows, T])
            rows = rows[speaks]
            if rows.size:
                said = reflect(self.catalog, now.take(rows), slates[rows], examined[rows], clicked[rows], felt[rows], Luck(luck.keys[rows]))
                instruction = instruction.put(rows, said)
                left[rows] = False
        feedback = Feedback(
            examined=examined,
            clicked=clicked,
            liked=reacted[:, 0],
            commented=reacted[:, 1],
            shared=reacted[:, 2],
            watch=share * self.catalog.durations.take(slates),
            left=left,
            followed=followed,
            instruction=instruction,
        )
        return feedback, now

    def hazard(self, levels: Floats) -> Floats:
        """Rate of leaving at the end of a turn, ``exp(h)`` ``[n]``; the probability is ``1 - exp(-rate)``."""
        return np.exp(self._leave_base + np.add.reduce(levels * self._leave_weights, axis=1))

    def appeal(self, mindset: BehavioralMindset, history: History) -> Floats:
        """Expected share watched of every item if shown and examined now, in [0, 1] ``[n, n_items]``: what an oracle may know."""
        attraction, stars = self.taste.of(history.users)
        repeats = np.minimum(history.exposures, 3).astype(np.float32)
        worn = np.square(mindset.satiation @ self._x.T)
        odds = self._logits(mindset, attraction, mindset.interest @ self._x.T, worn, repeats)
        share = self.config.watch_base + self.config.watch_stars * (stars - _NEUTRAL)
        return _clip(share, 0.03, 1.0) / (1 + np.exp(-odds))

    def _logits(self, mindset: BehavioralMindset, attraction: Floats, match: Floats, worn: Floats, repeats: Floats) -> Floats:
        """Log-odds of a click on each item if it is examined ``[n, m]``."""
        c = self._c
        z = c["click_attraction"] * attraction + c["click_interest"] * match
        z -= c["click_satiation"] * worn
        z -= c["click_repeat"] * repeats
        z += (mindset.bias - c["click_fatigue"] * mindset.levels[:, F])[:, None]
        return z

    def _moods(self, levels: Floats, value: Floats, stale: Floats, effort: Floats, under: Bools, followed: Floats) -> Floats:
        """The five levels after the slate ``[n, 5]``; each relaxes towards its aim."""
        c = self._c
        aim, speed = np.empty_like(levels), np.empty_like(levels)
        aim[:, S], aim[:, B], aim[:, F] = value / c["value_full"], stale, _ONE
        speed[:] = self._speeds
        speed[:, F] *= effort
        spoken = under.any()
        if spoken:
            aim[:, S] += under * c["heard"] * (followed + followed - _ONE)
        _clip(aim[:, :P], _ZERO, _ONE, out=aim[:, :P])
        satisfied = levels[:, S] + speed[:, S] * (aim[:, S] - levels[:, S])
        aim[:, P], aim[:, T] = satisfied, satisfied
        if spoken:
            aim[:, T] = np.where(under, followed, satisfied)
            speed[:, T] = np.where(under, c["trust_speed"], c["trust_drift"])
        after = levels + speed * (aim - levels)
        if spoken:
            after[:, P] -= under * c["ignored"] * (_ONE - followed)
        return _clip(after, _ZERO, _ONE, out=after)


@lru_cache(maxsize=16)
def _slots(k: int) -> Floats:
    return np.arange(k, dtype=np.float32)


@lru_cache(maxsize=16)
def _row_starts(n: int, width: int) -> Ints:
    return (np.arange(n, dtype=np.int64) * width)[:, None]


def build(
    dataset: Dataset, split: Split, config: dict[str, Any] | None = None, *, evidence: Evidence = "all", cached: ArrayCache | None = None
) -> BehavioralSimulator:
    """The behavioural simulator of a data set; `config` overrides coefficients. Raises ConfigError."""
    settings = BehavioralConfig.of(config)
    return BehavioralSimulator(dataset.catalog, fit_taste(dataset, split, settings, evidence=evidence, cached=cached), settings)
