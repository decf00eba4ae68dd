"""What came of each slot of the slates, in the learner's batch: RLlib's episodes hold it only as a part of the next observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

RESPONSE = "response"
"""The column: float32 ``[n, k, 6]``, a row a turn: click, like, comment, share, share of the duration watched, skip."""


class AddResponses(ConnectorV2):  # type: ignore[misc]  # Ray has no types
    """Adds `RESPONSE`: the `feedback` of the observation that follows each action.

    An episode that RLlib made longer by an artificial turn (`AddOneTsToEpisodesAndTruncate`, as PPO has it) repeats its last observation
    there; so does the response, and LOSS_MASK takes it out.
    """

    def __call__(self, *, batch: dict[str, Any], episodes: Sequence[SingleAgentEpisode], **kwargs: Any) -> dict[str, Any]:
        """RLlib's hook, for episodes whose observations are those of `recoworld.envs.codec`."""
        for i, episode in enumerate(self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False)):
            if "_" not in episode.id_:
                episode.id_ += f"_{i}"  # as RLlib's pieces do, or parts of one episode would be sorted together here and not there
            turns = len(episode)
            followed = episode.get_observations(slice(1, turns + 1))["feedback"]
            self.add_n_batch_items(batch, RESPONSE, followed, num_items=turns, single_agent_episode=episode)
        return batch


def responses_connector(observation_space: Any, action_space: Any) -> AddResponses:
    """For ``config.learners(learner_connector=responses_connector)``."""
    return AddResponses(observation_space, action_space)
