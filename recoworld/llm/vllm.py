"""vLLM in this process: one engine, whole batches, prefix cache, grammars by xgrammar.

    make_model("vllm:Qwen/Qwen3-8B")        # a hub's name or a folder; engine="async": several threads' batches run together

A reply's seed is its own, but sums of floating point depend on who else is computed with it. Measured with SmolLM2-135M in bfloat16 on a
processor, 24 tokens at temperature 0.8: the same batch of 48 twice, no reply differed; asked alone, 9 of 24 differed from the batch's.
Record replies where the same bytes are wanted again.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from recoworld.errors import ConfigError, LanguageModelError, MissingExtra
from recoworld.llm.grammar import reply_regex
from recoworld.llm.loop import Batch, Job, Loop
from recoworld.llm.model import Completion, Likelihood, OnReply, Prompt, Sampling, Schema
from recoworld.llm.vllm_outputs import completion, likelihood, shared_lead, told, weighed
from recoworld.text import plain

try:
    from vllm import LLM, AsyncEngineArgs, SamplingParams
    from vllm.config import StructuredOutputsConfig
    from vllm.exceptions import VLLMClientError
    from vllm.inputs import TokensPrompt
    from vllm.platforms import current_platform
    from vllm.renderers import ChatParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
    from vllm.v1.engine.async_llm import AsyncLLM
except ModuleNotFoundError as missing:
    _missing: ModuleNotFoundError | None = missing
else:
    _missing = None

DEFAULT = Sampling()
Request = tuple[Any, Any]
"""What vLLM makes of a prompt, and its SamplingParams."""
OnOutput = Callable[[int, Any], None]
"""Called with a request's place and its `vllm.RequestOutput`."""


def open_vllm(
    what: str,
    *,
    engine: str = "offline",
    dtype: str = "auto",
    max_model_len: int | None = None,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    enforce_eager: bool = False,
    **settings: Any,
) -> VLLMModel:
    """A model of a hub, or of a folder, in vLLM.

    `engine` is "offline" (batches of several threads wait for each other) or "async" (they run together). `max_model_len` is the longest
    prompt and reply in tokens, the model's own if None. Other settings are those of `vllm.EngineArgs`.

    Raises ConfigError, LanguageModelError where it does not start, and MissingExtra.
    """
    if _missing is not None:
        raise MissingExtra("vllm", "vllm", f"language model 'vllm:{what}'") from _missing
    if not what:
        raise ConfigError("language model 'vllm:' names no model; expected vllm:FOLDER or vllm:HUB/NAME")
    if engine not in _ENGINES:
        raise ConfigError(f"engine of language model 'vllm:{what}' is {engine!r}; expected one of {', '.join(_ENGINES)}")
    folder = Path(what).expanduser()
    if current_platform.is_cpu():
        # vLLM 0.32 dies when a prompt with a seed is computed in parts there. Small blocks: more of a prompt is found in the cache.
        settings = {"enable_chunked_prefill": False, "block_size": 32, **settings}
    arguments = {
        "model": str(folder) if folder.is_dir() else what,
        "dtype": dtype,
        "max_model_len": max_model_len,
        "gpu_memory_utilization": gpu_memory_utilization,
        "tensor_parallel_size": tensor_parallel_size,
        "enforce_eager": enforce_eager,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "structured_outputs_config": StructuredOutputsConfig(backend="xgrammar", disable_any_whitespace=True),
        **settings,
    }
    try:
        running = _ENGINES[engine](arguments)
    except Exception as error:
        raise LanguageModelError(f"vLLM cannot run {what!r}: {type(error).__name__}: {error}") from error
    return VLLMModel(f"vllm:{folder.name if folder.is_dir() else what}", running)


class VLLMModel:
    """A `LanguageModel` over an engine of vLLM; `name` is a folder's last part, so that a record stays good when the folder moves."""

    def __init__(self, name: str, engine: _Offline | _Async) -> None:
        self.name, self._engine = name, engine
        self._rendering = threading.Lock()

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = DEFAULT,
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """See `LanguageModel.generate`."""
        # Not as JSON: xgrammar 0.2.8 allows a space after each comma there, and small models fill pages with it.
        held = None if schema is None else StructuredOutputsParams(regex=reply_regex(schema))
        # Rendered one by one, as the engine begins with the first.
        requests = ((self._rendered(prompt), _sampling(prompt, sampling, held)) for prompt in prompts)
        replies: dict[int, Completion] = {}

        def done(place: int, output: Any) -> None:
            replies[place] = completion(output)
            if on_reply is not None:
                on_reply(place, replies[place])

        self._engine.run(requests, done)
        return [replies[place] for place in range(len(prompts))]

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """See `LanguageModel.score`: one request a prompt where its continuations differ in their last token alone, else one each."""
        if len(prompts) != len(continuations):
            raise ConfigError(f"{len(prompts)} prompts and {len(continuations)} lists of continuations; expected as many")
        texts = {text: self._tokens(text) for each in continuations for text in each}
        likelihoods: list[list[Likelihood | None]] = [[None] * len(each) for each in continuations]
        asked: list[tuple[int, int, int, Any]] = []  # prompt, continuation (-1: all of them), tokens before it, what vLLM was given
        again: list[int] = []

        def requests() -> Iterator[Request]:
            for i, prompt in enumerate(prompts):
                before, wanted = self._rendered(prompt)["prompt_token_ids"], [texts[text] for text in continuations[i]]
                if not wanted and on_reply is not None:
                    on_reply(i, ())
                lead = shared_lead(wanted)
                for j, ids in enumerate(wanted) if lead is None else [(-1, [])]:
                    given = TokensPrompt(prompt_token_ids=[*before, *ids])
                    asked.append((i, j, len(before), given))
                    yield given, _scoring(cached=True) if lead is None else _telling(told(wanted), lead)

        def done(place: int, output: Any) -> None:
            i, j, start, _ = asked[place]
            if j < 0:
                likelihoods[i][:] = weighed(output, [texts[text] for text in continuations[i]])
            elif (output.num_cached_tokens or 0) < start or len(output.prompt_token_ids) == start:  # rows of cached tokens are garbage
                likelihoods[i][j] = likelihood(output, start)
            else:  # its continuation was in the cache, too, from an earlier call
                return again.append(place)
            if on_reply is not None and None not in likelihoods[i]:
                on_reply(i, tuple(likelihoods[i]))

        self._engine.run(requests(), done)
        repeated, places = [(asked[place][3], _scoring(cached=False)) for place in again], again.copy()
        self._engine.run(repeated, lambda i, output: done(places[i], output))
        return [tuple(one for one in each if one is not None) for each in likelihoods]

    def forget(self) -> None:
        """Empty the prefix cache, for measurements."""
        self._engine.forget()

    def close(self) -> None:
        """End the engine and its processes; twice is fine."""
        self._engine.close()

    def _rendered(self, prompt: Prompt) -> Any:
        """A conversation in the model's chat template, with its token ids."""
        template = {"add_generation_prompt": True, "continue_final_message": False, "tools": None, "tokenize": False}
        try:
            with self._rendering:
                _, (rendered,) = self._engine.renderer.render_chat([list(prompt.messages)], ChatParams(chat_template_kwargs=template))
        except Exception as error:
            raise _failed(error) from error
        return rendered

    def _tokens(self, text: str) -> list[int]:
        with self._rendering:
            return list(self._engine.renderer.get_tokenizer().encode(text, add_special_tokens=False))


class _Offline:
    """`vllm.LLM`, stepped until a batch is done."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._llm: Any = LLM(**arguments)
        self.renderer = self._llm.renderer
        self._names, self._lock = itertools.count(), threading.Lock()

    def run(self, requests: Iterable[Request], on_output: OnOutput) -> None:
        """Tell each output as soon as it is finished. Raises LanguageModelError."""
        places: dict[str, int] = {}
        with self._lock:
            if self._llm is None:
                raise LanguageModelError("the language model was closed; make a new one")
            engine = self._llm.llm_engine
            try:
                for place, (prompt, params) in enumerate(requests):
                    name = str(next(self._names))
                    _heard(engine.add_request, name, prompt, params)
                    places[name] = place
                while places:
                    for output in _heard(engine.step):
                        if output.finished and output.request_id in places:
                            on_output(places.pop(output.request_id), output)
            except BaseException:
                engine.abort_request(list(places))
                raise

    def forget(self) -> None:
        with self._lock:
            if self._llm is not None:
                self._llm.llm_engine.reset_prefix_cache()

    def close(self) -> None:
        with self._lock:
            if self._llm is not None:
                self._llm.llm_engine.engine_core.shutdown()
                self._llm = None


class _Async:
    """`vllm.v1.engine.async_llm.AsyncLLM` in a loop of its own."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._loop = Loop("recoworld-vllm")
        self._names = itertools.count()

        async def start() -> Any:
            return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))

        try:
            self._engine = self._loop.run(start())
        except BaseException:
            self._loop.close()
            raise
        self.renderer = self._engine.renderer

    def run(self, requests: Iterable[Request], on_output: OnOutput) -> None:
        """Tell each output as soon as it is finished. Raises LanguageModelError."""

        def job(prompt: Any, params: Any) -> Job:
            async def one(batch: Batch) -> Any:
                try:
                    return [output async for output in self._engine.generate(prompt, params, f"r{next(self._names)}")][-1]
                except Exception as error:
                    raise _failed(error) from error

            return one

        self._loop.gather([job(*request) for request in requests], on_output)

    def forget(self) -> None:
        self._loop.run(self._engine.reset_prefix_cache())

    def close(self) -> None:
        if not self._loop.closed:

            async def end() -> None:
                self._engine.shutdown()

            self._loop.run(end())
            self._loop.close()


_ENGINES: dict[str, Callable[[dict[str, Any]], Any]] = {"offline": _Offline, "async": _Async}


def _heard(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call of the engine gives; its errors are ours."""
    try:
        return call(*arguments)
    except Exception as error:
        raise _failed(error) from error


def _failed(error: Exception) -> LanguageModelError:
    if isinstance(error, VLLMClientError):
        return LanguageModelError(f"vLLM refused a prompt: {plain(error, 300)}; if it is too long, shorten it or raise max_model_len")
    return LanguageModelError(f"vLLM failed: {type(error).__name__}: {plain(error, 300)}; if the engine died, make a new model")


def _sampling(prompt: Prompt, sampling: Sampling, held: Any) -> Any:
    drawn = {"max_tokens": sampling.max_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p, "seed": prompt.seed}
    return SamplingParams(**drawn, logprobs=0, structured_outputs=held, output_kind=RequestOutputKind.FINAL_ONLY)


def _scoring(*, cached: bool) -> Any:
    # Without detokenize=False, vLLM looks up the words of the garbage in the rows of cached tokens.
    asked = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0, "detokenize": False}
    return SamplingParams(**asked, skip_reading_prefix_cache=not cached, output_kind=RequestOutputKind.FINAL_ONLY)


def _telling(tokens: list[int], lead: Sequence[int]) -> Any:
    """Of these tokens the log-probabilities of the model itself, at each of one step more than `lead` has, which is what is sampled."""
    asked = {"max_tokens": len(lead) + 1, "temperature": 0.0, "ignore_eos": True, "detokenize": False}
    held = {"allowed_token_ids": list(lead)} if lead else {}
    return SamplingParams(**asked, **held, logprob_token_ids=tokens, output_kind=RequestOutputKind.FINAL_ONLY)
