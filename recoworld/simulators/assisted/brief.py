"""What behavioural users tell a language model of themselves, in short prompts, and who of them is gone.

The templates are in ``llm/prompts/brief-v1``, loaded by `recoworld.llm.prompts.Prompts`, which may replace any of them:

| file | is | gets |
|---|---|---|
| words.j2, judge.j2 | the task of `hybrid` and of `scored`, and who the user is | person (`recoworld.simulators.llm.people.Person`) |
| say.j2 | what was shown and done, and what must be said | slots, meaning, subject, max_words, and the facts below |
| again.j2 | what was wrong with the last reply | error, meaning |
| choice.j2 | one item of a list | item, and the facts below |
| person.j2, moment.j2 | parts of the others | |

Facts: clicked and passed (titles), feelings, wants, after, asked, followed; all texts are cleaned and quoted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.catalog import NO_GENRE
from recoworld.instructions import sentence
from recoworld.llm.items import ItemWords
from recoworld.llm.prompts import Prompts
from recoworld.llm.words import NAME
from recoworld.simulators.behavioral import BehavioralMindset
from recoworld.simulators.llm.people import People
from recoworld.simulators.llm.prompts import PACKAGE
from recoworld.simulators.llm.words import feelings, heard
from recoworld.text import clean, quoted
from recoworld.types import Bools, Instruction, Mindset
from recoworld.users import Dataset

VERSION = "brief-v1"
FILES = ("words.j2", "say.j2", "again.j2", "judge.j2", "choice.j2", "person.j2", "moment.j2")
_NAMED = 5  # titles passed over that are told
_WANTED = 0.1  # interest in a genre from which on it is told


@dataclass(frozen=True, kw_only=True, eq=False)
class AskedMindset(BehavioralMindset):
    """A `BehavioralMindset` that knows whether its user is still there: a vector environment steps sessions that are over once more."""

    gone: Bools
    """Who has left ``[n]``: the model is not asked about them any more."""


def asked(mindset: BehavioralMindset, gone: Bools) -> AskedMindset:
    """The mindset, and who is gone."""
    return AskedMindset(**{field.name: getattr(mindset, field.name) for field in fields(BehavioralMindset)}, gone=gone)


class Brief:
    """Facts and templates for the prompts about the users of a data set."""

    def __init__(self, dataset: Dataset, *, prompts: Path | None, history_items: int, seed: int = 0) -> None:
        """Raises ConfigError for templates that cannot be read, MissingExtra without Jinja2."""
        self.catalog = dataset.catalog
        self.items = ItemWords(dataset.catalog)
        self.prompts = Prompts(PACKAGE, VERSION, FILES, folder=prompts)
        self._people = People(dataset, self.items, history_items=history_items, seed=seed)
        self._systems: dict[tuple[str, int], str] = {}

    def system(self, name: str, user: int) -> str:
        """The part of a prompt that stays: "words.j2" or "judge.j2", filled in once a user."""
        if (name, user) not in self._systems:
            self._systems[name, user] = self.prompts.render(name, person=self._people[user])
        return self._systems[name, user]

    def moment(self, mindset: Mindset, standing: Instruction, followed: float, row: int) -> dict[str, Any]:
        """How the user feels, what it wants, and how it was answered.

        followed: how well the last slate followed the standing instruction.
        """
        names, interest = self.catalog.genre_names, mindset.interest[row, : len(self.catalog.genre_names)]
        wanted = [genre for genre in np.argsort(-interest, kind="stable")[:2].tolist() if interest[genre] > _WANTED]
        intent = int(mindset.intent[row])
        return {
            "feelings": feelings(mindset.levels[row].tolist()),
            "wants": " and ".join(clean(names[genre], NAME) for genre in wanted if names[genre] != NO_GENRE),
            "after": clean(names[intent], NAME) if intent >= 0 and names[intent] != NO_GENRE else "",
            "asked": quoted(sentence(standing, row, self.catalog), 160) if standing.kind[row] else "",
            "followed": heard(followed),
        }

    def shown(self, slate: list[int], examined: list[bool], clicked: list[bool]) -> dict[str, list[str]]:
        """Titles of a slate that were clicked, and the first few that were passed over."""
        looked = list(zip(slate, examined, clicked, strict=True))
        return {
            "clicked": [self.items.title(item) for item, _, taken in looked if taken],
            "passed": [self.items.title(item) for item, seen, taken in looked if seen and not taken][:_NAMED],
        }
