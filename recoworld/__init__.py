"""RecoWorld: a simulated world and RL gym for agentic recommenders."""

from recoworld import plugin

__version__ = "0.1.0"

plugin.install()
