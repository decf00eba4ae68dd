"""The behavioural simulator's weight of attraction, of a log that tells what people took and not what they were shown.

What a person took later stands among items that it never met; the simulator's chance of each, averaged over the moods in which a session
may open, gives the odds of a conditional logit (`recoworld.evaluation.calibration.logit`)::

    p_i = mean_r sigmoid(click_base + bias - click_fatigue F_r + click_attraction a_i + click_interest x_i.m_r)      o_i = p_i / (1 - p_i)

How often people click at all such a log does not tell: for each weight there is one `click_base` at which the click rate in sessions with
a reference policy is the wanted one, and the likelihood is maximised along that curve. Without it the two chase each other: a higher base
brings the chances of famous items near 1, where a higher weight is wanted, which wants a lower base.

The curve is nearly straight. Its chord around the weight is found by simulation, the weight by Fisher scoring on the chord, and again
around the new weight until it stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recoworld.errors import ConfigError
from recoworld.evaluation.calibration.logit import Fitted, fitted
from recoworld.evaluation.fidelity.asking.questions import Questions
from recoworld.evaluation.fidelity.asking.sums import Doubles
from recoworld.luck import Luck, combine
from recoworld.simulators.behavioral import BehavioralSimulator, F
from recoworld.simulators.config import BehavioralConfig

MOODS = 8
_ROUNDS, _STEPS = 5, 12
_NEAR, _FAR = 0.01, 0.2
_SHARE, _LEAST = 0.2, 0.5
"""A chord reaches a fifth of the weight to both sides: the click rate is simulated, and over less its noise would tilt the chord."""
ClickRate = Callable[[BehavioralConfig], float]


def fit_choices(
    simulator: BehavioralSimulator,
    asked: Questions,
    click_rate: ClickRate,
    *,
    wanted: float | None = None,
    moods: int = MOODS,
    seed: int = 0,
) -> tuple[BehavioralConfig, float]:
    """The config with `click_attraction` and `click_base` fitted, and the standard error of the former, along the curve.

    click_rate: of shown items, in sessions with the reference policy, under a config. wanted: what it shall be, to 1 % of its odds; None
    for what it is. seed: of the moods. Raises ConfigError where no base comes near a wanted rate.
    """
    c = simulator.config
    aim = _log_odds(click_rate(c) if wanted is None else wanted)

    def base_of(weight: float, near: float) -> float:
        return _level(lambda base: _log_odds(click_rate(_with(c, weight, base))) - aim, near)

    attraction, rest = _opened(simulator, asked, moods, seed)
    weight, base, slope = c.click_attraction, c.click_base, -0.5  # attraction is about 0 to 1
    if wanted is not None:
        base = base_of(weight, base)
        if abs(_log_odds(reached := click_rate(_with(c, weight, base))) - aim) > _FAR:
            raise ConfigError(f"click_rate: got {wanted:g}; simulated people come no nearer than {reached:.3g}: give a rate they can have")
    for _ in range(_ROUNDS):
        reach = max(_SHARE * weight, _LEAST)
        low, high = max(weight - reach, 0.0), weight + reach
        base = base_of(low, base + slope * (low - weight))
        slope = (base_of(high, base + slope * (high - low)) - base) / (high - low)
        found = _along(attraction, rest + base - slope * low, slope, asked, weight)
        before, weight = weight, float(found.weights[0])
        base += slope * (weight - low)
        if abs(weight - before) < found.errors[0] / 2:
            break
    return _with(c, weight, base_of(weight, base)), float(found.errors[0])


def _with(config: BehavioralConfig, weight: float, base: float) -> BehavioralConfig:
    return config.model_copy(update={"click_attraction": weight, "click_base": base})


def _along(attraction: Doubles, rest: Doubles, slope: float, asked: Questions, start: float) -> Fitted:
    """The weight of the greatest likelihood where `click_base` changes by `slope` as it changes by 1; rest: all else, at a weight of 0."""
    steep = attraction + slope  # [m, k]

    def log_odds(at: Doubles) -> tuple[Doubles, Doubles]:
        taken = 1 / (1 + np.exp(-np.clip(at[0] * steep + rest, -500, 500)))  # [moods, m, k]
        p = np.clip(taken.mean(axis=0), 1e-12, 1 - 1e-12)
        return np.log(p / (1 - p)), ((taken * (1 - taken)).mean(axis=0) / (p * (1 - p)) * steep)[None]

    return fitted(log_odds, asked.taken, np.array([start]), np.zeros(1))


def _opened(simulator: BehavioralSimulator, asked: Questions, moods: int, seed: int) -> tuple[Doubles, Doubles]:
    """Attraction ``[m, k]``, and the log-odds without it and without `click_base` ``[moods, m, k]``, at openings of sessions."""
    c, x = simulator.config, simulator.catalog.features[asked.items]
    rest = np.empty((moods, *asked.items.shape))
    for mood in range(moods):
        opening = simulator.begin(asked.users, Luck(combine(seed, asked.users, mood, 0xC401)))
        own = opening.bias - c.click_base - c.click_fatigue * opening.levels[:, F]
        rest[mood] = own[:, None] + c.click_interest * (x @ opening.interest[:, :, None])[:, :, 0]
    return simulator.taste.at(asked.users, asked.items)[0].astype(np.float64), rest


def _level(excess: Callable[[float], float], start: float) -> float:
    """Where an increasing function that rises about as fast as its argument is 0, by the secant method."""
    at, over, rise = start, excess(start), 1.0
    for _ in range(_STEPS):
        if abs(over) < _NEAR:
            break
        before, last = at, over
        at -= over / rise
        over = excess(at)
        rise = min(max((over - last) / (at - before), 0.5), 3.0)  # it is simulated, hence not smooth
    return at


def _log_odds(rate: float) -> float:
    """Of a rate from 0 to 1, both ends held off."""
    kept = min(max(rate, 1e-4), 1 - 1e-4)
    return float(np.log(kept / (1 - kept)))
