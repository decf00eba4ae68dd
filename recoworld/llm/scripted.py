"""A language model that is none: replies and likelihoods by arithmetic, for tests, documentation and a first look."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence

from recoworld.errors import ConfigError, UnknownName
from recoworld.llm.broken import broken
from recoworld.llm.grammar import grammar
from recoworld.llm.model import Completion, Likelihood, OnReply, Prompt, Sampling, Schema, Usage
from recoworld.llm.trees import draw

DEFAULT = Sampling()
Script = Callable[[Prompt, Schema | None], str]

WORDS = (
    *("I", "like", "this", "one", "not", "really", "again", "more", "of", "the", "same", "a", "quiet", "film", "something", "new", "maybe"),
    *("later", "too", "long", "well", "made", "seen", "it", "before", "good", "story", "cast", "short", "and", "funny", "for", "tonight"),
)


class Scripted:
    """Says what a function or a list says, or else something that holds to any schema.

    A token is a word with the whitespace before it; ids and log-probabilities are made out of the words, and generating and scoring agree
    on them. The temperature matters at 0 only: the seed counts no more.
    """

    def __init__(self, reply: Script | Sequence[str] | None = None, *, name: str = "scripted") -> None:
        """reply: called for each prompt; or texts, of which messages and seed choose one; None for a valid reply to whatever schema.

        Raises ConfigError for a text without texts in it.
        """
        self.name = name
        if isinstance(reply, str) or (not callable(reply) and reply is not None and not reply):
            raise ConfigError(f"Scripted was given {reply!r}; expected a function (prompt, schema) -> str, or some texts")
        self._script: Script = made_up if reply is None else reply if callable(reply) else _one_of(tuple(reply))

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = DEFAULT,
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """One reply a prompt, made when its turn comes; whatever the script raises comes through."""
        out = []
        for place, prompt in enumerate(prompts):
            asked = prompt if sampling.temperature > 0 else Prompt(messages=prompt.messages)
            text = self._script(asked, schema)
            if not isinstance(text, str):
                raise ConfigError(f"the script gave {type(text).__name__}; expected str")
            out.append(_completion(prompt, text, sampling.max_tokens))
            if on_reply:
                on_reply(place, out[-1])
        return out

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """Sums of the log-probabilities that `generate` would tell for these words."""
        out = []
        for place, (prompt, texts) in enumerate(zip(prompts, continuations, strict=True)):
            logprobs = [_logprobs(prompt, _tokens(text)) for text in texts]
            out.append(tuple(Likelihood(logprob=sum(each), tokens=len(each)) for each in logprobs))
            if on_reply:
                on_reply(place, out[-1])
        return out

    def close(self) -> None:
        """Nothing is held."""


def open_scripted(what: str = "") -> Scripted:
    """Nothing, or "broken" for malformed replies. Raises UnknownName."""
    if what not in SCRIPTS:
        raise UnknownName("script", what, (name for name in SCRIPTS if name))
    return Scripted(SCRIPTS[what], name=f"scripted:{what}" if what else "scripted")


def made_up(prompt: Prompt, schema: Schema | None) -> str:
    """A valid reply to any schema of the subset, or a short sentence; chosen by messages, seed and schema."""
    pick = _pick(prompt, schema)
    if schema is not None:
        return draw(grammar(schema), pick, WORDS)
    return " ".join(WORDS[pick(len(WORDS))] for _ in range(4 + pick(8)))


def malformed(prompt: Prompt, schema: Schema | None) -> str:
    """`made_up`, spoilt in one of many ways (`recoworld.llm.broken`)."""
    return broken(made_up(prompt, schema), _pick(prompt, "broken"))


SCRIPTS: dict[str, Script] = {"": made_up, "broken": malformed}


def _one_of(texts: tuple[str, ...]) -> Script:
    return lambda prompt, schema: texts[_pick(prompt)(len(texts))]


def _pick(prompt: Prompt, *more: object) -> Callable[[int], int]:
    """Numbers in [0, n), the same again for the same prompt."""
    key = hashlib.blake2b(json.dumps([prompt.messages, prompt.seed, more], default=dict).encode(), digest_size=32).digest()
    drawn = 0

    def pick(n: int) -> int:
        nonlocal drawn
        drawn += 1
        return int.from_bytes(hashlib.blake2b(drawn.to_bytes(8, "little"), key=key, digest_size=8).digest(), "little") % n

    return pick


def _completion(prompt: Prompt, text: str, max_tokens: int) -> Completion:
    tokens, asked = _tokens(text), [_id(word) for message in prompt.messages for word in _tokens(_words(message["content"]))]
    said = tokens[:max_tokens]
    return Completion(
        text=text if len(said) == len(tokens) else "".join(said),
        finish="stop" if len(said) == len(tokens) else "length",
        usage=Usage(prompt=len(asked), completion=len(said)),
        prompt_ids=tuple(asked),
        token_ids=tuple(map(_id, said)),
        logprobs=_logprobs(prompt, said),
    )


def _words(content: object) -> str:
    return content if isinstance(content, str) else json.dumps(content, default=dict)


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def _logprobs(prompt: Prompt, tokens: Sequence[str]) -> tuple[float, ...]:
    """In (-8, 0), each depending on the messages and on all words up to it."""
    state, out = hashlib.blake2b(json.dumps(prompt.messages, default=dict).encode(), digest_size=8), []
    for token in tokens:
        state.update(token.encode("utf-8", "surrogatepass"))
        out.append(-8.0 * (int.from_bytes(state.digest(), "little") + 1) / (2**64 + 2))
    return tuple(out)


def _id(token: str) -> int:
    return int.from_bytes(hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=2).digest(), "little")
