"""Conformance suites to subclass in your own tests: what RecoWorld's own components are held to."""

from recoworld.testing.datasets import DatasetTests

__all__ = ["DatasetTests"]
