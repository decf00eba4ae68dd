"""The global random numbers of RLlib's learners, made a function of (seed, iteration)."""

from __future__ import annotations

from typing import Any

import numpy as np


def seed_everything(algorithm: Any, seed: int, iteration: int) -> None:
    """Before each iteration. Our own code takes seeds as arguments; RLlib's learners shuffle minibatches with the globals of `random`,
    NumPy and torch, and a run that goes on from a checkpoint must find these as the run before it did.
    """

    def reseed() -> None:
        import random

        import torch

        word = int(np.random.SeedSequence([seed, iteration]).generate_state(1)[0])
        random.seed(word)
        np.random.seed(word)  # noqa: NPY002
        torch.manual_seed(word)

    reseed()
    if algorithm.local_replay_buffer is not None:  # RLlib gives it a generator without a seed
        algorithm.local_replay_buffer.rng = np.random.default_rng([seed, iteration])
    if algorithm.learner_group.is_remote:
        algorithm.learner_group.foreach_learner(lambda learner: reseed())
