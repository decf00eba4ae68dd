"""The settings of a text environment that are not the world's, and the policies that its tool `rank` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np

from recoworld.envs.text_words import system_text
from recoworld.errors import ConfigError, UnknownName
from recoworld.luck import Luck
from recoworld.registry import POLICIES
from recoworld.tools.toolbox import Toolbox
from recoworld.types import Observations, Recommender, Slates
from recoworld.users import Dataset, Split
from recoworld.world import World

_LARGE = 20_000  # items up to which EASE's matrix is a matter of seconds
POPULAR = "popular"
"""The fallback that needs no ranker."""


def quarter(text: str) -> int:
    """Tokens of a text where no tokenizer is at hand: a quarter of its characters, rounded up."""
    return -(-len(text) // 4)


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """How long an agent may think, and what is shown when it may no more."""

    tool_calls: int = 8
    """Calls of tools other than `recommend`, a turn."""
    wrong_replies: int = 3
    """Replies in a row that are no valid call: the last of them gets the fallback."""
    tokens: int = 30_000
    """Of the agent's replies and the tools' answers together, a session. Once they are gone, a reply that does not recommend gets the
    fallback at once."""
    count: Callable[[str], int] = quarter
    """How many tokens a text has, e.g. ``lambda text: len(tokenizer.encode(text))`` of the agent's own tokenizer."""
    fallback: str = POPULAR
    """ "popular": the best known items that the user has not met; or the name of a ranker."""

    def __post_init__(self) -> None:
        for name, low in (("tool_calls", 0), ("wrong_replies", 1), ("tokens", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ConfigError(f"{name}: got {value!r}; expected an integer from {low} on")
        if not callable(self.count):
            raise ConfigError(f"count: got {self.count!r}; expected a function that is given a text and returns its number of tokens")

    def counted(self, text: str) -> int:
        """Tokens of a text. Raises ConfigError where `count` gives no number."""
        number = self.count(text)
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
            raise ConfigError(f"count: got {repr(number)[:60]} for a text; expected a number of tokens, from 0 on")
        return int(number)

    def system(self, world: World, toolbox: Toolbox) -> str:
        """The first message. Raises UnknownName for a fallback that is no ranker."""
        if self.fallback != POPULAR and self.fallback not in toolbox.rankers:
            raise UnknownName("fallback", self.fallback, [POPULAR, *toolbox.rankers])
        budgets = {"calls": self.tool_calls, "wrong": self.wrong_replies, "tokens": self.tokens}
        return system_text(world, toolbox, **budgets, fallback=self.fallback)


class Late:
    """A registered policy that learns when it is first asked: most sessions of most agents never ask."""

    def __init__(self, name: str, dataset: Dataset, split: Split) -> None:
        """Raises UnknownName, and ConfigError for a policy that is shown the world."""
        self.name, self._data, self._lock = name, (dataset, split), Lock()
        self._policy: Recommender = POLICIES[name]()
        if hasattr(self._policy, "attach"):
            raise ConfigError(f"rankers: {name!r} reads what is hidden of a user; expected a policy that sees what an agent may see")
        self._fitted = False

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Learn now."""
        with self._lock:
            if not self._fitted:
                self._policy.fit(dataset, split)
                self._fitted = True

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """Slates ``[n, k]``."""
        self.fit(*self._data)
        return self._policy.recommend(observations, luck)


_FITTED: dict[tuple[str, int, int], tuple[Dataset, Split, Late]] = {}  # by name and identity of the data, which are kept with it


def rankers_of(world: World, rankers: Mapping[str, Recommender] | Iterable[str] | None) -> dict[str, Recommender]:
    """The policies by name: those that are given fitted, and registered ones, which worlds of the same data share.

    None: "ease", or "popularity" where the catalogue is too large for it. Raises UnknownName, ConfigError.
    """
    if rankers is None:
        rankers = ("ease",) if len(world.catalog) <= _LARGE else ("popularity",)
    if isinstance(rankers, Mapping):
        return dict(rankers)
    if isinstance(rankers, str):
        raise ConfigError(f"rankers: got {rankers!r}; expected a list of names, such as [{rankers!r}], or fitted policies by name")
    out: dict[str, Recommender] = {}
    for name in rankers:
        key = (name, id(world.dataset), id(world.split))
        if key not in _FITTED:
            if len(_FITTED) >= 8:
                _FITTED.pop(next(iter(_FITTED)))
            _FITTED[key] = (world.dataset, world.split, Late(name, world.dataset, world.split))
        out[name] = _FITTED[key][2]
    return out
