"""From a `TrainConfig` to RLlib's AlgorithmConfig: the algorithm's own build, and around it what is the same for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from recoworld.assembly import make_world
from recoworld.configs.training import TrainConfig
from recoworld.errors import ConfigError, MissingExtra, UnknownName
from recoworld.registry import ALGORITHMS

if TYPE_CHECKING:
    from recoworld.training.algorithm import Algorithm


def algorithm_of(config: TrainConfig) -> tuple[Algorithm, BaseModel]:
    """The algorithm that a config names, and its settings, checked. Raises ConfigError, MissingExtra."""
    try:
        import ray.rllib  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtra("ray[rllib] and torch", "rllib", "training") from error
    algorithm: Algorithm = ALGORITHMS[config.algorithm]
    model = algorithm.settings
    for key in config.settings:
        if key not in model.model_fields:
            raise ConfigError(f"settings: {UnknownName(f'setting of {config.algorithm}', key, model.model_fields)}")
    try:
        return algorithm, model.model_validate(config.settings)
    except ValidationError as error:
        first = error.errors()[0]
        *outer, wrong = first["loc"]
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            where = ".".join(map(str, ["settings", *outer]))
            raise ConfigError(f"{where}: {UnknownName('setting', wrong, _names(model, outer))}") from None
        raise ConfigError(f"settings.{'.'.join(map(str, first['loc']))} = {first['input']!r}: {first['msg']}") from None


def whole(config: TrainConfig) -> TrainConfig:
    """The config with every setting of algorithm and world written out, so that it means the same where defaults differ.

    Raises ConfigError, MissingExtra.
    """
    _, settings = algorithm_of(config)
    world = config.world_config().model_dump(mode="json", exclude={"users", "data_dir"})
    return config.model_copy(update={"settings": settings.model_dump(mode="json"), "world": {**config.world, **world}})


def algorithm_config(config: TrainConfig, out: Path | None = None) -> Any:
    """RLlib's AlgorithmConfig, ready for ``build_algo()``.

    out: the run's folder, for algorithms that prepare something there (`Algorithm.prepare`). Raises ConfigError, MissingExtra.
    """
    from recoworld.training import environment

    algorithm, settings = algorithm_of(config)
    environment.register()
    runners, learners = config.env_runners, config.learners
    built = algorithm.build(config, settings)
    built.environment(env=environment.NAME, env_config=environment.env_config(config, algorithm.view), disable_env_checking=True)
    if not built.is_online:  # nobody plays, so nobody could be asked
        world = make_world(config.world_config())
        built.environment(observation_space=algorithm.view.observation_space(world), action_space=algorithm.view.action_space(world))
    built.env_runners(
        env_runner_cls=_runner(built),
        num_env_runners=runners.num,
        num_envs_per_env_runner=runners.envs,
        rollout_fragment_length=runners.fragment,
        gym_env_vectorize_mode="vector_entry_point",
        num_cpus_per_env_runner=runners.cpus,
        num_gpus_per_env_runner=runners.gpus,
    )
    built.learners(
        num_learners=learners.num,
        num_gpus_per_learner=learners.gpus_per_learner,
        num_cpus_per_learner=learners.cpus_per_learner,
    )
    built.fault_tolerance(  # a runner that is killed is replaced, and the others do not wait for that; one that raises is heard
        restart_failed_env_runners=True,
        restart_failed_sub_environments=False,
        delay_between_env_runner_restarts_s=0.0,
        env_runner_health_probe_timeout_s=2.0,
    )
    built.debugging(seed=config.seed, log_level="ERROR")
    built.reporting(metrics_num_episodes_for_smoothing=max(100, runners.envs * max(1, runners.num)))
    _batch(built, config)
    if out is not None and algorithm.prepare is not None:
        algorithm.prepare(built, config, settings, out)
    return built


def _names(model: Any, path: list[int | str]) -> list[str]:
    """The settings within those at a path; none where they are no fixed ones."""
    for part in path:
        model = getattr(model, "model_fields", {}).get(part)
        model = None if model is None else model.annotation
    known = getattr(model, "model_fields", None) or getattr(model, "__dataclass_fields__", None) or {}
    return list(known)


def cores(config: TrainConfig) -> float:
    """How many the processes of a run reserve; the driver reserves none."""
    return config.env_runners.num * config.env_runners.cpus + config.learners.num * config.learners.cpus_per_learner


def _runner(built: Any) -> type:
    from recoworld.training.failures import Loud, LoudRunner

    runner = built.env_runner_cls
    if runner is None:
        return LoudRunner
    if not issubclass(runner, Loud):
        raise ConfigError(f"env runner {runner.__name__}: expected recoworld.training.failures.Loud among its bases, so that it is heard")
    return runner


def _batch(built: Any, config: TrainConfig) -> None:
    """An iteration of PPO learns from one sample of every runner, unless the algorithm says otherwise."""
    from ray.rllib.algorithms.ppo import PPOConfig

    if isinstance(built, PPOConfig) and built._train_batch_size_per_learner is None:
        sample = config.env_runners.envs * config.env_runners.fragment * max(1, config.env_runners.num)
        batch = max(1, sample // max(1, config.learners.num))
        built.training(train_batch_size_per_learner=batch, minibatch_size=min(built.minibatch_size or batch, batch))
