"""The evidence that training is worth something: figures over seeds and worlds, out of the folders of runs (no Ray needed)."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import fields, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import learning
import learning_page
import learning_picture
import learning_runs
import learning_worlds

from recoworld.configs import WorldConfig
from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.evaluation.intervals import Draws, resample
from recoworld.evaluation.ranking import Ranking
from recoworld.evaluation.store import Folder, Result
from recoworld.evaluation.table import SessionTable

USERS = np.arange(40)
SETTINGS: dict[str, Any] = {
    "dataset": "mini",
    "users": 40,
    "seeds": 1,
    "seed": 0,
    "group": "test",
    "config": {"reward": {"engagement": 2.0, "retention": 1.0}},
}
MACHINE = {"cores": 2, "processor": "x86_64", "system": "Linux", "python": "3.11.9", "ray": "2.60.0", "torch": "2.13.0", "numpy": "2.3.5"}


def result(policy: str, lift: float, *, ndcg: float = 0.1, repeats: int = 1, noise: float = 0.2) -> Result:
    """Sessions of 5 slates of 10, of which one part of the return is `lift` more than the user's own."""
    table = SessionTable.empty(USERS, np.zeros(len(USERS), np.uint64), 2, 20)
    own = 4 + np.sin(USERS + lift * 7) * noise + np.cos(USERS)
    values: dict[str, Any] = {field.name: getattr(table, field.name) + 1 for field in fields(table) if field.name not in ("user", "seed")}
    values["slots"], values["turns"], values["answered"] = table.slots + 50, table.turns + 5, table.answered + 1
    values["repeats"] = table.repeats + repeats
    values["parts"] = np.stack([(own + lift - 3) / 2, np.full(len(USERS), 3.0)], axis=1)
    values["returned"] = own + lift
    values["shown"] = np.repeat([2, 0], [5 + int(lift), 15 - int(lift)])
    ranking = Ranking(user=USERS, ndcg=np.full(len(USERS), ndcg) + 0.05 * np.cos(3 * USERS), hit=np.ones(len(USERS)))
    return Result(
        policy=policy, privileged=policy == "oracle", fit_seconds=0.0, run_seconds=0.0, table=replace(table, **values), ranking=ranking
    )


def leave(root: Path, method: str, seed: int, lift: float, curve: list[tuple[int, float]], *, settings: Any = None, **also: Any) -> Path:
    """The folder of a run as `recoworld train` would leave it."""
    folder = root / f"{method}-seed{seed}"
    settings = settings or SETTINGS
    config = TrainConfig.of("mini-slate-ppo", {"seed": seed, "final.users": 40, **also})
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config.yaml())
    lines = [
        {"iteration": at, "env_steps": 1000 * at + seed, "seconds": 60.0 * at, "mean": mean, "low": mean - 1, "high": mean + 1, "turns": 5}
        for at, mean in curve
    ]
    (folder / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    kept = Folder(folder, settings)
    for one in (result("random", 0), result("popularity", 1), result("ease+instruct", 2), result("oracle", 6), result("x", lift, ndcg=0.2)):
        kept.keep(replace(one, policy=f"rllib:{folder}") if one.policy == "x" else one)
    (folder / "leaderboard.json").write_text(json.dumps({"settings": settings}))
    final = {"gap_closed": (lift - 2) / 4, "seconds": 600.0, "env_steps": 10_000, "iterations": curve[-1][0]}
    final |= {"before_training": lines[0], "after_training": lines[-1], "machine": MACHINE, "seed": seed}
    (folder / "final.json").write_text(json.dumps(final))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    leave(runs, "a", 0, 4.0, [(0, 1.0), (10, 3.0), (20, 5.0)])
    leave(runs, "a", 1, 5.0, [(0, 2.0), (10, 5.0), (22, 6.0)])
    leave(runs, "b", 0, 1.5, [(0, 1.0), (10, 2.0)])
    (runs / "learning").mkdir()
    return runs


# Over seeds.


def test_a_t_interval_over_three_seeds_by_hand() -> None:
    found = learning_runs.over_seeds([1.0, 2.0, 3.0])  # s = 1, t(2) = 4.303
    assert found.mean == 2.0
    assert found.high - 2.0 == pytest.approx(4.303 / math.sqrt(3))
    assert 2.0 - found.low == pytest.approx(4.303 / math.sqrt(3))
    assert math.isnan(learning_runs.over_seeds([1.0]).low)


def test_the_quantiles_of_t_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    assert list(learning_runs._T) == pytest.approx([stats.t.ppf(0.975, df) for df in range(1, 10)], abs=5e-4)


def test_seeds_and_users_add_as_independent_errors() -> None:
    columns = np.stack([np.sin(USERS) + lift for lift in (0.0, 1.0, 2.0)], axis=1)
    draws = resample(columns, USERS)
    found, users = learning_runs.over_both(draws), resample(np.sin(USERS) + 1.0, USERS).interval()
    assert found.mean == pytest.approx(users.mean)
    assert found.high - found.mean == pytest.approx(math.hypot(users.high - users.mean, 4.303 / math.sqrt(3)))
    assert found.mean - found.low == pytest.approx(math.hypot(users.mean - users.low, 4.303 / math.sqrt(3)))


def test_one_seed_has_the_interval_of_its_users_alone() -> None:
    draws = resample(np.sin(USERS), USERS)
    assert learning_runs.over_both(draws) == draws.interval()


def test_seeds_that_agree_leave_the_interval_to_the_users() -> None:
    one = resample(np.sin(USERS), USERS)
    both = learning_runs.over_both(resample(np.stack([np.sin(USERS)] * 3, axis=1), USERS))
    assert (both.low, both.high) == pytest.approx((one.interval().low, one.interval().high))


def test_differences_are_paired_and_of_the_same_users_alone() -> None:
    one, other = resample(np.sin(USERS) + 1, USERS), resample(np.sin(USERS), USERS)
    gap = learning_runs.less(one, other).interval()
    assert (gap.mean, gap.low, gap.high) == pytest.approx((1, 1, 1))
    with pytest.raises(ConfigError, match="same users"):
        learning_runs.less(one, resample(np.sin(USERS), USERS + 1))


def test_the_gap_closed_by_hand() -> None:
    ours, best, oracle = (resample(np.full(40, value), USERS) for value in (3.0, 1.0, 5.0))
    assert learning_runs.closed(ours, best, oracle).interval().mean == 0.5


# Runs.


def test_the_curve_is_the_mean_at_shared_points_and_at_the_ends(root: Path) -> None:
    curve = learning_runs.mean_curve(learning_runs.methods_of(learning_runs.read_runs(root))["a"])
    assert [point["mean"] for point in curve] == [1.5, 4.0, 5.5]
    assert [point["iteration"] for point in curve] == [0, 10, 21]
    assert [point["minutes"] for point in curve] == [0, 10, 21]
    assert curve[1]["env_steps"] == 10_000.5
    reach = 12.706 * math.sqrt(2) / math.sqrt(2)  # t(1), s of 3 and 5, over root 2
    assert curve[1]["low"] == pytest.approx(4 - reach)


def test_runs_are_read_and_other_folders_passed_over(root: Path) -> None:
    runs = learning_runs.read_runs(root)
    assert [run.name for run in runs] == ["a-seed0", "a-seed1", "b-seed0"]
    assert {name: [run.seed for run in of] for name, of in learning_runs.methods_of(runs).items()} == {"a": [0, 1], "b": [0]}


def test_an_unfinished_run_is_named_and_left_out(root: Path) -> None:
    (root / "a-seed1" / "final.json").unlink()
    (root / "a-seed1" / "metrics.jsonl").write_text('{"iteration": 7}\n')
    (root / "c-seed0").mkdir()
    runs = learning_runs.read_runs(root)
    found = learning.from_runs(runs, {})
    assert found["left_out"] == [
        {"run": "a-seed1", "why": "not finished (7 iterations so far)"},
        {"run": "c-seed0", "why": "not finished (0 iterations so far)"},
    ]
    assert found["methods"]["a"]["seeds"] == [0]
    assert "c" not in found["methods"]
    assert found["methods"]["a"]["return"]["mean"] == pytest.approx(float(result("x", 4.0).table.returned.mean()))


def test_a_run_judged_on_other_users_is_left_out(root: Path) -> None:
    leave(root, "c", 0, 9.0, [(0, 1.0)], settings={**SETTINGS, "users": 39})
    found = learning.from_runs(learning_runs.read_runs(root), {})
    assert found["best"] == "a"
    assert found["left_out"] == [{"run": "c-seed0", "why": "judged otherwise than a-seed0: users 39 instead of 40"}]


def test_a_folder_named_after_another_seed_is_an_error(root: Path) -> None:
    (root / "b-seed0").rename(root / "b-seed3")
    with pytest.raises(ConfigError, match=r"b-seed3: its config\.yaml has seed 0; expected 3"):
        learning_runs.read_runs(root)


def test_a_folder_without_a_finished_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished run"):
        learning_runs.read_runs(tmp_path)


def test_runs_of_one_method_under_other_settings_are_told(root: Path) -> None:
    leave(root, "b", 1, 1.5, [(0, 1.0)], **{"settings.lr": 0.5})
    notes = learning.from_runs(learning_runs.read_runs(root), {})["notes"]
    assert len(notes) == 1
    assert notes[0].startswith("b-seed1 was trained otherwise than b-seed0: settings ")


# What they amount to.


def test_the_figures_of_two_methods(root: Path) -> None:
    before = {"a": [result("x", 0.5, ndcg=0.3, repeats=1), result("x", 0.5, ndcg=0.3, repeats=1)]}
    found = learning.from_runs(learning_runs.read_runs(root), before)
    assert (found["best"], found["best_untrained"], found["oracle"]) == ("a", "ease+instruct", "oracle")
    returned = {lift: float(result("x", lift).table.returned.mean()) for lift in (2.0, 4.0, 5.0, 6.0)}
    row = found["methods"]["a"]
    assert row["return"]["mean"] == pytest.approx((returned[4.0] + returned[5.0]) / 2)
    assert row["margin"]["mean"] == pytest.approx((returned[4.0] + returned[5.0]) / 2 - returned[2.0])
    share = ((returned[4.0] + returned[5.0]) / 2 - returned[2.0]) / (returned[6.0] - returned[2.0])
    assert row["gap_closed"]["mean"] == pytest.approx(share)
    assert [run["seed"] for run in row["runs"]] == [0, 1]
    parts = [row["metrics"][f"part:{name}"]["mean"] for name in ("engagement", "retention")]
    assert sum(parts) == pytest.approx(row["return"]["mean"])
    assert row["moved"]["ndcg@10"]["mean"] == pytest.approx(-0.1)
    assert row["moved"]["repeated"]["mean"] == 0
    assert row["metrics"]["coverage"]["mean"] == pytest.approx((9 / 20 + 10 / 20) / 2)


def test_gaming_is_called_by_its_name_and_only_where_it_shows() -> None:
    def row(gain: float, ndcg: float, clear: bool = True) -> dict[str, Any]:
        return {
            "moved": {
                "return": {"mean": gain, "low": gain - 0.1, "high": gain + 0.1, "excludes_zero": True},
                "ndcg@10": {"mean": ndcg, "low": ndcg - 0.01, "high": ndcg + 0.01, "excludes_zero": clear},
            }
        }

    assert "the simulator's own" in learning_page.gamed("a", row(1.0, -0.1))[0]
    assert "rose together" in learning_page.gamed("a", row(1.0, 0.1))[0]
    assert "did not move clearly" in learning_page.gamed("a", row(1.0, -0.001, clear=False))[0]
    assert "nothing to have been gamed" in learning_page.gamed("a", row(-1.0, 0.1))[0]
    assert learning_page.gamed("a", {}) == []


# Worlds.


def test_every_changed_world_is_one_that_the_simulator_takes_and_differs() -> None:
    base = WorldConfig.of(dataset="mini", simulator_config={"effort": 0.1})
    for name, (_, change) in learning_worlds.WORLDS.items():
        world = learning_worlds.changed(base, change)
        from recoworld.simulators.config import BehavioralConfig

        assert BehavioralConfig.of(world.simulator_config) != BehavioralConfig.of(base.simulator_config), name
        assert (world.simulator_config["effort"] == 0.1) == (name != "impatient")  # the rest of the world stays


def test_tau_and_margin_between_two_worlds_by_hand() -> None:
    def world(**lifts: float) -> dict[str, Result]:
        return {name: replace(result(name, lift, noise=0.0), policy=name) for name, lift in lifts.items()}

    default = world(mine=4.0, other=3.0, random=0.0, ease=2.0, oracle=9.0)
    here = world(mine=2.0, other=5.0, random=0.0, ease=3.0, oracle=4.0)  # mine falls below other and ease: 2 of 6 pairs are turned
    row = learning_worlds.compared(here, default, trained=["mine", "other"], seed=0)
    assert row["tau"]["mean"] == pytest.approx((4 - 2) / 6)
    assert row["ranking"] == ["other", "ease", "mine", "random"]  # the oracle is not ranked
    assert (row["chosen"], row["best_untrained"]) == ("mine", "ease")
    assert row["margin"]["mean"] == pytest.approx(-1.0)
    assert row["gap_closed"]["mean"] == pytest.approx(-1.0)
    assert learning_worlds.compared(default, default, trained=["mine"], seed=0)["tau"]["mean"] == 1


def test_worlds_are_evaluated_once_and_differ(root: Path, tmp_path: Path) -> None:
    run = learning_runs.read_runs(root)[0]
    assert run.config is not None
    run = replace(run, config=TrainConfig.of(None, {**run.config.model_dump(), "final": {"users": 6}, "world": {"max_turns": 5}}))
    assert run.config is not None
    policies = {"mine": "genre", "random": "random", "popularity": "popularity"}
    default, _ = learning_worlds.results_of(run.config.world_config("test"), policies, tmp_path / "default", users=6)
    told: list[str] = []
    for _ in range(2):
        rows = learning_worlds.in_worlds(
            run,
            {"mine": "genre"},
            tmp_path,
            worlds=["impatient", "by trust"],
            default=default,
            untrained=["random", "popularity"],
            tell=lambda world, policy: told.append(f"{world}/{policy}"),
        )
    assert told == [f"{world}/{policy}" for world in ("impatient", "by-trust") for policy in policies]
    assert rows["default"]["tau"]["mean"] == 1
    assert rows["impatient"]["returns"]["mine"]["mean"] != rows["default"]["returns"]["mine"]["mean"]


def test_a_policy_trained_anew_is_judged_anew(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "policy.json").write_text("{}")
    (policy / "weights.npz").write_bytes(b"one")
    first = learning_worlds.kept(policy, tmp_path / "work")
    assert learning_worlds.kept(policy, tmp_path / "work") == first
    (policy / "weights.npz").write_bytes(b"two")
    assert learning_worlds.kept(policy, tmp_path / "work") != first


# What is shown.


def learned(root: Path) -> dict[str, Any]:
    runs = learning_runs.read_runs(root)
    found = learning.from_runs(runs, {"a": [result("x", 0.5)] * 2, "b": [result("x", 0.5)]})
    found["lines"] = [{"label": name, "policy": name, "return": found["untrained"][name]["return"]} for name in found["untrained"]]
    found["validation"] = {"users": 40, "seed": 1}
    default = {"a": result("a", 4), "b": result("b", 1), **{n: result(n, i) for i, n in enumerate(["random", "popularity", "oracle"])}}
    row = learning_worlds.compared(default, default, trained=["a", "b"], seed=0)
    rows = {"default": row | {"what": "", "change": None}, "quiet": row | {"what": "users are quiet", "change": "quiet"}}
    found["worlds"] = {"seeds": {"a": 0, "b": 0}, "rows": rows}
    found["findings"] = learning_page.findings(found)
    return json.loads(json.dumps(found, allow_nan=False))


def test_the_page_is_begun_kept_around_the_marks_and_refused_without_them(root: Path, tmp_path: Path) -> None:
    (root / "c-seed0").mkdir()
    found, page, out = learned(root), tmp_path / "docs" / "learning.md", tmp_path / "docs" / "results" / "x"
    learning_page.write(found, page, out)
    text = page.read_text()
    assert "The best trained policy, a (2 training seeds)" in text
    assert "](results/x/curves.png)" in text
    assert "Left out: c-seed0, not finished" in text
    page.write_text(text.replace("## Result", "## My own heading").replace("The best trained policy", "stale"))
    learning_page.write(found, page, out)
    again = page.read_text()
    assert "## My own heading" in again
    assert "stale" not in again
    page.write_text(again.replace("<!-- /worlds -->", ""))
    with pytest.raises(SystemExit, match="worlds"):
        learning_page.write(found, page, out)
    tables = [list(lines) for is_row, lines in groupby(text.splitlines(), lambda line: line.startswith("|")) if is_row]
    assert len(tables) == 6
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
        assert all(line.endswith("|") for line in table)


def test_disjoint_intervals_are_said_to_be_so_and_others_not(root: Path) -> None:
    found = learned(root)
    row = found["methods"]["a"]
    row["return"] |= {"low": found["untrained"]["ease+instruct"]["return"]["high"] + 0.01}
    assert "are disjoint" in learning_page.verdicts(found)[0]
    row["return"] |= {"low": found["untrained"]["ease+instruct"]["return"]["high"] - 0.01}
    assert "overlap" in learning_page.verdicts(found)[0]


def test_labels_keep_apart_and_near_their_values() -> None:
    found = learning_picture.spaced([("c", 5.0), ("a", 1.0), ("b", 1.1)], 0.5)
    assert [label for label, _, _ in found] == ["a", "b", "c"]
    assert [at for _, at, _ in found] == pytest.approx([0.8, 1.3, 5.0])


def test_the_picture_is_drawn(root: Path) -> None:
    pytest.importorskip("matplotlib")
    found = learned(root)
    methods = {name: {"curve": row["curve"], "runs": [run["curve"] for run in row["runs"]]} for name, row in found["methods"].items()}
    png = learning_picture.drawn(methods, {row["label"]: row["return"] for row in found["lines"]}, title="mini")
    assert png.startswith(b"\x89PNG")


def test_draws_of_no_gap_are_not_a_share() -> None:
    flat = Draws(users=USERS, seed=0, estimates=np.zeros(1), resampled=np.zeros((5, 1)))
    assert math.isnan(learning_runs.closed(flat, flat, flat).interval().mean)
