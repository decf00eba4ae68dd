"""Fit the behavioural simulator's rates to a log with impressions: what was shown, and what became of it.

**How.** Users are split into those to fit on and those held out. What the log does not tell of a user (its focus, its own log-odds of a
click, its own effort, how patient it came) is averaged over `_MOODS` opening mindsets that the simulator draws; with mood r and slot j::

    P(click) = mean_r exp(-j c_r) sigmoid(click_base + click_attraction a + what the simulator adds in mood r)

`click_base`, `click_attraction` and `effort` (in ``c_r``) maximise the likelihood of the clicks under it, by Fisher scoring. That is
logistic regression and the geometric cascade (Craswell et al. 2008) in one: neither who examined what nor the moods need be logged. Slots
count from the top of the page (`Impressions.first_slot`). The clicks of one slate are treated as independent given its items:
consistent, if not efficient (composite likelihood, Lindsay 1988).
`like_base`, `comment_base` and `share_base` make the mean expected rate among clicks the log's, over the noise of ratings; `watch_base`
likewise the mean share watched; `leave_base` the rate of leaving, over the mindsets in which the fitted simulator ends the log's slates.
In all of this users are mute: where the log was made nobody could speak up instead of leaving, and a rate of leaving among people who
can has more than one hazard behind it. The fitted config leaves `talkative` as it was.

**What such a log cannot tell**, and what therefore stays as it was: spreads between users apart from their means (a session shows too
little of one person); `action_stars` and `watch_stars`, unless felt ratings were logged too; what needs the order of slates (satiation,
boredom, fatigue, the pull of interest, trust); everything about instructions; the weights of the hazard apart from its base. An effort
found in a log whose slates were sorted by attraction rests on the attraction being right. Slates are taken for the first of their
sessions: give those, or at least know that later ones pass fatigue and satiation off as low rates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.impressions import Impressions, deeds, mean
from recoworld.luck import Luck, combine, exponential
from recoworld.simulators.behavioral import BehavioralSimulator, F, P
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.taste import traits
from recoworld.types import Floats, History, Instruction, Ints

_MOODS = 32
_CHUNK = 1024  # slates replayed side by side
_REACHED = 3  # stream of luck, after the simulator's own two
_REACTIONS = (("liked", "like_base"), ("commented", "comment_base"), ("shared", "share_base"))
Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted config, and how well it does on users that it was not fitted on."""

    config: BehavioralConfig
    observed: dict[str, float]
    """`Impressions.rates` of the held-out log."""
    before: dict[str, float]
    """The same when the simulator replies to the same slates, as it was."""
    after: dict[str, float]
    """... and as fitted."""
    fitted_slates: int
    held_out_slates: int

    def __str__(self) -> str:
        rows = [f"{'held-out users':<24}{'log':>10}{'before':>10}{'after':>10}"]
        rows += [f"{name:<24}{value:>10.4f}{self.before[name]:>10.4f}{self.after[name]:>10.4f}" for name, value in self.observed.items()]
        return "\n".join(rows)


def calibrate(
    simulator: BehavioralSimulator,
    impressions: Impressions,
    *,
    held_out: float = 0.2,
    test: Ints | None = None,
    most: int = 20_000,
    seed: int = 0,
) -> Calibration:
    """Fit the rates of `simulator` to a log. The module's docstring says how, and what no such log can tell.

    held_out: share of the users to test on; the same seed holds out the same. test: which users to test on instead, indices ``[t]``.
    most: slates to fit on, drawn at random from more.
    Raises ConfigError for indices out of range, for a log without clicks, and where nobody is left to fit on or to test on.
    """
    _check(simulator, impressions, held_out, most)
    rng = np.random.Generator(np.random.PCG64(seed))
    people = rng.permutation(np.unique(impressions.users))
    testing = np.isin(impressions.users, people[: min(max(round(held_out * len(people)), 1), len(people) - 1)] if test is None else test)
    if testing.all() or not testing.any():
        raise ConfigError(f"calibrate: {testing.sum()} of {len(testing)} slates are of the users to test on; expected some, and others")
    rows = np.flatnonzero(~testing)
    log = impressions.take(np.sort(rng.choice(rows, most, replace=False)) if len(rows) > most else rows)
    if not log.clicked.any():
        raise ConfigError("calibrate: nobody to fit on clicked; expected a log with clicks")
    settings = simulator.config.model_dump() | _clicks(simulator, log, seed) | _reactions(simulator, log)
    if log.left is not None:
        settings["leave_base"] = _leaving(_mute(simulator, BehavioralConfig.of(settings)), log, seed)
    config = BehavioralConfig.of(settings)
    rest, durations = impressions.take(testing), simulator.catalog.durations
    unlogged: dict[str, Any] = {field.name: None for field in fields(rest) if getattr(rest, field.name) is None}

    def replied(by: BehavioralConfig) -> dict[str, float]:
        return replace(replay(_mute(simulator, by), rest, seed=seed)[0], **unlogged).rates(durations)

    return Calibration(
        config=config,
        observed=rest.rates(durations),
        before=replied(simulator.config),
        after=replied(config),
        fitted_slates=len(log.users),
        held_out_slates=len(rest.users),
    )


def replay(simulator: BehavioralSimulator, impressions: Impressions, *, seed: int = 0) -> tuple[Impressions, Floats]:
    """What simulated users do when shown the log's slates, each as the first of a session, and the levels afterwards ``[m, 5]``.

    A slate further down the page, whose upper part the log does not have, is met by some only: whoever does goes on as if it stood at the
    top, for a geometric cascade does not remember.
    """
    replies, levels = [], []
    for start in range(0, len(impressions.users), _CHUNK):
        part = impressions.take(np.arange(start, min(start + _CHUNK, len(impressions.users))))
        n, k = part.slates.shape
        exposures = np.zeros((n, len(simulator.catalog)), np.uint8)
        if part.met is not None:
            np.put_along_axis(exposures, part.slates, part.met.astype(np.uint8), axis=1)
        nothing = np.zeros(n, np.int64)
        history = History(
            users=part.users.astype(np.int64),
            turn=nothing,
            items=np.zeros((n, 0), np.int32),
            acts=np.zeros((n, 0), np.int8),
            slate=np.zeros((n, k), np.int32),
            response=np.zeros((n, k, 6), np.float32),
            exposures=exposures,
            standing=Instruction.none(n),
            age=nothing,
        )
        luck = Luck(combine(seed, start + np.arange(n)))
        opening = simulator.begin(history.users, luck)
        feedback, after = simulator.respond(opening, history, part.slates.astype(np.int64), luck)
        done = deeds(feedback)
        if part.first_slot is not None:
            c, (patience, fatigue) = simulator.config, opening.levels[:, [P, F]].T
            effort = opening.effort * (1 + c.effort_fatigue * fatigue) / (0.5 + patience)  # nobody is bored yet
            reached = part.first_slot * effort < exponential(luck.uniform(1, _REACHED))[:, 0]
            done |= {name: value * reached[:, None] for name, value in done.items() if name != "left"}
        replies.append(replace(part, **done))
        levels.append(after.levels)
    return Impressions.joined(replies), np.concatenate(levels)


def _clicks(simulator: BehavioralSimulator, log: Impressions, seed: int) -> dict[str, float]:
    """Fisher scoring on click_base, click_attraction and log effort: the gradient is taken through the mean over moods."""
    c, (m, k) = simulator.config, log.slates.shape
    attraction = simulator.taste.at(log.users, log.slates)[0].astype(np.float64)
    x, slots = simulator.catalog.features[log.slates], np.arange(k) + (0 if log.first_slot is None else log.first_slot[:, None])
    wear = 0 if log.met is None else c.click_repeat * np.minimum(log.met, 3)
    extra, tiring = np.empty((_MOODS, m, k), np.float32), np.empty((_MOODS, m, 1), np.float32)
    for mood in range(_MOODS):
        opening = simulator.begin(log.users, Luck(combine(seed, np.arange(m), mood, 0xCA11)))
        person, fatigue = traits(m, seed + mood), opening.levels[:, F, None]
        extra[mood] = c.click_interest * (x @ opening.interest[:, :, None])[:, :, 0] - c.click_fatigue * fatigue - wear
        extra[mood] += c.click_spread * person[:, :1]
        tiring[mood] = np.exp(c.effort_spread * person[:, 1:2]) * (1 + c.effort_fatigue * fatigue) / (0.5 + opening.levels[:, P, None])
    at = np.array([c.click_base, c.click_attraction, np.log(c.effort)])
    for _ in range(100):
        p, slopes = np.zeros((m, k)), np.zeros((3, m, k))
        for z, slower in zip(extra, tiring, strict=True):
            examined = np.exp(-slots * (np.exp(at[2]) * slower).astype(np.float64))
            taken = 1 / (1 + np.exp(-(at[0] + at[1] * attraction + z)))
            p += examined * taken / _MOODS
            rise = examined * taken * (1 - taken) / _MOODS
            slopes += np.stack([rise, rise * attraction, -slots * np.exp(at[2]) * slower * examined * taken / _MOODS])
        spread = np.maximum(p * (1 - p), 1e-12)
        gradient = (slopes * ((log.clicked - p) / spread)).sum(axis=(1, 2))
        free = np.array([True, at[1] > 0 or gradient[1] > 0, np.ptp(slots) > 0])  # attraction never repels; one slot shows no decay
        information = np.einsum("imk,jmk,mk->ij", slopes, slopes, 1 / spread) + 1e-9 * np.eye(3)
        step = np.zeros(3)
        step[free] = np.clip(np.linalg.solve(information[np.ix_(free, free)], gradient[free]), -1, 1)
        at = np.maximum(at + step, [-30.0, 0.0, np.log(1e-4)])
        if np.abs(step).max() < 1e-5:
            break
    return {"click_base": float(at[0]), "click_attraction": float(at[1]), "effort": float(np.exp(at[2]))}


def _reactions(simulator: BehavioralSimulator, log: Impressions) -> dict[str, float]:
    """The bases of what follows a click, from its rates."""
    c, found, n = simulator.config, {}, int(log.clicked.sum())
    row, slot = np.nonzero(log.clicked)
    stars = simulator.taste.at(log.users, log.slates)[1][row, slot]
    u = (np.arange(32) + 0.5) / 32
    noise = np.log(u / (1 - u)) * np.sqrt(3) / np.pi * simulator.taste.noise
    felt = stars[:, None] + noise - 3.5  # [clicks, 32]
    for name, base in _REACTIONS:
        logged = getattr(log, name)
        if logged is not None:  # half a case more, for no log is so long that a rate of 0 means never
            rate = (logged.sum() + 0.5) / (n + 1)
            found[base] = _solved(lambda b: float(np.mean(1 / (1 + np.exp(-(b + c.action_stars * felt))))), rate, -30, 30)
    if log.watch is not None:
        share = mean((log.watch / simulator.catalog.durations[log.slates])[log.clicked])
        tired = c.watch_fatigue * 0.05  # begin() draws fatigue from 0 to 0.1
        found["watch_base"] = _solved(lambda b: float(np.mean(np.clip(b + c.watch_stars * felt - tired, 0.03, 1))), share, 0, 1)
    return found


def _leaving(simulator: BehavioralSimulator, log: Impressions, seed: int) -> float:
    """The base of the hazard at which as many leave as in the log."""
    assert log.left is not None  # asked by the caller
    hazard, base = simulator.hazard(replay(simulator, log, seed=seed)[1]).astype(np.float64), simulator.config.leave_base
    rate = (log.left.sum() + 0.5) / (len(log.left) + 1)
    return _solved(lambda b: float(np.mean(-np.expm1(-hazard * np.exp(b - base)))), rate, -15, 5)


def _mute(simulator: BehavioralSimulator, config: BehavioralConfig) -> BehavioralSimulator:
    """The same people with other coefficients, who never speak up."""
    mute = config.model_copy(update={"talkative": 0.0})
    return BehavioralSimulator(simulator.catalog, simulator.taste, mute, seed=simulator.seed, native=simulator.native)


def _solved(function: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where an increasing function has this value, by bisection; the nearer end where it never does."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < wanted else (low, middle)
    return high


def _check(simulator: BehavioralSimulator, log: Impressions, held_out: float, most: int) -> None:
    for name, indices, end in (("users", log.users, len(simulator.taste.users)), ("slates", log.slates, len(simulator.catalog))):
        if indices.min() < 0 or indices.max() >= end:
            raise ConfigError(f"calibrate: {name} hold {indices.min()} to {indices.max()}; expected indices from 0 to {end - 1}")
    if not 0 < held_out < 1 or most < 1:
        raise ConfigError(f"calibrate: got held_out={held_out}, most={most}; expected a share between 0 and 1, and a number from 1 on")
    if log.users.min() == log.users.max():
        raise ConfigError("calibrate: the log is of one user; expected at least two, some to fit on and some to hold out")
