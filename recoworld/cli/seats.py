"""A person at either side of the world: `RecommenderSeat` is a `Recommender`, `UserSeat` a `UserSimulator`, both answer at a terminal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from rich.console import Console
from rich.text import Text

from recoworld.catalog import Catalog
from recoworld.envs.render import slate_view
from recoworld.errors import ConfigError, RecoWorldError, UnknownName
from recoworld.instructions import compliance, sentence
from recoworld.luck import Luck
from recoworld.parse import understood
from recoworld.text import plain
from recoworld.types import LEVELS, Feedback, History, Instruction, Ints, Mindset, Observations, Recommender, Slates
from recoworld.users import Dataset, Split

LISTED = 15
"""Candidates that a search shows."""
_RECOMMENDER_HELP = """\
  matrix              items with this in their title; a whole title takes it
  g:comedy y:1990s    ... of a genre, a decade or year, also with words
  1 4 7               take these from the list
  drop 2              put slot 2 back
  fill                let the policy fill the rest
  show                the slate so far
  go, or just Enter   show the slate to the user, once it is full
  why                 after the session: the user's mindset over time
  quit                end the session"""
_USER_HELP = """\
  1c 3l 5ms           slot 1 clicked; 3 liked; 5 commented on and shared
                      (c click, l like, m comment, s share; each is a click, too)
  3c20                slot 3 watched for 20 seconds; without a number, to the end
  1c less drama       words tell what you want, with slots before them or not:
                      more comedy, only the 90s, like Inception, surprise me ...
  ?3                  more about slot 3
  Enter               you looked at everything and took nothing
  leave               you have had enough; also after slots: 1c leave
  quit                end the session without leaving"""
_ACT = re.compile(r"(\d{1,3})([a-z]+)(\d{0,5})$")


class Quit(Exception):
    """The person has had enough: quit, Ctrl-C or the end of the input."""


@dataclass(frozen=True)
class Terminal:
    """Where a person reads and writes."""

    console: Console = field(default_factory=lambda: Console(highlight=False))
    read: Callable[[str], str] = input

    def ask(self, prompt: str, help_text: str) -> str:
        """A line that is neither help nor quit. Raises Quit."""
        while True:
            try:
                line = self.read(f"{prompt}> ").strip()
            except (EOFError, KeyboardInterrupt):
                raise Quit from None
            except UnicodeDecodeError:
                self.say("that could not be read as text", "red")
                continue
            match line.lower():
                case "help" | "?":
                    self.say(help_text)
                case "quit" | "exit" | "q":
                    raise Quit
                case _:
                    return line

    def say(self, words: str, style: str = "") -> None:
        """Print words as they are."""
        self.console.print(Text(words, style=style))


class RecommenderSeat:
    """A person who recommends, with a policy at hand that suggests. Sees what a policy sees."""

    name = "person"

    def __init__(self, catalog: Catalog, helper: Recommender, terminal: Terminal, *, farewell: str = "") -> None:
        """farewell: said when a slate goes to the user, whose answer may take a while."""
        self.catalog, self.helper, self.terminal, self._farewell = catalog, helper, terminal, farewell
        self._titles = [plain(title, 70) for title in catalog.titles.tolist()]
        self._folded = [title.casefold() for title in catalog.titles.tolist()]
        self._chart = np.argsort(-catalog.popularity, kind="stable").tolist()
        self._listed: list[int] = []
        self._met: set[int] = set()

    def fit(self, dataset: Dataset, split: Split) -> None:
        """Let the helper learn."""
        self.helper.fit(dataset, split)

    def recommend(self, observations: Observations, luck: Luck) -> Slates:
        """One slate ``[1, k]``. Raises Quit."""
        self._met = set((observations["history"][0] - 1).tolist())
        suggested = self.helper.recommend(observations, luck)[0].tolist()
        chosen: list[int] = []
        self._list(suggested, f"{self.helper.name} suggests (•: the user has met it before)")
        while True:
            line = self.terminal.ask(f"slate {len(chosen)}/{len(suggested)}", _RECOMMENDER_HELP)
            if line.lower() in ("go", ""):
                if len(chosen) == len(suggested):
                    if self._farewell:
                        self.terminal.say(self._farewell, "dim")
                    return np.array([chosen], np.int64)
                self.terminal.say(f"{len(suggested) - len(chosen)} slots are empty; pick more, or `fill`")
                continue
            try:
                self._obey(line, chosen, suggested)
            except RecoWorldError as error:
                self.terminal.say(plain(error, 400), "red")

    def _obey(self, line: str, chosen: list[int], suggested: list[int]) -> None:
        """Change the slate, or list candidates."""
        word, *rest = line.lower().split()
        if word == "why":
            self.terminal.say("the mindset is hidden from a recommender; `why` answers after the session")
        elif word == "show" and not rest:
            self._show(chosen, "your slate")
        elif word == "fill" and not rest:
            chosen += [item for item in suggested if item not in chosen][: len(suggested) - len(chosen)]
            self._show(chosen, "your slate; Enter shows it to the user")
        elif word == "drop" and rest and all(slot.isdecimal() for slot in rest):
            slots = {int(slot) for slot in rest}
            chosen[:] = [item for slot, item in enumerate(chosen, 1) if slot not in slots]
            self._show(chosen, "your slate")
        else:
            self._take(self._meant(line), chosen, len(suggested))

    def _take(self, items: list[int], chosen: list[int], k: int) -> None:
        for item in items:
            if item in chosen:
                self.terminal.say(f"{self._titles[item]} is on the slate already")
            elif len(chosen) == k:
                self.terminal.say(f"the slate is full; {self._titles[item]} is left out (`drop` a slot to make room)")
            else:
                chosen.append(item)
                self.terminal.say(f"+ {self._titles[item]}", "green")

    def _meant(self, line: str) -> list[int]:
        """The items that a line takes; where it is a search, none: then what was found is listed. Raises UnknownName, ConfigError."""
        exact = [item for item, title in enumerate(self._folded) if title == line.casefold()]
        if re.fullmatch(r"[\d\s,]+", line) and not exact:
            places = [int(number) for number in re.findall(r"\d{1,6}", line)]
            if not all(1 <= place <= len(self._listed) for place in places):
                raise ConfigError(f"got {line}; expected numbers from 1 to {len(self._listed)}, of the list shown last")
            return [self._listed[place - 1] for place in places]
        if len(exact) == 1:
            return exact
        found = self.search(line)
        if not found:
            near = difflib.get_close_matches(line.casefold(), self._folded, n=5, cutoff=0.6)
            found = [self._folded.index(title) for title in near]
            self._list(found, f"no title has “{plain(line, 40)}” in it" + ("; did you mean one of these?" if found else ""))
        else:
            self._list(found[:LISTED], f"{len(found)} found" + (f", the best known {LISTED}" if len(found) > LISTED else ""))
        return []

    def search(self, line: str) -> list[int]:
        """Items with all the words in their title, and in the genre ``g:`` and the years ``y:`` that are named; best known first.

        Raises UnknownName, ConfigError.
        """
        good = np.ones(len(self.catalog), np.bool_)
        words = []
        for word in line.casefold().split():
            name, mark, value = word.partition(":")
            if mark and name == "g":
                good &= self.catalog.genres[:, _genre(value, self.catalog)]
            elif mark and name == "y":
                start, end = _years(value)
                good &= (self.catalog.years >= start) & (self.catalog.years <= end)
            else:
                words.append(word)
        return [item for item in self._chart if good[item] and all(word in self._folded[item] for word in words)]

    def _list(self, items: list[int], heading: str) -> None:
        self._listed = items
        self._show(items, heading)

    def _show(self, items: Sequence[int], heading: str) -> None:
        titles = [("• " if item in self._met else "") + self._titles[item] for item in items]
        self.terminal.console.print(slate_view(items, titles, self.catalog, heading=heading))


class UserSeat:
    """A person in the user's place. Nobody knows its mindset: the levels are NaN."""

    name = "person"

    def __init__(self, catalog: Catalog, terminal: Terminal) -> None:
        self.catalog, self.terminal = catalog, terminal

    def begin(self, users: Ints, luck: Luck) -> Mindset:
        """Mindsets that nobody knows."""
        n = len(users)
        nothing = np.zeros((n, self.catalog.features.shape[1]), np.float32)
        return Mindset(levels=np.full((n, len(LEVELS)), np.nan, np.float32), interest=nothing, intent=np.full(n, -1, np.int8))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, Mindset]:
        """Ask what to do with the slate ``[1, k]``. Raises Quit, and ConfigError for more than one user."""
        if len(slates) != 1:
            raise ConfigError(f"got {len(slates)} users; expected one: a person answers for itself alone")
        items = slates[0].tolist()
        heading = f"Turn {int(history.turn[0]) + 1}: recommended to you"
        self.terminal.console.print(slate_view(items, [str(self.catalog.titles[item]) for item in items], self.catalog, heading=heading))
        while True:
            line = self.terminal.ask("you", _USER_HELP)
            if (about := re.fullmatch(r"\?\s*(\d{1,3})", line)) and 1 <= int(about[1]) <= len(items):
                self._describe(items[int(about[1]) - 1])
                continue
            try:
                deeds, watch, words = self._read(line, items)
            except ConfigError as error:
                self.terminal.say(plain(error, 300), "red")
                continue
            left = words.lower().strip(".!") in ("leave", "bye")
            said = None if left or not words else self._heard(words, items)
            return Feedback(
                examined=np.ones((1, len(items)), np.bool_),
                clicked=deeds[:, 0],
                liked=deeds[:, 1],
                commented=deeds[:, 2],
                shared=deeds[:, 3],
                watch=watch,
                left=np.array([left]),
                followed=compliance(history.standing, self.catalog, slates),
                instruction=said or Instruction.none(1),
                rationale=np.array([words if words and not left and said is None else ""], dtype=object),
            ), mindset

    def _read(self, line: str, items: list[int]) -> tuple[np.ndarray, np.ndarray, str]:
        """What is done with each slot bool ``[1, 4, k]``, seconds watched ``[1, k]``, and the words that follow. Raises ConfigError."""
        k, tokens = len(items), line.split()
        deeds, watch = np.zeros((1, 4, k), np.bool_), np.zeros((1, k), np.float32)
        while tokens and (act := _ACT.match(tokens[0].lower().rstrip(","))):
            slot, letters, seconds = int(act[1]) - 1, act[2], act[3]
            if slot >= k and letters == "s" and act[1].endswith("0"):
                break  # a decade, "90s comedies"
            if not 0 <= slot < k or set(letters) - set("clms"):
                raise ConfigError(f"got {tokens[0]}; expected slots 1 to {k} with the letters c, l, m, s: 1c 3cl (`help` explains)")
            deeds[0, 0, slot] = True
            for letter in letters:
                deeds[0, "clms".index(letter), slot] = True
            duration = float(self.catalog.durations[items[slot]])
            watch[0, slot] = min(float(seconds), duration) if seconds else duration
            tokens.pop(0)
        if tokens and re.fullmatch(r"[\d\s,]+", "".join(tokens)):
            raise ConfigError(f"got {' '.join(tokens)}; expected what you did there, too: 1c for a click on slot 1 (`help` explains)")
        return deeds, watch, " ".join(tokens)

    def _heard(self, words: str, items: list[int]) -> Instruction | None:
        said = understood(words, self.catalog, items)
        if said is None:
            self.terminal.say("kept as your words, but not understood as a wish: try more comedy, less drama, only the 90s", "yellow")
        else:
            self.terminal.say(f"heard: {sentence(replace(said, texts=None), 0, self.catalog)}", "dim")
        return said

    def _describe(self, item: int) -> None:
        people = ", ".join(plain(name, 40) for name in self.catalog.people_of(item))
        for words in (self.catalog.label(item), people, self.catalog.texts[item]):
            if words:
                self.terminal.say(f"    {plain(words, 300)}")


def _genre(name: str, catalog: Catalog) -> int:
    names = [genre.casefold() for genre in catalog.genre_names]
    found = [place for place, genre in enumerate(names) if genre.startswith(name)] if name else []
    if not found:
        raise UnknownName("genre", name, names)
    return found[0]


def _years(value: str) -> tuple[int, int]:
    """First and last year of "1994", "1990s", "90s" or "1985-1994"."""
    if match := re.fullmatch(r"(\d{4})-(\d{4})", value):
        return int(match[1]), int(match[2])
    if match := re.fullmatch(r"(\d\d)?(\d0)s", value):
        start = int(match[1] or ("20" if int(match[2]) < 30 else "19")) * 100 + int(match[2])
        return start, start + 9
    if re.fullmatch(r"\d{4}", value):
        return int(value), int(value)
    raise ConfigError(f"got y:{value}; expected a year or decade: y:1994, y:1990s, y:90s or y:1985-1994")
