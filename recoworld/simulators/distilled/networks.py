"""A small network in NumPy: one hidden layer beside a straight way through, for odds or for numbers.

``y = b + W x + V tanh(U x + c)`` with x standardised; ``odds`` outputs are log-odds fitted by log-loss, others numbers by squared error.
Fitted by Adam (Kingma & Ba 2015) with its customary constants on minibatches, the rate falling to zero, under a normal prior on
the weights of variance 1/3; without hidden units it is (logistic) regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.types import Floats

Doubles = NDArray[np.float64]
ARRAYS = ("centre", "scale", "hidden", "hidden_bias", "top", "straight", "bias")
_BATCH, _RATE, _PRIOR = 256, 0.02, 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Net:
    """`f` inputs, `h` hidden units, `m` outputs."""

    centre: Floats
    """Mean of the inputs ``[f]``; likewise their spread."""
    scale: Floats
    hidden: Floats
    """U ``[f, h]``; then c ``[h]``, V ``[h, m]``, W ``[f, m]``, b ``[m]``."""
    hidden_bias: Floats
    top: Floats
    straight: Floats
    bias: Floats

    def __post_init__(self) -> None:
        f, h = self.hidden.shape if self.hidden.ndim == 2 else (-1, -1)
        m = len(self.bias)
        shapes = {"centre": (f,), "scale": (f,), "hidden_bias": (h,), "top": (h, m), "straight": (f, m), "bias": (m,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ConfigError(f"network: {name} has shape {getattr(self, name).shape}; expected {shape}")
        for name in ARRAYS:
            if not np.isfinite(getattr(self, name)).all() or getattr(self, name).dtype != np.float32:
                raise ConfigError(f"network: {name} is {getattr(self, name).dtype}; expected finite float32")

    def __call__(self, x: Floats) -> Floats:
        """Outputs ``[n, k, m]`` of inputs ``[n, k, f]``: a product a user, so that none depends on the batch."""
        x = np.ascontiguousarray((x - self.centre) / self.scale)
        return self.bias + np.matmul(x, self.straight) + np.matmul(np.tanh(np.matmul(x, self.hidden) + self.hidden_bias), self.top)


def fit(x: NDArray[Any], y: NDArray[Any], *, odds: bool, hidden: int, steps: int, seed: int) -> Net:
    """Fit a network to inputs ``[r, f]`` and wanted outputs ``[r, m]`` (0 or 1 for odds); one half throughout where there are no cases."""
    if not len(x):
        x, y = np.zeros((1, x.shape[1])), np.full((1, y.shape[1]), 0.5)
    rng = np.random.Generator(np.random.PCG64(seed))
    (r, f), m = x.shape, y.shape[1]
    centre, spread = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-6, spread, 1.0)
    z, y = (x - centre) / scale, y.astype(np.float64)
    mean = y.mean(axis=0)
    rate = (y.sum(axis=0) + 0.5) / (r + 1)  # half a case more: a rate of 0 does not mean never
    weights: dict[str, Doubles] = {
        "hidden": rng.normal(0, 1 / np.sqrt(f), (f, hidden)),
        "hidden_bias": np.zeros(hidden),
        "top": np.zeros((hidden, m)),
        "straight": np.zeros((f, m)),
        "bias": np.log(rate / (1 - rate)) if odds else mean,
    }
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    for step in range(1, steps + 1):
        rows, pace = rng.integers(r, size=_BATCH), _RATE * (1 - (step - 1) / steps)
        for name, slope in _gradient(weights, z[rows], y[rows], odds).items():
            slope = slope + _PRIOR / r * weights[name] * (name != "bias")
            first[name] += 0.1 * (slope - first[name])
            second[name] += 0.001 * (slope**2 - second[name])
            weights[name] -= pace * (first[name] / (1 - 0.9**step)) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
    return net_of({"centre": centre, "scale": scale, **weights})


def _gradient(weights: Mapping[str, Doubles], x: Doubles, y: Doubles, odds: bool) -> dict[str, Doubles]:
    """Of the mean loss; the loss's slope in the outputs is the same for both kinds."""
    inner = np.tanh(x @ weights["hidden"] + weights["hidden_bias"])
    out = weights["bias"] + x @ weights["straight"] + inner @ weights["top"]
    slope = ((1 / (1 + np.exp(-np.clip(out, -30, 30))) if odds else out) - y) / len(x)
    back = (slope @ weights["top"].T) * (1 - inner**2)
    return {
        "hidden": x.T @ back,
        "hidden_bias": back.sum(axis=0),
        "top": inner.T @ slope,
        "straight": x.T @ slope,
        "bias": slope.sum(axis=0),
    }


def net_of(arrays: Mapping[str, NDArray[Any]]) -> Net:
    """The network that has these `ARRAYS`. Raises ConfigError."""
    if absent := [name for name in ARRAYS if name not in arrays]:
        raise ConfigError(f"network: {', '.join(absent)} is missing; expected {', '.join(ARRAYS)}")
    return Net(**{name: np.asarray(arrays[name], np.float32) for name in ARRAYS})


def log_loss(odds: NDArray[Any], happened: NDArray[Any]) -> float:
    """Mean of -log of the probability of what happened, in nats."""
    signed = np.where(happened, odds, -odds.astype(np.float64))
    return float(np.mean(np.logaddexp(0, -signed)))


def base_loss(happened: NDArray[Any], rate: NDArray[Any]) -> float:
    """The same for probabilities ``[m]``, strictly between 0 and 1, that are the same for all cases ``[r, m]``."""
    return log_loss(np.broadcast_to(np.log(rate / (1 - rate)), happened.shape), happened)
