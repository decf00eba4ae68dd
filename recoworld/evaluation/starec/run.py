"""Methods side by side on STARec's protocol: the same users and candidates for all; what is finished is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from recoworld.errors import ConfigError
from recoworld.evaluation.starec.machine import machine
from recoworld.evaluation.starec.measure import ndcg, ranks
from recoworld.evaluation.starec.prepare import prepare
from recoworld.evaluation.starec.protocol import Benchmark, Protocol
from recoworld.evaluation.starec.rankers import Ranker, ranker
from recoworld.evaluation.starec.store import Run, Runs
from recoworld.evaluation.starec.table import Table, table
from recoworld.evaluation.store import Folder
from recoworld.policies.params import whole
from recoworld.types import Ints
from recoworld.users import Dataset
from recoworld.version import __version__

METHODS = ("pop", "bpr", "gru4rec", "sasrec")
Stage = Literal["kept", "fit", "epoch", "rank", "done"]
Progress = Callable[[str, Stage, int, str], None]
"""Called with a method's name, what happens to it, the number of the run from 0, and a word on it."""


def benchmark(
    dataset: Dataset,
    methods: Sequence[str] = METHODS,
    *,
    protocol: Protocol | None = None,
    runs: int = 3,
    seed: int = 0,
    users: int | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Table:
    """NDCG of methods on a data set, by STARec's protocol.

    Args:
        dataset: With an order of time in each user's log.
        methods: "pop" for "popularity", names as for `recoworld.policies.make_policy`, or ``module:attribute`` of a policy or a `Ranker`.
        protocol: Its numbers.
        runs: Under the seeds `seed`, `seed` + 1, ...: of the candidates and of training.
        seed: Also of the users that are drawn, and of the bootstrap.
        users: How many are asked, drawn from all; None for all. Training knows all of them either way.
        out: Folder for table.json, table.md and results/METHOD-RUN.npz, brought up to date after each run. What it holds of the same
            settings is kept and not computed again, training goes on after its last epoch; if it holds results of others, ConfigError.
        fresh: Compute everything again and replace what is there.
        progress: See `Progress`.

    Ctrl-C ends it: the finished runs are returned, and `Table.interrupted` is set. Raises ConfigError, UnknownName, MissingExtra.
    """
    if not methods:
        raise ConfigError(f"methods: got none; expected some of {', '.join(METHODS)}, or names of policies")
    whole("runs", runs, 1, 1000)
    whole("seed", seed, 0, 2**31 - 1001)
    whole("users", 1 if users is None else users, 1, 2**31)
    task = prepare(dataset, protocol or Protocol(), seed=seed)
    who = task.drawn_users(users, seed)
    settings = {"dataset": task.facts, "asked": len(who), "seed": seed, "version": __version__}
    folder = None if out is None else Folder(Path(out).expanduser(), settings, fresh=fresh, report="table.json")
    files = None if folder is None else Runs(folder.path, settings)
    found: dict[str, list[Run]] = {name: [] for name in dict.fromkeys(methods)}
    computer = machine()

    def made(interrupted: bool) -> Table:
        done = {name: each for name, each in found.items() if each}
        result = table(done, users=who, settings=settings, runs=runs, computer=computer, interrupted=interrupted)
        if folder is not None:
            folder.publish(result.files())
        return result

    try:
        for name, each in found.items():
            for run in range(runs):
                tell = partial(progress or _silent, name)
                before = None if files is None or fresh else files.read(name, run)
                if before is not None:
                    each.append(before)
                    tell("kept", run, "kept from before")
                    continue
                if files is not None and fresh:
                    files.forget(name, run)
                each.append(_one(name, task, who, run, seed + run, files, tell))
                if files is not None:
                    files.keep(each[-1])
                made(interrupted=True)
                tell("done", run, "done")
    except KeyboardInterrupt:
        return made(interrupted=True)
    return made(interrupted=False)


def _one(name: str, task: Benchmark, who: Ints, run: int, seed: int, files: Runs | None, tell: Callable[[Stage, int, str], None]) -> Run:
    """One method under one seed: trained, then asked."""
    everybody = task.drawn_users(None, seed)
    reached = 0

    def told(epoch: int, most: int, best: float | None) -> None:
        nonlocal reached
        reached = epoch
        tell("epoch", run, f"epoch {epoch}" + ("" if best is None else f", best {best * 100:.2f}"))

    validation = task.validation(everybody, seed)

    def judge(one: Ranker) -> float:
        return float(ndcg(ranks(one, *validation), 10).mean())

    tell("fit", run, "learning")
    start = time.perf_counter()
    one = ranker(name, task, seed=seed, judge=judge, memory=None if files is None else files.memory(name, run), told=told)
    fitted = time.perf_counter()
    tell("rank", run, "ranking")
    found = ranks(one, *task.test(who, seed))
    return Run(
        method=name, run=run, ranks=found, fit_seconds=fitted - start, rank_seconds=time.perf_counter() - fitted, epochs=reached
    )


def _silent(*_: object) -> None:
    pass
