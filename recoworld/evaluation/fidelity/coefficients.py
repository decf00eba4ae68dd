"""The behavioural simulator's weights of choice, of a log that tells what people took and not what they were shown.

What a person took later stands among items that it never met; the simulator's chance of each, averaged over the moods in which a session
may open, gives the odds of a conditional logit (`recoworld.evaluation.fidelity.logit`)::

    p_i = mean_r sigmoid(click_base + bias - click_fatigue F_r + click_attraction a_i + click_interest x_i.m_r)      o_i = p_i / (1 - p_i)

`click_attraction` and `click_interest` maximise the likelihood of what was taken, none below 0. The log does not say in which mood: what
it tells of interest is how far the mean over moods helps, so that a weight near 0 means that the moods which the simulator draws explain
nothing, not that people have none.

How often people click at all such a log does not tell either: `click_base` is set anew so that the click rate in sessions with a reference
policy stays what it was. With a lower weight of interest less is gained by clicks in the course of a session; the base makes up for it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recoworld.evaluation.fidelity.logit import Fitted, fitted
from recoworld.evaluation.fidelity.questions import Questions
from recoworld.evaluation.fidelity.sums import Doubles
from recoworld.luck import Luck, combine
from recoworld.simulators.behavioral import BehavioralSimulator, F
from recoworld.types import Ints

WEIGHTS = ("click_attraction", "click_interest")
MOODS = 8
_ROUNDS, _STEPS, _NEAR = 2, 8, 0.02
ClickRate = Callable[[BehavioralSimulator], float]


def fit_choices(
    simulator: BehavioralSimulator, asked: Questions, click_rate: ClickRate, *, moods: int = MOODS, seed: int = 0
) -> tuple[dict[str, float], Fitted]:
    """`WEIGHTS` and `click_base`, and how sure the weights are.

    click_rate: of shown items, in sessions with the reference policy; what it is of `simulator` is kept, to 2 % of its odds.
    """
    wanted = _log_odds(click_rate(simulator))
    for _ in range(_ROUNDS):  # the base hardly matters to the choice
        found = fit_weights(simulator, asked, moods=moods, seed=seed)
        simulator = _changed(simulator, dict(zip(WEIGHTS, map(float, found.weights), strict=True)))
        for _ in range(_STEPS):  # the log-odds of the rate rise about as fast as the base
            short = wanted - _log_odds(click_rate(simulator))
            if abs(short) < _NEAR:
                break
            simulator = _changed(simulator, {"click_base": simulator.config.click_base + short})
    return {name: getattr(simulator.config, name) for name in (*WEIGHTS, "click_base")}, found


def fit_weights(simulator: BehavioralSimulator, asked: Questions, *, moods: int = MOODS, seed: int = 0) -> Fitted:
    """`WEIGHTS` at the simulator's own `click_base`. seed: of the moods."""
    slopes, rest = _opened(simulator, asked.users, asked.items, moods, seed)

    def log_odds(weights: Doubles) -> tuple[Doubles, Doubles]:
        taken = 1 / (1 + np.exp(-np.clip(np.tensordot(weights, slopes, 1) + rest, -500, 500)))  # [moods, m, c]
        p = np.clip(taken.mean(axis=0), 1e-12, 1 - 1e-12)
        rise = taken * (1 - taken) / (p * (1 - p)) / moods
        return np.log(p / (1 - p)), np.einsum("rmc,frmc->fmc", rise, slopes)

    start = np.array([getattr(simulator.config, name) for name in WEIGHTS])
    return fitted(log_odds, asked.taken, start, np.zeros(len(WEIGHTS)))


def _opened(simulator: BehavioralSimulator, users: Ints, slates: Ints, moods: int, seed: int) -> tuple[Doubles, Doubles]:
    """What the weights weigh ``[2, moods, m, k]``, and what is added to it ``[moods, m, 1]``, at openings of sessions."""
    c, x = simulator.config, simulator.catalog.features[slates]
    attraction = simulator.taste.at(users, slates)[0]
    slopes, rest = np.empty((2, moods, *slates.shape)), np.empty((moods, len(users), 1))
    for mood in range(moods):
        opening = simulator.begin(users, Luck(combine(seed, users, mood, 0xC401)))
        slopes[:, mood] = attraction, (x @ opening.interest[:, :, None])[:, :, 0]
        rest[mood, :, 0] = opening.bias - c.click_fatigue * opening.levels[:, F]
    return slopes, rest


def _changed(simulator: BehavioralSimulator, update: dict[str, float]) -> BehavioralSimulator:
    """The same people with other coefficients."""
    config = simulator.config.model_copy(update=update)
    return BehavioralSimulator(simulator.catalog, simulator.taste, config, seed=simulator.seed, native=simulator.native)


def _log_odds(rate: float) -> float:
    """Of a rate from 0 to 1, both ends held off."""
    kept = min(max(rate, 1e-4), 1 - 1e-4)
    return float(np.log(kept / (1 - kept)))
