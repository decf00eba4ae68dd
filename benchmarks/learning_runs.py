"""Finished training runs as figures: reading their folders, and means over training seeds with intervals."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.evaluation.intervals import Doubles, Draws, Interval, resample
from recoworld.evaluation.metrics import METRICS, columns, coverage, gini
from recoworld.evaluation.store import Folder, Result
from recoworld.training.records import Record, read_lines

TRAINED = "trained"
"""What the policy of a run is called among its results, whatever the folder's path."""
INTERVALS = (
    "Intervals are of 95 %. Of one policy: bootstrap over users (1,000 resamples). Of a method: its mean over training seeds, all judged "
    "on the same users under the same luck; half the width is the root of the sum of squares of a t-interval over the seeds and of the "
    "bootstrap over users of that mean; with one seed, of users alone. Of a curve: t-interval over the seeds, on the same validation users."
)
_NAME = re.compile(r"(?P<method>.+)-seed(?P<seed>\d+)")
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom; more seeds than that are given the last, which is too wide."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One training, as ``recoworld train METHOD --set seed=SEED --out METHOD-seedSEED`` left it."""

    method: str
    seed: int
    folder: Path
    missing: str | None = None
    """Why nothing can be said of it; None for a finished run."""
    config: TrainConfig | None = None
    curve: Sequence[Record] = ()
    final: Record | None = None
    settings: Record | None = None
    """Of its final evaluation: equal ones are of the same users under the same luck."""
    results: dict[str, Result] | None = None
    """Of the final evaluation, by policy; its own is `TRAINED`."""

    @property
    def name(self) -> str:
        return f"{self.method}-seed{self.seed}"


def read_runs(root: Path) -> list[Run]:
    """All runs under a folder, by name; other folders are passed over.

    A run is named as `missing` where it is not finished, or was judged on other users than the first finished one. Raises ConfigError
    without a finished run, and for a folder that is named after another seed than its run had.
    """
    found = [_read(path, match) for path in sorted(root.glob("*-seed*")) if path.is_dir() and (match := _NAME.fullmatch(path.name))]
    whole = [run for run in found if run.missing is None]
    if not whole:
        said = "; ".join(f"{run.name}: {run.missing}" for run in found) or "no folder METHOD-seedN"
        raise ConfigError(f"{root} holds no finished run ({said}); expected what `recoworld train METHOD --out METHOD-seedN` leaves")
    same = whole[0].settings
    return [
        replace(run, missing=f"judged otherwise than {whole[0].name}: {different(same, run.settings)}")
        if run.missing is None and run.settings != same
        else run
        for run in found
    ]


def methods_of(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The finished runs of each method, by seed."""
    out: dict[str, list[Run]] = {}
    for run in sorted((run for run in runs if run.missing is None), key=lambda run: (run.method, run.seed)):
        out.setdefault(run.method, []).append(run)
    return out


def apart(runs: Sequence[Run]) -> list[str]:
    """What the runs of one method do not have in common but should, as sentences."""
    assert runs[0].config is not None
    first = _comparable(runs[0].config)
    return [
        f"{run.name} was trained otherwise than {runs[0].name}: {different(first, other)}."
        for run in runs[1:]
        if run.config is not None and (other := _comparable(run.config)) != first
    ]


def mean_curve(runs: Sequence[Run]) -> list[Record]:
    """Mean of the validation return over seeds, at each iteration that all have a point of, and at their ends.

    ``{"iteration", "env_steps", "minutes", "mean", "low", "high", "seeds"}``; the bounds are a t-interval over the seeds, None for one.
    """
    curves = [{int(point["iteration"]): point for point in run.curve} for run in runs]
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    rows = [[curve[at] for curve in curves] for at in shared]
    ends = [run.curve[-1] for run in runs]
    if not rows or rows[-1] != ends:
        rows.append(ends)
    out = []
    for row in rows:
        value = over_seeds([point["mean"] for point in row])
        means = {name: float(np.mean([point[name] for point in row])) for name in ("iteration", "env_steps", "seconds")}
        out.append(
            {"iteration": means["iteration"], "env_steps": means["env_steps"], "minutes": means["seconds"] / 60}
            | (entry(value) or {})
            | {"seeds": len(row)}
        )
    return out


def over_seeds(values: Sequence[float] | Doubles) -> Interval:
    """Mean of one value a seed with its t-interval; the bounds are NaN for one seed."""
    mean, reach = float(np.mean(values)), _reach(np.asarray(values, np.float64))
    return Interval(mean=mean, low=mean - reach, high=mean + reach)


def over_both(draws: Draws) -> Interval:
    """Mean over training seeds, one column of `draws` each, with an interval for seeds and users together (`INTERVALS`)."""
    users = replace(draws, estimates=draws.estimates.mean(keepdims=True), resampled=draws.resampled.mean(axis=1, keepdims=True)).interval()
    reach = _reach(draws.estimates)
    if math.isnan(reach):
        return users
    low, high = (math.hypot(users.mean - users.low, reach), math.hypot(users.high - users.mean, reach))
    return Interval(mean=users.mean, low=users.mean - low, high=users.mean + high)


def drawn(results: Sequence[Result], settings: Record) -> dict[str, Draws]:
    """Every metric of results on the same users: one column a result. Of the return's parts too, weighted: "part:engagement", ...

    settings: of the evaluation; its seed is the bootstrap's, as in the leaderboard.
    """
    seed, weights, m = int(settings["seed"]), settings["config"]["reward"], len(METRICS)
    pairs = [columns(result.table) for result in results]
    user = results[0].table.user
    all_of = resample(np.concatenate([a for a, _ in pairs], axis=1), user, np.concatenate([b for _, b in pairs], axis=1), seed=seed)
    out = {name: _columns(all_of, slice(i, None, m)) for i, name in enumerate(METRICS)}
    for i, (name, weight) in enumerate(weights.items()):
        out[f"part:{name}"] = resample(np.stack([result.table.parts[:, i] * weight for result in results], axis=1), user, seed=seed)
    if len(results[0].ranking.user):
        ndcg = np.stack([result.ranking.ndcg for result in results], axis=1)
        out["ndcg@10"] = resample(ndcg, results[0].ranking.user, seed=seed)
    return out


def less(one: Draws, other: Draws) -> Draws:
    """Paired differences, column by column or to a single column. Raises ConfigError for other users."""
    if not np.array_equal(one.users, other.users) or one.seed != other.seed:
        raise ConfigError("a paired difference needs two evaluations of the same users under the same seed")
    return replace(one, estimates=one.estimates - other.estimates, resampled=one.resampled - other.resampled)


def closed(ours: Draws, best: Draws, oracle: Draws) -> Draws:
    """Share of the gap between the best untrained policy and the oracle that is closed, a column a training seed."""
    above, below = less(ours, best), less(oracle, best)
    with np.errstate(divide="ignore", invalid="ignore"):
        return replace(above, estimates=above.estimates / below.estimates, resampled=above.resampled / below.resampled)


def spread(results: Sequence[Result]) -> dict[str, Doubles]:
    """Coverage and Gini coefficient, which have no users to resample: one number a result."""
    return {
        "coverage": np.array([coverage(result.table.shown) for result in results]),
        "gini": np.array([gini(result.table.shown) for result in results]),
    }


def different(one: Record | None, other: Record | None) -> str:
    """Which entries of two settings differ, in words."""
    a, b = one or {}, other or {}
    return "; ".join(f"{name} {b.get(name)!r} instead of {a.get(name)!r}" for name in {**a, **b} if a.get(name) != b.get(name))[:400]


def entry(interval: Interval) -> Record | None:
    """As JSON, which knows no NaN; None where there is not even an estimate."""
    if math.isnan(interval.mean):
        return None
    return {name: None if math.isnan(value) else value for name, value in vars(interval).items()}


def _read(path: Path, match: re.Match[str]) -> Run:
    run = Run(method=match["method"], seed=int(match["seed"]), folder=path)
    try:
        config = TrainConfig.of(path / "config.yaml")
        final, board = (json.loads((path / name).read_text(encoding="utf-8")) for name in ("final.json", "leaderboard.json"))
    except (ConfigError, OSError, ValueError):
        points = read_lines(path / "metrics.jsonl")
        return replace(run, missing=f"not finished ({points[-1]['iteration'] if points else 0} iterations so far)")
    if config.seed != run.seed:
        raise ConfigError(f"{path.name}: its config.yaml has seed {config.seed}; expected {run.seed}, as the folder's name says")
    results = Folder(path, board["settings"]).results()
    own = [name for name in results if name.startswith("rllib:")]
    curve = read_lines(path / "curve.jsonl")
    if not own or not curve:
        return replace(run, missing=f"{len(own)} results of its own policy in results/, {len(curve)} points of the curve")
    results = {TRAINED: results[own[0]]} | {name: result for name, result in results.items() if name not in own}
    return replace(run, config=config, curve=curve, final=final, settings=board["settings"], results=results)


def _reach(values: Doubles) -> float:
    """Half the width of a t-interval; NaN for one value."""
    n = len(values)
    return float(_T[min(n - 2, len(_T) - 1)] * values.std(ddof=1) / math.sqrt(n)) if n > 1 else float("nan")


def _columns(draws: Draws, which: Any) -> Draws:
    return replace(draws, estimates=draws.estimates[which], resampled=draws.resampled[:, which])


def _comparable(config: TrainConfig) -> Record:
    settings = config.model_dump(mode="json", exclude={"seed", "description", "cluster", "final", "keep_checkpoints"})
    settings["world"].pop("data_dir", None)
    return settings
