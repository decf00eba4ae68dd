"""Training with RLlib: launches by name, slate-aware algorithms, and what stock algorithms need to see a slate environment."""

from __future__ import annotations
