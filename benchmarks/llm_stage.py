"""A vector environment whose every turn is timed and logged: where `llm_users.py` lets language-model users meet a recommender."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from recoworld.envs.sessions import next_sessions
from recoworld.luck import Luck, combine
from recoworld.policies import make_policy
from recoworld.session import Session, SessionTurn
from recoworld.session_io import write_jsonl
from recoworld.session_log import mind_of, recorded
from recoworld.types import Slates, Turn
from recoworld.world import World

USERS = "test"


class Stage:
    """`n` sessions that go on for ever: who leaves is replaced at once by the next user (autoreset mode "SameStep").

    `seconds` is the time of the last ``World.step``; `sessions` are those so far, the open ones last.
    """

    def __init__(self, env_id: str, *, users: int, slate_size: int, seed: int, policy: str, **settings: Any) -> None:
        """settings: those of ``gym.make_vec``. Raises ConfigError, DatasetError, MissingExtra, LanguageModelError."""
        self.env: Any = gym.make_vec(env_id, num_envs=users, slate_size=slate_size, autoreset_mode="SameStep", users=USERS, **settings)
        self.world: World = self.env.unwrapped.world
        self.policy = make_policy(policy)
        self.policy.fit(self.world.dataset, self.world.split)
        self.seeds, self._episodes = seed + np.arange(users), np.zeros(users, np.int64)
        self._step, self.world.step = self.world.step, self._watched  # type: ignore[method-assign]  # the instance's, which hides the class's
        self._over: list[Session] = []
        self._turns: list[list[SessionTurn]] = [[] for _ in range(users)]
        self._observations, _ = self.env.reset(seed=seed)
        self._openings = [mind_of(self.world.catalog, self.world.state.mindset, row) for row in range(users)]
        self._ended = np.zeros(users, np.bool_)
        self.seconds, self.left = 0.0, 0

    def slates(self) -> Slates:
        """What the policy shows next ``[n, k]``."""
        state = self.world.state
        return self.policy.recommend(self._observations, Luck(combine(state.keys, state.history.turn)))

    def step(self, slates: Slates) -> None:
        """One turn of everybody. Raises LanguageModelError; then nothing has happened."""
        self._observations, *_ = self.env.step(slates)
        for row in np.flatnonzero(self._ended).tolist():
            self._episodes[row] += 1
            self._turns[row] = []
            self._openings[row] = mind_of(self.world.catalog, self.world.state.mindset, row)

    @property
    def sessions(self) -> list[Session]:
        """All that had a turn, in the order in which they ended; those that are open in the order of the batch."""
        return [*self._over, *(self._session(row) for row in range(len(self._turns)) if self._turns[row])]

    def write(self, path: Path) -> str:
        """Write the session log; returns the file's SHA-256."""
        write_jsonl(path, self.sessions)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def close(self) -> None:
        """The world as it was, for worlds are kept for the next who asks for the same."""
        del self.world.step
        self.env.close()

    def _watched(self, slates: Slates) -> Turn:
        told = self.world.state.history.standing.given.copy()
        start = time.perf_counter()
        turn = self._step(slates)
        self.seconds = time.perf_counter() - start
        for row, turns in enumerate(self._turns):
            turns.append(recorded(self.world, turn, row, told=bool(told[row])))
        self._ended = turn.feedback.left | self.world.cut
        self.left += int(turn.feedback.left.sum())
        for row in np.flatnonzero(self._ended).tolist():
            self._over.append(self._session(row))
        return turn

    def _session(self, row: int) -> Session:
        users, keys = self._who()
        return Session(
            dataset=self.world.dataset.name,
            user=str(self.world.dataset.users.ids[users[row]]),
            user_index=int(users[row]),
            seed=int(keys[row]),
            policy=self.policy.name,
            simulator=self.world.simulator.name,
            opening=self._openings[row],
            turns=tuple(self._turns[row]),
        )

    def _who(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Users and seeds of the open sessions, as the environment chooses them."""
        return next_sessions(self.world.split.group(USERS), self.seeds, self._episodes)
