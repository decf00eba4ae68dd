"""RecoWorld: a simulated world and RL gym for agentic recommenders."""

from recoworld import plugin
from recoworld.version import __version__

__all__ = ["__version__"]

plugin.install()
