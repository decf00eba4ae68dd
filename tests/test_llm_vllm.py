"""vLLM for real: in this process, and its server behind the HTTP backend. How to run it: docs/llm.md.

RECOWORLD_TEST_MODEL names the folder of a small chat model, as `python -m recoworld.llm.convert` makes it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recoworld.errors import ConfigError, LanguageModelError, MissingExtra
from recoworld.llm.model import LanguageModel, Likelihood, Prompt, Sampling
from recoworld.llm.vllm_outputs import MOST_TOLD, likelihood, shared_lead, told, weighed
from recoworld.testing import LanguageModelTests

FOLDER = os.environ.get("RECOWORLD_TEST_MODEL", "")
SETTINGS = {"dtype": "bfloat16", "max_model_len": 2048, "enforce_eager": True}
real = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(not FOLDER, reason="RECOWORLD_TEST_MODEL names no folder of a small model"),
    # Of vLLM and what it imports.
    pytest.mark.filterwarnings("ignore"),
]


class EngineTests:
    """What vLLM can be asked beside the suite; before it, as the suite closes the model at its end."""

    def test_tokens_are_those_that_were_sampled(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        for reply in model.generate(prompts, sampling=Sampling(max_tokens=8)):
            assert reply.prompt_ids
            assert reply.token_ids
            assert reply.logprobs
            assert len(reply.token_ids) == len(reply.logprobs)

    def test_what_begins_alike_is_computed_once(self, model: LanguageModel) -> None:
        story = "You are asked for your taste in films, at length. " * 40
        replies = model.generate([Prompt.of(f"{story}{i}?") for i in range(3)], sampling=Sampling(max_tokens=2))
        replies += model.generate([Prompt.of(f"{story}9?")], sampling=Sampling(max_tokens=2))
        assert replies[-1].usage.cached > 0.6 * replies[-1].usage.prompt

    def test_likelihoods_from_the_cache_are_the_same(self, model: LanguageModel) -> None:
        """A continuation longer than a block of the cache, asked for twice."""
        prompt, text = Prompt.of("Tell a story."), " Once upon a time there was a king who had three sons." * 12
        first, second = model.score([prompt], [[text]])[0][0], model.score([prompt], [[text]])[0][0]
        assert first.tokens == second.tokens > 128
        assert first.logprob == pytest.approx(second.logprob, rel=0.02)

    def test_continuations_read_off_one_request_are_as_likely_as_one_by_one(self, model: LanguageModel, prompts: list[Prompt]) -> None:
        """Those that differ in their last token alone, and the same beside one that is longer, which are asked one by one."""
        texts = [" yes", " no"], ["I click", "I skip"]
        for pair in texts:
            for prompt in prompts[:3]:
                (together,), (apart,) = model.score([prompt], [pair]), model.score([prompt], [[*pair, f"{pair[0]} it, perhaps"]])
                for one, other in zip(together, apart, strict=False):
                    assert one.tokens == other.tokens
                    assert one.logprob == pytest.approx(other.logprob, abs=0.25)

    def test_a_prompt_that_is_too_long_says_so(self, model: LanguageModel) -> None:
        with pytest.raises(LanguageModelError, match=r"refused .*(length|too long)"):
            model.generate([Prompt.of("word " * 5000)])
        assert model.generate([Prompt.of("Hello")], sampling=Sampling(max_tokens=2))[0].usage.completion == 2


class TestOffline(LanguageModelTests, EngineTests):
    pytestmark = real
    n_prompts = 16
    exact = False

    def make(self) -> LanguageModel:
        from recoworld.llm.vllm import open_vllm

        return open_vllm(FOLDER, **SETTINGS)


class TestAsync(LanguageModelTests, EngineTests):
    pytestmark = real
    n_prompts = 16
    exact = False

    def make(self) -> LanguageModel:
        from recoworld.llm.vllm import open_vllm

        return open_vllm(FOLDER, engine="async", **SETTINGS)


@pytest.fixture(scope="class")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vLLM's own server, started for the tests of one class, with its default whitespace in grammars."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", FOLDER, "--served-model-name", "small"]
    command += ["--port", str(port), "--dtype", "bfloat16", "--max-model-len", "2048", "--enforce-eager", "--enable-prompt-tokens-details"]
    with log.open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            _wait(f"http://127.0.0.1:{port}/health", running, log)
            TestServer.url = f"http://127.0.0.1:{port}/v1"
            yield TestServer.url
        finally:
            running.terminate()
            running.wait(60)


@pytest.mark.usefixtures("server")
class TestServer(LanguageModelTests, EngineTests):
    """The HTTP backend before a real server."""

    pytestmark = real
    n_prompts = 16
    exact = False
    url = ""

    def make(self) -> LanguageModel:
        from recoworld.llm.http import open_openai

        return open_openai(f"small@{self.url}", timeout=300)


def _wait(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1800):
        if running.poll() is not None:
            pytest.fail(f"the server ended with {running.returncode}: {log.read_text(errors='replace')[-2000:]}")
        try:
            urllib.request.urlopen(url, timeout=2)
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


class Step(dict[int, Any]):
    """A token's log-probabilities, as vLLM tells them."""

    def __init__(self, **told: float) -> None:
        super().__init__({int(token[1:]): SimpleNamespace(logprob=value) for token, value in told.items()})


def test_which_continuations_go_in_one_request() -> None:
    assert shared_lead([[5, 7], [5, 8]]) == (5,)
    assert shared_lead([[7], [8], [9]]) == ()
    assert shared_lead([[5, 7]]) == (5,)
    for apart in ([[5, 7], [6, 7]], [[7], [5, 7]], [[1, 5, 7], [1, 5, 8]], [], [[], [7]], [[token] for token in range(MOST_TOLD + 1)]):
        assert shared_lead(apart) is None
    assert told([[5, 7], [5, 8]]) == [5, 7, 8]


def test_likelihoods_are_sums_over_their_own_tokens() -> None:
    steps = [Step(t5=-0.5, t7=-9.0, t8=-9.0), Step(t5=-9.0, t7=-1.25, t8=-2.0)]
    output = SimpleNamespace(outputs=[SimpleNamespace(logprobs=steps)])
    found = weighed(output, [[5, 7], [5, 8]])
    assert found == [Likelihood(logprob=-1.75, tokens=2), Likelihood(logprob=-2.5, tokens=2)]
    prompt = SimpleNamespace(prompt_token_ids=[1, 2, 3], prompt_logprobs=[None, Step(t2=-3.0), Step(t3=-0.25)])
    assert likelihood(prompt, 2) == Likelihood(logprob=-0.25, tokens=1)
    assert likelihood(prompt, 3) == Likelihood(logprob=0.0, tokens=0)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_it_says_what_to_install() -> None:
    from recoworld.llm.vllm import open_vllm

    with pytest.raises(MissingExtra, match=r"recoworld\[vllm\]"):
        open_vllm("some/model")


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_settings_are_checked() -> None:
    from recoworld.llm.vllm import open_vllm

    with pytest.raises(ConfigError, match="names no model"):
        open_vllm("")
    with pytest.raises(ConfigError, match="offline, async"):
        open_vllm("some/model", engine="fast")
    with pytest.raises(LanguageModelError, match=r"vLLM cannot run '\./no/such/folder'"):
        open_vllm("./no/such/folder")
