"""Recommenders, one family a file, and the words by which they are called."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec

from recoworld.errors import ConfigError, UnknownName
from recoworld.policies import rllib
from recoworld.policies.agents import agent_of
from recoworld.policies.instruct import InstructionFollowing
from recoworld.policies.scoring import Scorer
from recoworld.registry import AGENTS, POLICIES
from recoworld.types import Recommender

INSTRUCT = "+instruct"


def make_policy(spec: str) -> Recommender:
    """The policy that a name stands for, not fitted yet.

        make_policy("ease")                   # registered
        make_policy("als+instruct")           # any policy that scores items, made to follow instructions
        make_policy("rllib:runs/first")       # what `recoworld train --out runs/first` has trained
        make_policy("starec:openai:MODEL")    # an agent that asks a language model; "starec" alone asks the local one
        make_policy("my_package.mine:Mine")   # a class or function without required arguments

    Raises UnknownName, which says what is near, ConfigError for what cannot be made or instructed, and MissingExtra.
    """
    if not isinstance(spec, str):
        raise ConfigError(f"policy: got {spec!r}; expected a name such as 'ease', 'ease+instruct' or 'module:Class'")
    if spec.startswith(rllib.PREFIX):
        return rllib.trained(spec)
    if spec.partition(":")[0] in AGENTS:
        return agent_of(spec)
    if spec in POLICIES or not spec.endswith(INSTRUCT):
        return _made(spec)
    name = spec.removesuffix(INSTRUCT)
    base = agent_of(name) if name in AGENTS else _made(name)
    if not isinstance(base, Scorer):
        raise ConfigError(
            f"policy {spec!r}: {base.name!r} does not score items, so its slates cannot be re-ranked; "
            f"expected a base such as 'ease{INSTRUCT}' or another subclass of recoworld.policies.scoring.Scorer"
        )
    return InstructionFollowing(base)


def _made(spec: str) -> Recommender:
    if spec not in POLICIES and spec.count(":") != 1:
        base = spec.partition("+")[0]
        raise UnknownName("policy", spec, {*POLICIES, *AGENTS, *([f"{base}{INSTRUCT}"] if base in POLICIES else [])})
    head = spec.partition(":")[0]
    near = head.isidentifier() and get_close_matches(head, AGENTS, cutoff=0.7)
    if spec not in POLICIES and near and find_spec(head) is None:
        raise UnknownName(AGENTS.kind, head, AGENTS)
    factory = POLICIES[spec]
    try:
        policy = factory()
    except TypeError as error:
        raise ConfigError(f"policy {spec!r} cannot be made: {error}; expected a class or function without required arguments") from error
    if not isinstance(policy, Recommender):
        made = type(policy).__name__
        raise ConfigError(f"policy {spec!r} made a {made}; expected name, fit(dataset, split) and recommend(observations, luck)")
    return policy
