"""What RLlib 2.60 leaves out of its checkpoints, without which SAC, DQN and MARWIL would not go on as they were.

That is the replay buffer, SAC's alpha, and MARWIL's moving average of squared advantages.
"""

from __future__ import annotations

from typing import Any


def left_out(algorithm: Any) -> dict[str, Any]:
    """What must be kept beside RLlib's own files; empty for on-policy algorithms."""
    out: dict[str, Any] = {}
    if algorithm.local_replay_buffer is not None:
        out["replay"] = algorithm.local_replay_buffer.get_state()
    alphas, norms = next(iter(algorithm.learner_group.foreach_learner(_numbers))).get()
    return out | ({"log_alpha": alphas} if alphas else {}) | ({"advantage_norms": norms} if norms else {})


def put_back(algorithm: Any, kept: dict[str, Any]) -> None:
    """After RLlib has restored its part."""
    if "replay" in kept:
        algorithm.local_replay_buffer.set_state(kept["replay"])
    if "log_alpha" in kept:
        alphas = kept["log_alpha"]
        algorithm.learner_group.foreach_learner(lambda learner: _set_alphas(learner, alphas))
    if "advantage_norms" in kept:
        norms = kept["advantage_norms"]
        algorithm.learner_group.foreach_learner(lambda learner: _set_norms(learner, norms))


def _numbers(learner: Any) -> tuple[dict[str, float], dict[str, float]]:
    """SAC's and MARWIL's, by module; nothing for others."""
    kept = (getattr(learner, name, {}) for name in ("curr_log_alpha", "moving_avg_sqd_adv_norms_per_module"))
    alphas, norms = ({name: value.item() for name, value in numbers.items()} for numbers in kept)
    return alphas, norms


def _set_alphas(learner: Any, alphas: dict[str, float]) -> None:
    for name, value in alphas.items():
        learner.curr_log_alpha[name].data.fill_(value)


def _set_norms(learner: Any, norms: dict[str, float]) -> None:
    for name, value in norms.items():
        learner.moving_avg_sqd_adv_norms_per_module[name] = learner._get_tensor_variable(value)
