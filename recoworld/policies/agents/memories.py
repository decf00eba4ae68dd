"""STARec's slow thinking: a preference memory that is rewritten after each slate.

Memory without hidden state: the memory after turn t is a fold over the turns that the observation shows,

    m_0 = begin(history)        m_t = reflect(m_{t-1}, the slate of turn t in its order, what the user did with it)

whose seeds come from what is folded. So it is the same whoever computes it, and may be kept under a key of what it was made of.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recoworld.llm.asking import Unreadable
from recoworld.llm.model import Prompt
from recoworld.llm.replies import object_in, record_of, words_of
from recoworld.luck import Luck
from recoworld.policies.agents.perceive import Met, View
from recoworld.policies.agents.replies import words

if TYPE_CHECKING:
    from recoworld.policies.agents.starec import STARec

REFLECTION, MEMORY = 200, 400
"""Characters of a reflection, and of a memory."""
_SLATE = 50  # items of a slate that are told
SCHEMA = record_of({"reflection": words(REFLECTION, begin="The user "), "memory": words(MEMORY, begin="The user likes ")})


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What is remembered of one user; untrusted words, cut to length."""

    text: str
    reflection: str = ""
    """On the last slate."""


class Memories:
    """The memories of an agent's users, the latest of them kept."""

    def __init__(self, agent: STARec) -> None:
        self._agent, self.perception = agent, agent.perception
        self._kept: OrderedDict[bytes, Memory] = OrderedDict()

    def of(self, views: list[View]) -> list[Memory]:
        """The memory of each user. The model is asked for all that is missing, a batch for each turn to be folded.

        Raises LanguageModelError.
        """
        chains = [_Chain(view, self._agent.config.memory_turns) for view in views]
        found: dict[bytes, Memory] = {}
        at = [self._start(chain, found) for chain in chains]
        while True:
            todo: dict[bytes, tuple[_Chain, int]] = {}
            for row, chain in enumerate(chains):
                while at[row] < len(chain.keys) and chain.keys[at[row]] in found:
                    at[row] += 1
                if at[row] < len(chain.keys):
                    todo.setdefault(chain.keys[at[row]], (chain, at[row]))
            if not todo:
                break
            found |= self._folded(todo, found)
        for chain in chains:
            key = chain.keys[-1]
            self._kept[key] = found[key]
            self._kept.move_to_end(key)
        while len(self._kept) > self._agent.config.cached:
            self._kept.popitem(last=False)
        return [found[chain.keys[-1]] for chain in chains]

    def _start(self, chain: _Chain, found: dict[bytes, Memory]) -> int:
        """The step after the last one that is kept; that one's memory is put into `found`."""
        for step in range(len(chain.keys) - 1, -1, -1):
            if chain.keys[step] in self._kept:
                found[chain.keys[step]] = self._kept[chain.keys[step]]
                return step + 1
        return 0

    def _folded(self, todo: dict[bytes, tuple[_Chain, int]], found: dict[bytes, Memory]) -> dict[bytes, Memory]:
        """One step of each of these folds."""
        before = {key: found[chain.keys[step - 1]] if step else self._plain(chain) for key, (chain, step) in todo.items()}
        asked = {key: entry for key, entry in todo.items() if entry[1] or (self._agent.config.introduce and entry[0].past)}
        prompts = [self._prompt(chain, step, before[key]) for key, (chain, step) in asked.items()]
        seeds = _seeds(list(asked), 1 + self._agent.config.retries)
        replies = self._agent.asked_with(seeds, prompts, schema=SCHEMA, read=_read) if asked else []
        out = {key: Memory(text=memory.text) for key, memory in before.items()}  # an unreadable reply changes nothing
        return out | {key: reply for key, reply in zip(asked, replies, strict=True) if reply is not None}

    def _plain(self, chain: _Chain) -> Memory:
        """The first memory without a model."""
        tastes = self._tastes(chain)
        return Memory(text=f"Likes {tastes}." if tastes else "")

    def _tastes(self, chain: _Chain) -> str:
        return self.perception.tastes(View(about="", past=chain.past, turns=(), asked=""))

    def _prompt(self, chain: _Chain, step: int, memory: Memory) -> Prompt:
        render = self._agent.prompts.render
        met = chain.turns[step - 1][:_SLATE] if step else chain.past[-self._agent.config.history_items :]
        told = [self.perception.told(one, genres=True) for one in met]
        if step:
            words = render("slow.j2", about=chain.about, memory=memory.text, slate=told)
        else:
            words = render("begin.j2", about=chain.about, history=told, tastes=self._tastes(chain))
        return Prompt.of(words, system=render("reflect.j2"))


class _Chain:
    """The steps of one user's fold: ``keys[0]`` for the beginning, ``keys[t]`` after turn `t` of those that are folded."""

    def __init__(self, view: View, span: int) -> None:
        """span: between as many and twice as many turns are folded, from a place that moves by whole spans."""
        start = max(0, len(view.turns) // span - 1) * span
        self.about = view.about
        self.past = view.past + tuple(met for turn in view.turns[:start] for met in turn)
        self.turns = view.turns[start:]
        self.keys = [_key(b"", self.past, view.about)]
        for turn in self.turns:
            self.keys.append(_key(self.keys[-1], turn))


def _key(before: bytes, met: tuple[Met, ...], about: str = "") -> bytes:
    content = np.array([(one.item, one.act) for one in met], np.int64).tobytes()
    return blake2b(b"%b|%b|%b" % (before, about.encode("utf-8", "surrogatepass"), content), digest_size=16).digest()


def _seeds(keys: list[bytes], tries: int) -> NDArray[np.int64]:
    """Seeds out of what is folded ``[n, tries]``, in [0, 2**31)."""
    own = np.frombuffer(b"".join(keys), np.uint64).reshape(-1, 2)[:, 0]
    return (Luck(own).bits(tries) >> np.uint64(33)).astype(np.int64)


def _read(text: str) -> Memory:
    content = object_in(text)
    memory = words_of(content, "memory", MEMORY)
    if not memory:
        raise Unreadable("memory", '"memory" is missing; expected a few sentences')
    return Memory(text=memory, reflection=words_of(content, "reflection", REFLECTION))
