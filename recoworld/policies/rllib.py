"""Policies that `recoworld train` has trained, by the folder that it left: ``make_policy("rllib:DIR")``."""

from __future__ import annotations

from importlib import import_module

from recoworld.errors import ConfigError, MissingExtra
from recoworld.types import Recommender

PREFIX = "rllib:"


def trained(spec: str) -> Recommender:
    """The policy in DIR or DIR/policy, for "rllib:DIR". Raises MissingExtra without Ray and torch, ConfigError for what is no policy."""
    folder = spec.removeprefix(PREFIX)
    if not folder:
        raise ConfigError(f"policy {spec!r}: no folder is named; expected {PREFIX}DIR, where DIR is the folder of a `recoworld train`")
    try:
        import_module("ray.rllib")
        import_module("torch")
    except ImportError as error:
        raise MissingExtra("ray[rllib] and torch", "rllib", f"policy {spec!r}") from error
    return import_module("recoworld.training.serving").load(folder)  # training may import policies, not the other way round
