"""Names of components, each bound to a lazily imported ``module:attribute``. The one line that enrols a component is here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from recoworld.errors import ConfigError, UnknownName


class Registry:
    """Names bound to ``"module:attribute"`` strings, imported when first asked for."""

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries = entries

    def register(self, name: str, target: str) -> None:
        """Bind a name, e.g. ``POLICIES.register("mine", "my_package.policy:MyPolicy")``. Raises ConfigError for a bad target."""
        if target.count(":") != 1:
            raise ConfigError(f"cannot register {self.kind} {name!r} as {target!r}: expected 'module:attribute'")
        self._entries[name] = target

    def __getitem__(self, name: str) -> Any:
        """The component; a ``"module:attribute"`` that is not registered is imported as it stands. Raises UnknownName."""
        target = self._entries.get(name) or (name if name.count(":") == 1 else None)
        if target is None:
            raise UnknownName(self.kind, name, self._entries)
        module, attribute = target.split(":")
        try:
            return getattr(import_module(module), attribute)
        except (ModuleNotFoundError, AttributeError, ValueError) as error:
            if name in self._entries:
                raise
            raise UnknownName(self.kind, name, self._entries) from error

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))


DATASETS = Registry(
    "data set",
    {
        "mini": "recoworld.datasets.mini:load",
        "ml-1m": "recoworld.datasets.movielens:load_1m",
        "ml-100k": "recoworld.datasets.movielens:load_100k",
        "recbole": "recoworld.datasets.recbole:load",
        "kuairec": "recoworld.datasets.kuairec:load",
        "kuairand": "recoworld.datasets.kuairand:load",
        "open-bandit": "recoworld.datasets.open_bandit:load",
        "coat": "recoworld.datasets.coat:load",
        "yahoo-r3": "recoworld.datasets.yahoo_r3:load",
    },
)
"""Functions ``load(*, data_dir: str | None = None) -> Dataset``; a user's own imported logs are found beside them."""

CORPORA = Registry(
    "corpus of dialogues",
    {
        "inspired": "recoworld.datasets.inspired:load",
        "redial": "recoworld.datasets.redial:load",
        "uss": "recoworld.datasets.uss:load",
        "uss-ccpe": "recoworld.datasets.uss:load_ccpe",
        "uss-jddc": "recoworld.datasets.uss:load_jddc",
        "uss-mwoz": "recoworld.datasets.uss:load_mwoz",
        "uss-redial": "recoworld.datasets.uss:load_redial",
        "uss-sgd": "recoworld.datasets.uss:load_sgd",
    },
)
"""Functions ``load(*, data_dir: str | None = None) -> Corpus``."""

SIMULATORS = Registry("simulator", {"behavioral": "recoworld.simulators.behavioral:build"})
"""Functions ``build(dataset, split, config: dict) -> UserSimulator``."""

POLICIES = Registry(
    "policy",
    {
        "random": "recoworld.policies.baselines:Random",
        "popularity": "recoworld.policies.baselines:Popularity",
        "genre": "recoworld.policies.genre:GenreMatch",
        "item-knn": "recoworld.policies.knn:ItemKNN",
        "ease": "recoworld.policies.ease:EASE",
        "als": "recoworld.policies.als:ALS",
        "ease+instruct": "recoworld.policies.instruct:instructed_ease",
        "oracle": "recoworld.policies.oracle:Oracle",
    },
)
"""Classes or functions without required arguments that make a `Recommender`."""
