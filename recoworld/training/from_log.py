"""RLlib's offline API over RecoWorld's session files: what every algorithm that learns from a log is built with.

RLlib's own reader pipes Parquet through Ray Data: rows of pickles or msgpack, a module and a connector pipeline in each of two actors,
the next observation stored beside each. `SessionData` takes its place where RLlib lets one
(``AlgorithmConfig.offline_data(offline_data_class=SessionData)``): it reads the session file, checked in full and without pickles, plays
it again in the driver, and draws batches from arrays. Also in a plain RLlib config::

    config = BCConfig().environment(..., env_config=environment.env_config(train_config, SLATE))
    config.offline_data(input_=["sessions.parquet"], offline_data_class=SessionData, dataset_num_iters_per_learner=50)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from pydantic import Field
from ray.rllib.algorithms.algorithm import Algorithm as RLlibAlgorithm
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.offline.offline_data import OfflineData
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from recoworld.assembly import make_world
from recoworld.catalog import Catalog
from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError
from recoworld.policies.scoring import unit_rows
from recoworld.session_io import read_sessions
from recoworld.training.logged import Transitions, transitions
from recoworld.training.recording import Recording, record
from recoworld.training.settings import Checked
from recoworld.training.views import View, known_catalog
from recoworld.types import Floats, Slates
from recoworld.world import World

LOG = "log.parquet"
"""The log of a run that records its own, in the run's folder."""
CLICKED = "clicked"
"""Column of a batch: which slots of the logged slate were clicked, bool ``[n, k]``."""
SLATES = "slates"
"""Column of a batch: the logged slates, int64 ``[n, k]``, however the view's actions look."""
_RIDGE = 1e-3  # of the mean diagonal: features that no item has would make the Gram matrix singular


class LogSettings(Checked):
    """What all who learn from a log have."""

    log: str | Recording = Recording()
    """Path of a file of sessions, Parquet or JSON lines, all of training users; or which sessions to record first."""
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Discount a turn."""
    batch: Annotated[int, Field(ge=1)] = 256
    """Turns that a gradient is taken over, by each learner."""
    updates: Annotated[int, Field(ge=2)] = 50
    """Gradients an iteration."""
    grad_clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of all gradients together."""


class SessionData(OfflineData):  # type: ignore[misc]  # Ray has no types
    """The turns of session files (``config.input_``), in batches, in the world and view of ``config.env_config``.

    Passes over the log, each in an order that follows from (config.seed, pass). Columns: obs, new_obs, actions, rewards, terminateds,
    value_targets (`Transitions.returns`), `SLATES`, `CLICKED`.
    """

    def __init__(self, config: Any) -> None:
        # not RLlib's own, which would open the file with Ray Data
        self.config = config
        self.iter_batches_kwargs: dict[str, Any] = {}
        self.locality_hints = self.learner_handles = self.module_spec = self.spaces = None
        self.drawn = 0
        """Batches drawn before the next `sample`, by each learner."""
        world, view = make_world(**config.env_config["world"]), View(config.env_config["observation"], config.env_config["action"])
        self._rows = Rows(world, view, [config.input_] if isinstance(config.input_, str) else config.input_, config.gamma)
        self._shared: Any = None

    def sample(self, num_samples: int, return_iterator: bool = False, num_shards: int = 1, module_state: Any = None) -> Any:
        """One batch, or an iterator for each learner; RLlib's learners keep the first that they get."""
        seed, shards = self.config.seed or 0, max(1, num_shards)
        if return_iterator:
            if num_shards and self._shared is None:
                self._shared = ray.put(self._rows)  # else each update would send the log to each learner
            return [Batches(self._shared or self._rows, seed, shard, shards, self.drawn) for shard in range(shards)]
        numbers = next(Batches(self._rows, seed, 0, 1, self.drawn).numbers(len(self._rows), num_samples))
        self.drawn += 1
        return MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(self._rows.columns(numbers))}, env_steps=num_samples)


class Rows:
    """The turns of a log as columns of RLlib's batches."""

    def __init__(self, world: World, view: View, paths: list[str], gamma: float) -> None:
        """Raises ConfigError, DatasetError, MissingExtra."""
        sessions = [session for path in paths for session in read_sessions(path)]
        self.log: Transitions = transitions(world, sessions, view)
        held_out = np.setdiff1d([world.dataset.users.index(session.user) for session in sessions], world.split.train)
        if held_out.size:
            raise ConfigError(
                f"the log {paths[0]} has sessions of {held_out.size} validation and test users (the first: "
                f"{str(world.dataset.users.ids[held_out[0]])!r}); expected training users alone (`Split.train`): leave the others out"
            )
        self._returns = self.log.returns(gamma)
        self._actions: NDArray[Any] = self.log.slates
        if view.action == "proto":
            self._actions = protos(self.log.slates, known_catalog(world.dataset, world.split))

    def __len__(self) -> int:
        return len(self.log)

    def columns(self, rows: NDArray[Any]) -> dict[str, Any]:
        """A batch of these turns."""
        log = self.log
        return {
            Columns.OBS: log.look(rows),
            Columns.NEXT_OBS: log.look(rows, after=True),
            Columns.ACTIONS: self._actions[rows],
            Columns.REWARDS: log.rewards[rows],
            Columns.TERMINATEDS: log.left[rows],
            Columns.VALUE_TARGETS: self._returns[rows],
            SLATES: log.slates[rows],
            CLICKED: log.clicked[rows],
        }


def protos(slates: Slates, catalog: Catalog) -> Floats:
    """Proto-actions ``[n, d + 1]``, of length 1, whose nearest items (`recoworld.training.views.nearest`) come near these slates.

    Ridge regression: the direction whose dot product with the catalogue's items comes closest to 1 for those of the slate and 0 for the
    others. The slate's mean content would point mostly to what all items have in common.
    """
    table = np.concatenate([catalog.features, catalog.popularity_rank[:, None]], axis=1).astype(np.float64)
    gram = table.T @ table
    ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    out = np.linalg.solve(gram + ridge, table[slates].sum(axis=1).T).T
    return unit_rows(out).astype(np.float32)


class Batches:
    """A learner's batches without end, as its learner asks for them; goes from the driver to its process."""

    def __init__(self, rows: Any, seed: int, shard: int, shards: int, start: int) -> None:
        """rows: `Rows` or a reference to some. start: batches that are left out, as they were drawn before."""
        self._rows, self._seed, self._shard, self._shards, self._start = rows, seed, shard, shards, start

    def numbers(self, n: int, size: int) -> Iterator[NDArray[np.int64]]:
        """Turns ``[size]`` of one batch after another, out of `n`."""
        orders: dict[int, NDArray[np.int64]] = {}
        for batch in count(self._start):
            place = (batch * self._shards + self._shard) * size + np.arange(size)
            passes, within = np.divmod(place, n)
            wanted = np.unique(passes).tolist()
            orders = {
                k: orders[k] if k in orders else np.random.Generator(np.random.PCG64([self._seed, k])).permutation(n) for k in wanted
            }
            yield np.concatenate([orders[k][within[passes == k]] for k in wanted])

    def iter_torch_batches(self, *, batch_size: int, device: Any, **kwargs: Any) -> Iterator[dict[str, Any]]:
        """What RLlib's learners call."""
        rows: Rows = self._rows if isinstance(self._rows, Rows) else ray.get(self._rows)

        def tensor(value: Any) -> Any:
            return {key: tensor(one) for key, one in value.items()} if isinstance(value, dict) else torch.from_numpy(value).to(device)

        for numbers in self.numbers(len(rows), batch_size):
            yield {DEFAULT_MODULE_ID: tensor(rows.columns(numbers))}


class FromLog:
    """Mixin of RLlib's offline algorithms, first among the bases: goes on from a checkpoint where it was, with the batches that would
    have followed. (RLlib 2.60 fails there: it looks for env runners, which are not.)
    """

    def training_step(self) -> None:
        """RLlib's hook."""
        self.offline_data.drawn = self.iteration * self.config.dataset_num_iters_per_learner  # type: ignore[attr-defined]  # the algorithm's
        super().training_step()  # type: ignore[misc]  # the algorithm's

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """RLlib's, without what it then tells the env runners."""
        super(RLlibAlgorithm, self).restore_from_path(path, *args, **kwargs)  # type: ignore[misc]  # the mixin comes first


def fed(built: Any, config: TrainConfig, settings: LogSettings, view: View) -> Any:
    """RLlib's config, with the log as its input and no env runners. Raises ConfigError."""
    if config.iterations is None and config.minutes is None:
        raise ConfigError(f"env_steps: {config.algorithm} learns from a log and makes none; expected iterations or minutes to stop by")
    built.offline_data(
        input_=[LOG if isinstance(settings.log, Recording) else str(Path(settings.log).expanduser())],
        offline_data_class=SessionData,
        dataset_num_iters_per_learner=settings.updates,
    )
    built.training(
        gamma=settings.gamma, train_batch_size_per_learner=settings.batch, grad_clip=settings.grad_clip, grad_clip_by="global_norm"
    )
    built.reporting(min_time_s_per_iteration=0, min_train_timesteps_per_iteration=0, min_sample_timesteps_per_iteration=0)
    built.framework(torch_ddp_kwargs={"find_unused_parameters": True})  # a head that is switched off, a batch without a click
    built._is_online = False  # CQL would make env runners that it never asks
    return built


def prepare(built: Any, config: TrainConfig, settings: LogSettings, out: Path) -> None:
    """Record the log in the run's folder where the settings say so and it is not there yet."""
    if isinstance(settings.log, Recording):
        if not (out / LOG).is_file():
            record(out / LOG, make_world(config.world_config()), settings.log)
        built.offline_data(input_=[str(out / LOG)])
