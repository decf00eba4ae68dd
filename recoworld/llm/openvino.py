"""OpenVINO GenAI: small models on a processor, GGUF files as they are, without PyTorch; continuous batching and a prefix cache.

Every request has its seed. The engine's arithmetic depends a little on what else is in a step, so a reply may turn another way in another
batch. How many tokens came from the prefix cache it does not tell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.errors import ConfigError, LanguageModelError, MissingExtra
from recoworld.llm.grammar import reply_regex
from recoworld.llm.messages import ENDS_OF_TURN, Marks
from recoworld.llm.model import Completion, Likelihood, OnReply, Prompt, Sampling, Schema, Usage

DEFAULT = Sampling()
Tokens = tuple[int, ...]


def open_openvino(
    what: str, *, device: str = "CPU", cache_gb: int = 1, precision: str | None = None, threads: int | None = None
) -> OpenVINOModel:
    """Load a .gguf file, or a folder in OpenVINO's format.

    device: OpenVINO's name, e.g. "CPU", "GPU". cache_gb: memory for the prefix cache and the running requests. precision: "f32" or "bf16";
    the fastest there is. threads: of the processor, all by default; fewer where other programs run, for threads that wait for each other
    cost more than they give. Raises MissingExtra, ConfigError, LanguageModelError.
    """
    if not find_spec("openvino_genai"):
        raise MissingExtra("openvino-genai", "llm", "a language model in OpenVINO")
    path = Path(what).expanduser()
    if not what or not path.exists():
        raise ConfigError(f"openvino: {what!r} is not there; expected 'openvino:PATH' with a .gguf file or a folder")
    genai = import_module("openvino_genai")
    plan = genai.SchedulerConfig()
    plan.enable_prefix_caching, plan.cache_size, plan.max_num_batched_tokens = True, cache_gb, 4096
    wanted = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    properties = {name: value for name, value in wanted.items() if value is not None}
    try:
        pipeline = genai.ContinuousBatchingPipeline(str(path), plan, device, properties)
    except RuntimeError as error:
        raise LanguageModelError(f"openvino cannot load {what}: {' '.join(str(error).split())[:500]}") from error
    return OpenVINOModel(f"openvino:{path.name}", pipeline)


class OpenVINOModel:
    """One pipeline; the requests of a call run together, and its thread steps the engine."""

    def __init__(self, name: str, pipeline: Any) -> None:
        """pipeline: an `openvino_genai.ContinuousBatchingPipeline`."""
        self.name = name
        self._pipeline, self._tokenizer = pipeline, pipeline.get_tokenizer()
        vocabulary = {word.decode("utf-8", "replace"): token for word, token in self._tokenizer.get_vocab().items()}
        self._marks = Marks(vocabulary)
        ends = {self._tokenizer.get_eos_token_id(), *map(vocabulary.get, ENDS_OF_TURN)} - {None, -1}
        self._stops: set[int] = {int(token) for token in ends if token is not None}
        self._lock, self._number = threading.Lock(), 0

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = DEFAULT,
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """As `LanguageModel.generate`; log-probabilities are the model's own, at temperature 1 and without grammar."""
        out: dict[int, Completion] = {}
        regex = None if schema is None else reply_regex(schema)
        with self._lock:
            asked = self._asked(prompts)

            def done(place: int, result: Any) -> None:
                out[place] = self._completion(asked[place], result)
                if on_reply:
                    on_reply(place, out[place])

            self._run([(ids, self._config(sampling, prompt.seed, regex)) for ids, prompt in zip(asked, prompts, strict=True)], done)
        return [out[place] for place in range(len(prompts))]

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """Raises LanguageModelError: with a prefix cache the engine tells the likelihoods of a prompt wrongly."""
        if not prompts:
            return []
        raise LanguageModelError(f"{self.name} cannot score: OpenVINO GenAI tells no likelihoods of texts; open 'transformers:PATH'")

    def close(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._pipeline = self._tokenizer = None

    def _run(self, requests: Sequence[tuple[Tokens, Any]], done: Callable[[int, Any], None]) -> None:
        """All requests to their end; whatever interrupts takes them out of the engine."""
        genai, openvino = import_module("openvino_genai"), import_module("openvino")
        running = genai.GenerationStatus.RUNNING
        handles = {}
        try:
            for place, (ids, config) in enumerate(requests):
                self._number += 1
                handles[place] = self._pipeline.add_request(self._number, openvino.Tensor(np.array([ids], np.int64)), config)
            while handles:
                self._pipeline.step()
                for place, handle in list(handles.items()):
                    if (status := handle.get_status()) != running:
                        del handles[place]
                        if status != genai.GenerationStatus.FINISHED:
                            raise LanguageModelError(f"{self.name}: request {place + 1} found no room in the cache; give more cache_gb")
                        done(place, handle.read_all()[0])
        finally:
            for handle in handles.values():
                handle.cancel()
            while handles and self._pipeline.has_non_finished_requests():
                self._pipeline.step()

    def _asked(self, prompts: Sequence[Prompt]) -> list[Tokens]:
        """The tokens of each prompt, up to where the reply begins."""
        if self._pipeline is None:
            raise LanguageModelError(f"{self.name} was closed; open it again")
        messages = [self._marks.messages(prompt, self.name) for prompt in prompts]
        return [self._ids(self._tokenizer.apply_chat_template(each, add_generation_prompt=True)) for each in messages]

    def _ids(self, text: str) -> Tokens:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist())

    def _config(self, sampling: Sampling, seed: int, regex: str | None) -> Any:
        genai = import_module("openvino_genai")
        config = genai.GenerationConfig()
        config.max_new_tokens, config.rng_seed, config.logprobs, config.apply_chat_template = sampling.max_tokens, seed, 1, False
        config.stop_token_ids = self._stops
        config.do_sample = sampling.temperature > 0
        if config.do_sample:
            config.temperature, config.top_p, config.top_k = sampling.temperature, sampling.top_p, 0
        if regex is not None:
            config.structured_output_config = genai.StructuredOutputConfig(regex=regex)
        return config

    def _completion(self, asked: Tokens, result: Any) -> Completion:
        genai = import_module("openvino_genai")
        tokens, logprobs = list(result.generated_ids), list(result.generated_log_probs)
        said = tokens[:-1] if tokens and tokens[-1] in self._stops else tokens
        return Completion(
            text=self._tokenizer.decode(said, skip_special_tokens=True) if said else "",
            finish="length" if result.finish_reason == genai.GenerationFinishReason.LENGTH else "stop",
            usage=Usage(prompt=len(asked), completion=len(tokens)),
            prompt_ids=asked,
            token_ids=tuple(tokens),
            logprobs=tuple(min(0.0, p) for p in logprobs),
        )
