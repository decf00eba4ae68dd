"""Models in PyTorch through `transformers`: a folder, a hub's name or a GGUF file, on a processor or a GPU.

A reply depends on its own prompt, seed and grammar. Floating point does not quite obey: sums come in another order in a batch of another
shape, and where two tokens are nearly as likely a reply turns another way. The same batch gives the same bytes. Measured with
SmolLM2-135M, 24 tokens at temperature 1, on a processor: in float32 none of 24 replies differed between one batch and one by one, and 2
between one batch and three; in bfloat16, which is faster, all of 12, and 4 of 12 between one batch and three. So record what must be
repeated (`recoworld.llm.record`), or ask for dtype="float32".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.errors import ConfigError, LanguageModelError, MissingExtra
from recoworld.llm.decoding import Decoder, Row, common
from recoworld.llm.grammar import reply_regex
from recoworld.llm.messages import ENDS_OF_TURN, Marks
from recoworld.llm.model import Completion, Likelihood, OnReply, Prompt, Sampling, Schema, Usage

DEFAULT = Sampling()


def open_transformers(
    what: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_tokens: int = 32_768,
    template: Mapping[str, Any] | None = None,
) -> TransformersModel:
    """Load a model.

    device: e.g. "cpu", "cuda:1"; a GPU if there is one. dtype: "bfloat16" where the hardware has it, else "float32". batch_tokens: tokens
    that are held in the cache at once, which bounds memory. template: settings of the chat template, e.g. {"enable_thinking": False}.
    Raises MissingExtra, ConfigError, LanguageModelError.
    """
    missing = next((name for name in ("torch", "transformers", "jinja2") if not find_spec(name)), None)
    if missing:
        raise MissingExtra(missing, "llm", "a language model in PyTorch")
    if not what:
        raise ConfigError("transformers: expected 'transformers:WHAT' with a folder, a .gguf file or a hub's name")
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    half = torch.cuda.is_bf16_supported() if device.startswith("cuda") else torch.ops.mkldnn._is_mkldnn_bf16_supported()
    dtype = dtype or ("bfloat16" if half else "float32")
    if dtype not in ("bfloat16", "float16", "float32"):
        raise ConfigError(f"transformers: dtype is {dtype!r}; expected 'bfloat16', 'float16' or 'float32'")
    tokenizer, model = _loaded(what, getattr(torch, dtype))
    if not tokenizer.chat_template:
        raise LanguageModelError(f"{what} has no chat template; expected a model that was made for conversations (instruct, chat)")
    try:
        model = model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise LanguageModelError(f"{what} cannot be put on {device!r}: {error}") from error
    name = Path(what).name if Path(what).expanduser().exists() else what
    return TransformersModel(f"transformers:{name}", tokenizer, model, batch_tokens=batch_tokens, template=template or {})


def _loaded(what: str, dtype: Any) -> tuple[Any, Any]:
    import transformers

    path = Path(what).expanduser()
    settings: dict[str, Any] = {}
    if path.suffix == ".gguf" and path.is_file():
        if missing := next((name for name in ("gguf", "accelerate") if not find_spec(name)), None):
            raise MissingExtra(missing, "llm", f"reading {path.name} with transformers")
        where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        settings = {"quantization_config": transformers.GgufConfig(dequantize=True)}
    else:
        where = {"pretrained_model_name_or_path": str(path) if path.exists() else what}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
        return tokenizer, transformers.AutoModelForCausalLM.from_pretrained(**where, **settings, dtype=dtype)
    except Exception as error:  # whatever a damaged file or an absent hub does to its readers
        raise LanguageModelError(f"transformers cannot load {what}: {type(error).__name__}: {error}") from error


class TransformersModel:
    """Prompts of a call are sorted by length and go in batches; what all begin with is computed once, and kept for the next call."""

    def __init__(self, name: str, tokenizer: Any, model: Any, *, batch_tokens: int, template: Mapping[str, Any]) -> None:
        """tokenizer, model: as transformers loads them."""
        self.name, self.tokenizer = name, tokenizer
        self._template, self._batch_tokens = dict(template), batch_tokens
        self._stops = _ends(tokenizer, model.generation_config)
        self._marks = Marks(tokenizer.get_vocab(), tokenizer.all_special_tokens)
        self._decoder: Decoder | None = Decoder(model, self._stops)
        self._vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self._context = int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
        self._lock = threading.Lock()
        self._compiler: Any = None
        self._compiled: dict[str, Any] = {}

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = DEFAULT,
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """As `LanguageModel.generate`; log-probabilities are the model's own, at temperature 1 and without grammar."""
        out: list[Completion | None] = [None] * len(prompts)
        with self._lock:
            decoder, asked = self._open(), self._asked(prompts)
            compiled = self._grammar(schema) if schema is not None and prompts else None
            shared = common(asked) if asked else 0
            for places in self._batches([len(ids) for ids in asked], sampling.max_tokens):
                rows = [self._row(asked[i], prompts[i].seed, sampling.max_tokens, compiled) for i in places]
                paid = 0 if decoder.known(asked[0][:shared]) else shared

                def done(at: int, places: list[int] = places, rows: list[Row] = rows, paid: int = paid) -> None:
                    reply = out[places[at]] = self._completion(rows[at], shared - paid * (at == 0))
                    if on_reply:
                        on_reply(places[at], reply)

                settings: Any = {"temperature": sampling.temperature, "top_p": sampling.top_p}
                decoder.generate(rows, shared, **settings, done=done, apply=self._apply() if compiled else None)
        return [reply for reply in out if reply is not None]

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """As `LanguageModel.score`; each prompt is read once, whatever number of continuations it has."""
        texts = sorted({text for each in continuations for text in each})
        if "" in texts:
            raise ConfigError("score: an empty continuation; expected some text")
        out: list[tuple[Likelihood, ...]] = [()] * len(prompts)
        with self._lock:
            decoder, asked = self._open(), self._asked(prompts)
            ids = dict(zip(texts, self.tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True)) if texts else {}
            shared = common(asked) if asked else 0
            for places in self._batches([len(each) for each in asked], 0):
                wanted = [[ids[text] for text in continuations[i]] for i in places]
                sums = decoder.score([asked[i] for i in places], shared, wanted)
                for i, some, logprobs in zip(places, wanted, sums, strict=True):
                    out[i] = tuple(Likelihood(logprob=p, tokens=len(text)) for p, text in zip(logprobs, some, strict=True))
                    if on_reply:
                        on_reply(i, out[i])
        return out

    def forget(self) -> None:
        """Empty the prefix cache, for measurements."""
        with self._lock:
            self._open().forget()

    def close(self) -> None:
        """Give the weights back."""
        with self._lock:
            self._decoder = self._compiler = None
            self._compiled.clear()

    def _open(self) -> Decoder:
        if self._decoder is None:
            raise LanguageModelError(f"{self.name} was closed; open it again")
        return self._decoder

    def _asked(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The tokens of each prompt, up to where the reply begins."""
        if not prompts:
            return []
        messages = [self._marks.messages(prompt, self.name) for prompt in prompts]
        texts = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **self._template)
        asked: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        for i, ids in enumerate(asked):
            if len(ids) >= self._context:
                most = self._context - 1
                raise LanguageModelError(f"prompt {i + 1} of {len(asked)} has {len(ids)} tokens; {self.name} takes {most} at most")
        return asked

    def _row(self, ids: Sequence[int], seed: int, limit: int, compiled: Any) -> Row:
        limit = min(limit, self._context - len(ids))
        matcher = compiled and import_module("xgrammar").GrammarMatcher(compiled)
        return Row(ids=ids, limit=limit, uniforms=np.random.default_rng(seed).random(limit, np.float32), matcher=matcher)

    def _batches(self, lengths: Sequence[int], more: int) -> Iterator[list[int]]:
        """Places of prompts of about the same length, as many as `batch_tokens` allows."""
        batch: list[int] = []
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            if batch and (len(batch) + 1) * (lengths[batch[0]] + more) > self._batch_tokens:
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _completion(self, row: Row, cached: int) -> Completion:
        ended = bool(row.tokens) and row.tokens[-1] in self._stops
        said = row.tokens[:-1] if ended else row.tokens
        return Completion(
            text=self.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False),
            finish="stop" if ended else "length",
            usage=Usage(prompt=len(row.ids), cached=cached, completion=len(row.tokens)),
            prompt_ids=tuple(row.ids),
            token_ids=tuple(row.tokens),
            logprobs=tuple(row.logprobs),
        )

    def _grammar(self, schema: Schema) -> Any:
        """The schema as xgrammar's automaton; kept."""
        if not find_spec("xgrammar"):
            raise MissingExtra("xgrammar", "llm", "holding replies to a schema")
        pattern = reply_regex(schema)
        if pattern not in self._compiled:
            if self._compiler is None:
                xgrammar = import_module("xgrammar")
                sizes: Any = {"vocab_size": self._vocabulary, "stop_token_ids": list(self._stops)}
                info = xgrammar.TokenizerInfo.from_huggingface(self.tokenizer, **sizes)
                self._compiler = xgrammar.GrammarCompiler(info)
            self._compiled[pattern] = self._compiler.compile_regex(pattern)
        return self._compiled[pattern]

    def _apply(self) -> Callable[[Any, list[Any]], Any]:
        """Sets the logits of tokens that a row's grammar forbids to minus infinity."""
        xgrammar = import_module("xgrammar")

        def apply(logits: Any, matchers: list[Any]) -> Any:
            mask = xgrammar.allocate_token_bitmask(len(matchers), self._vocabulary)
            for at, matcher in enumerate(matchers):
                if matcher is not None:
                    matcher.fill_next_token_bitmask(mask, at)
            xgrammar.apply_token_bitmask_inplace(logits, mask.to(logits.device))
            return logits

        return apply


def _ends(tokenizer: Any, config: Any) -> tuple[int, ...]:
    """All tokens that end a reply."""
    declared = config.eos_token_id if config is not None else None
    known = tokenizer.get_vocab()
    some = declared if isinstance(declared, list) else [declared]
    return tuple(sorted({each for each in (*some, tokenizer.eos_token_id, *map(known.get, ENDS_OF_TURN)) if each is not None}))
