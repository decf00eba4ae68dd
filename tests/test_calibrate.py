"""Calibration on choices: closed forms, known coefficients found again, nothing learned from those it is measured on."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from recoworld.assembly import make_world
from recoworld.cli import app
from recoworld.cli.settings import world_settings
from recoworld.configs import WorldConfig
from recoworld.datasets import cached_arrays, import_log, load_dataset
from recoworld.errors import CacheUnwritable, ConfigError
from recoworld.evaluation.calibration.coefficients import fit_choices
from recoworld.evaluation.calibration.correction import Correction, fit_correction
from recoworld.evaluation.calibration.logit import fitted
from recoworld.evaluation.calibration.result import Calibrated
from recoworld.evaluation.calibration.run import calibrate
from recoworld.evaluation.fidelity.asking.panel import Panel, make_panel
from recoworld.evaluation.fidelity.asking.questions import Questions, choices
from recoworld.evaluation.fidelity.asking.witness import Witness
from recoworld.evaluation.fidelity.measures.choice import shares
from recoworld.impressions import Impressions
from recoworld.simulators.behavioral import BehavioralSimulator, build
from recoworld.simulators.calibration import calibrate as calibrate_rates
from recoworld.simulators.config import BehavioralConfig
from recoworld.testing.simulators import random_slates
from recoworld.types import UserSimulator
from recoworld.users import Dataset

HERE = Path(__file__).stem
TRUE = {"click_attraction": 3.0, "click_interest": 1.5, "click_base": -3.0}
SHOWN = {"click_base": 0.0, "click_attraction": 3.0, "effort": 0.2, "talkative": 0.0}


@cache
def panel() -> Panel:
    return make_panel(load_dataset("mini"), users=400, group="train")


def people(**settings: Any) -> BehavioralSimulator:
    return build(panel().known, panel().split, settings, cached=cached_arrays)


def answered(truth: UserSimulator, asked: Questions, *, moods: int, seed: int = 1) -> Questions:
    """The same questions, answered by simulated people."""
    pi = shares(Witness("truth", truth, panel(), moods=moods).chances(asked.users, asked.items))
    u = np.random.Generator(np.random.PCG64(seed)).random((len(pi), 1))
    place = np.minimum((pi.cumsum(axis=1) < u).sum(axis=1), pi.shape[1] - 1)
    return replace(asked, taken=np.arange(pi.shape[1]) == place[:, None])


# the conditional logit


def test_with_two_items_it_is_the_log_of_the_odds() -> None:
    """One item was taken 30 times of 40: the weight is log 3, its variance 1/30 + 1/10, the loss the entropy."""
    slopes = np.tile([1.0, 0.0], (1, 40, 1))
    taken = np.arange(2) == (np.arange(40) >= 30)[:, None]
    found = fitted(lambda w: (w[0] * slopes[0], slopes), taken, np.zeros(1), np.full(1, -np.inf))
    assert found.weights[0] == pytest.approx(np.log(3))
    assert found.errors[0] == pytest.approx(np.sqrt(1 / 30 + 1 / 10))
    assert found.log_loss == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    bounded = fitted(lambda w: (w[0] * slopes[0], slopes), ~taken, np.ones(1), np.zeros(1))
    assert bounded.weights[0] == 0


# the correction


def test_it_finds_temperature_and_prior_again() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    chances, popularity = rng.random((6000, 10)).astype(np.float32), rng.integers(0, 500, (6000, 10)).astype(np.float32)
    true = Correction(temperature=2.0, prior=0.4)
    pi = true.shares(chances, popularity)
    taken = np.arange(10) == (pi.cumsum(axis=1) < rng.random((6000, 1))).sum(axis=1)[:, None]
    found, fit = fit_correction(chances, popularity, taken)
    assert abs(1 / found.temperature - 0.5) < 4 * fit.errors[0]
    assert abs(found.prior - 0.4) < 4 * fit.errors[1]
    assert fit.errors.max() < 0.02


def test_shares_by_hand() -> None:
    """Odds 1 and 3 at temperature 2 stand as 1 to the root of 3; counts 0 and 3 at prior 1/2 as 1 to 2."""
    chances, counts = np.array([[0.5, 0.75]], np.float32), np.array([[0.0, 3.0]], np.float32)
    assert Correction().shares(chances, counts)[0] == pytest.approx([0.25, 0.75])
    both = Correction(temperature=2.0, prior=0.5).shares(chances, counts)[0]
    assert both[1] / both[0] == pytest.approx(np.sqrt(3) * 2)


def test_chances_that_say_nothing_are_all_but_ignored() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    counts = rng.integers(1, 100, (3000, 5)).astype(np.float32)
    pi = Correction(prior=1.0).shares(np.full((3000, 5), 0.5, np.float32), counts)
    taken = np.arange(5) == (pi.cumsum(axis=1) < rng.random((3000, 1))).sum(axis=1)[:, None]
    found, _ = fit_correction(rng.random((3000, 5)).astype(np.float32), counts, taken)
    assert found.temperature > 10
    assert found.prior == pytest.approx(1, abs=0.1)


# the coefficients


USERS = np.arange(400)


def click_rate(config: BehavioralConfig) -> float:
    """Of the ten most popular items, on the first slate of a session."""
    simulator = people(**config.model_dump())
    world = Witness("p", simulator, panel()).world(10)
    world.reset(USERS, USERS)
    return float(world.step(np.tile(np.argsort(-panel().known.catalog.popularity)[:10], (len(USERS), 1))).feedback.clicked.mean())


@pytest.mark.parametrize("focus", [0.0, 0.5])
def test_a_known_weight_is_found_again(focus: float) -> None:
    """Without a focus all moods are alike but for fatigue, which shifts all items; with one, the mean over moods is what is fitted."""
    truth = people(**TRUE, focus=focus)
    asked = answered(truth, choices(panel(), "random"), moods=1 if not focus else 32)
    start = people(focus=focus, click_interest=TRUE["click_interest"])
    config, error = fit_choices(start, asked, click_rate, wanted=click_rate(truth.config), moods=16)
    assert error < 0.3
    assert abs(config.click_attraction - TRUE["click_attraction"]) < 3.5 * error
    assert config.click_base == pytest.approx(TRUE["click_base"], abs=0.25)
    assert abs(BehavioralConfig().click_attraction - TRUE["click_attraction"]) > 10 * error  # where it started from was further away


def test_the_error_is_the_spread_of_what_is_found() -> None:
    """Of the same questions, answered sixteen times: a chi-square of 15 degrees of freedom, between its 0.001 and 0.999 quantiles."""
    truth, asked = people(**TRUE, focus=0.0), choices(panel(), "random", most=1)
    answers = [answered(truth, asked, moods=1, seed=seed) for seed in range(16)]
    found = [fit_choices(truth, given, lambda config: 0.2, moods=1) for given in answers]
    spread = np.var([config.click_attraction for config, _ in found], ddof=1)
    assert 3.5 / 15 < spread / np.mean([error**2 for _, error in found]) < 37.7 / 15


def test_the_click_rate_is_kept_or_set_and_no_neighbour_of_that_rate_is_likelier() -> None:
    """The answers come from sharp people, whose chances of famous items are near 1: there the base matters to the choice."""
    simulator = people(click_attraction=4.0, click_base=-4.3)
    asked = answered(people(), choices(panel(), "random", most=2), moods=4)

    def log_loss(config: BehavioralConfig) -> float:
        pi = shares(Witness("p", people(**config.model_dump()), panel(), moods=32).chances(asked.users, asked.items))
        return float(-np.log(pi[asked.taken]).mean())

    for wanted in (None, 0.3):
        config, error = fit_choices(simulator, asked, click_rate, wanted=wanted, moods=32)
        aim = click_rate(simulator.config) if wanted is None else wanted
        assert click_rate(config) == pytest.approx(aim, abs=0.005)
        changed = {name for name, value in config.model_dump().items() if value != getattr(simulator.config, name)}
        assert changed == {"click_attraction", "click_base"}
        for weight in (config.click_attraction - 3 * error, config.click_attraction + 3 * error):
            bases = config.click_base + np.linspace(-1, 1, 101)
            others = [config.model_copy(update={"click_attraction": weight, "click_base": base}) for base in bases]
            beside = min(others, key=lambda other: abs(click_rate(other) - aim))
            assert log_loss(beside) > log_loss(config)


# end to end


def tampered(*, data_dir: str | None = None) -> Dataset:
    """`mini` in which validation and test users did something else later."""
    data = load_dataset("mini")
    split, log = data.split(), data.interactions
    rows = np.concatenate([np.arange(split.visible_end[u], log.indptr[u + 1]) for u in [*split.test, *split.validation]])
    items = log.items.copy()
    items[rows] = (items[rows] + 17) % len(data.catalog)
    return replace(data, interactions=replace(log, items=items))


@pytest.fixture(scope="module")
def found() -> Calibrated:
    return calibrate(dataset="mini", users=300)


def test_test_users_gain(found: Calibrated) -> None:
    loss = found.facts["test"]["log_loss"]
    assert set(found.facts["fitted"]) == {"click_attraction", "click_base"}
    for stage in ("after", "corrected"):
        change = loss[stage]["change"]
        assert change["high"] < 0
        assert change["value"] == pytest.approx(loss[stage]["value"] - loss["before"]["value"])
    assert loss["uniform"]["value"] == pytest.approx(np.log(20))
    assert loss["after"]["value"] < loss["popularity"]["value"]
    assert {"ece", "accuracy", "ndcg@10"} < set(found.facts["test"])
    json.dumps(found.facts, allow_nan=False)


def test_nothing_is_learned_from_those_it_is_measured_on(found: Calibrated) -> None:
    other = calibrate(dataset=f"{HERE}:tampered", users=300)
    assert other.config == found.config
    assert other.correction == found.correction
    assert other.facts["test"]["log_loss"]["after"]["value"] > found.facts["test"]["log_loss"]["after"]["value"]


def test_the_same_seed_finds_the_same_and_the_preset_is_one(found: Calibrated, tmp_path: Path) -> None:
    again = calibrate(dataset="mini", users=300, out=tmp_path)
    assert again.facts == found.facts
    assert json.loads((tmp_path / "calibration.json").read_text()) == found.facts
    config = WorldConfig.of(str(tmp_path / "calibrated.yaml"), dataset="mini")
    assert (config.simulator, config.simulator_config) == ("behavioral", found.config)
    assert make_world(config).simulator.config.click_base == found.config["click_base"]  # type: ignore[attr-defined]  # the behavioural


def test_what_is_fitted_already_hardly_moves(found: Calibrated) -> None:
    again = calibrate(dataset="mini", users=300, settings=found.config)
    assert abs(again.facts["test"]["log_loss"]["corrected"]["value"] - found.facts["test"]["log_loss"]["corrected"]["value"]) < 0.01
    for name, value in again.config.items():
        assert value == pytest.approx(found.config[name], abs=0.25), name


class Quiet:
    """Shows what it does and tells nothing."""

    def __init__(self, dataset: Any, split: Any, settings: Any, *, cached: Any) -> None:
        inner = build(dataset, split, settings, cached=cached)
        self.begin, self.respond = inner.begin, inner.respond


def test_any_simulator_can_be_corrected() -> None:
    found = calibrate(f"{HERE}:Quiet", dataset="mini", users=80)
    assert found.facts["fitted"] == {}
    assert set(found.facts["test"]["log_loss"]) == {"before", "corrected", "popularity", "uniform"}
    assert found.facts["test"]["log_loss"]["corrected"]["change"]["high"] < 0
    assert "correction alone" in found.facts["notes"][-1]


def shown(*, data_dir: str | None = None) -> Dataset:
    """`mini`, with what its users would have been shown and clicked under `SHOWN`."""
    data = load_dataset("mini")
    world = make_world(dataset="mini", users="all", simulator_config=SHOWN)
    users = np.tile(np.arange(len(data.users)), 8)
    world.reset(users, np.arange(len(users)))
    slates = random_slates(world, len(users), 1, seed=0)[0]
    met = np.take_along_axis(world.state.history.exposures, slates, axis=1)
    return replace(data, impressions=replace(Impressions.from_turns([(users, world.step(slates))]), met=met, left=None))


def test_impressions_are_used_where_there_are_some() -> None:
    found = calibrate(dataset=f"{HERE}:shown", users=100)
    assert "effort" in found.facts["fitted"]
    rates = found.facts["rates"]
    for name in ("click rate, slot 1", "click rate, slot 10"):
        assert abs(rates["after"][name] - rates["observed"][name]) < 0.5 * abs(rates["before"][name] - rates["observed"][name])


def test_which_users_are_held_out_can_be_said() -> None:
    data, simulator = shown(), make_world(dataset="mini").simulator
    assert data.impressions is not None
    assert isinstance(simulator, BehavioralSimulator)
    fit = partial(calibrate_rates, simulator, data.impressions, most=500)
    found = fit(test=np.arange(100))
    assert found.held_out_slates == 800
    for nobody in (np.arange(len(data.users)), np.array([], np.int64)):
        with pytest.raises(ConfigError, match="users to test on; expected some"):
            fit(test=nobody)


def tiny(*, data_dir: str | None = None) -> Dataset:
    data = load_dataset("mini")
    log, n = data.interactions, 30
    end = int(log.indptr[n])
    few = replace(log, indptr=log.indptr[: n + 1], items=log.items[:end], ratings=log.ratings[:end], times=log.times[:end])
    who = replace(data.users, ids=data.users.ids[:n], features=data.users.features[:n], descriptions=data.users.descriptions[:n])
    return replace(data, users=who, interactions=few)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dataset": f"{HERE}:tiny"}, "expected at least 25"),
        ({"dataset": "mini", "negatives": "easy"}, "popularity_matched"),
        ({"dataset": "mini", "click_rate": 1.5}, "between 0 and 1"),
        ({"dataset": "mini", "users": 100, "click_rate": 0.95}, "no nearer than 0.[678]"),
        ({"dataset": "mini", "settings": {"click_bass": 1}}, "click_base"),
    ],
)
def test_what_cannot_be_done_is_said(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        calibrate(**settings)


def test_a_folder_that_cannot_be_written(found: Calibrated, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheUnwritable, match="choose another folder"):
        found.save(tmp_path / "file")


def test_another_calibration_is_not_overwritten(found: Calibrated, tmp_path: Path) -> None:
    found.save(tmp_path)
    with pytest.raises(ConfigError, match=r"another evaluation \(users: 300 there, 80 now; seed: 0 there, 1 now\).*--fresh"):
        calibrate(dataset="mini", users=80, seed=1, out=tmp_path)
    assert json.loads((tmp_path / "calibration.json").read_text()) == found.facts
    other = calibrate(f"{HERE}:Quiet", dataset="mini", users=80, out=tmp_path, fresh=True)
    assert json.loads((tmp_path / "calibration.json").read_text()) == other.facts
    assert not (tmp_path / "calibrated.yaml").exists()  # nothing was fitted, and the old one was another's
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to"):
        calibrate(dataset="mini", out=tmp_path / "file", fresh=True)


@pytest.mark.parametrize(("low", "worse"), [(0.01, True), (-0.01, False), (None, False)])
def test_worse_is_a_change_whose_whole_interval_is_above_0(found: Calibrated, low: float | None, worse: bool) -> None:
    loss = found.facts["test"]["log_loss"]
    after = loss["after"] | {"change": {"value": 0.1, "low": low, "high": 0.2}}
    facts = found.facts | {"test": found.facts["test"] | {"log_loss": loss | {"after": after}}}
    assert replace(found, facts=facts).worse is worse
    assert ("keep the old coefficients" in replace(found, facts=facts).preset) is worse
    assert not found.worse


# the command


def command(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})
    assert done.exit_code == code, done.output
    return done.output


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    said = command("calibrate", "behavioral", "--dataset", "mini", "--users", 100, "--negatives", "same_genre", "--out", out)
    for words in ("click_attraction", "log-loss", "change", "temperature", "a diagnosis", "calibrated.yaml, calibration.json"):
        assert words in said
    assert yaml.safe_load((out / "calibrated.yaml").read_text())["dataset"] == "mini"
    assert said.endswith(f"Use it: recoworld evaluate --config '{out}/calibrated.yaml'\n")
    failed = command("calibrate", "behaviour", "--dataset", "mini", code=2)
    assert failed.startswith("error: ")  # without an empty line
    assert "did you mean" in failed


def test_its_last_line_evaluates_on_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said of an imported log in a home of its own: the command that is printed is complete."""
    home, log = tmp_path / "home", load_dataset("mini").interactions
    rows = "".join(f"{log.users[row]},{log.items[row]},{log.times[row]}\n" for row in range(int(log.indptr[150])))
    (tmp_path / "log.csv").write_text("u,i,t\n" + rows)
    import_log(tmp_path / "log.csv", name="own", user="u", item="i", time="t", home=home)
    said = command("calibrate", "--dataset", "own", "--data-dir", home, "--out", tmp_path / "out")
    last = said.strip().split("\n")[-1].removeprefix("Use it: recoworld ")
    results = tmp_path / "results"
    command(*shlex.split(last), "--policies", "random", "--users", 5, "--out", results)
    settings = json.loads((results / "leaderboard.json").read_text())["settings"]
    assert settings["dataset"] == "own"


def test_a_fit_that_is_worse_is_not_recommended(found: Calibrated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calibrated, "worse", property(lambda self: True))
    said = command("calibrate", "--users", 80, "--out", tmp_path)
    assert "warning: on test users the fit is worse than before: keep the old coefficients" in said
    assert "Use it" not in said


def test_of_a_simulator_without_coefficients_nothing_is_fitted(tmp_path: Path) -> None:
    said = command("calibrate", f"{HERE}:Quiet", "--users", 80, "--out", tmp_path)
    assert "Nothing was fitted" in said
    assert said.endswith(f"Written to {tmp_path}: calibration.json\n")
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.json"]


def test_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recoworld.evaluation.calibration.run.fit_correction", interrupted)
    assert command("calibrate", "--users", 80, "--out", tmp_path, code=130) == "interrupted: nothing was written\n"
    assert not list(tmp_path.iterdir())


# whose data set holds


def test_the_presets_data_set_holds_unless_another_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("dataset: ml-1m\nsimulator_config: {talkative: 0.5}\n")
    preset = str(tmp_path / "p.yaml")
    name, settings = world_settings(None, ["simulator_config.effort=0.2"], preset, "/data")
    assert (name, settings) == ("ml-1m", {"data_dir": "/data", "simulator_config": {"talkative": 0.5, "effort": 0.2}})
    assert WorldConfig.of(preset, **settings).dataset == "ml-1m"
    assert world_settings(None, [], None) == ("RecoWorld-Mini-v0", {"dataset": "mini"})
    assert world_settings(None, [], "impatient") == ("RecoWorld-Mini-v0", {"dataset": "mini"})
    assert world_settings("RecoWorld-ML1M-v0", [], preset)[1] == {"dataset": "ml-1m"}
    with pytest.warns(UserWarning, match=r"p\.yaml is of the data set 'ml-1m'; --env mini holds: 'mini'"):
        name, settings = world_settings("mini", [], preset)
    assert WorldConfig.of(preset, **settings).dataset == "mini"
