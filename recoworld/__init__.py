"""RecoWorld: a simulated world and RL gym for agentic recommenders."""

__version__ = "0.1.0"
