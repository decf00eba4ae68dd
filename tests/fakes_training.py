"""Training that goes wrong on purpose, and PPO whose samples follow from (seed, version of the weights) alone."""

from __future__ import annotations

import os
from typing import Any

from ray import get_runtime_context

from recoworld.simulators.behavioral import build
from recoworld.training import stock
from recoworld.training.algorithm import Algorithm
from recoworld.training.failures import LoudRunner


class RestartingRunner(LoudRunner):
    """Every sample begins all sessions anew."""

    def sample(self, **kwargs: Any) -> Any:
        self._seed = self.config.seed + 1000 * self._weights_seq_no + (self.worker_index or 0)
        self._needs_initial_reset = True
        return super().sample(**kwargs)


def _restarting(config: Any, settings: Any) -> Any:
    return stock.PPO.build(config, settings).env_runners(env_runner_cls=RestartingRunner)


RESTARTING = Algorithm(settings=stock.PPO.settings, view=stock.PPO.view, build=_restarting)


RESTARTING_SAC = Algorithm(
    settings=stock.SAC.settings,
    view=stock.SAC.view,
    build=lambda config, settings: stock.SAC.build(config, settings).env_runners(env_runner_cls=RestartingRunner),
)


class UnheardRunner(stock.import_module("ray.rllib.env.single_agent_env_runner").SingleAgentEnvRunner):
    pass


UNHEARD = Algorithm(
    settings=stock.PPO.settings,
    view=stock.PPO.view,
    build=lambda config, settings: stock.PPO.build(config, settings).env_runners(env_runner_cls=UnheardRunner),
)


class _Falls:
    """Behavioural users who break in the third step of a remote runner (`where` "remote"), or of the driver's own eight sessions."""

    def __init__(self, users: Any, where: str) -> None:
        self._users, self._where, self._steps = users, where, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._users, name)

    def begin(self, users: Any, luck: Any) -> Any:
        return self._users.begin(users, luck)

    def respond(self, *args: Any) -> Any:
        remote = get_runtime_context().get_actor_id() is not None
        self._steps += remote or len(args[-2]) == 8
        if self._steps >= 3 and remote == (self._where == "remote"):
            raise ZeroDivisionError(f"the users of process {os.getpid()} walked out")
        return self._users.respond(*args)


def falling(dataset: Any, split: Any, settings: dict[str, Any], *, cached: Any = None) -> Any:
    where = settings.pop("where")
    return _Falls(build(dataset, split, settings, cached=cached), where)
