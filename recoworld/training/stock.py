"""RLlib's own algorithms, through views that make a slate environment one of theirs.

| | sees | says |
|---|---|---|
| PPO, APPO, IMPALA | a vector | `k` items, chosen independently: a MultiDiscrete |
| SAC | a vector | a proto-action, whose nearest items are shown |
| DQN | a vector | one item, in a world of slates of one |

They know items by number (SAC: by content) and nothing of the log: what they are for is comparison. APPO and IMPALA sample on while
they learn, given a runner and a learner of their own (``env_runners.num``, ``learners.num`` from 1 on); with none they take turns.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

from pydantic import Field

from recoworld.configs.training import TrainConfig
from recoworld.errors import MissingExtra
from recoworld.training.algorithm import Algorithm
from recoworld.training.settings import Amount, Checked, Count, Positive, Share
from recoworld.training.views import View


class Settings(Checked):
    """What all of them have."""

    lr: Positive = 3e-4
    """Step size of Adam."""
    gamma: Share = 0.9
    """Discount a slate: rewards to come count less by so much."""
    hidden: tuple[Count, ...] = (256, 256)
    """Units of each hidden layer."""
    grad_clip: Positive = 1.0
    """Largest norm of a gradient."""


class OnPolicy(Settings):
    """PPO, APPO and IMPALA."""

    entropy: Amount = 0.001
    """Weight of the entropy of the slate's slots, summed over them."""
    value_weight: Amount = 0.5
    """Weight of the value function's loss."""


class PPOSettings(OnPolicy):
    """Schulman et al. 2017."""

    lam: Share = 0.95
    """GAE's lambda."""
    clip: Positive = 0.2
    """Largest change of an action's probability, as a ratio."""
    epochs: Count = 6
    """Passes over a batch."""
    minibatch: Count = 512
    """Steps a gradient is taken over."""


class APPOSettings(OnPolicy):
    """PPO's clipped loss with V-trace, sampling asynchronously."""

    clip: Positive = 0.3
    """Largest change of an action's probability, as a ratio."""
    reuse: Count = 4
    """How often each batch is learned from."""


class IMPALASettings(OnPolicy):
    """Espeholt et al. 2018: V-trace, sampling asynchronously."""


class OffPolicy(Settings):
    """SAC and DQN."""

    batch: Count = 256
    """Steps a gradient is taken over."""
    intensity: Positive = 4.0
    """Steps learned from for each step sampled."""
    capacity: Count = 200_000
    """Steps that the replay buffer holds."""
    warm_up: Annotated[int, Field(ge=0)] = 2_000
    """Steps sampled before learning starts."""
    steps: Count = 1_000
    """Steps sampled in an iteration."""


class SACSettings(OffPolicy):
    """Haarnoja et al. 2018, with a temperature that is learned."""

    tau: Positive = 0.005
    """How far the target networks follow at each update."""
    alpha: Positive = 0.03
    """First weight of the entropy."""


class DQNSettings(OffPolicy):
    """Mnih et al. 2015, with double Q-learning and a dueling head."""

    epsilon: tuple[Share, Share] = (1.0, 0.05)
    """Share of random items at first and at last."""
    epsilon_steps: Count = 50_000
    """Steps between the two."""
    target_steps: Count = 2_000
    """Steps sampled between copies of the network into its target."""


def _ppo(config: TrainConfig, settings: PPOSettings) -> Any:
    return _on_policy("PPOConfig", settings).training(
        lambda_=settings.lam,
        clip_param=settings.clip,
        vf_clip_param=float("inf"),
        use_kl_loss=False,
        num_epochs=settings.epochs,
        minibatch_size=settings.minibatch,
    )


def _appo(config: TrainConfig, settings: APPOSettings) -> Any:
    return _asynchronous("APPOConfig", config, settings).training(
        clip_param=settings.clip, circular_buffer_num_batches=2, circular_buffer_iterations_per_batch=settings.reuse
    )


def _impala(config: TrainConfig, settings: IMPALASettings) -> Any:
    return _asynchronous("IMPALAConfig", config, settings)


def _sac(config: TrainConfig, settings: SACSettings) -> Any:
    rates = {"lr": None, "actor_lr": settings.lr, "critic_lr": settings.lr, "alpha_lr": settings.lr}
    return _off_policy("SACConfig", config, settings).training(**rates, tau=settings.tau, initial_alpha=settings.alpha)


def _dqn(config: TrainConfig, settings: DQNSettings) -> Any:
    first, last = settings.epsilon
    return _off_policy("DQNConfig", config, settings).training(
        epsilon=[(0, first), (settings.epsilon_steps, last)], target_network_update_freq=settings.target_steps
    )


PPO = Algorithm(settings=PPOSettings, view=View("vector", "slots"), build=_ppo)
APPO = Algorithm(settings=APPOSettings, view=View("vector", "slots"), build=_appo)
IMPALA = Algorithm(settings=IMPALASettings, view=View("vector", "slots"), build=_impala)
SAC = Algorithm(settings=SACSettings, view=View("vector", "proto"), build=_sac)
DQN = Algorithm(settings=DQNSettings, view=View("vector", "single"), build=_dqn)


def _started(name: str, settings: Settings) -> Any:
    """RLlib's config of that name with what all have."""
    try:
        algorithms = import_module("ray.rllib.algorithms")
        models = import_module("ray.rllib.core.rl_module.default_model_config")
    except ImportError as error:
        raise MissingExtra("ray", "rllib", "training") from error
    started = getattr(algorithms, name)().training(lr=settings.lr, gamma=settings.gamma, grad_clip=settings.grad_clip)
    return started.rl_module(
        model_config=models.DefaultModelConfig(fcnet_hiddens=list(settings.hidden), fcnet_activation="relu", head_fcnet_hiddens=[])
    )


def _on_policy(name: str, settings: OnPolicy) -> Any:
    return _started(name, settings).training(entropy_coeff=settings.entropy, vf_loss_coeff=settings.value_weight)


def _asynchronous(name: str, config: TrainConfig, settings: OnPolicy) -> Any:
    """A batch is one runner's sample, a learner's its share of it."""
    runners, learners = config.env_runners, config.learners
    batch = max(1, runners.envs * runners.fragment // max(learners.num, 1))
    built = _on_policy(name, settings).training(train_batch_size_per_learner=batch)
    return _paced(built, runners.envs * runners.fragment)


def _off_policy(name: str, config: TrainConfig, settings: OffPolicy) -> Any:
    runners = config.env_runners.num
    built = _started(name, settings).training(
        train_batch_size_per_learner=settings.batch,
        # RLlib counts one runner more than there are as soon as any is remote
        training_intensity=settings.intensity * (runners / (runners + 1) if runners else 1.0),
        replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": settings.capacity},
        num_steps_sampled_before_learning_starts=settings.warm_up,
    )
    return _paced(built, settings.steps)


def _paced(built: Any, steps: int) -> Any:
    """Iterations by steps sampled: RLlib's default, a second or ten, would make what is learned depend on the machine."""
    return built.reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=steps)
