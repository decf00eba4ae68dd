"""Conformance suites to subclass in your own tests: what RecoWorld's own components are held to."""

from recoworld.testing.datasets import DatasetTests
from recoworld.testing.envs import EnvTests
from recoworld.testing.language_models import LanguageModelTests
from recoworld.testing.recommenders import RecommenderTests
from recoworld.testing.simulators import SimulatorTests
from recoworld.testing.text_envs import TextEnvTests

__all__ = ["DatasetTests", "EnvTests", "LanguageModelTests", "RecommenderTests", "SimulatorTests", "TextEnvTests"]
