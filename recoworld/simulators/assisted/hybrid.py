"""The hybrid user: behavioural mindset and choices, a language model for the words alone.

Everything that `recoworld.simulators.behavioral` decides stays as it is, bit for bit: what is clicked, who leaves, who speaks and what
that means. The sentence of those who speak, users about to disengage, is worded by the model from who the user is, what it was just
shown and did, and what must be said: all of them in one batch a turn. So a turn costs no call for most users.

The words must mean what the user wants: `recoworld.parse.understood` must find the same kind, aspect and value in them. A reply that is
no JSON, too long, or means something else is asked for anew with what was wrong (`retries`), then the template's sentence stays
(`recoworld.instructions.sentence`). `report` has the counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from recoworld.catalog import Catalog
from recoworld.errors import LanguageModelError
from recoworld.instructions import sentence
from recoworld.llm.grammar import longest_reply
from recoworld.llm.ledger import Ledger
from recoworld.llm.make import make_model
from recoworld.llm.model import LanguageModel, Prompt, Sampling, Schema
from recoworld.luck import Luck
from recoworld.parse import understood
from recoworld.simulators.assisted.brief import AskedMindset, Brief, asked
from recoworld.simulators.assisted.config import AskedConfig
from recoworld.simulators.behavioral import BehavioralMindset, BehavioralSimulator
from recoworld.simulators.behavioral import build as build_behavioral
from recoworld.simulators.taste import ArrayCache
from recoworld.text import clean, plain, quoted
from recoworld.types import Aspect, Feedback, Floats, History, Instruction, Ints, Mindset, Slates
from recoworld.users import Dataset, Split

_SEEDS = 4  # stream of luck, after the behavioural user's own two and calibration's
_PER_WORD = 8  # characters
_LETTERS = "[A-Za-z0-9À-ÖØ-öø-ÿ ,.;:!?'()&-]"  # names are said as they are written


class HybridConfig(AskedConfig):
    """Settings of the hybrid user, beside the behavioural coefficients."""

    temperature: Annotated[float, Field(ge=0, le=5)] = 0.8
    max_words: Annotated[int, Field(ge=3, le=40)] = 25
    """Of a sentence."""
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """How often words that mean something else are asked for anew."""


class HybridSimulator:
    """Behavioural people of one data set who put what they want into words of their own. See the module's docstring."""

    name = "hybrid"

    def __init__(self, dataset: Dataset, behavioral: BehavioralSimulator, model: LanguageModel, config: HybridConfig | None = None) -> None:
        """behavioral: who decides; its own coefficients hold. Raises ConfigError, MissingExtra without Jinja2."""
        self.behavioral, self.model, self.catalog = behavioral, model, dataset.catalog
        self.config = (config or HybridConfig()).model_copy(update={"behavior": behavioral.config})
        self.brief = Brief(dataset, prompts=self.config.prompts, history_items=self.config.history_items, seed=behavioral.seed)
        self.ledger = Ledger()
        self._schema: Schema = {
            "type": "object",
            "properties": {"say": {"type": "string", "pattern": f"^{_LETTERS}{{1,{_PER_WORD * self.config.max_words}}}$"}},
            "required": ["say"],
            "additionalProperties": False,
        }
        self._sampling = Sampling(max_tokens=longest_reply(self._schema), temperature=self.config.temperature)

    def begin(self, users: Ints, luck: Luck) -> AskedMindset:
        """As the behavioural user does."""
        return asked(self.behavioral.begin(users, luck), np.zeros(len(users), np.bool_))

    def respond(self, mindset: Mindset, history: History, slates: Slates, luck: Luck) -> tuple[Feedback, AskedMindset]:
        """One slate ``[n, k]`` to each user, and one batch of prompts if anybody speaks. Raises LanguageModelError."""
        if not isinstance(mindset, AskedMindset):
            raise TypeError(f"got a {type(mindset).__name__}; expected the AskedMindset that begin() returned")
        feedback, after = self.behavioral.respond(mindset, history, slates, luck)
        texts, tokens = np.full(len(slates), "", dtype=object), np.zeros((len(slates), 2), np.int64)
        rows = np.flatnonzero(feedback.instruction.given & ~mindset.gone)
        if rows.size:
            self._word(after.take(rows), history.take(rows), slates[rows], feedback.take(rows), Luck(luck.keys[rows]), rows, texts, tokens)
        # texts in any case: whether a batch has them must not depend on who is in it
        said = replace(feedback.instruction, texts=texts)
        return replace(feedback, instruction=said, tokens=tokens), asked(after, mindset.gone | feedback.left)

    def chances(self, mindset: BehavioralMindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """See `recoworld.types.Chooser`."""
        return self.behavioral.chances(mindset, history, slates, luck)

    def stars(self, mindset: BehavioralMindset, history: History, slates: Slates, luck: Luck) -> Floats:
        """See `recoworld.types.Rater`."""
        return self.behavioral.stars(mindset, history, slates, luck)

    def appeal(self, mindset: BehavioralMindset, history: History) -> Floats:
        """See `recoworld.simulators.behavioral.BehavioralSimulator.appeal`."""
        return self.behavioral.appeal(mindset, history)

    @property
    def usage(self) -> Mapping[str, int]:
        """Tokens so far."""
        report = self.ledger.report()
        return {name: report[name] for name in ("prompt_tokens", "completion_tokens")}

    def report(self) -> dict[str, Any]:
        """What became of all sentences so far, and whose they are.

        replies: sentences that were to be worded; valid_first, valid_again: those worded at once, or when asked for anew; filled: those
        left to the template; problems: why, by kind: "json", "long", "meaning". The rest as in `Ledger.report`.
        """
        return {"llm": self.model.name, "prompts": self.brief.prompts.version, **self.ledger.report()}

    def close(self) -> None:
        """Give back what the model holds."""
        self.model.close()

    def _word(
        self,
        mindset: BehavioralMindset,
        history: History,
        slates: Slates,
        feedback: Feedback,
        luck: Luck,
        rows: Ints,
        texts: Any,
        tokens: Ints,
    ) -> None:
        """Put the words of users who all speak ``[m]``, and what they took, into `rows` of `texts` and `tokens`."""
        said, m = feedback.instruction, len(rows)
        seeds = (luck.bits(1 + self.config.retries, _SEEDS) >> np.uint64(33)).astype(np.int64)
        turns = [self._turn(mindset, history, slates, feedback, row) for row in range(m)]
        complaints, places = [""] * m, list(range(m))
        for attempt in range(1 + self.config.retries):
            prompts = [
                Prompt.of(
                    turns[place] + complaints[place],
                    system=self.brief.system("words.j2", int(history.users[place])),
                    seed=int(seeds[place, attempt]),
                )
                for place in places
            ]
            completions = self.model.generate(prompts, schema=self._schema, sampling=self._sampling)
            if len(completions) != len(prompts):
                raise LanguageModelError(f"{self.model.name}: got {len(completions)} replies to {len(prompts)} prompts; expected one each")
            again = []
            for place, completion in zip(places, completions, strict=True):
                tokens[rows[place]] += (completion.usage.prompt, completion.usage.completion)
                self.ledger.call(completion.usage)
                words, kind, wrong = self._read(completion.text, said, place, slates[place].tolist())
                if kind:
                    self.ledger.problem(kind, wrong, completion.text)
                    facts = {"error": clean(wrong, 200), "meaning": self._meaning(said, place)}
                    complaints[place] = "\n\n" + self.brief.prompts.render("again.j2", **facts)
                    again.append(place)
                else:
                    self.ledger.add("valid_again" if attempt else "valid_first")
                    texts[rows[place]] = words
            places = again
            if not places:
                break
        self.ledger.add("replies", m)
        self.ledger.add("filled", len(places))

    def _turn(self, mindset: BehavioralMindset, history: History, slates: Slates, feedback: Feedback, row: int) -> str:
        """What changes in the prompt about one user."""
        said = feedback.instruction
        return self.brief.prompts.render(
            "say.j2",
            slots=slates.shape[1],
            meaning=self._meaning(said, row),
            subject=_subject(said, row, self.catalog),
            max_words=self.config.max_words,
            **self.brief.shown(slates[row].tolist(), feedback.examined[row].tolist(), feedback.clicked[row].tolist()),
            **self.brief.moment(mindset, history.standing, float(feedback.followed[row]), row),
        )

    def _meaning(self, said: Instruction, row: int) -> str:
        return quoted(sentence(said, row, self.catalog), 200)

    def _read(self, text: str, said: Instruction, row: int, shown: list[int]) -> tuple[str, str, str]:
        """The words of a reply, and what kind of thing is wrong with them, and what; "" for nothing."""
        start, end = text.find("{"), text.rfind("}")
        try:
            content = json.loads(text[start : end + 1]) if 0 <= start < end else None
        except (ValueError, RecursionError):
            content = None
        words = content.get("say") if isinstance(content, dict) else None
        most = self.config.max_words
        words = plain(words, 2 * _PER_WORD * most) if isinstance(words, str) else ""
        if not words:
            return "", "json", 'it is no JSON object with your sentence under "say"'
        if len(words.split()) > most or len(words) > _PER_WORD * most:
            return "", "long", f"it is too long; say it in at most {most} words"
        found = understood(words, self.catalog, shown)
        if found is None:
            return "", "meaning", "it does not say what you want"
        same = all(int(getattr(found, name)[0]) == int(getattr(said, name)[row]) for name in ("kind", "aspect", "value"))
        if same:
            return words, "", ""
        return "", "meaning", f"it means something else, namely: {sentence(replace(found, texts=None), 0, self.catalog)}"


def _subject(said: Instruction, row: int, catalog: Catalog) -> str:
    """What an instruction names, as the sentence must name it."""
    aspect, value = Aspect(int(said.aspect[row])), int(said.value[row])
    if aspect == Aspect.GENRE:
        return quoted(str(catalog.genre_names[value]).lower(), 40)
    if aspect == Aspect.PERSON:
        return quoted(catalog.people_names[value])
    if aspect == Aspect.TITLE:
        return quoted(catalog.titles[value], 80)
    return f"the {value}s" if aspect == Aspect.ERA else "how well known things are"


def build(dataset: Dataset, split: Split, config: dict[str, Any] | None = None, *, cached: ArrayCache | None = None) -> HybridSimulator:
    """The hybrid user of a data set; `config` overrides settings (`HybridConfig`) and behavioural coefficients.

    Raises ConfigError, MissingExtra, LanguageModelError.
    """
    settings = HybridConfig.of(config, "the hybrid user")
    behavioral = build_behavioral(dataset, split, settings.behavior.model_dump(), cached=cached)
    return HybridSimulator(dataset, behavioral, make_model(settings.llm, record=settings.record, **settings.llm_config), settings)
