"""What travels between the processes that share a language model: calls, answers and failures."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recoworld.errors import CacheUnwritable, ConfigError, LanguageModelError, RecoWorldError, UnknownName
from recoworld.llm.model import Prompt, Sampling, Schema

DEFAULT = Sampling()


@dataclass(frozen=True, kw_only=True)
class Call:
    """What one caller wants: replies to its prompts, or likelihoods where there are `continuations`."""

    prompts: tuple[Prompt, ...]
    continuations: tuple[tuple[str, ...], ...] | None = None
    schema: Schema | None = None
    sampling: Sampling = DEFAULT

    @cached_property
    def kind(self) -> str:
        """Calls of one kind may share a batch. The order of a schema's properties counts."""
        if self.continuations is not None:
            return "score"
        return f"{json.dumps(self.schema, default=dict)} {self.sampling}"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error on its way between processes: others' exceptions may not be picklable, and their classes may not be there."""

    error: type[Exception] = LanguageModelError
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What a caller is told of it."""
        for known in (LanguageModelError, ConfigError, CacheUnwritable):
            if isinstance(error, known):
                return cls(error=known, message=str(error))
        if isinstance(error, UnknownName):
            return cls(error=ConfigError, message=str(error))
        if isinstance(error, RecoWorldError):
            return cls(message=str(error))
        place = "".join(f" (in {frame.name}, {frame.filename}:{frame.lineno})" for frame in traceback.extract_tb(error.__traceback__)[-1:])
        return cls(message=f"the language model raised {type(error).__name__}: {error}{place}")

    def raised(self) -> Exception:
        """The exception again."""
        return self.error(self.message)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The replies to a call by the place of their prompt; after a failure, those that came before."""

    replies: dict[int, Any]
    failure: Failure | None = None
