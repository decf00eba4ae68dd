"""The behavioural simulator's weights of choice, of a log that tells what people took and not what they were shown.

What a person took later stands among items that it never met; the simulator's chance of each, averaged over the moods in which a session
may open, gives the odds of a conditional logit (`recoworld.evaluation.calibration.logit`)::

    p_i = mean_r sigmoid(click_base + bias - click_fatigue F_r + click_attraction a_i + click_interest x_i.m_r)      o_i = p_i / (1 - p_i)

`click_attraction` and `click_interest` maximise the likelihood of what was taken, none below 0. The log does not say in which mood: what
it tells of interest is how far the mean over moods helps, so that a weight near 0 means that the moods which the simulator draws explain
nothing, not that people have none.

A weight whose regressor is the same for all items of each question stays as it was.

How often people click at all such a log does not tell either: `click_base` is set anew so that the click rate in sessions with a reference
policy stays what it was. With a lower weight of interest less is gained by clicks in the course of a session; the base makes up for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recoworld.evaluation.calibration.logit import Fitted, fitted
from recoworld.evaluation.fidelity.asking.questions import Questions
from recoworld.evaluation.fidelity.asking.sums import Doubles
from recoworld.luck import Luck, combine
from recoworld.simulators.behavioral import BehavioralSimulator, F
from recoworld.simulators.config import BehavioralConfig
from recoworld.types import Bools, Ints

WEIGHTS = ("click_attraction", "click_interest")
MOODS = 8
_ROUNDS, _STEPS, _NEAR = 3, 8, 0.02
ClickRate = Callable[[BehavioralConfig], float]


def fit_choices(
    simulator: BehavioralSimulator,
    asked: Questions,
    click_rate: ClickRate,
    *,
    weights: Sequence[str] = WEIGHTS,
    wanted: float | None = None,
    moods: int = MOODS,
    seed: int = 0,
) -> tuple[BehavioralConfig, dict[str, float]]:
    """The config, and the standard errors of the weights that were fitted.

    weights: which to fit. click_rate: of shown items, in sessions with the reference policy, under a config. wanted: what it shall be,
    to 2 % of its odds; None for what it is.
    """
    aim = _log_odds(click_rate(simulator.config) if wanted is None else wanted)
    for _ in range(_ROUNDS):  # the base hardly matters to the choice
        found, free = fit_weights(simulator, asked, weights=weights, moods=moods, seed=seed)
        names = [name for name, varies in zip(WEIGHTS, free, strict=True) if varies]
        simulator = with_config(simulator, dict(zip(names, map(float, found.weights), strict=True)))
        moved = False
        for _ in range(_STEPS):  # the log-odds of the rate rise about as fast as the base
            short = aim - _log_odds(click_rate(simulator.config))
            if abs(short) < _NEAR:
                break
            simulator, moved = with_config(simulator, {"click_base": simulator.config.click_base + short}), True
        if not moved:
            break
    return simulator.config, dict(zip(names, found.errors.tolist(), strict=True))


def fit_weights(
    simulator: BehavioralSimulator, asked: Questions, *, weights: Sequence[str] = WEIGHTS, moods: int = MOODS, seed: int = 0
) -> tuple[Fitted, Bools]:
    """Those of `weights` that can be told, at the simulator's own `click_base`, and which of `WEIGHTS` they are. seed: of the moods."""
    start = np.array([getattr(simulator.config, name) for name in WEIGHTS])
    slopes, rest = _opened(simulator, asked.users, asked.items, moods, seed)
    free = (np.ptp(slopes, axis=3).max(axis=(1, 2)) > 1e-6) & np.isin(WEIGHTS, weights)
    rest = rest + np.tensordot(start[~free], slopes[~free], 1)
    slopes = slopes[free]

    def log_odds(at: Doubles) -> tuple[Doubles, Doubles]:
        taken = 1 / (1 + np.exp(-np.clip(np.tensordot(at, slopes, 1) + rest, -500, 500)))  # [moods, m, c]
        p = np.clip(taken.mean(axis=0), 1e-12, 1 - 1e-12)
        rise = taken * (1 - taken) / (p * (1 - p)) / moods
        return np.log(p / (1 - p)), np.einsum("rmc,frmc->fmc", rise, slopes)

    return fitted(log_odds, asked.taken, start[free], np.zeros(int(free.sum()))), free


def with_config(simulator: BehavioralSimulator, update: dict[str, float]) -> BehavioralSimulator:
    """The same people with other coefficients."""
    config = simulator.config.model_copy(update=update)
    return BehavioralSimulator(simulator.catalog, simulator.taste, config, seed=simulator.seed, native=simulator.native)


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


def _log_odds(rate: float) -> float:
    """Of a rate from 0 to 1, both ends held off."""
    kept = min(max(rate, 1e-4), 1 - 1e-4)
    return float(np.log(kept / (1 - kept)))
