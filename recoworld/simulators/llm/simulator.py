"""The language-model user: a mindset that thinks (RecoWorld, section 3).

One call a slate: the model goes through it item by item (think, act), updates its mindset, and stays, leaves, or says what it wants
instead. What its words come to (`recoworld.simulators.llm.reply` has their form):

- **Examination** is a cascade: the first "unseen" item ends it, whatever is said of those below; the first item is looked at in any case.
- "like", "comment" and "share" are clicks too; only what was clicked was watched, in per cent of its duration.
- **The mindset**'s levels are those of the reply, tenths from 0 to 1. The interest is the user's own taste pulled by clicks, as the
  behavioural user's is: ``m' = m + 0.1 (home - m) + 0.08 sum_clicked (x - mean x)``. The intent is the genre that its words name, if any.
- **Saying** something is an instruction if `recoworld.parse.understood` makes one of it; else it is kept as rationale, and counted.
- **Leaving**: a user who gives an instruction stays; who says what is no instruction ("bye") leaves if it wants to.

**Replies that cannot be read** are asked for anew with what was wrong (`retries`), then filled from what can be salvaged of the one with
the most items that can be read, the later one of equals. A level that stays unknown drifts a fifth of the way to where sessions begin;
unknown words stay as they were. `report` has the counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recoworld.catalog import NO_GENRE
from recoworld.instructions import compliance, sentence
from recoworld.llm.grammar import longest_reply
from recoworld.llm.items import ItemWords
from recoworld.llm.ledger import Ledger
from recoworld.llm.model import LanguageModel, Prompt, Sampling
from recoworld.llm.prompts import Prompts
from recoworld.llm.words import NAME
from recoworld.luck import Keys, Luck
from recoworld.simulators.llm.asking import COUNTED, Answer, absent, ask
from recoworld.simulators.llm.config import LLMUserConfig
from recoworld.simulators.llm.meaning import acts, heard_words, levels_after, named_genre
from recoworld.simulators.llm.memory import LLMMindset, counted, line, now, summary, within
from recoworld.simulators.llm.people import People
from recoworld.simulators.llm.prompts import FILES, PACKAGE, VERSION, messages
from recoworld.simulators.llm.reply import schema_of
from recoworld.simulators.llm.words import feelings, heard, moment
from recoworld.text import clean, quoted
from recoworld.types import Feedback, History, Ints, Mindset, Slates
from recoworld.users import Dataset

_BEGIN, _SEEDS = 1, 2  # streams of luck
OPENING = np.array([0.5, 0.0, 0.0, 0.5, 0.6], np.float32)
"""The levels that sessions begin with, before luck lifts satisfaction by up to 0.1, fatigue by 0.1 and patience by 0.3."""
_LIFT = np.array([0.1, 0.0, 0.1, 0.3, 0.0], np.float32)
_HOURS = (7, 8, 10, 12, 12, 13, 15, 16, 17, 18, 18, 19, 19, 20, 20, 20, 20, 21, 21, 21, 21, 22, 22, 23)  # when people have time
_PULL, _CLICK = np.float32(0.1), np.float32(0.08)


class LLMSimulator:
    """People of a data set, played by a language model. See the module's docstring."""

    name = "llm"

    def __init__(self, dataset: Dataset, model: LanguageModel, config: LLMUserConfig | None = None) -> None:
        """Raises ConfigError for settings that do not fit the data set, MissingExtra without Jinja2."""
        self.config = config = config or LLMUserConfig()
        self.dataset, self.catalog, self.model = dataset, dataset.catalog, model
        self.items = ItemWords(dataset.catalog, config.representation, config.images)
        self.people = People(dataset, self.items, history_items=config.history_items, seed=config.seed)
        self.prompts = Prompts(PACKAGE, VERSION, FILES, folder=config.prompts)
        self.ledger = Ledger(*COUNTED)
        self._centre = dataset.catalog.features.mean(axis=0)
        self._systems: dict[tuple[int, int], str] = {}

    def begin(self, users: Ints, luck: Luck) -> LLMMindset:
        """Open a session: rested users, at some hour of the week, with their own taste and perhaps a genre in mind. Asks no model."""
        n, genres, u = len(users), len(self.catalog.genre_names), luck.uniform(6, _BEGIN)
        levels = OPENING + _LIFT * u[:, :5]
        homes = np.stack([self.people.home(user) for user in users.tolist()])
        intent = np.full(n, -1, np.int16)
        focused = u[:, 5] < self.config.focus
        intent[focused] = homes[focused, :genres].argmax(axis=1)
        draws = luck.bits(3, _BEGIN + 1) % np.array([7, len(_HOURS), 60], np.uint64)
        clock = draws[:, 0].astype(np.int64) * 1440 + np.take(_HOURS, draws[:, 1].astype(np.int64)) * 60 + draws[:, 2].astype(np.int64)
        wants = [self.people[user].more or self.people[user].genres or "whatever is good" for user in users.tolist()]
        names = [clean(self.catalog.genre_names[genre], NAME) for genre in intent.tolist()]
        after = ["browsing" if genre < 0 or name == NO_GENRE else name for genre, name in zip(intent.tolist(), names, strict=True)]
        return LLMMindset(
            levels=levels,
            interest=homes,
            intent=intent,
            texts=_texts(f"interested in {want}; after {what}" for want, what in zip(wants, after, strict=True)),
            wants=_texts(wants),
            after=_texts(after),
            recent=_texts([""] * n),
            tally=np.zeros((n, 6), np.int64),
            taken=np.zeros((n, genres), np.int64),
            passed=np.zeros((n, genres), np.int64),
            first=levels[:, 0].copy(),
            clock=clock,
            gone=np.zeros(n, np.bool_),
        )

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, LLMMindset]:
        """One slate ``[n, k]`` to each user, one batch of prompts. Raises LanguageModelError; then nothing has happened."""
        if not isinstance(mindset, LLMMindset):
            raise TypeError(f"got a {type(mindset).__name__}; expected the LLMMindset that begin() returned")
        here = np.flatnonzero(~mindset.gone)
        if here.size == len(slates):
            answers = self._ask(self.prompts_for(mindset, history, slates), slates.shape[1], luck.keys)
        else:  # a vector environment steps sessions that are over once more before it opens the next
            answers = [absent(slates.shape[1])] * len(slates)
            prompts = self.prompts_for(mindset.take(here), history.take(here), slates[here]) if here.size else []
            for row, answer in zip(here.tolist(), self._ask(prompts, slates.shape[1], luck.keys[here]), strict=True):
                answers[row] = answer
        feedback = self._feedback(answers, history, slates)
        return feedback, self._after(mindset, answers, feedback, history, slates)

    def prompts_for(self, mindset: LLMMindset, history: History, slates: Slates) -> list[Prompt]:
        """What the model is asked about each user, the seed left at 0 ``[n]``."""
        followed = compliance(history.standing, self.catalog, slates)
        return [
            Prompt(messages=self._messages(mindset, history, slates[row].tolist(), float(followed[row]), row)) for row in range(len(slates))
        ]

    def report(self) -> dict[str, Any]:
        """What became of all replies so far, see `Ledger.report` and `recoworld.simulators.llm.asking.COUNTED`, and whose they are."""
        return {"llm": self.model.name, "prompts": self.prompts.version, **self.ledger.report()}

    def close(self) -> None:
        """Give back what the model holds."""
        self.model.close()

    def _messages(self, mindset: LLMMindset, history: History, slate: list[int], followed: float, row: int) -> Any:
        """The conversation of one user; see `recoworld.simulators.llm.prompts`."""
        user, slots = int(history.users[row]), len(slate)
        if (user, slots) not in self._systems:
            self._systems[user, slots] = self.prompts.render("system.j2", slots=slots, person=self.people[user])
        story, recent = within(summary(mindset, row, self.catalog), mindset.recent[row], self.config.memory_tokens)
        standing = history.standing
        met = history.exposures[row, slate].tolist()
        turn = self.prompts.render(
            "turn.j2",
            number=int(history.turn[row]) + 1,
            story=story,
            recent=recent,
            when=moment(now(mindset, row)),
            feelings=feelings(mindset.levels[row].tolist()),
            interest=quoted(mindset.wants[row], 100),
            intent=quoted(mindset.after[row], 100),
            asked=quoted(sentence(standing, row, self.catalog), 120) if standing.kind[row] else "",
            followed=heard(followed),
            items=[self.items.line(item) + f"; met {times} x before" * (times > 0) for item, times in zip(slate, met, strict=True)],
        )
        images = [(slot + 1, url) for slot, item in enumerate(slate) if (url := self.items.image(item))]
        return messages(self._systems[user, slots], turn, images)

    def _ask(self, prompts: list[Prompt], slots: int, keys: Keys) -> list[Answer]:
        if not prompts:
            return []
        config = self.config
        seeds = (Luck(keys).bits(1 + config.retries, _SEEDS) >> np.uint64(33)).astype(np.int64)
        schema = schema_of(slots, config.thought_length)
        return ask(
            self.model,
            prompts,
            seeds,
            schema=schema,
            sampling=Sampling(max_tokens=config.max_tokens or longest_reply(schema), temperature=config.temperature),
            slots=slots,
            thought_length=config.thought_length,
            complaint=lambda error: self.prompts.render("retry.j2", slots=slots, error=error),
            ledger=self.ledger,
        )

    def _feedback(self, answers: list[Answer], history: History, slates: Slates) -> Feedback:
        replies = [answer.reply for answer in answers]
        done = acts(replies)
        instruction, lost = heard_words(replies, self.catalog, slates)
        said = sum(bool(reply.say) for reply in replies)
        for name, number in (("bent", int(done.bent.sum())), ("said", said), ("not_understood", sum(map(bool, lost)))):
            self.ledger.add(name, number)
        rationale = []
        for row, reply in enumerate(replies):
            seen = np.flatnonzero(done.examined[row]).tolist()
            thoughts = [f"{slot + 1} {reply.deeds[slot]}: {reply.thoughts[slot].replace('|', '¦')}" for slot in seen]  # | parts thoughts
            rationale.append(" | ".join(thoughts + [f"says: {lost[row]}"] * bool(lost[row])))
        return Feedback(
            examined=done.examined,
            clicked=done.clicked,
            liked=done.liked,
            commented=done.commented,
            shared=done.shared,
            watch=done.share * self.catalog.durations.take(slates),
            left=np.array([reply.leave for reply in replies], np.bool_) & ~instruction.given,
            followed=compliance(history.standing, self.catalog, slates),
            instruction=instruction,
            rationale=_texts(rationale),
            tokens=np.array([[answer.usage.prompt, answer.usage.completion] for answer in answers], np.int64),
        )

    def _after(self, mindset: LLMMindset, answers: list[Answer], feedback: Feedback, history: History, slates: Slates) -> LLMMindset:
        """The mindset that the replies leave behind."""
        replies, n = [answer.reply for answer in answers], len(answers)
        x = self.catalog.features.take(slates, axis=0)  # [n, k, d]
        hits = feedback.clicked.astype(np.float32)
        homes = np.stack([self.people.home(user) for user in history.users.tolist()])
        pulled = np.matmul(hits[:, None, :], x)[:, 0] - feedback.clicked.sum(axis=1, dtype=np.float32)[:, None] * self._centre
        interest = mindset.interest + _PULL * (homes - mindset.interest) + _CLICK * pulled
        wants = [clean(reply.interest or old, 100) for reply, old in zip(replies, mindset.wants, strict=True)]
        after = [clean(reply.intent or old, 100) for reply, old in zip(replies, mindset.after, strict=True)]
        intent = [
            named_genre(reply.intent, self.catalog) if reply.intent else int(old)
            for reply, old in zip(replies, mindset.intent, strict=True)
        ]
        lines = []
        for row, reply in enumerate(replies):
            examined, clicked, number = feedback.examined[row], feedback.clicked[row], int(history.turn[row]) + 1
            last = line(number, slates[row].tolist(), self.items, reply, examined, clicked, reply.say)
            lines.append(within("", f"{mindset.recent[row]}\n{last}".strip(), self.config.memory_tokens)[1])
        felt = replace(
            counted(mindset, self.catalog, feedback, slates),
            levels=levels_after(mindset.levels, replies, OPENING),
            interest=interest,
            intent=np.array(intent, np.int16),
            wants=_texts(wants),
            after=_texts(after),
            recent=_texts(lines),
            gone=feedback.left,
        )
        told = (f"interested in {wants[row]}; after {after[row]}. {summary(felt, row, self.catalog)}" for row in range(n))
        return replace(felt, texts=_texts(told))


def _texts(texts: Any) -> NDArray[np.object_]:
    """Strings as an array ``[n]``."""
    return np.array(list(texts), dtype=object)
