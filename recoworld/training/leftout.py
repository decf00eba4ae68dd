"""What RLlib 2.60 leaves out of its checkpoints, without which SAC and DQN would not go on as they were: the replay buffer, SAC's alpha."""

from __future__ import annotations

from typing import Any


def left_out(algorithm: Any) -> dict[str, Any]:
    """What must be kept beside RLlib's own files; empty for on-policy algorithms."""
    out: dict[str, Any] = {}
    if algorithm.local_replay_buffer is not None:
        out["replay"] = algorithm.local_replay_buffer.get_state()
    alphas = next(iter(algorithm.learner_group.foreach_learner(_alphas))).get()
    return out | ({"log_alpha": alphas} if alphas else {})


def put_back(algorithm: Any, kept: dict[str, Any]) -> None:
    """After RLlib has restored its part."""
    if "replay" in kept:
        algorithm.local_replay_buffer.set_state(kept["replay"])
    if "log_alpha" in kept:
        alphas = kept["log_alpha"]
        algorithm.learner_group.foreach_learner(lambda learner: _set_alphas(learner, alphas))


def _alphas(learner: Any) -> dict[str, float]:
    return {name: value.item() for name, value in getattr(learner, "curr_log_alpha", {}).items()}


def _set_alphas(learner: Any, alphas: dict[str, float]) -> None:
    for name, value in alphas.items():
        learner.curr_log_alpha[name].data.fill_(value)
