"""Conversations between people about what to watch, buy or do, as logs have them, and what a reader of them is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recoworld.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One message. Its text is untrusted."""

    speaker: str
    """"user" (who seeks) or "system" (who recommends, be it a person or a program)."""
    text: str
    items: tuple[str, ...] = ()
    """Ids of the items that are mentioned."""
    act: str = ""
    """What the message does, in the words of the log, e.g. "give_opinion"."""
    satisfaction: tuple[int, ...] = ()
    """How satisfied the user is at this point, 1 (very dissatisfied) to 5, one number a judge; () where nobody judged, and for "system"."""

    def __post_init__(self) -> None:
        if self.speaker not in ("user", "system"):
            raise ConfigError(f"utterance: speaker is {self.speaker!r}; expected 'user' or 'system'")
        if self.satisfaction and self.speaker == "system":
            raise ConfigError(f"utterance: the system's message has satisfaction {self.satisfaction}; expected (): only users are judged")
        _check_labels("utterance", self.satisfaction)


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """One conversation from its first message to its last."""

    name: str
    """Unique in its corpus."""
    utterances: tuple[Utterance, ...]
    liked: dict[str, bool] = field(default_factory=dict)
    """Item id -> whether the seeker says that it likes it, where that was asked."""
    satisfaction: tuple[int, ...] = ()
    """With the whole conversation, as `Utterance.satisfaction`."""
    outcome: str = ""
    """How it ended, in the words of the log, e.g. "accept_rating_good"; "" where that was not recorded."""

    def __post_init__(self) -> None:
        _check_labels(f"dialogue {self.name!r}", self.satisfaction)

    @property
    def judged(self) -> tuple[int, ...]:
        """Positions of the messages that somebody judged."""
        return tuple(i for i, utterance in enumerate(self.utterances) if utterance.satisfaction)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Conversations of one source."""

    name: str
    dialogues: tuple[Dialogue, ...]
    titles: dict[str, str] = field(default_factory=dict)
    """Item id -> title."""
    source: str = ""
    """Where it is from, its licence and what to cite."""

    def __post_init__(self) -> None:
        twice = len(self.dialogues) - len({dialogue.name for dialogue in self.dialogues})
        if twice:
            raise ConfigError(f"corpus {self.name!r}: {twice} names of dialogues occur twice; expected unique names")

    def __len__(self) -> int:
        return len(self.dialogues)


@runtime_checkable
class DialogueReader(Protocol):
    """Who reads conversations and tells how satisfied their users are: a simulated user in the place of the real one."""

    def satisfaction(self, dialogues: Sequence[Dialogue]) -> NDArray[np.float64]:
        """The user's satisfaction at the end of each conversation, in [0, 1] ``[n]``: 0 very dissatisfied, 1 very satisfied.

        NaN where the reader finds no answer, which is counted. The conversations are `prefixes`: cut off at the point that is asked
        about, without labels, and perhaps empty.
        """
        ...


def stripped(dialogue: Dialogue) -> Dialogue:
    """The conversation as those who took part in it had it: who said what about which items, and nothing that was noted afterwards."""
    heard = (Utterance(speaker=said.speaker, text=said.text, items=said.items) for said in dialogue.utterances)
    return Dialogue(name=dialogue.name, utterances=tuple(heard))


def prefixes(dialogue: Dialogue, *, own_words: bool = True) -> list[Dialogue]:
    """The stripped conversation up to each judged message, in order.

    own_words: Whether the judged message itself is shown, as the last one; without it, all that came before.
    """
    whole = stripped(dialogue)
    return [Dialogue(name=whole.name, utterances=whole.utterances[: end + own_words]) for end in dialogue.judged]


def verdict(labels: Sequence[int]) -> int:
    """What most judges say, 1 to 5; of several such labels the lowest, as in USS (Sun et al. 2021). Raises ConfigError for none."""
    if not labels:
        raise ConfigError("verdict: got no labels; expected at least one judge's")
    return min(set(labels), key=lambda label: (-labels.count(label), label))


def _check_labels(what: str, labels: tuple[int, ...]) -> None:
    if any(not 1 <= label <= 5 for label in labels):
        raise ConfigError(f"{what}: satisfaction is {labels}; expected numbers from 1 to 5")
