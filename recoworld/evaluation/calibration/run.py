"""Calibration: a simulator is fitted to the choices of training users, and measured before and after on test users.

**From a log with impressions** (`Dataset.impressions`) the behavioural simulator's rates are fitted as `recoworld.simulators.calibration`
says: base rates of click, like, comment, share and leaving, the weight of attraction, the effort. It cannot tell spreads between users,
the mindset's speeds, and what instructions do. Only what was shown after the visible part is read (`later_impressions`).

**From a log without** (ratings, purchases: only what was taken is there) the weight of attraction is fitted
(`recoworld.evaluation.calibration.coefficients`) on what training users took after their visible part, among items that they never met. The
weight of the current interest stays: what a person came for changes from session to session, and such a log does not show sessions (fitted
beside it on MovieLens-1M it falls to a tenth, and users become too much alike). Drawn at random over the catalogue (the default) these
are nearest to what a person browses past; matched in popularity or genre they ask for taste alone, and give weights for which popularity
and genre are worth too little. Such a log cannot tell how often people click (the base moves with the weight so that the click rate in
EASE's sessions with training users stays as it was), how far down they look, what they do after a click, how they tire, when they leave,
nor anything that needs the order of slates.

**For any simulator** a temperature and a prior on popularity (`recoworld.evaluation.calibration.correction`) are fitted on the same
questions, on top of the weights. They mend choices in a report or an analysis; no simulator's behaviour in a session changes by them.

Everything is built on `Panel.known`, and the simulator that is fitted has learned from neither the training users who are asked, at most
half of them, nor the test users, on whom it is measured. Of a small log it therefore knows less than the one that is deployed, but asked
about those it has learned from that one is further off: held-out users of `mini` want a weight of 4.5 (standard error 0.2), training users
4.1 as strangers and 3.7 else; on MovieLens-1M it is 7.0 (0.1) and 7.2 both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.datasets import load_dataset
from recoworld.errors import ConfigError
from recoworld.evaluation.calibration.coefficients import ClickRate, fit_choices
from recoworld.evaluation.calibration.correction import Correction, fit_correction
from recoworld.evaluation.calibration.result import Calibrated, claim
from recoworld.evaluation.fidelity.asking.later import later_impressions
from recoworld.evaluation.fidelity.asking.panel import Panel, make_panel
from recoworld.evaluation.fidelity.asking.questions import NEGATIVES, Negatives, Questions, choices
from recoworld.evaluation.fidelity.asking.sums import Doubles, Json, means
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.candidate import candidate
from recoworld.evaluation.fidelity.measures.choice import calibration, gain, ranked, shares_of_counts
from recoworld.evaluation.fidelity.run import plain_json
from recoworld.evaluation.rollout import rollout
from recoworld.simulators.behavioral import BehavioralSimulator
from recoworld.simulators.calibration import calibrate as calibrate_rates
from recoworld.simulators.config import BehavioralConfig
from recoworld.types import Floats, UserSimulator
from recoworld.users import Dataset
from recoworld.version import __version__
from recoworld.world import World

SIZE = 20
"""Items of a question; of a small catalogue a fifth at most."""
FEWEST = {"train": 25, "test": 2}
"""Users of whom something is held out."""
SESSIONS = 300
"""Of training users, in which the click rate is counted."""
Told = Callable[[str, int], None]
"""Called with what is being done, and how many user-slates were just answered."""


def calibrate(
    simulator: str = "behavioral",
    *,
    dataset: str,
    data_dir: str | None = None,
    settings: dict[str, Any] | None = None,
    users: int | None = 1000,
    seed: int = 0,
    split_seed: int = 0,
    negatives: Negatives = "random",
    click_rate: float | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
    told: Told | None = None,
) -> Calibrated:
    """Fit a simulator to a data set's training users. The module's docstring says how, and what which log cannot tell.

    simulator: a name in `recoworld.registry.SIMULATORS`. settings: its own, to start from. users: how many training users to fit on, and
    test users to measure on; None for all. click_rate: of what EASE shows, where you know it. out: folder to `Calibrated.save` to;
    one that holds a calibration of other settings is refused with ConfigError, or that is replaced if `fresh`.
    Raises ConfigError, UnknownName, DatasetError; ConfigError too where too few people took anything after their visible part.
    """
    if negatives not in NEGATIVES:
        raise ConfigError(f"negatives: got {negatives!r}; expected one of {', '.join(NEGATIVES)}")
    check_click_rate(click_rate)
    say = told or (lambda doing, slates: None)
    who, data = candidate(simulator, settings), load_dataset(dataset, data_dir=data_dir)
    about = plain_json(
        {"simulator": who.name, "simulator_config": who.settings, "dataset": dataset}
        | {"users": users, "seed": seed, "split_seed": split_seed, "negatives": negatives}
        | {"click_rate": click_rate, "version": __version__}
    )
    folder = None if out is None else Path(out).expanduser()
    if folder is not None:
        claim(folder, about, fresh=fresh)
    panels = {group: _panel(data, group, users=users, seed=seed, split_seed=split_seed) for group in FEWEST}
    train, test = panels["train"], panels["test"]

    size = max(2, min(SIZE, len(data.catalog) // 5))
    asked = {group: choices(panel, negatives, size=size) for group, panel in panels.items()}
    known, others = train.known, replace(train.split, train=np.setdiff1d(train.split.train, train.users))
    people, strangers = who.of(known, train.split), who.of(known, others)
    say("fitting", 0)
    fitted, rates, notes = _fit(people, strangers, data, train, asked["train"], click_rate, seed)
    config = who.settings | {name: entry["after"] for name, entry in fitted.items()}
    stages = {"before": people}
    if fitted:
        last = candidate(simulator, config)
        stages["after"], strangers = last.of(known, train.split), last.of(known, others)

    def chances(group: str, asking: UserSimulator) -> Floats:
        witness = Witness(who.name, asking, panels[group], told=lambda slates: say(f"asking {group} users", slates))
        return witness.chances(asked[group].users, asked[group].items)

    crowd = {group: known.catalog.popularity[questions.items] for group, questions in asked.items()}
    correction, found = fit_correction(chances("train", strangers), crowd["train"], asked["train"].taken)
    answers = {stage: chances("test", made) for stage, made in stages.items()}
    pi = {stage: Correction().shares(answer, crowd["test"]) for stage, answer in answers.items()}
    pi["corrected"] = correction.shares(list(answers.values())[-1], crowd["test"])
    facts: Json = {
        "settings": about,
        "fitted": fitted,
        "correction": asdict(correction) | {"errors": dict(zip(("weight", "prior"), found.errors.tolist(), strict=True))},
        "train": {"questions": len(asked["train"].users), "users": len(np.unique(asked["train"].users))},
        "test": {"questions": len(asked["test"].users), "users": len(np.unique(asked["test"].users)), "shown": size}
        | _measured(pi, asked["test"], crowd["test"], seed),
        "rates": rates,
        "notes": [*test.notes, *notes],
    }
    made = Calibrated(simulator=who.simulator, config=config, correction=correction, facts=plain_json(facts))
    if folder is not None:
        made.save(folder)
    return made


def check_click_rate(share: float | None) -> None:
    """Raises ConfigError for what is no share of items shown."""
    if share is not None and not 0 < share < 1:
        raise ConfigError(f"click_rate: got {share}; expected a share between 0 and 1")


def _panel(data: Dataset, group: str, *, users: int | None, **drawn: int) -> Panel:
    if group == "train":
        half = max(2, len(data.split(seed=drawn["split_seed"]).train) // 2)
        users = half if users is None else min(users, half)
    panel = make_panel(data, group=group, users=users, **drawn)
    if len(panel.users) < FEWEST[group]:
        raise ConfigError(
            f"data set {panel.truth.name!r}: {len(panel.users)} users of the group {group!r} did something after their visible part; "
            f"expected at least {FEWEST[group]}: what is fitted to fewer is noise"
        )
    return panel


def _measured(pi: dict[str, Doubles], asked: Questions, crowd: Floats, seed: int) -> Json:
    """Figures of each stage, of the crowd's and of equal shares, and what changed since the first, in pairs."""
    rows = pi | {"popularity": shares_of_counts(crowd), "uniform": np.full(asked.items.shape, 1 / asked.items.shape[1])}
    columns: dict[str, Json] = {"log_loss": {}, "accuracy": {}, "ndcg@10": {}}
    for name, shares in rows.items():
        rank = ranked(shares, asked)
        columns["log_loss"][name], columns["accuracy"][name] = -np.log(np.maximum(shares[asked.taken], 1e-300)), rank == 0
        columns["ndcg@10"][name] = gain(rank)
    out: Json = {}
    for metric, values in columns.items():
        out[metric] = means(values, asked.users, seed=seed)
        more = {name: values[name] - values["before"] for name in pi if name != "before"} if metric == "log_loss" else {}
        for name in more:
            out[metric][name]["change"] = means(more, asked.users, seed=seed)[name]
    out["ece"] = {name: calibration(shares, asked)[0] for name, shares in rows.items() if name != "uniform"}
    return out


def _fit(
    people: UserSimulator,
    strangers: UserSimulator,
    data: Dataset,
    train: Panel,
    asked: Questions,
    click_rate: float | None,
    seed: int,
) -> tuple[Json, Json, list[str]]:
    """Coefficients before and after, rates, and what there is to say. strangers: the simulator to whom the asked users are new."""
    if type(people) is not BehavioralSimulator or type(strangers) is not BehavioralSimulator:  # a subclass may have its own equations
        return {}, {}, ["Only the behavioural simulator's own coefficients can be fitted: here the correction alone is."]
    later = later_impressions(data, train.truth_split)
    if later is not None:
        groups = np.concatenate([train.truth_split.train, train.truth_split.test])
        shown = later.take(np.isin(later.users, groups))
        found = calibrate_rates(people, shown, test=train.truth_split.test, seed=seed)
        return (
            _changes(people.config, found.config, {}),
            {"observed": found.observed, "before": found.before, "after": found.after},
            [f"Fitted on {found.fitted_slates:,} slates that training users were shown."],
        )
    policy, rate = _reference(train, people)
    config, error = fit_choices(strangers, asked, rate, wanted=click_rate, seed=seed)
    before, after = people.config.click_attraction, config.click_attraction
    near = ["The weight of attraction was right before: the fitted one is within two standard errors."]
    kept = f"the click rate in sessions with {policy!r} was " + ("kept" if click_rate is None else f"set to {click_rate:g}")
    notes = [f"The log tells what was taken, not what was shown: {kept}.", *(near if abs(after - before) < 2 * error else [])]
    return _changes(people.config, config, {"click_attraction": error}), {}, notes


def _changes(before: BehavioralConfig, after: BehavioralConfig, errors: dict[str, float]) -> Json:
    """What is no longer as it was."""
    rounded = {name: (getattr(before, name), round(value, 4)) for name, value in after.model_dump().items() if isinstance(value, float)}
    return {
        name: {"before": old, "after": new} | ({"error": errors[name]} if name in errors else {})
        for name, (old, new) in rounded.items()
        if new != round(old, 4)
    }


def _reference(train: Panel, people: BehavioralSimulator) -> tuple[str, ClickRate]:
    """The reference policy's name, and the click rate in its sessions: EASE, or popularity where the catalogue is too large for it."""
    name = "ease"
    try:
        policy = train.policy(name)
    except ConfigError:
        name = "popularity"
        policy = train.policy(name)
    users = train.users[:SESSIONS]

    def rate(config: BehavioralConfig) -> float:
        simulator = BehavioralSimulator(people.catalog, people.taste, config, seed=people.seed, native=people.native)
        world = World(train.known, train.split, simulator, slate_size=min(10, len(train.known.catalog)))
        table = rollout(world, policy, users, np.zeros(len(users), np.int64))
        return float(table.clicks.sum() / (table.turns.sum() * world.slate_size))

    return name, rate
