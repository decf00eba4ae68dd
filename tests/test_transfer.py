"""Transfer between simulators: tuned in one, judged in another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from recoworld.assembly import make_world
from recoworld.cli import app
from recoworld.configs import WorldConfig
from recoworld.errors import ConfigError, MissingExtra, UnknownName
from recoworld.evaluation.rollout import rollout
from recoworld.evaluation.table import SessionTable
from recoworld.evaluation.transfer import Transfer, transfer
from recoworld.evaluation.transfer.compare import Comparison
from recoworld.evaluation.transfer.knobs import Entrant, candidates
from recoworld.evaluation.transfer.naming import names, simulated
from recoworld.evaluation.transfer.people import drawn
from recoworld.luck import Luck
from recoworld.policies import make_policy
from recoworld.policies.als import ALS
from recoworld.policies.baselines import Popularity, Random
from recoworld.policies.ease import EASE
from recoworld.policies.knn import ItemKNN
from recoworld.policies.mixed import Mixed
from recoworld.testing.recommenders import RecommenderTests, first_observations, luck_of
from recoworld.types import Feedback, Floats, History, Instruction, Ints, Mindset, Observations, Slates
from recoworld.users import Dataset, Split

MINI = WorldConfig.of(dataset="mini")
CHEAP = ["random", "popularity", "genre"]


class Contrary:
    """A simulator with a hole: its users click on what nobody else does, the least popular tenth, whoever they are."""

    def __init__(self, dataset: Dataset) -> None:
        popularity = dataset.catalog.popularity
        self.wanted = popularity.argsort(kind="stable").argsort() < len(popularity) // 10
        self.durations = dataset.catalog.durations

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        n = len(users)
        return Mindset(levels=np.zeros((n, 5), np.float32), interest=np.zeros((n, 1), np.float32), intent=np.full(n, -1, np.int16))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        n = len(slates)
        clicked, nothing = self.wanted[slates], np.zeros(slates.shape, np.bool_)
        watch: Floats = self.durations[slates] * clicked
        left = luck.uniform(1)[:, 0] > 0.3 + 0.6 * clicked.mean(axis=1)
        feedback = Feedback(
            examined=~nothing,
            clicked=clicked,
            liked=nothing,
            commented=nothing,
            shared=nothing,
            watch=watch,
            left=left,
            followed=np.zeros(n, np.float32),
            instruction=Instruction.none(n),
        )
        return feedback, mindset


def contrary(dataset: Dataset, split: Split, config: dict[str, Any], *, cached: object = None) -> Contrary:
    return Contrary(dataset)


class Trick:
    """Knows of the hole, and of nothing else."""

    name = "trick"

    def fit(self, dataset: Dataset, split: Split) -> None:
        self.slate = np.argsort(dataset.catalog.popularity, kind="stable")

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        n, k = observations["slate"].shape
        return np.tile(self.slate[:k], (n, 1))


def test_a_policy_that_games_one_simulator_shows() -> None:
    made_up = f"{__name__}:contrary"
    policies = ["random", "popularity", "genre", "ease+instruct", f"trick={__name__}:Trick"]
    found = transfer(MINI, ["behavioral", made_up], policies, tune=["none"], users=40)
    assert found.winners["behavioral"]["candidate"] == "ease+instruct"
    assert found.winners[made_up]["candidate"] == "trick"
    there, back = found.regrets[made_up]["behavioral"], found.regrets["behavioral"][made_up]
    assert there["high"] < 0
    assert there["excludes_zero"]
    assert back["high"] < 0
    assert found.regrets[made_up][made_up] == found.regrets["behavioral"]["behavioral"]
    assert found.regrets["behavioral"]["behavioral"] == {"mean": 0, "low": 0, "high": 0, "excludes_zero": False}
    assert found.taus[made_up]["behavioral"]["high"] < 0  # the reverse order
    assert found.taus["behavioral"]["behavioral"]["mean"] > 0.5  # while each agrees with itself on other people
    assert found.taus[made_up][made_up]["mean"] > 0.5
    assert f"{there['mean']:+.2f}" in found.markdown()


def test_a_simulator_under_another_name_is_the_same() -> None:
    found = transfer(MINI, ["behavioral", "behavioral:talkative=0.6"], CHEAP, tune=["none"], users=20)
    assert all(entry["mean"] == 0 for row in found.regrets.values() for entry in row.values())
    assert found.taus["behavioral"]["behavioral:talkative=0.6"] == {"mean": 1, "low": 1, "high": 1}


def test_each_return_is_that_of_a_rollout() -> None:
    found = transfer(MINI, ["behavioral", "quiet"], ["random", "ease"], tune=["none"], users=12, seeds=2, seed=4)
    world = make_world(WorldConfig.of("quiet"))
    people = drawn(world.split, users=12, seeds=2, seed=4)
    policy = make_policy("ease")
    policy.fit(world.dataset, world.split)
    for group, returns in (("test", "returns"), ("tuning", "tuning")):
        table = rollout(world, policy, *people.sessions(group), policy_seed=4)  # type: ignore[arg-type]
        assert found.rows[1][returns]["quiet"]["mean"] == pytest.approx(table.returned.mean())


def test_nobody_is_both_tuned_on_and_judged_on() -> None:
    split = make_world(MINI).split
    few, many = drawn(split, users=5, seeds=1, seed=0), drawn(split, users=len(split.validation) + 7, seeds=3, seed=0)
    assert np.isin(few.users["tuning"], split.validation).all()
    assert not few.notes
    assert len(many.users["tuning"]) == len(split.validation) + 7
    assert "7 training users join them" in " ".join(many.notes)
    assert np.isin(many.users["test"], split.test).all()
    assert not np.isin(many.users["tuning"], split.test).any()
    assert len(many.sessions("tuning")[0]) == 3 * len(many.users["tuning"])
    assert not np.array_equal(few.users["test"], drawn(split, users=5, seeds=1, seed=1).users["test"])


# the matrices by hand


def compared(returns: dict[tuple[str, str], dict[str, list[float]]], *, oracle: bool = False) -> Comparison:
    """By (simulator, group) and policy, one return a user."""
    tables = {}
    for (simulator, group), policies in returns.items():
        for name, values in policies.items():
            table = SessionTable.empty(np.arange(len(values)), np.zeros(len(values), np.uint64), 1, 1)
            tables[name, simulator, group] = replace(table, returned=np.array(values))
    entrants = [Entrant(name=name, family="letters", privileged=oracle and name == "p") for name in next(iter(returns.values()))]
    simulators = list(dict.fromkeys(simulator for simulator, _ in returns))
    return Comparison.of(tables, entrants, simulators, seed=0)  # type: ignore[arg-type]


RETURNS = {
    ("a", "tuning"): {"p": [5.0, 5, 5], "q": [1.0, 2, 3], "r": [0.0, 0, 0]},
    ("a", "test"): {"p": [3.0, 4, 5], "q": [6.0, 6, 6], "r": [0.0, 0, 0]},
    ("b", "tuning"): {"p": [0.0, 0, 0], "q": [1.0, 2, 3], "r": [4.0, 4, 4]},
    ("b", "test"): {"p": [1.0, 1, 1], "q": [2.0, 2, 2], "r": [2.0, 4, 6]},
}


def test_matrices_by_hand() -> None:
    found = compared(RETURNS)
    assert {name: row["candidate"] for name, row in found.winners().items()} == {"a": "p", "b": "r"}  # whatever the test users say
    assert found.winners()["a"]["second"] == "q"
    assert found.winners()["a"]["lead"]["mean"] == 3
    assert (found.winners()["a"]["lead"]["low"], found.winners()["a"]["lead"]["high"]) == (2, 4)  # paired: 5 - 3 to 5 - 1
    regrets = found.regrets()
    assert regrets["a"]["b"]["mean"] == 1 - 4
    assert (regrets["a"]["b"]["low"], regrets["a"]["b"]["high"]) == (-5, -1)
    assert regrets["b"]["a"]["mean"] == 0 - 4
    assert regrets["a"]["a"]["mean"] == regrets["b"]["b"]["mean"] == 0
    taus = found.taus()
    assert taus["a"]["b"]["mean"] == taus["b"]["a"]["mean"] == pytest.approx(-1 / 3)  # q > p > r against r > q > p
    assert taus["a"]["a"]["mean"] == pytest.approx(1 / 3)  # p > q > r against q > p > r
    assert taus["b"]["b"]["mean"] == 1
    assert found.families()["letters"]["chosen"] == {"a": "p", "b": "r"}


def test_who_reads_the_mindset_neither_wins_nor_is_ranked() -> None:
    found = compared(RETURNS, oracle=True)
    assert found.winners()["a"]["candidate"] == "q"
    assert found.rows()[0]["privileged"]
    assert found.taus()["a"]["b"]["mean"] == -1  # q > r against r > q
    real = transfer(MINI, ["behavioral", "quiet"], ["random", "oracle", "ease"], tune=["none"], users=30)
    assert real.ordered[0]["candidate"] == "oracle"
    assert {row["candidate"] for row in real.winners.values()} == {"ease"}


# what is kept


def counted(monkeypatch: pytest.MonkeyPatch, *kinds: type[Any]) -> list[str]:
    fits: list[str] = []
    for kind in kinds:

        def fit(self: Any, dataset: Dataset, split: Split, kind: type[Any] = kind, before: Any = kind.fit) -> None:
            fits.append(kind.__name__)
            before(self, dataset, split)

        monkeypatch.setattr(kind, "fit", fit)
    return fits


def test_a_fit_is_shared_by_simulators_and_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fits = counted(monkeypatch, EASE, ItemKNN, Popularity)
    tune = ["item-knn", "ease+instruct", "ease+instruct+random"]
    first = transfer(MINI, ["behavioral", "quiet"], ["popularity"], tune=tune, users=5, out=tmp_path)
    assert fits == ["Popularity", "ItemKNN", "ItemKNN", "EASE"]  # two numbers of neighbours, one EASE under five policies
    again = transfer(MINI, ["behavioral", "quiet"], ["popularity"], tune=tune, users=5, out=tmp_path)
    assert len(fits) == 4
    assert again.as_dict() == first.as_dict()


def test_an_interrupted_transfer_keeps_what_is_done_and_goes_on(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"simulators": ["behavioral", "quiet"], "policies": CHEAP, "tune": ["none"], "users": 20}

    def stop(policy: str, stage: str, ended: int, total: int) -> None:
        assert total == 20 * 2 * 2
        if policy == "genre" and ended:
            raise KeyboardInterrupt

    half = transfer(MINI, **settings, out=tmp_path, progress=stop)
    assert half.interrupted
    assert [row["candidate"] for row in half.rows] == ["random", "popularity"]
    assert json.loads((tmp_path / "transfer.json").read_text())["interrupted"]
    seen: list[tuple[str, str]] = []
    whole = transfer(MINI, **settings, out=tmp_path, progress=lambda policy, stage, *_: seen.append((policy, stage)))
    assert {policy for policy, stage in seen if stage == "kept"} == {"random", "popularity"}
    assert {policy for policy, stage in seen if stage == "fit"} == {"genre"}
    assert whole.as_dict() == transfer(MINI, **settings).as_dict()


def test_nothing_is_finished_when_interrupted_at_once(tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    none = transfer(MINI, ["behavioral", "quiet"], CHEAP, tune=["none"], users=5, out=tmp_path, progress=stop)
    assert none.interrupted
    assert not none.rows
    assert "(interrupted)" in (tmp_path / "transfer.md").read_text()
    assert not (tmp_path / "transfer.png").exists()


def test_another_simulator_or_policy_joins_what_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    transfer(MINI, ["behavioral", "quiet"], ["random", "popularity"], tune=["none"], users=6, out=tmp_path)
    fits = counted(monkeypatch, Random, Popularity, EASE)
    wider = transfer(MINI, ["behavioral", "quiet"], ["random", "popularity", "ease"], tune=["none"], users=6, out=tmp_path)
    assert fits == ["EASE"]
    preset, returns = tmp_path / "mine.yaml", []
    for talkative in (0.2, 0.9):  # the same name, other people
        preset.write_text(f"simulator_config: {{talkative: {talkative}}}")
        made = transfer(
            MINI,
            ["behavioral", str(preset)],
            ["random", "ease+instruct"],
            tune=["none"],
            users=6,
            out=tmp_path,
        )
        assert made.simulators[str(preset)]["simulator"]["talkative"] == talkative
        returns.append(made.rows[1]["returns"][str(preset)]["mean"])
    assert returns[0] != returns[1]
    assert made.rows[0]["returns"]["behavioral"] == wider.rows[0]["returns"]["behavioral"]
    with pytest.raises(ConfigError, match=r"users: .*6.* there, .*7.* now.*--fresh"):
        transfer(MINI, ["behavioral", "quiet"], ["random", "ease"], tune=["none"], users=7, out=tmp_path)


def test_the_files(tmp_path: Path) -> None:
    found = transfer(MINI, ["behavioral", "impatient"], CHEAP, tune=["none"], users=10, out=tmp_path)
    assert json.loads((tmp_path / "transfer.json").read_text()) == json.loads(json.dumps(found.as_dict()))
    text = (tmp_path / "transfer.md").read_text()
    assert text == found.markdown()
    assert "## Gained (+) or lost (−) by tuning elsewhere" in text
    assert "weak evidence" in text  # that simulators of one taste agree
    assert (tmp_path / "transfer.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "results").iterdir())) == 3 * 2 * 2


def test_without_matplotlib_the_picture_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    found = transfer(MINI, ["behavioral", "impatient"], ["random", "popularity"], tune=["none"], users=5, out=tmp_path)
    assert not (tmp_path / "transfer.png").exists()
    assert "recoworld[notebooks]" in found.notes[0]
    assert "recoworld[notebooks]" in (tmp_path / "transfer.md").read_text()
    with pytest.raises(MissingExtra):
        found.png()
    (tmp_path / "transfer.png").write_bytes(b"of an earlier run")
    transfer(MINI, ["behavioral", "impatient"], ["random", "popularity"], tune=["none"], users=5, out=tmp_path)
    assert not (tmp_path / "transfer.png").exists()


# names and broken arguments


def test_simulators_by_all_their_names(tmp_path: Path) -> None:
    assert names("behavioral:talkative=0.1,leave_base=-2, quiet,a.b:build,quiet:effort=0.2,x.yaml,") == [
        "behavioral:talkative=0.1,leave_base=-2",
        "quiet",
        "a.b:build",
        "quiet:effort=0.2",
        "x.yaml",
    ]
    (tmp_path / "own.yaml").write_text("dataset: ml-1m\nmax_turns: 9\nsimulator_config: {effort: 0.3}")
    own, made_up = str(tmp_path / "own.yaml"), f"{__name__}:contrary"
    listed = ["behavioral:talkative=0.1,leave_base=-2", "quiet:effort=0.2", own, made_up, f"{made_up}:depth=3"]
    found = simulated(WorldConfig.of(dataset="mini", slate_size=5), listed)
    assert [config.simulator for config in found.values()] == ["behavioral"] * 3 + [made_up] * 2
    assert [config.simulator_config for config in found.values()] == [
        {"talkative": 0.1, "leave_base": -2},
        {"talkative": 0.1, "effort": 0.2},
        {"effort": 0.3},
        {},
        {"depth": 3},
    ]
    assert {config.dataset for config in found.values()} == {"mini"}
    assert {config.slate_size for config in found.values()} == {5}
    assert found[own].max_turns == 9


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ({"simulators": ["behavioral", "quite"]}, UnknownName, "did you mean 'quiet'"),
        ({"simulators": ["behavioral", "quite:effort=1"]}, UnknownName, "did you mean 'quiet'"),
        ({"simulators": ["behavioral", "no.such.module:build"]}, ConfigError, "no.such.module"),
        ({"simulators": ["behavioral", "nowhere.yaml"]}, ConfigError, "cannot read"),
        ({"simulators": ["behavioral", "behavioral:talkativ=0.1"]}, ConfigError, "did you mean 'talkative'"),
        ({"simulators": ["behavioral", "behavioral:talkative=3"]}, ConfigError, "talkative = 3"),
        ({"simulators": ["behavioral", "behavioral:talkative="]}, ConfigError, "NAME:key=value"),
        ({"simulators": ["behavioral", "behavioral:talkative=[1"]}, ConfigError, "NAME:key=value"),
        ({"simulators": ["behavioral"]}, ConfigError, "at least two"),
        ({"simulators": ["behavioral", "behavioral"]}, ConfigError, "at least two"),
        ({"simulators": []}, ConfigError, "at least two"),
        ({"config": WorldConfig.of("quiet")}, ConfigError, "named in `simulators`"),
        ({"policies": ["random", "populrity"]}, UnknownName, "did you mean 'popularity'"),
        ({"policies": ["random", "=ease"]}, ConfigError, "NAME=SPEC"),
        ({"policies": ["random"]}, ConfigError, "two at least"),
        ({"policies": ["random", "oracle"]}, ConfigError, "two at least"),
        ({"policies": ["random", "random=ease"]}, ConfigError, "different names"),
        ({"tune": ["eas"]}, UnknownName, "did you mean 'ease'"),
        ({"users": 1}, ConfigError, "users: got 1"),
        ({"users": True}, ConfigError, "users: got True"),
        ({"seeds": 0}, ConfigError, "seeds: got 0"),
        ({"seed": -1}, ConfigError, "seed: got -1"),
    ],
)
def test_wrong_arguments_say_so(bad: dict[str, Any], error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Random, "fit", lambda *_: pytest.fail("fitted before the arguments were checked"))
    good = {"config": MINI, "simulators": ["behavioral", "quiet"], "policies": ["random", "popularity"], "tune": ["none"], "users": 5}
    with pytest.raises(error, match=words):
        transfer(**(good | bad))


def test_a_folder_that_cannot_be_written_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Random, "fit", lambda *_: pytest.fail("fitted before the folder was tried"))
    (tmp_path / "file").write_text("")
    (tmp_path / "transfer.json").write_text("[]")
    for out, words in ((tmp_path / "file" / "out", "cannot write"), (tmp_path, "is no transfer of RecoWorld")):
        with pytest.raises(ConfigError, match=words):
            transfer(MINI, ["behavioral", "quiet"], ["random", "popularity"], tune=["none"], users=5, out=out)


def test_families_that_cannot_run_are_left_out_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise MissingExtra("implicit", "classic", "policy 'als'")

    monkeypatch.setattr(ALS, "__init__", absent)
    found, notes = candidates([], ["all"])
    assert {candidate.entrant.family for candidate in found} == {"genre", "item-knn", "ease", "ease+instruct", "ease+instruct+random"}
    assert "recoworld[classic]" in notes[0]
    with pytest.raises(MissingExtra):
        candidates(["random"], ["als"])


# the command


def recoworld(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})


def test_the_command(tmp_path: Path) -> None:
    command = ["transfer", "--simulators", "quiet,behavioral:talkative=0.9,focus=0", "--policies", "random,best=ease"]
    command += ["--tune", "genre", "--users", "8", "--out", str(tmp_path / "out")]
    done = recoworld(*command)
    assert done.exit_code == 0, done.output
    assert "gained (+) or lost (−) by tuning elsewhere" in done.output
    assert "transfer.json, transfer.md, transfer.png, results/" in done.output
    assert "genre prior=1 diversity=0.6" in done.output
    assert json.loads((tmp_path / "out" / "transfer.json").read_text())["settings"]["users"] == {"tuning": 8, "test": 8}
    assert "5 of these were kept" in recoworld(*command).output
    for wrong, words in (
        (["--simulators", "quiet,behavoral"], "did you mean 'behavioral'"),
        (["--simulators", "quiet"], "at least two"),
        (["--policies", "eas"], "did you mean 'ease'"),
        (["--dataset", "minni"], "did you mean"),
        (["--set", "simulator_config.talkative=0.3"], "named in"),
    ):
        failed = recoworld("transfer", *wrong)
        assert failed.exit_code == 2
        assert words in " ".join(failed.output.split())
        assert failed.output.startswith("error: ")  # no empty line before it


def test_the_data_alone_are_taken_from_a_built_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`recoworld build` leaves the settings of a simulator beside a log's name; here others are compared."""
    (tmp_path / "my.yaml").write_text("dataset: mini\nslate_size: 5\nsimulator: behavioral\nsimulator_config: {effort: 0.3}")
    built = {"RecoWorld-my_log-v0": {"dataset": "mini", "config": str(tmp_path / "my.yaml")}}
    monkeypatch.setattr("recoworld.envs.register.own_ids", lambda *_: built)
    command = ["transfer", "--dataset", "RecoWorld-my_log-v0", "--simulators", "behavioral,quiet", "--tune", "none", "--users", "4"]
    done = recoworld(*command, "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    about = json.loads((tmp_path / "out" / "transfer.json").read_text())["simulators"]
    assert [one["config"]["simulator_config"].get("effort") for one in about.values()] == [None, None]
    assert {one["config"]["slate_size"] for one in about.values()} == {10}
    assert "named in" in " ".join(recoworld(*command, "--set", "simulator_config.talkative=0.3").output.split())


def test_the_command_lists_what_it_has_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    command = ["transfer", "--simulators", "behavioral,quiet", "--tune", "none", "--users", "4", "--out", str(tmp_path / "out")]
    assert "transfer.json, transfer.md, results/" in " ".join(recoworld(*command).output.split())


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Popularity, "fit", stop)
    done = recoworld("transfer", "--users", "4", "--simulators", "behavioral,quiet", "--tune", "none")
    assert done.exit_code == 130
    assert "interrupted: 1 policy finished, shown above, not saved" in done.output


# the policy that brings chance in


class TestMixed(RecommenderTests):
    def make(self) -> Mixed:
        return Mixed(EASE(), Random(), share=0.4)


def test_the_share_of_a_mixture() -> None:
    world = make_world(MINI)
    people = first_observations(world.dataset, world.split, world.split.train[:300])
    base, other = EASE(), Popularity()
    Mixed(base, other).fit(world.dataset, world.split)
    luck = luck_of(people)
    mine, theirs = base.recommend(people, luck), other.recommend(people, luck)
    np.testing.assert_array_equal(Mixed(base, other, share=0.0).recommend(people, luck), mine)
    new = ~(theirs[:, :, None] == mine[:, None, :]).any(axis=2)
    np.testing.assert_array_equal(Mixed(base, other, share=1.0).recommend(people, luck), np.where(new, theirs, mine))
    changed = Mixed(base, other, share=0.3).recommend(people, luck) != mine
    assert not changed[~new].any()
    assert changed[new].mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / new.sum()))
    with pytest.raises(ConfigError, match="share"):
        Mixed(base, other, share=1.1)


def test_a_transfer_of_nothing_prints_nothing() -> None:
    empty = Transfer.of(None, simulators={"a": {}, "b": {}}, settings={}, notes=[])
    assert not empty.ordered
