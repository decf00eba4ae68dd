"""Users who think in words: a language model goes through each slate item by item (RecoWorld's blueprint)."""

from __future__ import annotations

from typing import Any

from recoworld.simulators.llm.config import LLMUserConfig
from recoworld.simulators.llm.simulator import LLMSimulator
from recoworld.simulators.taste import ArrayCache
from recoworld.users import Dataset, Split

__all__ = ["LLMSimulator", "LLMUserConfig", "build"]


def build(dataset: Dataset, split: Split, config: dict[str, Any] | None = None, *, cached: ArrayCache | None = None) -> LLMSimulator:
    """The language-model user of a data set; `config` overrides settings (`LLMUserConfig`). Nothing is fitted, so nothing is cached.

    Raises ConfigError, MissingExtra, LanguageModelError.
    """
    from recoworld.llm.make import make_model

    settings = LLMUserConfig.of(config)
    model = make_model(settings.llm, record=settings.record, **settings.llm_config)
    return LLMSimulator(dataset, model, settings)
