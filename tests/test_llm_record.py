"""Recorded and replayed replies: nothing is paid twice, and the file outlives its processes."""

from __future__ import annotations

import json
import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from recoworld.errors import CacheUnwritable, ConfigError, LanguageModelError
from recoworld.llm.make import make_model
from recoworld.llm.model import Completion, LanguageModel, Likelihood, Prompt, Sampling, Schema, Usage
from recoworld.llm.record import Recorded, Replay, merge
from recoworld.llm.scripted import Scripted, made_up
from recoworld.llm.store import Store
from recoworld.testing import LanguageModelTests
from recoworld.testing.language_models import SCHEMAS

PROMPTS = [Prompt.of(f"film {i}", seed=i) for i in range(20)]


class Counting(Scripted):
    """Keeps what it was asked."""

    def __init__(self, name: str = "counting", prefix: str = "") -> None:
        super().__init__(self.said, name=name)
        self.asked: list[Prompt] = []
        self.scored: list[Prompt] = []
        self.prefix = prefix

    def said(self, prompt: Prompt, schema: Schema | None) -> str:
        self.asked.append(prompt)
        return self.prefix + made_up(prompt, schema)

    def score(self, prompts: Sequence[Prompt], continuations: Any, *, on_reply: Any = None) -> list[tuple[Likelihood, ...]]:
        self.scored += prompts
        return super().score(prompts, continuations, on_reply=on_reply)


class TestRecorded(LanguageModelTests):
    """A record is a language model like the one in it."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        type(self).path = tmp_path_factory.getbasetemp() / "suite.sqlite"

    path: Path

    def make(self) -> LanguageModel:
        return Recorded(Scripted(), self.path)


def test_what_is_there_is_not_asked_again(tmp_path: Path) -> None:
    model = Counting()
    with_record = Recorded(model, tmp_path / "deep" / "replies.sqlite")
    first = with_record.generate(PROMPTS[:5])
    told: list[tuple[int, Completion]] = []
    both = with_record.generate(PROMPTS, on_reply=lambda place, reply: told.append((place, reply)))
    assert both[:5] == first
    assert model.asked == PROMPTS
    assert sorted(place for place, _ in told) == list(range(20))
    assert all(both[place] == reply for place, reply in told)
    assert both == Counting().generate(PROMPTS)


def test_everything_that_a_reply_depends_on_is_in_its_key(tmp_path: Path) -> None:
    """Each of these is another question; the order of a message's keys is none."""
    model = Counting()
    record = Recorded(model, tmp_path / "r")
    one = Prompt.of("a", seed=1)
    swapped = {"properties": {"b": {"type": "boolean"}, "a": {"type": "boolean"}}, "type": "object"}
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}}}
    for prompt, settings in (
        (one, {}),
        (Prompt.of("a", seed=2), {}),
        (Prompt.of("b", seed=1), {}),
        (Prompt.of("a", system="", seed=1), {}),
        (Prompt.of("a", system="s", seed=1), {}),
        (one, {"schema": schema}),
        (one, {"schema": swapped}),
        (one, {"sampling": Sampling(max_tokens=3)}),
        (one, {"sampling": Sampling(temperature=0.5)}),
        (one, {"sampling": Sampling(top_p=0.5)}),
    ):
        record.generate([prompt], **settings)
    assert len(model.asked) == 9 + (Prompt.of("a", system="", seed=1) != one)
    record.generate([Prompt(messages=({"content": "a", "role": "user"},), seed=1)])
    Recorded(Counting("another"), tmp_path / "r").generate([one])
    assert record._store.models() == {"another": 1, "counting": len(model.asked)}


def test_equal_prompts_of_a_batch_are_asked_once(tmp_path: Path) -> None:
    """Where their seeds are equal too."""
    model, told = Counting(), []
    a, b = Prompt.of("a", seed=1), Prompt.of("a", seed=2)
    replies = Recorded(model, tmp_path / "r").generate([a, b, a, a], on_reply=lambda place, reply: told.append(place))
    assert model.asked == [a, b]
    assert sorted(told) == [0, 1, 2, 3]
    assert replies[0] == replies[2] == replies[3]


def test_a_replay_is_identical_to_the_byte_with_the_model_gone(tmp_path: Path) -> None:
    model = Recorded(Scripted(["é\n<|x|>", "\ud800 half", "", "0" * 3000]), tmp_path / "r")
    first = model.generate(PROMPTS)
    scored = model.score(PROMPTS, [[" a", " b c"]] * 20)
    model.close()
    assert not (tmp_path / "r-wal").exists()
    replay = make_model(f"replay:{tmp_path / 'r'}")
    assert replay.name == "scripted"
    assert [repr(reply) for reply in replay.generate(PROMPTS)] == [repr(reply) for reply in first]
    assert repr(replay.score(PROMPTS, [[" a", " b c"]] * 20)) == repr(scored)
    assert isinstance(scored[0][0], Likelihood)


def test_every_field_survives(tmp_path: Path) -> None:
    reply = Completion(
        text="t",
        finish="length",
        usage=Usage(prompt=2, cached=1, completion=3),
        prompt_ids=(2**31 - 1, 0),
        token_ids=(),
        logprobs=(-0.1, -1e-300, -745.133),
    )
    bare = Completion(text="t")
    store = Store(tmp_path / "r")
    for key, value in {b"1": reply, b"2": bare, b"3": (Likelihood(logprob=-0.1, tokens=2),), b"4": ()}.items():
        assert store.put(key, "m", value) == value
        assert store.get([key]) == {key: value}


def test_scores_are_kept_too(tmp_path: Path) -> None:
    model = Counting()
    record = Recorded(model, tmp_path / "r")
    first = record.score(PROMPTS[:2], [[" a"], [" b"]])
    assert record.score(PROMPTS[:2][::-1], [[" b"], [" a"]]) == first[::-1]
    assert len(model.scored) == 2
    record.score([Prompt(messages=PROMPTS[0].messages, seed=99)], [[" a"]])
    assert len(model.scored) == 2, "the seed matters for no likelihood"
    record.score(PROMPTS[:1], [[" b"]])
    assert len(model.scored) == 3


def test_a_missing_reply_says_which(tmp_path: Path) -> None:
    path = tmp_path / "r"
    make_model("scripted", record=path).generate(PROMPTS[:3])
    with pytest.raises(LanguageModelError) as caught:
        Replay(path).generate([*PROMPTS[:3], Prompt.of("\x1b[2J new\n" + "x" * 500, seed=7), Prompt.of("other")])
    words = str(caught.value)
    assert "no reply to prompt 4 of 5 (seed 7): '[2J new xxx" in words
    assert "2 are missing; it has 3 replies of scripted" in words
    assert "\n" not in words
    assert len(words) < 700


def test_a_replay_tells_what_it_has_before_it_fails(tmp_path: Path) -> None:
    make_model("scripted", record=tmp_path / "r").generate(PROMPTS[:3])
    told: list[int] = []
    with pytest.raises(LanguageModelError):
        Replay(tmp_path / "r").generate(PROMPTS, on_reply=lambda place, reply: told.append(place))
    assert sorted(told) == [0, 1, 2]


def test_a_replay_writes_nothing(tmp_path: Path) -> None:
    record = make_model("scripted", record=tmp_path / "r")
    record.generate(PROMPTS)
    record.close()
    before = (tmp_path / "r").read_bytes()
    replay = Replay(tmp_path / "r")
    replay.generate(PROMPTS)
    replay.close()
    replay.close()
    assert (tmp_path / "r").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_record_of_several_models_needs_a_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Recorded(Scripted([name], name=name), tmp_path / "r").generate(PROMPTS[:1])
    with pytest.raises(ConfigError, match="replies of one, two; say whose"):
        Replay(tmp_path / "r")
    with pytest.raises(ConfigError, match="no replies of 'three'"):
        Replay(tmp_path / "r", model="three")
    assert make_model(f"replay:{tmp_path / 'r'}", model="two").generate(PROMPTS[:1])[0].text == "two"


def test_an_empty_record_has_no_replies(tmp_path: Path) -> None:
    Recorded(Scripted(), tmp_path / "r").close()
    assert Replay(tmp_path / "r").generate([]) == []
    with pytest.raises(LanguageModelError, match="it has 0 replies"):
        Replay(tmp_path / "r").generate(PROMPTS)


def _foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE replies (a)")
    connection.commit()
    connection.close()


def _newer(path: Path) -> None:
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def _damaged(path: Path) -> None:
    record = Recorded(Scripted(), path)
    record.generate([Prompt.of(str(i)) for i in range(200)])
    record.close()
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\x55" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("opens", [Replay, lambda path: Recorded(Scripted(), path)], ids=["replay", "record"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_text("What a day.\n" * 100), "is no record of replies"),
        (_foreign, "SQLite file of something else"),
        (_newer, "format 99"),
    ],
    ids=["text", "foreign", "newer"],
)
def test_a_file_that_is_no_record_is_refused_and_left_alone(tmp_path: Path, spoil: Any, words: str, opens: Any) -> None:
    path = tmp_path / "r"
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(LanguageModelError, match=words):
        opens(path)
    assert path.read_bytes() == before


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    _damaged(tmp_path / "r")
    with pytest.raises(LanguageModelError, match="damaged"):
        Replay(tmp_path / "r").generate(PROMPTS)


def test_a_missing_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match="no record of replies at"):
        Replay(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnwritable, match="cannot write the record"):
        Recorded(Scripted(), tmp_path / "file" / "r")
    with pytest.raises((CacheUnwritable, LanguageModelError)):
        Recorded(Scripted(), tmp_path)


def test_a_prompt_that_is_no_json_is_told(tmp_path: Path) -> None:
    record = Recorded(Scripted(["x"]), tmp_path / "r")
    with pytest.raises(ConfigError, match="no JSON"):
        record.generate([Prompt(messages=({"role": "user", "content": {1, 2}},))])


def test_records_are_merged(tmp_path: Path) -> None:
    """What both have stays as it was in the first."""
    for name, prompts, prefix in (("a", PROMPTS[:5], "a: "), ("b", PROMPTS[3:9], "b: ")):
        Recorded(Counting(prefix=prefix), tmp_path / name).generate(prompts)
    assert merge(tmp_path / "all", [tmp_path / "a", tmp_path / "b"]) == 9
    assert merge(tmp_path / "all", [tmp_path / "a", tmp_path / "b"]) == 0
    texts = [reply.text[:2] for reply in Replay(tmp_path / "all").generate(PROMPTS[:9])]
    assert texts == ["a:"] * 5 + ["b:"] * 4
    with pytest.raises(LanguageModelError, match="no record"):
        merge(tmp_path / "all", [tmp_path / "c"])


def test_who_comes_second_gets_the_reply_of_the_first(tmp_path: Path) -> None:
    """So that both runs are what a replay gives."""

    class Late(Counting):
        def said(self, prompt: Prompt, schema: Schema | None) -> str:
            Recorded(Scripted(["first"], name="m"), tmp_path / "r").generate([prompt])
            return "second"

    told: list[str] = []
    replies = Recorded(Late("m"), tmp_path / "r").generate(PROMPTS[:3], on_reply=lambda place, reply: told.append(reply.text))
    assert [reply.text for reply in replies] == told == ["first"] * 3


def test_a_model_that_tells_nothing_is_recorded_too(tmp_path: Path) -> None:
    class Silent(Counting):
        def generate(self, prompts: Sequence[Prompt], *, on_reply: Any = None, **settings: Any) -> list[Completion]:
            return super().generate(prompts, **settings)

    model, told = Silent(), []
    record = Recorded(model, tmp_path / "r")
    record.generate(PROMPTS, on_reply=lambda place, reply: told.append(place))
    record.generate(PROMPTS)
    assert told == list(range(20))
    assert len(model.asked) == 20


def test_replies_before_an_error_are_kept(tmp_path: Path) -> None:
    class Dying(Counting):
        def said(self, prompt: Prompt, schema: Schema | None) -> str:
            if len(self.asked) == 7:
                raise LanguageModelError("gone")
            return super().said(prompt, schema)

    with pytest.raises(LanguageModelError, match="gone"):
        Recorded(Dying(), tmp_path / "r").generate(PROMPTS)
    model = Counting()
    Recorded(model, tmp_path / "r").generate(PROMPTS)
    assert model.asked == PROMPTS[7:]


def test_nothing_secret_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the prompt nor a key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    record = Recorded(Scripted(["fine"]), tmp_path / "r")
    record.generate([Prompt.of("my private thoughts")])
    record.close()
    content = (tmp_path / "r").read_bytes()
    assert b"fine" in content
    assert b"secret" not in content
    assert b"private" not in content


SLOW = """
import sys, time
from pathlib import Path
from recoworld.llm.model import Prompt
from recoworld.llm.record import Recorded
from recoworld.llm.scripted import Scripted, made_up

def slow(prompt, schema):
    time.sleep(0.02)
    with open(sys.argv[2], "a") as file:
        print(prompt.seed, file=file, flush=True)
    return made_up(prompt, schema)

Recorded(Scripted(slow), sys.argv[1]).generate([Prompt.of(f"film {i}", seed=i) for i in range(int(sys.argv[3]))])
"""


def _paid(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def test_a_killed_run_pays_at_most_for_what_was_in_flight_again(tmp_path: Path) -> None:
    """kill -9 in mid-batch, twice; then the run goes on."""
    paid = tmp_path / "paid"
    command = [sys.executable, "-c", SLOW, str(tmp_path / "r"), str(paid), "60"]
    for goal in (10, 25):
        child = subprocess.Popen(command)
        until = time.monotonic() + 60
        while len(_paid(paid)) < goal:
            assert child.poll() is None, "ended too early"
            assert time.monotonic() < until, "too slow"
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.wait()
    subprocess.run(command, check=True, timeout=60)
    seeds = _paid(paid)
    assert set(map(int, seeds)) == set(range(60))
    assert len(seeds) <= 62, "replies were paid for twice"
    prompts = [Prompt.of(f"film {i}", seed=i) for i in range(60)]
    assert Replay(tmp_path / "r").generate(prompts) == Scripted().generate(prompts)


def test_ctrl_c_keeps_what_has_arrived(tmp_path: Path) -> None:
    class Interrupted(Counting):
        def said(self, prompt: Prompt, schema: Schema | None) -> str:
            if prompt.seed == 4:
                raise KeyboardInterrupt
            return super().said(prompt, schema)

    with pytest.raises(KeyboardInterrupt):
        Recorded(Interrupted(), tmp_path / "r").generate(PROMPTS)
    assert len(Replay(tmp_path / "r").generate(PROMPTS[:4])) == 4


def test_processes_may_share_a_record(tmp_path: Path) -> None:
    """Four that start at once on a file that is not there; each asks the same 30 in its turn."""
    paid = [tmp_path / f"paid{i}" for i in range(4)]
    children = [subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path / "r"), str(path), "30"]) for path in paid]
    assert [child.wait(timeout=120) for child in children] == [0] * 4
    prompts = [Prompt.of(f"film {i}", seed=i) for i in range(30)]
    assert Replay(tmp_path / "r").generate(prompts) == Scripted().generate(prompts)


def test_threads_may_share_a_record(tmp_path: Path) -> None:
    record, out = Recorded(Scripted(), tmp_path / "r"), {}

    def work(i: int) -> None:
        out[i] = record.generate(PROMPTS[i:] + PROMPTS[:i])

    threads = [Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = Scripted().generate(PROMPTS)
    assert all(out[i] == expected[i:] + expected[:i] for i in range(8))


def _in_a_fork(record: Recorded, queue: Any) -> None:
    queue.put([reply.text for reply in record.generate(PROMPTS)])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_opens_the_file_again(tmp_path: Path) -> None:
    record = Recorded(Scripted(), tmp_path / "r")
    record.generate(PROMPTS[:10])
    context: Any = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_fork, args=(record, queue))
    child.start()
    texts = queue.get(timeout=60)
    child.join(60)
    assert texts == [reply.text for reply in record.generate(PROMPTS)]


def test_schemas_of_replies_are_in_the_key_as_json(tmp_path: Path) -> None:
    """A mapping that is no dict is the same schema."""
    from types import MappingProxyType

    model = Counting()
    record = Recorded(model, tmp_path / "r")
    record.generate(PROMPTS[:1], schema=SCHEMAS["slate"])
    record.generate(PROMPTS[:1], schema=MappingProxyType(json.loads(json.dumps(SCHEMAS["slate"]))))
    assert len(model.asked) == 1
