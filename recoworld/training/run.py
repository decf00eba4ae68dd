"""A training run from end to end, in a folder from which it can be taken up again at any moment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recoworld.configs.training import TrainConfig
from recoworld.errors import RecoWorldError, TrainingFailed
from recoworld.evaluation import Leaderboard
from recoworld.training.checkpoints import CHECKPOINTS, Checkpoints, Reached
from recoworld.training.figures import figures
from recoworld.training.final import judge, opponents
from recoworld.training.folder import claim, held
from recoworld.training.launch import algorithm_config, algorithm_of
from recoworld.training.records import Events, Lines, Record
from recoworld.training.seeding import seed_everything
from recoworld.training.watch import Watcher

_PATIENCE = 30
"""Iterations in a row without a single sample, a second apart, until the runners are given up."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    reached: Reached
    final: dict[str, Any] | None = None
    """The contents of final.json; None where the run was interrupted."""
    board: Leaderboard | None = None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.final is None


def train(config: TrainConfig, out: str | Path, *, resume: bool = False, fresh: bool = False, watcher: Watcher | None = None) -> Outcome:
    """Train, or go on training, and judge the policy on test users.

    Args:
        config: What to do.
        out: The run's folder. Where it holds a run of the same settings (`recoworld.configs.training.FREE` ones aside), that goes on from
            its newest checkpoint; of other settings: ConfigError.
        resume: There must be such a run.
        fresh: Whatever run is there is deleted first.
        watcher: Told how it goes.

    The folder: config.yaml; metrics.jsonl, a line an iteration; curve.jsonl, sessions of validation users now and then; tensorboard/;
    checkpoints/; and at the end policy/, which ``make_policy("rllib:OUT")`` loads, leaderboard.json, leaderboard.csv and final.json.
    Ctrl-C ends the run early: what is on disk is whole, and the same call goes on from there.
    Raises ConfigError, UnknownName, MissingExtra, DatasetError, and TrainingFailed where a runner raised or figures are not finite.
    """
    from recoworld.assembly import make_world

    watcher, out = watcher or Watcher(), Path(out).expanduser()
    algorithm_of(config)  # what is wrong is said before anything is started
    make_world(config.world_config())
    _, absent = opponents(config)
    for note in absent:
        watcher.note(note)
    from recoworld.training.cluster import cluster

    with held(out):
        claim(out, config, resume=resume, fresh=fresh)
        with cluster(config):
            return _trained(config, out, watcher)


def _trained(config: TrainConfig, out: Path, watcher: Watcher) -> Outcome:
    """With Ray there and the folder ours."""
    run = None
    try:
        run = _Run(config, out, watcher)
        run.go()
        run.close()  # its processes would only be in the way of the evaluation
        final, board = judge(config, out, run.reached, run.curve.records, watcher)
    except KeyboardInterrupt:
        return Outcome(reached=Checkpoints(out / CHECKPOINTS, config.keep_checkpoints).reached())
    finally:
        if run is not None:
            run.close()
    return Outcome(reached=run.reached, final=final, board=board)


class _Run:
    """The loop, with everything it writes."""

    def __init__(self, config: TrainConfig, out: Path, watcher: Watcher) -> None:
        from recoworld.training.failures import heard

        self.config, self.out, self.watcher = config, out, watcher
        heard()  # of an earlier run in this process
        with _explained():
            self.algorithm = algorithm_config(config, out).build_algo()
        self._closing = ExitStack()
        self._closing.callback(self._stop)
        try:
            self._begin()
        except BaseException:  # Ctrl-C too: nobody else could end the runners
            self.close()
            raise

    def _begin(self) -> None:
        """Take up what is there."""
        out = self.out
        self._checkpoints = Checkpoints(out / CHECKPOINTS, self.config.keep_checkpoints)
        self.reached = self._checkpoints.restore(self.algorithm)
        at = self.reached.iteration
        self.metrics, self.curve = Lines(out / "metrics.jsonl", at), Lines(out / "curve.jsonl", at)
        self._events = Events(out / "tensorboard", at)
        self._closing.callback(self._events.close)
        if self._events.missing:
            self.watcher.note("tensorboardX is not installed: no TensorBoard files are written, metrics.jsonl has the same figures.")
        self._start = time.perf_counter() - self.reached.seconds
        self.watcher.began(at)

    def go(self) -> None:
        """Until it is time to stop."""
        from recoworld.training.export import POLICY, export

        while True:
            over = self._share() >= 1
            if (over or self.reached.iteration % self.config.evaluate_every == 0) and self.reached.iteration not in self.curve:
                self._evaluate()
            if over:
                break
            with _explained():
                self._iterate()
            if self.reached.iteration % self.config.checkpoint_every == 0 or self._share() >= 1:
                self._checkpoints.save(self.algorithm, self.reached)
        if self.config.evaluation.keep == "last" or not (self.out / POLICY).exists():
            export(self.config, self.algorithm, self.out)

    def close(self) -> None:
        """End the runners."""
        self._closing.close()

    def _stop(self) -> None:
        self.algorithm.stop()
        with suppress(OSError):
            os.rmdir(self.algorithm.logdir)  # RLlib makes a folder in the home folder, and puts nothing there

    def _iterate(self) -> None:
        from recoworld.training.failures import check_weights

        before, restarts = time.perf_counter(), self._restarts()
        for _ in range(_PATIENCE):
            seed_everything(self.algorithm, self.config.seed, self.reached.iteration)
            result = figures(self.algorithm.train(), self.reached.env_steps)
            _listen()
            if result["episodes"] or result["new_steps"] or not self.algorithm.config.is_online:
                break
            time.sleep(1.0)  # the only runner was killed, and its successor is not there yet
        else:
            raise TrainingFailed(f"the env runners brought no sample in {_PATIENCE} iterations; look at the memory of their machines")
        check_weights(self.algorithm.learner_group)
        took = time.perf_counter() - before
        new = result.pop("new_steps")
        self.reached = Reached(
            iteration=self.reached.iteration + 1, env_steps=self.reached.env_steps + new, seconds=time.perf_counter() - self._start
        )
        record: Record = {
            "iteration": self.reached.iteration,
            "env_steps": self.reached.env_steps,
            "seconds": round(self.reached.seconds, 3),
            "steps_per_second": round(new / took, 1),
            **result,
        }
        if self._restarts() > restarts:
            record["restarted_runners"] = self._restarts() - restarts
            self.watcher.note(f"an env runner died in iteration {self.reached.iteration} and was replaced.")
        self.metrics.add(record)
        self._events.add("train", record)
        self.watcher.iteration(record, self._share())

    def _evaluate(self) -> None:
        from recoworld.training.export import export, live_module
        from recoworld.training.final import best, point

        figures = point(self.config, live_module(self.algorithm))
        seconds = time.perf_counter() - self._start
        record = {
            "iteration": self.reached.iteration,
            "env_steps": self.reached.env_steps,
            "seconds": round(seconds, 3),
            **figures,
        }
        if self.config.evaluation.keep == "best" and best([*self.curve.records, record]) is record:
            export(self.config, self.algorithm, self.out)  # first, for a run that is killed here measures the point again
        self.curve.add(record)
        self._events.add("validation", record)
        self.watcher.point(record)

    def _share(self) -> float:
        """How much of the run is done, by the condition that stops it first."""
        config, reached = self.config, self.reached
        limits = ((reached.iteration, config.iterations), (reached.env_steps, config.env_steps), (reached.seconds / 60, config.minutes))
        return max(done / limit for done, limit in limits if limit is not None)

    def _restarts(self) -> int:
        group = self.algorithm.env_runner_group
        return 0 if group is None else int(group.num_remote_worker_restarts())


@contextmanager
def _explained() -> Iterator[None]:
    """Whatever RLlib raises is told with the words of the runner that began it."""
    try:
        yield
    except RecoWorldError:
        raise
    except Exception as error:
        _listen(error)
        from recoworld.training.failures import said

        raise TrainingFailed(f"training failed: {said(error)}") from error


def _listen(cause: Exception | None = None) -> None:
    """Raises TrainingFailed if a runner said why it died."""
    from recoworld.training.failures import heard

    word = heard()
    if word is not None:
        first, _, trace = word.partition("\n")
        failed = TrainingFailed(f"{first}; training was stopped, the newest checkpoint is kept")
        failed.add_note(trace)
        raise failed from cause
