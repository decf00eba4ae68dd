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
    F: aim the share of slots examined                            P: the aim of S; an ignored instruction costs ignored (1 - c) at once
    T: aim c at trust_speed under an instruction, else the aim of S at trust_drift
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
from recoworld.instructions import FORMS, compliance
from recoworld.luck import Luck, exponential, gumbel, logistic
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.native import kernel_of
from recoworld.simulators.reflection import reflect
from recoworld.simulators.taste import ArrayCache, Taste, fit_taste, traits
from recoworld.slates import row_starts
from recoworld.types import LEVELS, Bools, Feedback, Floats, History, Instruction, Ints, Mindset, Slates
from recoworld.users import Dataset, Split

_BEGIN, _RESPOND = 1, 2  # streams of luck
S, B, F, P, T = range(5)  # columns of Mindset.levels


def _constant(value: float) -> NDArray[np.float32]:
    """A 0-d array: NumPy converts a Python float anew at every use, which costs more than the sum itself when n is 1."""
    return np.array(value, np.float32)


_ZERO, _HALF, _ONE, _NEUTRAL = _constant(0.0), _constant(0.5), _constant(1.0), _constant(3.5)
_LEAST_WATCH, _TEN = _constant(0.03), _constant(10.0)
# a session's opening levels: where each begins, how far luck may lift it, and by which of the numbers drawn (0 lifts nothing)
_OPENING, _OPENING_SPREAD = np.array([0.5, 0.0, 0.0, 0.5, 0.6], np.float32), np.array([0.1, 0.0, 0.1, 0.3, 0.0], np.float32)
_OPENING_DRAWS = np.array([0, 0, 1, 2, 0])
_UNIT_LOGISTIC = _constant(np.sqrt(3) / np.pi)  # scales logistic noise to a standard deviation of 1


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

    name = "behavioral"

    def __init__(self, catalog: Catalog, taste: Taste, config: BehavioralConfig, *, seed: int = 0, native: bool | None = None) -> None:
        """native: whether `respond` runs in the compiled kernel (`recoworld.simulators.native`): None for where there is one, False for
        NumPy, True to raise ConfigError where there is none. A subclass, which may have equations of its own, must ask for it.
        """
        self.catalog, self.taste, self.config, self.seed = catalog, taste, config, seed
        self._x = catalog.features
        self._centre = catalog.features.mean(axis=0)
        self._c = {name: _constant(value) for name, value in config.model_dump().items()}
        self._actions = np.array([[config.like_base], [config.comment_base], [config.share_base]], np.float32)
        self._rating_noise = _constant(taste.noise) * _UNIT_LOGISTIC
        person = traits(len(taste.users), seed)
        self._bias = (config.click_base + config.click_spread * person[:, 0]).astype(np.float32)
        self._effort = (config.effort * np.exp(config.effort_spread * person[:, 1])).astype(np.float32)
        self._talkative = np.clip(config.talkative * (1 + 0.3 * person[:, 2]), 0.0, 1.0).astype(np.float32)
        self._speeds = np.array([[getattr(config, f"{name}_speed") for name in LEVELS[:4]] + [config.trust_drift]], np.float32)
        self._speeds_under = self._speeds.copy()  # trust, while an instruction is in force
        self._speeds_under[:, T] = config.trust_speed
        self._sense_at = _constant(config.sense_at)
        self._drift = _constant(config.interest_noise * np.sqrt(12.0))
        self._gain = _constant(1.0 - config.satiation_memory)
        met = np.arange(256)  # what having met an item so often does to a click, and to boredom
        self._wear = (-config.click_repeat * np.minimum(met, 3)).astype(np.float32)
        self._stale = (config.boredom_repeat * np.minimum(met, 1)).astype(np.float32)
        weights = {S: -config.leave_satisfaction, B: config.leave_boredom, F: config.leave_fatigue}
        weights |= {P: -config.leave_patience, T: -config.leave_trust}
        self._leave_weights = np.array([weights[level] for level in range(5)], np.float32)
        self._leave_base = _constant(config.leave_base - 0.5 * (weights[S] + weights[P] + weights[T]))
        self._native = native
        self._kernel = kernel_of(self, native, derived=type(self) is not BehavioralSimulator)

    @property
    def native(self) -> bool:
        """Whether the compiled kernel answers."""
        return self._kernel is not None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kernel": None}  # it holds addresses

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._kernel = kernel_of(self, self._native, derived=type(self) is not BehavioralSimulator)

    def begin(self, users: Ints, luck: Luck) -> BehavioralMindset:
        """Open a session: rested users, slightly hopeful, with their own taste and perhaps a genre in mind."""
        genres = len(self.catalog.genre_names)
        u = luck.uniform(4 + genres, _BEGIN)
        levels = u.take(_OPENING_DRAWS, axis=1) * _OPENING_SPREAD + _OPENING
        interest = self.taste.home.take(users, axis=0)
        intent = np.full(len(users), -1, np.int16)
        focused = (u[:, 3] < self._c["focus"]).nonzero()[0]
        if focused.size and genres > 1:  # one's usual genres come to mind most: Gumbel-max over exp(10 * home)
            wish = (_TEN * interest[focused, :genres] + gumbel(u[focused, 4:])).argmax(axis=1)
            interest[focused, wish] += self._c["focus_strength"]
            intent[focused] = wish
        return BehavioralMindset(
            levels=levels,
            interest=interest,
            intent=intent,
            satiation=np.zeros(interest.shape, np.float32),
            bias=self._bias.take(users),
            effort=self._effort.take(users),
            talkative=self._talkative.take(users),
        )

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, BehavioralMindset]:
        """One slate ``[n, k]`` to each user."""
        if not isinstance(mindset, BehavioralMindset):
            raise TypeError(f"got a {type(mindset).__name__}; expected the BehavioralMindset that begin() returned")
        if self._kernel is None:
            return self._respond(mindset, history, slates, luck.uniform(5 * slates.shape[1] + self._x.shape[1] + 3 + len(FORMS), _RESPOND))
        response = self._kernel(mindset, history, slates, luck.stream(_RESPOND))
        examined, clicked, liked, commented, shared = response.acts
        return Feedback(
            examined=examined,
            clicked=clicked,
            liked=liked,
            commented=commented,
            shared=shared,
            watch=response.watch,
            left=response.left,
            followed=response.followed,
            instruction=response.instruction,
            response=response.response,
        ), BehavioralMindset(
            levels=response.levels,
            interest=response.interest,
            intent=mindset.intent,
            satiation=response.satiation,
            bias=mindset.bias,
            effort=mindset.effort,
            talkative=mindset.talkative,
        )

    def _respond(self, mindset: BehavioralMindset, history: History, slates: Slates, u: Floats) -> tuple[Feedback, BehavioralMindset]:
        """The definition. Equations in the module's docstring, shapes in the comments; u: uniform numbers ``[n, 5 k + d + 3 + forms]``."""
        c, levels = self._c, mindset.levels
        n, k = slates.shape
        d = self._x.shape[1]
        fatigue = levels[:, F]
        noise = logistic(u[:, : 5 * k]).reshape(n, 5, k)
        stamina, leave_at = exponential(u[:, 5 * k : 5 * k + 2]).T  # [n] each

        effort = mindset.effort * (_ONE + c["effort_fatigue"] * fatigue + c["effort_boredom"] * levels[:, B]) / (levels[:, P] + _HALF)
        examined = _slots(k) * effort[:, None] < stamina[:, None]  # [n, k]

        x = self._x.take(slates, axis=0)  # [n, k, d]
        attraction, stars = self.taste.at(history.users, slates)
        states = np.empty((n, 2, d), np.float32)
        states[:, 0], states[:, 1] = mindset.interest, mindset.satiation
        products = np.matmul(states, x.transpose(0, 2, 1))  # [n, 2, k]
        worn = np.square(products[:, 1])
        met = history.exposures.reshape(-1).take(slates if n == 1 else slates + row_starts(n, len(self.catalog)))
        clicked = (self._logits(mindset, attraction, products[:, 0], worn, met) > noise[:, 0]) & examined

        felt = noise[:, 1] * self._rating_noise + stars - _NEUTRAL  # stars above 3.5
        share = felt * c["watch_stars"] + (c["watch_base"] - c["watch_fatigue"] * fatigue)[:, None]
        share = np.minimum(np.maximum(share, _LEAST_WATCH), _ONE) * clicked
        reacted = ((felt * c["action_stars"])[:, None, :] + self._actions > noise[:, 2:5]) & clicked[:, None, :]  # [n, 3, k]

        # per user: slots examined and clicked, durations watched, and how stale it was; [n] each
        slots = np.empty((n, 4, k), np.float32)
        slots[:, 0], slots[:, 1], slots[:, 2] = examined, clicked, share
        np.multiply(c["boredom_satiation"] * worn + self._stale.take(met), examined, out=slots[:, 3])
        seen, hits, watched, stale = np.add.reduce(slots, axis=2).T
        followed = compliance(history.standing, self.catalog, slates)
        value = (watched - c["skip_cost"] * (seen - hits)) / seen
        after = self._moods(levels, value, stale / seen, seen / np.float32(k), history.standing, followed)

        content = np.matmul(slots[:, :2], x)  # of what was examined, and of what was clicked [n, 2, d]
        drift = (u[:, 5 * k + 2 : 5 * k + 2 + d] - _HALF) * self._drift
        drift += c["interest_pull"] * (self.taste.home.take(history.users, axis=0) - mindset.interest)
        drift += c["interest_click"] * (content[:, 1] - hits[:, None] * self._centre)
        now = BehavioralMindset(
            levels=after,
            interest=mindset.interest + drift,
            intent=mindset.intent,
            satiation=c["satiation_memory"] * mindset.satiation + content[:, 0] * (self._gain / seen)[:, None],
            bias=mindset.bias,
            effort=mindset.effort,
            talkative=mindset.talkative,
        )
        hazard = self.hazard(after)
        left = leave_at < hazard
        instruction = self._spoken(now, history, slates, examined, clicked, felt, hazard, u[:, 5 * k + 2 + d :])
        if instruction is not Instruction.none(n):
            left &= instruction.kind == 0
        return Feedback(
            examined=examined,
            clicked=clicked,
            liked=reacted[:, 0],
            commented=reacted[:, 1],
            shared=reacted[:, 2],
            watch=share * self.catalog.durations.take(slates),
            left=left,
            followed=followed,
            instruction=instruction,
        ), now

    def hazard(self, levels: Floats) -> Floats:
        """Rate of leaving at the end of a turn, ``exp(h)`` ``[n]``: the probability of leaving is ``1 - exp(-rate)``."""
        return np.exp(np.add.reduce(levels * self._leave_weights, axis=1) + self._leave_base)

    def appeal(self, mindset: BehavioralMindset, history: History) -> Floats:
        """Expected share watched of every item if shown and examined now, in [0, 1] ``[n, n_items]``: what an oracle may know."""
        attraction, stars = self.taste.of(history.users)
        worn = np.square(mindset.satiation @ self._x.T)
        odds = self._logits(mindset, attraction, mindset.interest @ self._x.T, worn, history.exposures)
        share = self.config.watch_base + self.config.watch_stars * (stars - _NEUTRAL)
        return np.clip(share, _LEAST_WATCH, _ONE) / (_ONE + np.exp(-odds))

    def chances(self, mindset: BehavioralMindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """See `recoworld.types.Chooser`."""
        x = self._x.take(slates, axis=0)
        match, worn = ((x @ state[:, :, None])[:, :, 0] for state in (mindset.interest, mindset.satiation))
        met = np.take_along_axis(history.exposures, slates, axis=1)
        odds = self._logits(mindset, self.taste.at(history.users, slates)[0], match, np.square(worn), met)
        return np.asarray(_ONE / (_ONE + np.exp(-odds)), np.float32)

    def stars(self, mindset: BehavioralMindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """See `recoworld.types.Rater`: the stars that are felt, noise included, rounded to whole ones."""
        expected = self.taste.at(history.users, slates)[1]
        below = 1 / (1 + np.exp((expected[:, :, None] - np.arange(1.5, 5.0)) / self._rating_noise))  # 1.5, 2.5, 3.5, 4.5
        return np.diff(below, prepend=0.0, append=1.0, axis=2).astype(np.float32)

    def _logits(self, mindset: BehavioralMindset, attraction: Floats, match: Floats, worn: Floats, met: NDArray[np.uint8]) -> Floats:
        """Log-odds of a click on each item if it is examined ``[n, m]``."""
        c = self._c
        z = c["click_attraction"] * attraction
        z += c["click_interest"] * match
        z -= c["click_satiation"] * worn
        z += self._wear.take(met)
        z += (mindset.bias - c["click_fatigue"] * mindset.levels[:, F])[:, None]
        return z

    def _moods(self, levels: Floats, value: Floats, stale: Floats, effort: Floats, standing: Instruction, followed: Floats) -> Floats:
        """The five levels after the slate ``[n, 5]``; each relaxes towards its aim."""
        c = self._c
        aim = np.empty_like(levels)
        pleased, speed, spoken = value / c["value_full"], self._speeds, standing is not Instruction.none(len(levels))
        if spoken:
            under = standing.kind > 0
            pleased += under * c["heard"] * (followed + followed - _ONE)
            speed = np.where(under[:, None], self._speeds_under, speed)
        aim[:, S], aim[:, B], aim[:, F], aim[:, P] = pleased, stale, effort, pleased
        aim[:, T] = np.where(under, followed, pleased) if spoken else pleased
        np.minimum(np.maximum(aim, _ZERO, out=aim), _ONE, out=aim)
        aim -= levels
        aim *= speed
        aim += levels
        if spoken:
            aim[:, P] = np.maximum(aim[:, P] - under * c["ignored"] * (_ONE - followed), _ZERO)
        return aim

    def _spoken(
        self,
        now: BehavioralMindset,
        history: History,
        slates: Slates,
        examined: Bools,
        clicked: Bools,
        felt: Floats,
        hazard: Floats,
        u: Floats,
    ) -> Instruction:
        """What users say who sense that they are about to disengage ``[n]``; u: uniform numbers ``[n, 1 + len(FORMS)]``."""
        n = len(slates)
        sensing = hazard > self._sense_at
        if not sensing.any():
            return Instruction.none(n)
        if history.standing is not Instruction.none(n):
            sensing &= (history.standing.kind == 0) | (history.age + 1 >= self.config.instruction_gap)
        sensing &= u[:, 0] < now.talkative * (_HALF + _HALF * now.levels[:, T])
        rows = sensing.nonzero()[0]
        if not rows.size:
            return Instruction.none(n)
        if rows.size == n:
            return reflect(self.catalog, now, slates, examined, clicked, felt, u[:, 1:])
        said = reflect(self.catalog, now.take(rows), slates[rows], examined[rows], clicked[rows], felt[rows], u[rows, 1:])
        return Instruction.none(n).put(rows, said)


@lru_cache(maxsize=16)
def _slots(k: int) -> Floats:
    return np.arange(k, dtype=np.float32)


def build(
    dataset: Dataset, split: Split, config: dict[str, Any] | None = None, *, cached: ArrayCache | None = None
) -> BehavioralSimulator:
    """The behavioural simulator of a data set; `config` overrides coefficients. Raises ConfigError."""
    settings = BehavioralConfig.of(config)
    return BehavioralSimulator(dataset.catalog, fit_taste(dataset, split, settings, cached=cached), settings)
