"""The scored user: a language model says how likely each click is, and decodes nothing.

After a prefix that all items of a user share (who it is, how it feels, what the last list held) and one line for the item, the model scores
two replies, "I click" and "I skip"; the order of the slate does not matter. What it says is corrected twice. **Contextual calibration**
(Zhao et al. 2021, "Calibrate before use", arXiv 2102.09690): the same question is asked about an item without content, and what that gets
is subtracted, for it tells what the words of the prompt bring about by themselves. Then two numbers that a log can give
(`recoworld.simulators.assisted.scaling.calibrated`)::

    l(item) = log P("I click" | prefix, item) - log P("I skip" | prefix, item)
    z = offset + slope (l(item) - l("N/A")),    P(click | examined) = sigmoid(z)

z takes the place of the whole click logit of `recoworld.simulators.behavioral`; examination, watching, actions, the mindset, leaving and
speaking are that module's equations, under the same luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recoworld.catalog import Catalog
from recoworld.errors import LanguageModelError
from recoworld.instructions import compliance
from recoworld.llm.ledger import Ledger
from recoworld.llm.make import make_model
from recoworld.llm.model import LanguageModel, Likelihood, Prompt
from recoworld.luck import Luck
from recoworld.simulators.assisted.brief import AskedMindset, Brief, asked
from recoworld.simulators.assisted.config import AskedConfig
from recoworld.simulators.behavioral import BehavioralMindset, BehavioralSimulator
from recoworld.simulators.config import BehavioralConfig
from recoworld.simulators.taste import ArrayCache, Taste, fit_taste
from recoworld.text import quoted
from recoworld.types import Feedback, Floats, History, Ints, Mindset, Slates
from recoworld.users import Dataset, Split

REPLIES = ("I click", "I skip")
CONTENT_FREE = "N/A"
_COUNTED = ("calls", "replies", "valid_first", "filled", "valid_share", "filled_share", "scored_tokens")
_MOST = 15.0  # log-odds at most: a chance of exactly 0 or 1 is none


class ScoredConfig(AskedConfig):
    """Settings of the scored user, beside the behavioural coefficients, of which those of the click do nothing here."""

    slope: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Weight of what the model says."""
    offset: Annotated[float, Field(ge=-100, le=100)] = -0.9
    """Log-odds of a click where the model is indifferent: 28.8 % of the impressions that `BehavioralConfig` tells of were clicked."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Decided(BehavioralMindset):
    """A mindset that has the click's log-odds with it ``[n, k]``."""

    odds: Floats


class _People(BehavioralSimulator):
    """Behavioural users whose clicks somebody else has judged."""

    def _logits(self, mindset: BehavioralMindset, attraction: Floats, match: Floats, worn: Floats, met: NDArray[np.uint8]) -> Floats:
        assert isinstance(mindset, _Decided)  # made below
        return mindset.odds


class ScoredSimulator:
    """People of one data set whose clicks a language model judges. See the module's docstring."""

    name = "llm-score"

    def __init__(self, dataset: Dataset, taste: Taste, model: LanguageModel, config: ScoredConfig | None = None, *, seed: int = 0) -> None:
        """taste: of the stars that users feel. Raises ConfigError, MissingExtra without Jinja2."""
        self.config = config = config or ScoredConfig()
        self.dataset, self.taste, self.model, self.seed = dataset, taste, model, seed
        self.catalog: Catalog = dataset.catalog
        self.brief = Brief(dataset, prompts=config.prompts, history_items=config.history_items, seed=seed)
        self.ledger = Ledger("scored_tokens")
        self._people = _People(dataset.catalog, taste, BehavioralConfig.of(config.behavior), seed=seed)

    def begin(self, users: Ints, luck: Luck) -> AskedMindset:
        """As the behavioural user does."""
        return asked(self._people.begin(users, luck), np.zeros(len(users), np.bool_))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, AskedMindset]:
        """One slate ``[n, k]`` to each user, one batch of questions. Raises LanguageModelError; then nothing has happened."""
        if not isinstance(mindset, AskedMindset):
            raise TypeError(f"got a {type(mindset).__name__}; expected the AskedMindset that begin() returned")
        odds, here = np.zeros(slates.shape, np.float32), np.flatnonzero(~mindset.gone)
        if here.size:
            odds[here] = self.odds(mindset.take(here), history.take(here), slates[here])
        felt = {field.name: getattr(mindset, field.name) for field in fields(BehavioralMindset)}
        feedback, after = self._people.respond(_Decided(**felt, odds=odds), history, slates, luck)
        return feedback, asked(after, mindset.gone | feedback.left)

    def chances(self, mindset: BehavioralMindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """See `recoworld.types.Chooser`."""
        return np.asarray(1 / (1 + np.exp(-self.odds(mindset, history, slates))), np.float32)

    def stars(self, mindset: BehavioralMindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """See `recoworld.types.Rater`; the behavioural user's."""
        return self._people.stars(mindset, history, slates, luck)

    def odds(self, mindset: BehavioralMindset, history: History, slates: Slates) -> Floats:
        """Log-odds of a click on each item of the slates if it is examined ``[n, k]``. Raises LanguageModelError."""
        z = self.config.offset + self.config.slope * self.scores(mindset, history, slates)
        return np.clip(z, -_MOST, _MOST).astype(np.float32)

    def scores(self, mindset: BehavioralMindset, history: History, slates: Slates) -> NDArray[np.float64]:
        """What the model says of each item, corrected for what it says of none ``[n, k]``; all questions go in one batch, equal ones once.

        Raises LanguageModelError.
        """
        n, k = slates.shape
        asks: dict[tuple[str, str], int] = {}
        followed = compliance(history.standing, self.catalog, slates)
        places = np.empty((n, 1 + k), np.int64)  # of the item without content, and of the others
        for row in range(n):
            system = self.brief.system("judge.j2", int(history.users[row]))
            for slot, turn in enumerate(self._turns(mindset, history, slates, float(followed[row]), row)):
                places[row, slot] = asks.setdefault((system, turn), len(asks))
        prompts = [Prompt.of(turn, system=system) for system, turn in asks]
        replies = self.model.score(prompts, [REPLIES] * len(prompts))
        if len(replies) != len(prompts):
            raise LanguageModelError(f"{self.model.name}: got {len(replies)} answers to {len(prompts)} prompts; expected one each")
        said = np.array([any(math.isfinite(each.logprob) for each in reply) for reply in replies], np.bool_)[places[:, 1:]]
        for name, number in (("calls", len(replies)), ("replies", n * k), ("valid_first", int(said.sum())), ("filled", int((~said).sum()))):
            self.ledger.add(name, number)
        self.ledger.add("scored_tokens", sum(each.tokens for reply in replies for each in reply))
        leaning = np.array([_leaning(reply) for reply in replies])[places]
        return leaning[:, 1:] - leaning[:, :1]

    def report(self) -> dict[str, Any]:
        """Whose judgement it is, what became of all so far, and how it is corrected.

        calls: questions asked, equal ones of a batch once; replies: items judged; filled: those of which the model could say nothing;
        scored_tokens: tokens of the replies that were weighed. The rest as in `Ledger.report`.
        """
        counts = {name: value for name, value in self.ledger.report().items() if name in _COUNTED}
        numbers = {"slope": self.config.slope, "offset": self.config.offset}
        return {"llm": self.model.name, "prompts": self.brief.prompts.version, **counts, **numbers}

    def close(self) -> None:
        """Give back what the model holds."""
        self.model.close()

    def _turns(self, mindset: BehavioralMindset, history: History, slates: Slates, followed: float, row: int) -> list[str]:
        """The questions about no item, and about each of the slate: what they share first, the item last."""
        last, clicked, skipped = history.slate[row] - 1, history.response[row, :, 0] > 0, history.response[row, :, 5] > 0
        met_before = last >= 0  # none before the first slate
        shown = self.brief.shown(*(array[met_before].tolist() for array in (last, clicked | skipped, clicked)))
        facts = {**shown, **self.brief.moment(mindset, history.standing, followed, row)}
        slate, met = slates[row].tolist(), history.exposures[row, slates[row]].tolist()
        lines = [self.brief.items.line(item) + f"; met {times} x before" * (times > 0) for item, times in zip(slate, met, strict=True)]
        return [self.brief.prompts.render("choice.j2", item=line, **facts) for line in (quoted(CONTENT_FREE), *lines)]


def _leaning(reply: Sequence[Likelihood]) -> float:
    """Log-odds of a click; 0 where the model can say neither."""
    click, skip = (float(np.clip(np.nan_to_num(each.logprob, nan=-1e4), -1e4, 0)) for each in reply)
    return click - skip


def build(dataset: Dataset, split: Split, config: dict[str, Any] | None = None, *, cached: ArrayCache | None = None) -> ScoredSimulator:
    """The scored user of a data set; `config` overrides settings (`ScoredConfig`) and behavioural coefficients.

    Raises ConfigError, MissingExtra, LanguageModelError.
    """
    settings = ScoredConfig.of(config, "the scored user")
    taste = fit_taste(dataset, split, settings.behavior, cached=cached)
    return ScoredSimulator(dataset, taste, make_model(settings.llm, record=settings.record, **settings.llm_config), settings)
