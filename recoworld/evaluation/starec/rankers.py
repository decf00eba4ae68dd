"""Who can enter: anything that puts candidates in order, and any policy of the project.

`ranker` makes one out of a name, a language-model agent's ("starec:openai:MODEL") among them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError, UnknownName
from recoworld.evaluation.starec.protocol import Benchmark, Questions
from recoworld.luck import Luck, combine
from recoworld.policies import make_policy
from recoworld.policies.scoring import Scorer, chunks
from recoworld.policies.sequential.learner import Learner, Memory, Told
from recoworld.registry import AGENTS, POLICIES
from recoworld.types import Act, Floats, Ints, Observations, Recommender

ALIASES = {"pop": "popularity"}
"""The paper's names of policies that have another here."""


@runtime_checkable
class Ranker(Protocol):
    """What the protocol asks."""

    name: str

    def rank(self, questions: Questions) -> Ints:
        """Columns of the candidates ``[n, 1 + negatives]``, the best first: each row holds each column once."""
        ...


@runtime_checkable
class KnowsUsers(Protocol):
    """A policy that has learned a vector of each training user, and can do without its history."""

    def user_scores(self, users: Ints) -> Floats:
        """How good each item is for each of these users, indices into the data set it was fitted on, float32 ``[n, n_items]``."""
        ...


@runtime_checkable
class RanksCandidates(Protocol):
    """A policy, such as an agent that asks a language model, that is told of the candidates and of nothing else."""

    def rank(self, histories: NDArray[np.int32], candidates: Ints, *, profiles: Floats) -> Ints:
        """Columns of the candidates ``[n, m]``, the best first; histories as `Questions.history`, profiles `Users.features` ``[n, p]``."""
        ...


class PolicyRanker:
    """A policy as a ranker: by its own order of candidates, or its scores, where it has them, else by a slate of the whole catalogue."""

    def __init__(self, policy: Recommender, benchmark: Benchmark, *, seed: int = 0) -> None:
        """seed: of the policy's luck."""
        self.policy, self._benchmark, self._seed = policy, benchmark, seed
        self.name = policy.name

    def rank(self, questions: Questions) -> Ints:
        """See `Ranker`. Equal scores stay in the order of the candidates, which is random."""
        if isinstance(self.policy, RanksCandidates):
            profiles = self._benchmark.training.users.features[questions.users]
            return self.policy.rank(questions.history, questions.candidates, profiles=profiles)
        out = np.empty_like(questions.candidates)
        for rows in chunks(len(questions), len(self._benchmark.training.catalog)):
            part = questions.rows(rows)
            scores = np.take_along_axis(self._scores(part), part.candidates, axis=1)
            out[rows] = np.argsort(-scores, axis=1, kind="stable")
        return out

    def _scores(self, questions: Questions) -> Floats:
        if isinstance(self.policy, KnowsUsers):
            return self.policy.user_scores(questions.users)
        if isinstance(self.policy, Scorer):
            return self.policy.scores(self._observations(questions, 1))
        n_items = len(self._benchmark.training.catalog)
        slates = self.policy.recommend(self._observations(questions, n_items), Luck(combine(self._seed, questions.users)))
        places = np.empty(slates.shape, np.float32)
        np.put_along_axis(places, slates, np.arange(n_items, dtype=np.float32)[None], axis=1)
        return -places

    def _observations(self, questions: Questions, k: int) -> Observations:
        """As `recoworld.envs.codec` lays out a session's opening."""
        n, data = len(questions), self._benchmark.training
        return {
            "profile": data.users.features[questions.users],
            "history": questions.history,
            "history_acts": np.where(questions.history > 0, Act.RATED, Act.NONE).astype(np.int8),
            "slate": np.zeros((n, k), np.int32),
            "feedback": np.zeros((n, k, 6), np.float32),
            "instruction": np.zeros((n, 6 + data.catalog.features.shape[1] + 2), np.float32),
            "instruction_code": np.zeros((n, 4), np.int32),
            "turn": np.zeros((n, 1), np.float32),
        }


def ranker(
    spec: str, benchmark: Benchmark, *, seed: int, judge: Callable[[Ranker], float], memory: Memory | None = None, told: Told | None = None
) -> Ranker:
    """The ranker that a name stands for, fitted: a policy's, or ``module:attribute`` that makes a policy or a `Ranker`.

    seed: of training, where the policy takes one. judge: NDCG@10 on the validation items, for those that stop training by it.
    Raises UnknownName, ConfigError, MissingExtra.
    """
    name = ALIASES.get(spec, spec)
    made: Any = _seeded(name, seed)
    if isinstance(made, Recommender):
        own = PolicyRanker(made, benchmark, seed=seed)
        if isinstance(made, Learner):
            made.learn(benchmark.training, benchmark.split, judge=lambda: judge(own), memory=memory, told=told)
        else:
            made.fit(benchmark.training, benchmark.split)
        return own
    if not isinstance(made, Ranker):
        raise ConfigError(f"method {spec!r} made a {type(made).__name__}; expected a policy, or name and rank(questions)")
    return made


def _seeded(name: str, seed: int) -> Any:
    if name not in POLICIES:
        if name.count(":") == 1 and name.partition(":")[0] not in ("rllib", *AGENTS):
            return _called(POLICIES[name], name, seed)
        try:
            return make_policy(name)
        except UnknownName:
            raise UnknownName("method", name, {*POLICIES, *ALIASES}) from None
    return _called(POLICIES[name], name, seed)


def _called(factory: Any, name: str, seed: int) -> Any:
    try:
        seeded = "seed" in inspect.signature(factory).parameters
        return factory(seed=seed) if seeded else factory()
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"method {name!r} cannot be made: {error}; expected a class or function without required arguments") from error
