"""Play every candidate in every simulator, on tuning users and on test users; what is finished is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from recoworld.assembly import make_world
from recoworld.configs import WorldConfig
from recoworld.errors import ConfigError, MissingExtra
from recoworld.evaluation.ranking import Ranking
from recoworld.evaluation.rollout import rollout
from recoworld.evaluation.runs import Progress, Stage
from recoworld.evaluation.store import Folder, Result
from recoworld.evaluation.table import SessionTable
from recoworld.evaluation.transfer.compare import Cell, Comparison
from recoworld.evaluation.transfer.knobs import Candidate, Entrant, candidates
from recoworld.evaluation.transfer.naming import simulated
from recoworld.evaluation.transfer.people import GROUPS, Group, People, drawn
from recoworld.evaluation.transfer.result import Transfer
from recoworld.types import Recommender
from recoworld.version import __version__
from recoworld.world import World

PLAIN = ("random", "popularity")
"""Policies without knobs that compete unless others are named."""


def transfer(
    config: WorldConfig,
    simulators: Sequence[str],
    policies: Sequence[str] = PLAIN,
    *,
    tune: Sequence[str] = ("all",),
    users: int = 300,
    seeds: int = 1,
    seed: int = 0,
    out: str | Path | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Transfer:
    """Tune against each simulator, judge in all others.

    Args:
        config: The data set, and settings that all worlds share; names no simulator.
        simulators: At least two, as in `recoworld.evaluation.transfer.naming`.
        policies: Compete as they are: names as for `recoworld.policies.make_policy`, or NAME=SPEC.
        tune: Families of policies whose knobs are tuned (`recoworld.evaluation.transfer.knobs`), "all" or "none".
        users: Validation users to tune on, and as many test users to judge on.
        seeds: Sessions a user, under the seeds `seed`, `seed` + 1, ...
        seed: Also of the drawing of users, of the policies' luck and of the bootstrap.
        out: Folder for transfer.json, transfer.md, transfer.png and results/. What was played there before with the same users is not
            played again, whatever other policies and simulators joined; of other users: ConfigError.
        fresh: Play everything again and replace what is there.
        progress: See `recoworld.evaluation.runs.Progress`.

    Ctrl-C ends it: the candidates that are finished are compared, and `Transfer.interrupted` is set.
    Raises ConfigError, UnknownName, DatasetError, MissingExtra.
    """
    entered, notes = candidates(policies, tune)
    configs = simulated(config, simulators)
    worlds = {name: make_world(settings) for name, settings in configs.items()}
    first = next(iter(worlds.values()))
    people = drawn(first.split, users=users, seeds=seeds, seed=seed)
    data = first.dataset
    settings = {
        "dataset": data.name,
        "size": [len(data.users), len(data.catalog), len(data.interactions)],
        "split_seed": config.split_seed,
        "users": {group: len(people.users[group]) for group in GROUPS},
        "seeds": seeds,
        "seed": seed,
        "version": __version__,
    }
    about = {name: _about(configs[name], world) for name, world in worlds.items()}
    folder = None if out is None else Folder(Path(out).expanduser(), settings, fresh=fresh, report="transfer.json")
    game = _Game(worlds=worlds, about=about, people=people, folder=folder, progress=progress)
    finished: list[Entrant] = []
    notes = [*people.notes, *notes]

    def made(interrupted: bool) -> Transfer:
        compared = Comparison.of(game.tables, finished, list(worlds), seed) if any(not one.privileged for one in finished) else None
        result = Transfer.of(compared, simulators=about, settings=settings, notes=notes, interrupted=interrupted)
        if folder is not None:
            result, contents = result.files()
            folder.publish(contents)
            if "transfer.png" not in contents:  # one of an earlier run shows something else
                (folder.path / "transfer.png").unlink(missing_ok=True)
        return result

    try:
        while entered:
            candidate = entered.pop(0)  # nobody keeps what it has learned
            try:
                game.play(candidate)
            except (MissingExtra, ConfigError) as error:  # anything else is a bug of the policy
                if "all" not in tune or candidate.entrant.family is None:
                    raise
                notes.append(f"{candidate.entrant.name} is left out: {error}")
                game.tell(candidate.entrant.name, "skipped")
                continue
            finished.append(candidate.entrant)
    except KeyboardInterrupt:
        return made(True)
    return made(False)


class _Game:
    """All sessions, played or remembered."""

    def __init__(
        self, *, worlds: dict[str, World], about: dict[str, Any], people: People, folder: Folder | None, progress: Progress | None
    ) -> None:
        self.worlds, self.people, self.folder, self.progress = worlds, people, folder, progress
        self.tables: dict[Cell, SessionTable] = {}
        self._marks = {name: hashlib.blake2b(json.dumps(about[name], sort_keys=True).encode(), digest_size=6).hexdigest() for name in about}
        self._before = {name: result.table for name, result in folder.results().items()} if folder is not None else {}
        self._total = sum(len(people.sessions(group)[0]) for group in GROUPS) * len(worlds)
        self._fitted: tuple[Recommender, ...] = ()

    def tell(self, name: str, stage: Stage, ended: int = 0) -> None:
        """Pass on what happens."""
        if self.progress is not None:
            self.progress(name, stage, ended, self._total)

    def play(self, candidate: Candidate) -> None:
        """Every cell of one candidate: fitted once, and only if a cell is missing. Raises ConfigError, MissingExtra."""
        kept = True
        for simulator in self.worlds:
            for group in GROUPS:
                key = f"{candidate.spec} in {simulator} {self._marks[simulator]} {group}"
                table = self._before.get(key)
                if table is None:
                    kept = False
                    table = self._played(candidate, simulator, group, key)
                else:
                    self.tell(candidate.entrant.name, "run", len(table))
                self.tables[candidate.entrant.name, simulator, group] = table
        self.tell(candidate.entrant.name, "kept" if kept else "done")

    def _played(self, candidate: Candidate, simulator: str, group: Group, key: str) -> SessionTable:
        start = time.perf_counter()
        if self._fitted != candidate.learners:
            self.tell(candidate.entrant.name, "fit")
            world = next(iter(self.worlds.values()))  # the data are the same in all
            for learner in candidate.learners:
                if learner not in self._fitted:
                    learner.fit(world.dataset, world.split)
            self._fitted = candidate.learners
        fitted = time.perf_counter()
        self.tell(candidate.entrant.name, "run")
        table = rollout(
            self.worlds[simulator],
            candidate.policy,
            *self.people.sessions(group),
            policy_seed=self.people.seed,
            progress=lambda ended: self.tell(candidate.entrant.name, "run", ended),
        )
        if self.folder is not None:
            ranking = Ranking(user=np.zeros(0, np.int64), ndcg=np.zeros(0), hit=np.zeros(0))
            seconds = {"fit_seconds": fitted - start, "run_seconds": time.perf_counter() - fitted}
            self.folder.keep(Result(policy=key, privileged=candidate.entrant.privileged, **seconds, table=table, ranking=ranking))
        return table


def _about(config: WorldConfig, world: World) -> dict[str, Any]:
    """All that sessions in this world depend on, beside the data and the users."""
    coefficients = getattr(world.simulator, "config", None)
    return {
        "config": config.model_dump(mode="json", exclude={"dataset", "data_dir", "users", "split_seed"}) | {"reward": world.reward.weights},
        "native": getattr(world.simulator, "native", None),  # the compiled users agree with NumPy's but for knife-edges
        "simulator": coefficients.model_dump(mode="json") if isinstance(coefficients, BaseModel) else None,
    }
