"""The upper bound: a policy that reads the user's mind. For comparison alone; no real recommender can do this."""

from __future__ import annotations

import numpy as np

from recoworld.errors import ConfigError
from recoworld.instructions import compliance, matches
from recoworld.luck import Luck
from recoworld.types import Kind, Observations, Slates
from recoworld.users import Dataset, Split
from recoworld.world import World


class Oracle:
    """Greedy on the simulator's own expectation (`appeal`: probability of a click times share watched), spread over contents.

    The slate is built slot by slot: an item's value is its appeal less what the content already on the slate will take from it through
    satiation (maximal marginal relevance, Carbonell & Goldstein 1998). An instruction in force is obeyed. Not the optimum over sessions:
    it looks one slate ahead.
    """

    name = "oracle"
    privileged = True
    """Reads the hidden mindset: `attach` must be called with the world before each session."""

    def __init__(self, *, spread: float = 0.12, pool: int = 200) -> None:
        """spread: appeal given up per unit of mean cosine with the slate so far. pool: most appealing items considered."""
        if not (spread >= 0 and pool >= 1):
            raise ConfigError(f"oracle: got spread={spread}, pool={pool}; expected spread >= 0 and pool >= 1")
        self.spread, self.pool = spread, pool
        self._world: World | None = None

    def attach(self, world: World) -> None:
        """Look into this world. Raises ConfigError for a simulator that has no `appeal`."""
        if not hasattr(world.simulator, "appeal"):
            raise ConfigError(f"the oracle needs a simulator with appeal(mindset, history); {type(world.simulator).__name__} has none")
        self._world = world

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Nothing to learn."""

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """Slates int64 ``[n, k]``. Raises ConfigError before `attach`."""
        if self._world is None:
            raise ConfigError("the oracle reads the world: call attach(world) first")
        world = self._world
        state, k = world.state, world.slate_size
        appeal = world.simulator.appeal(state.mindset, state.history)  # type: ignore[attr-defined]  # checked in attach
        standing = state.history.standing
        rows = np.flatnonzero(standing.kind)
        if rows.size:
            fit = matches(standing.take(rows), world.catalog)
            unwanted = np.isin(standing.kind[rows], [Kind.LESS, Kind.AVOID])[:, None]
            whole = (standing.kind[rows] == Kind.ONLY)[:, None]
            appeal[rows] += np.where(fit, np.where(unwanted, -1.0, np.where(whole, 1.0, 0.15)), 0.0).astype(np.float32)
        pool = min(max(self.pool, k), appeal.shape[1])
        best = np.argpartition(-appeal, pool - 1, axis=1)[:, :pool]
        best.sort(axis=1)
        value = np.take_along_axis(appeal, best, axis=1)
        x = world.catalog.features[best]  # [n, pool, d]
        row = np.arange(len(best))
        out = np.empty((len(best), k), np.int64)
        together = np.zeros((len(best), x.shape[2]), np.float32)
        for slot in range(k):
            likeness = np.matmul(x, together[:, :, None])[:, :, 0] / np.float32(max(slot, 1))
            chosen = np.argmax(value - np.float32(self.spread) * likeness, axis=1)
            out[:, slot] = best[row, chosen]
            together += x[row, chosen]
            value[row, chosen] = -np.inf
        return self._obedient(out, appeal, rows)

    def _obedient(self, slates: Slates, appeal: np.ndarray, rows: np.ndarray) -> Slates:
        """Fill the slates of users who asked for something with their most appealing fitting items until the request is met."""
        assert self._world is not None
        standing, catalog = self._world.state.history.standing, self._world.catalog
        if not rows.size:
            return slates
        met = compliance(standing.take(rows), catalog, slates[rows])
        for row in rows[met < 1]:
            fit = matches(standing.take(np.array([row])), catalog)[0]
            if standing.kind[row] in (Kind.LESS, Kind.AVOID):
                fit = ~fit
            ranked = np.argsort(-np.where(fit, appeal[row], -np.inf))[: int(fit.sum())]
            kept = [item for item in slates[row] if fit[item]]
            spare = [item for item in ranked[: 2 * slates.shape[1]] if item not in set(kept)]
            wanted = slates.shape[1] if standing.kind[row] in (Kind.ONLY, Kind.AVOID) else (slates.shape[1] + 1) // 2
            while len(kept) < wanted and spare:
                kept.append(spare.pop(0))
            rest = [item for item in slates[row] if item not in set(kept)]
            slates[row] = (kept + rest)[: slates.shape[1]]
        return slates
