"""One iteration of an algorithm that learns from what it has just played, whole even where env runners die in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

Episodes = list[SingleAgentEpisode]
Answer = tuple[int, Episodes, Any]


def iterate(algorithm: Any, chosen: Callable[[Episodes], Episodes]) -> None:
    """Play, learn, hand out the weights. The runners are `SlateRunner`; chosen: what to learn from, given what was played."""
    config = algorithm.config
    with algorithm.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
        episodes, results = played(algorithm.env_runner_group, config.total_train_batch_size, config.sample_timeout_s)
        if not episodes:  # every runner died
            return
        algorithm.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
    steps = algorithm.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME))
    with algorithm.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
        results = algorithm.learner_group.update(
            episodes=chosen(episodes),
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: steps},
            num_epochs=config.num_epochs,
            minibatch_size=config.minibatch_size,
            shuffle_batch_per_epoch=config.shuffle_batch_per_epoch,
        )
        algorithm.metrics.aggregate(results, key=LEARNER_RESULTS)
    with algorithm.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
        algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=algorithm.learner_group,
            inference_only=True,
            timeout_seconds=config.sample_timeout_s,  # for the weights sent before to be there: RLlib would drop these otherwise
        )


def played(group: Any, steps: int, timeout: float | None = None) -> tuple[Episodes, list[Any]]:
    """At least so many turns of the runners of RLlib's `group`, each runner's part in turn, and the metrics of each part.

    The part of a runner that died is played by one that lives: a sample is a function of seed, runner's number and weights, so the batch
    is the one that would have been. Nothing where nobody lives. timeout: seconds.
    """
    episodes: Episodes = []
    results: list[Any] = []
    while sum(len(episode) for episode in episodes) < steps:
        parts = _parts(group, timeout)
        if not parts:
            break
        for _, part, metrics in sorted(parts, key=lambda answer: answer[0]):
            episodes += part
            results.append(metrics)
    return episodes, results


def _parts(group: Any, timeout: float | None) -> list[Answer]:
    """A sample of every runner."""
    if not group.num_remote_env_runners():
        return [_own(group.local_env_runner)]
    answers: list[Answer] = group.foreach_env_runner(_own, local_env_runner=False, timeout_seconds=timeout)
    while answers and (missing := sorted(set(range(1, group.num_remote_env_runners() + 1)) - {index for index, *_ in answers})):
        alive = group.healthy_worker_ids()[: len(missing)]
        answers_more = group.foreach_env_runner(
            [partial(_instead, index=index) for index in missing[: len(alive)]],
            remote_worker_ids=alive,
            local_env_runner=False,
            timeout_seconds=timeout,
        )
        if not answers_more:
            break
        answers += answers_more
    return answers


def _own(runner: Any) -> Answer:
    return runner.worker_index, runner.sample(), runner.get_metrics()


def _instead(runner: Any, index: int) -> Answer:
    with runner.standing_in(index):
        return index, runner.sample(), runner.get_metrics()
