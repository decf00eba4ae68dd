"""The frame of all agents: candidates, perception, a batch of prompts, slates and reasons.

An agent is a pure function of observations and luck. What it seems to remember it reads off the observation again (`STARec`'s memory is a
fold over the turns that the observation shows), so sessions can be branched, shuffled and resumed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.llm.asking import ask
from recoworld.llm.grammar import longest_reply
from recoworld.llm.ledger import Ledger
from recoworld.llm.make import make_model
from recoworld.llm.model import LanguageModel, Prompt, Sampling, Schema
from recoworld.llm.prompts import Prompts
from recoworld.luck import Luck, combine
from recoworld.policies.agents.config import AgentConfig
from recoworld.policies.agents.perceive import Perception, View, ranked_observations
from recoworld.policies.agents.replies import completed
from recoworld.policies.scoring import empty_slates
from recoworld.text import plain
from recoworld.types import Ints, Observations, Recommender, Slates
from recoworld.users import Dataset, Split

T = TypeVar("T")
PACKAGE = "recoworld.policies.agents"
REASONING = 2000
"""Characters of what is kept of an agent's reasoning about one slate."""
_CANDIDATES, _SEEDS = 21, 22  # streams of luck; further questions take the streams after


@dataclass(frozen=True, kw_only=True)
class Thought:
    """What an agent came to about one user."""

    items: tuple[int, ...]
    """Items, the best first; what is missing is taken from the candidates."""
    words: str
    """How it came to them, for the log; untrusted."""


class Agent(ABC):
    """A recommender that asks a language model.

    A subclass sets `kind`, `version` (its folder in ``prompts/``), `files` and `Config`, and implements `think`.
    """

    kind: ClassVar[str]
    version: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    Config: ClassVar[type[AgentConfig]] = AgentConfig
    config: AgentConfig
    reasons: list[str] | None = None
    """What was thought about each row of the last `recommend` or `rank` ``[n]``; nothing depends on it."""

    def __init__(self, **settings: Any) -> None:
        """settings: those of `Config`. Raises ConfigError, UnknownName, MissingExtra without Jinja2. No model is opened before `fit`."""
        self.config = self.Config.of(self.kind, settings)
        self.prompts = Prompts(PACKAGE, self.version, self.files, folder=self.config.prompts)
        self.ledger = Ledger("bent")
        llm = self.config.llm
        self.name = f"{self.kind}:{llm if isinstance(llm, str) else llm.name}"
        self.generator: Final[Recommender] = _policy(self.config.candidates)
        self._model: LanguageModel | None = None if isinstance(llm, str) else make_model(llm, record=self.config.record)
        self._perception: Perception | None = None

    @abstractmethod
    def think(self, views: list[View], pool: Slates, k: int, luck: Luck) -> list[Thought]:
        """Choose `k` items for each user. pool: items in the order of the candidates' generator ``[n, at least k]``.

        Raises LanguageModelError.
        """

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Fit the candidates' generator, and note how items are called. Raises what opening the model raises."""
        self.model  # noqa: B018 - who has none is told before anything is fitted
        self.generator.fit(dataset, split)
        self._perception = Perception(dataset, split)

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """Slates int64 ``[n, k]``. Raises ConfigError before `fit` and for slates larger than the catalogue, and LanguageModelError."""
        out = empty_slates(observations, self.perception.catalog)
        n, k = out.shape
        width = max(k, min(self.pool_size, len(self.perception.catalog)))
        wide = {name: _widened(values, width) if name in ("slate", "feedback") else values for name, values in observations.items()}
        pool = self.generator.recommend(wide, Luck(luck.stream(_CANDIDATES)))
        thoughts = self.think(self.perceived(observations), pool, k, luck) if n else []
        for row, thought in enumerate(thoughts):
            out[row] = completed(thought.items, pool[row].tolist(), k)
        self.reasons = [plain(thought.words, REASONING) for thought in thoughts]
        return out

    def rank(
        self, histories: NDArray[Any], candidates: Ints, *, profiles: NDArray[Any] | None = None, luck: Luck | None = None
    ) -> Ints:
        """Columns of the candidates ``[n, m]``, the best first: each row holds each column once.

        histories: items that the users liked, as index + 1, oldest first, 0 for padding ``[n, h]``. profiles: `Users.features` of them
        ``[n, p]``, None where nobody knows. Where a reply cannot be used, the candidates stay in the order in which they were given.
        """
        catalog = self.perception.catalog
        seen = ranked_observations(histories, candidates, catalog.features.shape[1], profiles)
        thoughts = self.think(self.perceived(seen), candidates, candidates.shape[1], luck or Luck(combine(0, np.arange(len(candidates)))))
        out = np.empty(candidates.shape, np.int64)
        for row, (thought, given) in enumerate(zip(thoughts, candidates.tolist(), strict=True)):
            columns = {item: column for column, item in reversed(list(enumerate(given)))}
            out[row] = completed((columns[item] for item in thought.items if item in columns), range(len(given)), len(given))
        self.reasons = [plain(thought.words, REASONING) for thought in thoughts]
        return out

    @property
    def model(self) -> LanguageModel:
        """The language model, opened when first asked for. Raises LanguageModelError, MissingExtra, UnknownName, ConfigError."""
        if self._model is None:
            self._model = make_model(self.config.llm, record=self.config.record, **self.config.llm_config)
        return self._model

    @property
    def perception(self) -> Perception:
        """How things are called. Raises ConfigError before `fit`."""
        if self._perception is None:
            raise ConfigError(f"policy {self.name!r} has learned nothing yet; call fit(dataset, split) first")
        return self._perception

    @property
    def pool_size(self) -> int:
        """Items that are taken from the generator."""
        return self.config.n_candidates

    def perceived(self, observations: Observations) -> list[View]:
        """The observations in words, one a row."""
        return self.perception.views(observations)

    def asked(
        self, prompts: list[Prompt], luck: Luck, *, schema: Schema, read: Callable[[str], T], question: int = 0, **facts: Any
    ) -> list[T | None]:
        """Ask about all users at once; None for a reply that cannot be used. question: parts the seeds of several in one turn.

        facts: what ``retry.j2`` gets beside `error`. Raises LanguageModelError.
        """
        seeds = Luck(luck.stream(_SEEDS + question)).bits(1 + self.config.retries)
        return self.asked_with((seeds >> np.uint64(33)).astype(np.int64), prompts, schema=schema, read=read, **facts)

    def asked_with(
        self, seeds: NDArray[np.int64], prompts: list[Prompt], *, schema: Schema, read: Callable[[str], T], **facts: Any
    ) -> list[T | None]:
        """`asked`, with the seeds of all tries ``[n, 1 + retries]``."""
        answers = ask(
            self.model,
            prompts,
            seeds,
            schema=schema,
            sampling=Sampling(max_tokens=self.config.max_tokens or longest_reply(schema), temperature=self.config.temperature),
            read=read,
            complaint=lambda error: self.prompts.render("retry.j2", error=error, **facts),
            ledger=self.ledger,
        )
        return [answer.reply for answer in answers]

    def report(self) -> dict[str, Any]:
        """What became of all replies so far, see `recoworld.llm.ledger.Ledger.report`, and whose they are.

        bent: rankings of which numbers had to be left out, since they were out of range or said twice.
        """
        return {"agent": self.kind, "llm": self.name.partition(":")[2], "prompts": self.prompts.version, **self.ledger.report()}

    def close(self) -> None:
        """Give back what the model holds."""
        if self._model is not None:
            self._model.close()


def _policy(candidates: str | Recommender) -> Recommender:
    if not isinstance(candidates, str):
        return candidates
    from recoworld.policies import make_policy  # which knows the agents

    return make_policy(candidates)


def _widened(values: NDArray[Any], width: int) -> NDArray[Any]:
    """Slots ``[n, k, ...]`` with empty ones behind them ``[n, width, ...]``."""
    room = [(0, 0), (0, width - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, room)
