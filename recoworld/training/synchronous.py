"""What PPO, REINFORCE and SlateQ share: play a batch of turns, learn from it in a few passes, and from those before it if wanted; again."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Any

from pydantic import Field
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.connectors.learner import AddOneTsToEpisodesAndTruncate, GeneralAdvantageEstimation
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from torch import Tensor

from recoworld.configs.training import TrainConfig
from recoworld.policies.neural.scorer import Sizes
from recoworld.training.playing import iterate
from recoworld.training.responses import responses_connector
from recoworld.training.runner import SlateRunner
from recoworld.training.settings import Checked, Count, Positive, Share
from recoworld.training.slate_module import SlateModule


class Settings(Checked):
    """What all of them have."""

    lr: Positive = 5e-4
    """Step size of Adam."""
    settle: Annotated[int, Field(ge=0)] = 0
    """Turns sampled until the step size has fallen, linearly, to a tenth; 0: it stays."""
    gamma: Share = 0.95
    """Discount a turn."""
    epochs: Count = 4
    """Passes over the batch of an iteration."""
    minibatch: Count = 512
    """Turns a gradient is taken over."""
    grad_clip: Positive = 1.0
    """Largest norm of all gradients together."""
    replay: Annotated[int, Field(ge=0)] = 0
    """Earlier batches that are learned from along with the new one. They go into every checkpoint: about 2.5 kB a turn."""
    sizes: Sizes = Sizes()
    """Of the network."""


class Synchronous(Algorithm):  # type: ignore[misc]  # Ray has no types
    """Sample, learn, hand out the weights; `AlgorithmConfig.learner_config_dict` holds the `Settings`."""

    def setup(self, config: AlgorithmConfig) -> None:
        """RLlib's hook."""
        super().setup(config)
        self._earlier: deque[list[SingleAgentEpisode]] = deque(maxlen=self.config.learner_config_dict["replay"])

    def training_step(self) -> None:
        """One iteration."""
        iterate(self, self._with_earlier)

    def _with_earlier(self, episodes: list[SingleAgentEpisode]) -> list[SingleAgentEpisode]:
        """The episodes with those replayed, all copies where they will be needed again: learners write to what they get."""
        if not self._earlier.maxlen:
            return episodes
        batch = [episode[:] for batch in (*self._earlier, episodes) for episode in batch]
        self._earlier.append(episodes)
        return batch

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's, and the batches for replay."""
        return {**super().get_state(*args, **kwargs), "earlier": list(self._earlier)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from `get_state`."""
        super().set_state(state)
        self._earlier.clear()
        self._earlier.extend(state.get("earlier", ()))


class SynchronousConfig(AlgorithmConfig):  # type: ignore[misc]  # Ray has no types
    """RLlib's config of a `Synchronous` algorithm, whose module and learner class are set by name (`synchronous`)."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or Synchronous)

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """RLlib's question, asked even where a module is set."""
        return RLModuleSpec(module_class=SlateModule)


class SynchronousLearner(TorchLearner):  # type: ignore[misc]  # Ray has no types
    """Adds to the batch what `GeneralAdvantageEstimation` makes of the module's `compute_values`: VALUE_TARGETS and ADVANTAGES."""

    def build(self) -> None:
        """RLlib's hook."""
        super().build()
        lambda_ = self.config.learner_config_dict["lambda_"]
        self._learner_connector.prepend(AddOneTsToEpisodesAndTruncate())
        self._learner_connector.append(GeneralAdvantageEstimation(gamma=self.config.gamma, lambda_=lambda_))


def mean(values: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Of a number per turn ``[n]``, over turns that took place."""
    real = batch[Columns.LOSS_MASK]
    return values[real].sum() / real.sum().clamp(min=1)


def synchronous(
    config: TrainConfig,
    settings: Settings,
    learner: type[TorchLearner],
    module: RLModuleSpec,
    *,
    algorithm: type[Synchronous] = Synchronous,
) -> AlgorithmConfig:
    """RLlib's config: one sample of every runner is an iteration's batch."""
    runners = config.env_runners
    batch = max(1, runners.envs * runners.fragment * max(1, runners.num) // max(1, config.learners.num))
    return (
        SynchronousConfig(algorithm)
        .env_runners(env_runner_cls=SlateRunner)
        .rl_module(rl_module_spec=module)
        .learners(
            learner_class=learner, learner_connector=responses_connector, learner_config_dict=settings.model_dump(exclude={"sizes"})
        )
        .training(
            lr=[[0, settings.lr], [settings.settle, settings.lr / 10]] if settings.settle else settings.lr,
            gamma=settings.gamma,
            grad_clip=settings.grad_clip,
            grad_clip_by="global_norm",
            num_epochs=settings.epochs,
            train_batch_size_per_learner=batch,
            minibatch_size=min(settings.minibatch, batch),
            shuffle_batch_per_epoch=True,
        )
    )
