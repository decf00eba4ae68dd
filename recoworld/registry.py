"""Names of components, each bound to a lazily imported ``module:attribute``. The one line that enrols a component is here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from recoworld.errors import ConfigError, RecoWorldError, UnknownName


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
        """The component; a ``"module:attribute"`` that is not registered is imported as it stands. Raises UnknownName, ConfigError."""
        target = self._entries.get(name)
        if target is None:
            if name.count(":") != 1:
                raise UnknownName(self.kind, name, self._entries)
            return self._imported(*name.split(":"))
        module, attribute = target.split(":")
        return getattr(import_module(module), attribute)

    def _imported(self, module: str, attribute: str) -> Any:
        """Somebody else's: whatever goes wrong is said with its cause."""
        name = f"{self.kind} {module + ':' + attribute!r}"
        if module.endswith(".py"):
            dotted = module.removesuffix(".py").removeprefix("./").replace("/", ".")
            raise ConfigError(f"{name}: a module is named without .py: {dotted}:{attribute}")
        try:
            there = import_module(module)
        except RecoWorldError:
            raise
        except Exception as error:
            cause = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
            absent = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
            hint = "; expected an installed module, or one in the current folder" if absent else ""
            raise ConfigError(f"{name}: cannot import {module!r}: {cause}{hint}") from error
        if hasattr(there, attribute):
            return getattr(there, attribute)
        own = [key for key, value in vars(there).items() if not key.startswith("_") and getattr(value, "__module__", None) == module]
        raise ConfigError(f"{name}: module {module!r} has no attribute {attribute!r}; it has: {', '.join(sorted(own)[:12]) or 'none'}")

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
        "amazon-cds": "recoworld.datasets.amazon:load",
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

SIMULATORS = Registry(
    "simulator",
    {
        "behavioral": "recoworld.simulators.behavioral:build",
        "distilled": "recoworld.simulators.distilled.simulator:build",
        "hybrid": "recoworld.simulators.assisted.hybrid:build",
        "llm": "recoworld.simulators.llm:build",
        "llm-score": "recoworld.simulators.assisted.scored:build",
    },
)
"""Functions ``build(dataset, split, config: dict) -> UserSimulator``."""

LANGUAGE_MODELS = Registry(
    "language model",
    {
        "local": "recoworld.llm.local:open_local",
        "openai": "recoworld.llm.http:open_openai",
        "openvino": "recoworld.llm.openvino:open_openvino",
        "ray": "recoworld.training.shared_model:open_shared",
        "replay": "recoworld.llm.record:open_replay",
        "scripted": "recoworld.llm.scripted:open_scripted",
        "transformers": "recoworld.llm.transformers:open_transformers",
        "vllm": "recoworld.llm.vllm:open_vllm",
    },
)
"""Functions ``open(what: str, **settings) -> LanguageModel``; `what` stands behind the colon in "openai:gpt-4o-mini", if any."""

POLICIES = Registry(
    "policy",
    {
        "random": "recoworld.policies.baselines:Random",
        "popularity": "recoworld.policies.baselines:Popularity",
        "genre": "recoworld.policies.genre:GenreMatch",
        "item-knn": "recoworld.policies.knn:ItemKNN",
        "ease": "recoworld.policies.ease:EASE",
        "als": "recoworld.policies.als:ALS",
        "ials": "recoworld.policies.ials:IALS",
        "bpr": "recoworld.policies.sequential.bpr:BPR",
        "gru4rec": "recoworld.policies.sequential.gru4rec:GRU4Rec",
        "sasrec": "recoworld.policies.sequential.sasrec:SASRec",
        "ease+instruct": "recoworld.policies.instruct:instructed_ease",
        "oracle": "recoworld.policies.oracle:Oracle",
    },
)
"""Classes or functions without required arguments that make a `Recommender`."""
SLOW = ("bpr", "gru4rec", "sasrec")
"""Those that learn for minutes: "all" leaves them out."""

AGENTS = Registry(
    "agent",
    {
        "llmrank": "recoworld.policies.agents.llmrank:LLMRank",
        "react": "recoworld.policies.agents.react:ReAct",
        "starec": "recoworld.policies.agents.starec:STARec",
        "toolrec": "recoworld.policies.agents.toolrec:ToolRec",
    },
)
"""Classes ``Agent(*, llm="local", **settings)``, a `Recommender` that asks a language model: "starec", or "starec:openai:gpt-4o-mini"."""

ALGORITHMS = Registry(
    "training algorithm",
    {
        "ppo": "recoworld.training.stock:PPO",
        "appo": "recoworld.training.stock:APPO",
        "impala": "recoworld.training.stock:IMPALA",
        "sac": "recoworld.training.stock:SAC",
        "dqn": "recoworld.training.stock:DQN",
        "slate-ppo": "recoworld.training.slate_ppo:PPO",
        "slate-reinforce": "recoworld.training.reinforce:REINFORCE",
        "slate-q": "recoworld.training.slate_q:SLATE_Q",
        "slate-search": "recoworld.training.slate_search:SEARCH",
        "sqn": "recoworld.training.sqn:SQN",
        "bc": "recoworld.training.offline:BC",
        "cql": "recoworld.training.offline:CQL",
    },
)
"""`recoworld.training.algorithm.Algorithm`: what `recoworld train` can launch; needs the extra `rllib`."""
