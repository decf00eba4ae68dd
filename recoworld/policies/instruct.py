"""A recommender that does as it is told: any scorer, re-ranked by the instruction in force."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError
from recoworld.instructions import matches
from recoworld.luck import Luck
from recoworld.policies.diversity import diverse_top
from recoworld.policies.ease import EASE
from recoworld.policies.params import real
from recoworld.policies.scoring import MET, Scorer, chunks, demote_met, empty_slates
from recoworld.types import Bools, Floats, Instruction, Kind, Observations, Slates
from recoworld.users import Dataset, Split


class InstructionFollowing:
    """Shows the base's best slate among those that obey the instruction.

    | kind | matching items in a slate of k |
    |---|---|
    | more, different, surprise | at least k // 2 + 1, one more than a half |
    | only | all |
    | less | at most one (none if k = 1) |
    | avoid | none |

    Within these bounds as many match as in the base's own slate. Both sorts are taken in order of the base's score. Where matches are
    wanted they are spread evenly from the first slot on (before all others, for only); else the slate is in order of score. An item
    already met is never shown while an unmet one is left, even if the instruction then cannot be obeyed in full.
    """

    def __init__(self, base: Scorer, *, diversity: float = 0.0) -> None:
        """diversity: weight in [0, 1) of variety against score (`recoworld.policies.diversity`), so that no genre fills the slate;
        0 leaves it to the base. Raises ConfigError for a base that does not score items.
        """
        given: object = base
        if not isinstance(given, Scorer):
            name = getattr(given, "name", given)
            raise ConfigError(f"only a policy that scores all items can be instructed; got {name!r}, expected a Scorer such as EASE()")
        self.base: Final = base
        self.diversity: Final = real("diversity", diversity, 0.0, 0.99)
        self.name = f"{base.name}+instruct"

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Fit the base."""
        self.base.fit(dataset, split)

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """Slates ``[n, k]``. Raises ConfigError as `Scorer.recommend` does."""
        catalog = self.base.catalog
        out = empty_slates(observations, catalog)
        k = out.shape[1]
        for rows in chunks(len(out), len(catalog)):
            part = {key: value[rows] for key, value in observations.items()}
            scores = demote_met(self.base.scores(part), part["history"])
            out[rows] = slates = self._best(scores, k)
            told = np.flatnonzero(part["instruction_code"][:, 0])
            if told.size:
                said = instructions_of(part["instruction_code"][told])
                out[told + rows.start] = self._obeying(said, scores[told], slates[told])
        return out

    def _obeying(self, said: Instruction, scores: Floats, slates: Slates) -> Slates:
        """For `n` instructions, scores ``[n, n_items]`` and the base's own slates ``[n, k]``: the slates that obey ``[n, k]``."""
        k = slates.shape[1]
        fits = matches(said, self.base.catalog)
        fitting, other = self._best(np.where(fits, scores, -np.inf), k), self._best(np.where(fits, -np.inf, scores), k)
        share = _matching(said, fits, scores, np.take_along_axis(fits, slates, axis=1).sum(axis=1), k)[:, None]
        wanted = ~np.isin(said.kind, [Kind.LESS, Kind.AVOID])[:, None]
        place = np.arange(k, dtype=np.float32)
        # matches at 0, 1/m, 2/m, ..., the others half a step into 1/(k - m): evenly spread, a match first
        first = np.where(wanted, place / np.maximum(share, 1), -np.take_along_axis(scores, fitting, axis=1))
        second = (place + 0.5) / np.maximum(k - share, 1) + (said.kind == Kind.ONLY)[:, None]
        second = np.where(wanted, second, -np.take_along_axis(scores, other, axis=1))
        keys = np.concatenate([np.where(place < share, first, np.inf), np.where(place < k - share, second, np.inf)], axis=1)
        order = np.argsort(keys, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(np.concatenate([fitting, other], axis=1), order, axis=1)

    def _best(self, scores: Floats, k: int) -> Slates:
        return diverse_top(scores, self.base.catalog.features, k, self.diversity) if self.diversity else self.base.best(scores, k)


def instructed_ease() -> InstructionFollowing:
    """EASE that follows instructions: the strongest of the built-in policies."""
    return InstructionFollowing(EASE())


def instructions_of(code: NDArray[np.int32]) -> Instruction:
    """The instructions in observations' `instruction_code` ``[n, 4]``; how they were phrased is not in it."""
    kind, aspect = code[:, 0].astype(np.int8), code[:, 1].astype(np.int8)
    return Instruction(kind=kind, aspect=aspect, value=code[:, 2].astype(np.int32), phrasing=np.zeros(len(code), np.uint32))


def _matching(said: Instruction, fits: Bools, scores: Floats, natural: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """How many of `k` slots should match ``[n]``, where `natural` of them do in the base's own slate."""
    least, most = np.full(len(Kind), k // 2 + 1), np.full(len(Kind), k)
    least[Kind.ONLY], least[[Kind.LESS, Kind.AVOID]] = k, 0
    most[Kind.LESS], most[Kind.AVOID] = min(1, k // 2), 0
    unmet = scores > MET
    fitting, other = (unmet & fits).sum(axis=1), (unmet & ~fits).sum(axis=1)
    share = np.clip(natural, least[said.kind], most[said.kind])
    # too few unmet items of one sort: the other sort makes up for it
    share = np.minimum(share, np.maximum(fitting, natural))
    return np.asarray(np.maximum(share, k - np.maximum(other, k - natural)), np.int64)
