"""What training is worth: finished runs of `recoworld train`, put together to curves, tables and a page.

    for k in 0 1 2; do recoworld train ml1m-slate-ppo --set seed=$k --out RUNS_DIR/ml1m-slate-ppo-seed$k; done
    python benchmarks/learning.py RUNS_DIR --out docs/results/learning-ml1m --page docs/learning.md

Writes curves.png, learning.json and final.json (of the best method's first seed) to OUT, and the marked parts of the page. A run that is
not finished is named and left out. What has to be evaluated is kept under RUNS_DIR/learning: a second call costs seconds, and after Ctrl-C
the same call goes on. ``--worlds ""`` leaves out the changed worlds, most of the work.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import learning_page
import learning_picture
import learning_worlds
from learning_runs import (
    INTERVALS,
    TRAINED,
    Run,
    apart,
    closed,
    different,
    drawn,
    entry,
    less,
    mean_curve,
    methods_of,
    over_both,
    over_seeds,
    read_runs,
    spread,
)
from rich.console import Console

from recoworld.errors import ConfigError
from recoworld.evaluation.store import Result
from recoworld.training.cluster import quiet
from recoworld.training.records import Record
from recoworld.version import __version__

PAGE = Path(__file__).resolve().parent.parent / "docs" / "learning.md"


def main() -> None:
    """Read, evaluate what is missing, write."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("runs", type=Path)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--page", type=Path, default=PAGE)
    arguments.add_argument("--worlds", default=",".join(learning_worlds.WORLDS), help="the changed ones, with commas between")
    arguments.add_argument("--work", type=Path, help="where evaluations are kept; else RUNS_DIR/learning")
    given, console = arguments.parse_args(), Console(stderr=True)
    worlds = [name for name in given.worlds.split(",") if name]
    unknown = [name for name in worlds if name not in learning_worlds.WORLDS]
    if unknown:
        arguments.error(f"no world {', '.join(unknown)}; expected some of {', '.join(learning_worlds.WORLDS)}")
    work = (given.work or given.runs / "learning").resolve()
    try:
        runs = read_runs(given.runs.resolve())
        with quiet():
            found = learned(runs, work, worlds, tell=lambda what, policy: console.print(f"{what}: {policy}", markup=False))
    except KeyboardInterrupt:
        console.print(f"interrupted; what is done is kept in {work}, the same command goes on from there", soft_wrap=True)
        raise SystemExit(130) from None
    lines = {row["label"]: row["return"] for row in found["lines"]}
    title = f"{found['dataset']}, {found['validation']['users']:,} validation users"
    picture = learning_picture.drawn({name: _curves(row) for name, row in found["methods"].items()}, lines, title=title)
    of_record = methods_of(runs)[found["best"]][0].final  # not the luckiest seed's
    for name, content in (
        ("curves.png", picture),
        ("learning.json", json.dumps(found, indent=1, allow_nan=False) + "\n"),
        ("final.json", json.dumps(of_record, indent=1, allow_nan=False) + "\n"),
    ):
        learning_worlds.write_text(given.out / name, content)
    learning_page.write(found, given.page, given.out)
    left_out = [f"left out: {row['run']}, {row['why']}" for row in found["left_out"]]
    for sentence in (*left_out, *found["notes"], *found["findings"]):
        console.print(f"- {sentence}", soft_wrap=True, markup=False)
    console.print(f"written: {given.out}, {given.page}", soft_wrap=True)


def learned(runs: Sequence[Run], work: Path, worlds: Sequence[str], *, tell: learning_worlds.Progress | None = None) -> Record:
    """The contents of learning.json. Evaluates what the runs have not, and keeps it in `work`."""
    methods = methods_of(runs)
    first = next(iter(methods.values()))[0]
    before = before_training(methods, work, tell)
    found = from_runs(runs, before)
    lines, points = validation(first, methods, work, tell)
    found |= {"lines": lines, "validation": points["validation"]}
    found["notes"] += points["notes"]
    if worlds:
        chosen = {name: methods[name][0] for name in sorted(methods, key=lambda name: name != found["best"])}
        trained = {name: learning_worlds.kept(run.folder / "policy", work) for name, run in chosen.items()}
        default = {**(first.results or {}), **{name: (run.results or {})[TRAINED] for name, run in chosen.items()}}
        rows = learning_worlds.in_worlds(
            first, trained, work, worlds=worlds, default=default, untrained=list(found["untrained"]), tell=tell
        )
        found["worlds"] = {"seeds": {name: run.seed for name, run in chosen.items()}, "rows": rows}
    found["findings"] = learning_page.findings(found)
    return found


def from_runs(runs: Sequence[Run], before: Mapping[str, Sequence[Result]]) -> Record:
    """Everything that the runs' own results tell.

    before: for a method, results of networks that never learned, on the same users, one a seed.
    """
    methods = methods_of(runs)
    first = next(iter(methods.values()))[0]
    assert first.settings is not None
    assert first.results is not None
    settings, plain = first.settings, {name: result for name, result in first.results.items() if name != TRAINED}
    alone = {name: drawn([result], settings) for name, result in plain.items()}
    order = sorted(plain, key=lambda name: -alone[name]["return"].estimates[0])
    best, oracle = next(name for name in order if not plain[name].privileged), "oracle" if "oracle" in plain else None
    rows: dict[str, Record] = {}
    for name, of in methods.items():
        results = [run.results[TRAINED] for run in of if run.results is not None]
        draws, ours = drawn(results, settings), spread(results)
        gap = over_both(less(draws["return"], alone[best]["return"]))
        row: Record = {
            "seeds": [run.seed for run in of],
            "algorithm": of[0].config.algorithm if of[0].config is not None else name,
            "return": entry(over_both(draws["return"])),
            "margin": {**(entry(gap) or {}), "excludes_zero": gap.excludes_zero},
            "gap_closed": None,
            "metrics": {metric: entry(over_both(one)) for metric, one in draws.items()}
            | {metric: entry(over_seeds(values)) for metric, values in ours.items()},
            "curve": mean_curve(of),
        }
        if oracle is not None:
            share = closed(draws["return"], alone[best]["return"], alone[oracle]["return"])
            row["gap_closed"] = entry(over_both(share))
        row["runs"] = [_of_run(run, draws["return"].interval(i)) for i, run in enumerate(of)]
        start = list(before.get(name, ()))
        if start:
            was, were = drawn(start, settings), spread(start)
            row["before"] = {metric: entry(over_both(one)) for metric, one in was.items()} | {
                metric: entry(over_seeds(values)) for metric, values in were.items()
            }
            row["moved"] = {metric: _moved(over_both(less(draws[metric], was[metric]))) for metric in draws if metric in was} | {
                metric: _moved(over_seeds(ours[metric] - were[metric])) for metric in ours
            }
        row["beside_best"] = {metric: _moved(over_both(less(draws[metric], alone[best][metric]))) for metric in draws}
        rows[name] = row
    left_out = [{"run": run.name, "why": run.missing} for run in runs if run.missing is not None]
    return {
        "version": __version__,
        "dataset": settings["dataset"],
        "test": {name: settings[name] for name in ("users", "seeds", "seed", "group")},
        "intervals": INTERVALS,
        "left_out": left_out,
        "notes": [sentence for of in methods.values() for sentence in apart(of)],
        "best": max(rows, key=lambda name: rows[name]["return"]["mean"]),
        "best_untrained": best,
        "oracle": oracle,
        "methods": rows,
        "untrained": {
            name: {
                "privileged": plain[name].privileged,
                "return": entry(alone[name]["return"].interval()),
                "metrics": {metric: entry(one.interval()) for metric, one in alone[name].items()}
                | {metric: entry(over_seeds(values)) for metric, values in spread([plain[name]]).items()},
            }
            for name in order
        },
    }


def before_training(methods: Mapping[str, Sequence[Run]], work: Path, tell: learning_worlds.Progress | None) -> dict[str, list[Result]]:
    """Results of networks that never learned, on the runs' test users."""
    policies = {run.name: learning_worlds.untrained(run, work) for of in methods.values() for run in of}
    first = next(iter(methods.values()))[0]
    assert first.config is not None
    config, final = first.config, first.config.final
    found, settings = learning_worlds.results_of(
        config.world_config("test"), policies, work / "before", users=final.users, seeds=final.seeds, seed=final.seed, tell=tell
    )
    if (now := json.loads(json.dumps(settings))) != first.settings:
        raise ConfigError(
            f"{first.name} was judged in another world than today's ({different(first.settings, now)}); "
            "judge the runs again: the same `recoworld train` on each folder"
        )
    return {name: [found[run.name] for run in of] for name, of in methods.items()}


def validation(
    first: Run, methods: Mapping[str, Sequence[Run]], work: Path, tell: learning_worlds.Progress | None
) -> tuple[list[Record], Record]:
    """The curves' horizontal lines, on the users and seeds of the curves' points; and notes where curves are of other users."""
    assert first.config is not None
    config, points = first.config, first.config.evaluation
    policies = learning_worlds.opponents(config)
    found, settings = learning_worlds.results_of(
        config.world_config("validation"),
        policies,
        work / "validation",
        users=points.users,
        seed=points.seed,
        group="validation",
        tell=tell,
    )
    means = {name: float(result.table.returned.mean()) for name, result in found.items()}

    def best(which: Any) -> list[str]:
        able = [name for name in means if which(name)]
        return [max(able, key=lambda name: means[name])] if able else []

    classic = best(lambda name: name not in ("random", "popularity", "oracle") and "instruct" not in name)
    told = best(lambda name: "instruct" in name)
    rows = [
        {"label": name, "policy": name, "return": entry(drawn([found[name]], settings)["return"].interval())}
        for name in dict.fromkeys(["random", "popularity", *classic, *told, "oracle"])
        if name in found
    ]
    notes = [
        f"The curve of {run.name} is of {run.config.evaluation.users} validation users (seed {run.config.evaluation.seed}), "
        f"the lines are of {points.users} (seed {points.seed})."
        for of in methods.values()
        for run in of
        if run.config is not None and run.config.evaluation != points
    ]
    return rows, {"validation": {"users": settings["users"], "seed": points.seed}, "notes": notes}


def _of_run(run: Run, value: Any) -> Record:
    final = run.final or {}
    return {
        "seed": run.seed,
        "return": entry(value),
        **{name: final.get(name) for name in ("gap_closed", "seconds", "env_steps", "iterations", "before_training", "after_training")},
        "machine": final.get("machine"),
        "curve": [{**point, "minutes": point["seconds"] / 60} for point in run.curve],
    }


def _moved(interval: Any) -> Record | None:
    found = entry(interval)
    return None if found is None else {**found, "excludes_zero": bool(interval.excludes_zero)}


def _curves(row: Record) -> Record:
    return {"curve": row["curve"], "runs": [run["curve"] for run in row["runs"]]}


if __name__ == "__main__":
    main()
