"""One engine for many processes: a language model in a Ray actor, named "ray:" and any other model behind it.

    make_model("ray:vllm:Qwen/Qwen3-0.6B", num_gpus=1)           # in every env runner; the engine is opened once
    {"simulator": "llm", "simulator_config": {"llm": "ray:scripted"}}

Nothing is started before the first call, so a world can be described where there is no Ray yet. Processes whose spec and settings are equal
share an engine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from recoworld.errors import ConfigError, LanguageModelError, MissingExtra
from recoworld.llm.model import Completion, Likelihood, OnReply, Prompt, Sampling, Schema
from recoworld.training.calls import Call
from recoworld.training.engine import Engine
from recoworld.training.sharing import Plan

try:
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayError
except ModuleNotFoundError as missing:
    _missing: ModuleNotFoundError | None = missing
else:
    _missing = None

DEFAULT = Sampling()
NAMESPACE = "recoworld"
_WAITS = (0.2, 1.0, 3.0)
"""Seconds before another engine is opened in the place of one that died: a dead one's name is taken a little longer."""
_log = logging.getLogger("recoworld.llm")


def open_shared(
    what: str,
    *,
    num_gpus: float = 0.0,
    num_cpus: float = 0.0,
    window_ms: float = 20.0,
    max_batch: int = 512,
    at_once: int = 1,
    lifetime: Literal["detached"] | None = None,
    shared_record: str | Path | None = None,
    patience: float = 300.0,
    **settings: Any,
) -> SharedModel:
    """What "ray:WHAT" names; other settings are the model's own.

    num_gpus, num_cpus: what the engine reserves on the cluster. No core by default, for env runners may have reserved them all.
    window_ms: a batch goes when nobody has asked for so long, or after 20 times as long. max_batch: prompts of a batch.
    at_once: batches that the engine is given side by side; more than 1 for engines that run them together ("vllm:" with engine="async",
    "openai:").
    lifetime: "detached" for an engine that outlives the jobs that ask it. shared_record: file of replies, on the engine's machine.
    patience: seconds until an engine for which the cluster has no room is given up.
    Raises MissingExtra, UnknownName, ConfigError.
    """
    if _missing is not None:
        raise MissingExtra("ray", "rllib", f"language model 'ray:{what}'") from _missing
    plan = Plan(
        spec=what,
        settings=settings,
        num_gpus=num_gpus,
        num_cpus=num_cpus,
        window_ms=window_ms,
        max_batch=max_batch,
        at_once=at_once,
        lifetime=lifetime,
        shared_record=None if shared_record is None else str(shared_record),
    )
    return SharedModel(plan, patience)


class SharedModel:
    """A `LanguageModel` elsewhere on the cluster; `name` is the spec behind "ray:". It may be pickled, and shared by threads."""

    def __init__(self, plan: Plan, patience: float = 300.0) -> None:
        """Starts nothing. patience: as of `open_shared`."""
        self.name, self.plan, self._patience = plan.spec, plan, patience
        self._lock = threading.Lock()
        self._opened: tuple[Any, Any] = (None, None)

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedModel, (self.plan, self._patience)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        schema: Schema | None = None,
        sampling: Sampling = DEFAULT,
        on_reply: OnReply | None = None,
    ) -> list[Completion]:
        """As `LanguageModel.generate`; `on_reply` is called when the whole call is done, or has failed.

        Raises LanguageModelError, also where several engines in a row have died, and ConfigError for settings that the engine refuses.
        """
        return self._asked(Call(prompts=tuple(prompts), schema=schema, sampling=sampling), on_reply)

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[str]], *, on_reply: OnReply | None = None
    ) -> list[tuple[Likelihood, ...]]:
        """As `LanguageModel.score`; otherwise like `generate`."""
        if len(prompts) != len(continuations):
            raise ConfigError(f"{len(prompts)} prompts and {len(continuations)} lists of continuations; expected as many")
        return self._asked(Call(prompts=tuple(prompts), continuations=tuple(map(tuple, continuations))), on_reply)

    def report(self) -> dict[str, Any]:
        """The engine's own name, and how many calls in how many batches it had. Raises LanguageModelError."""
        report: dict[str, Any] = self._remotely("report")
        return report

    def close(self) -> None:
        """Nothing: the engine is others' too. See `end`."""

    def end(self) -> None:
        """End the engine for everybody; whoever asks next opens another. Raises LanguageModelError where there is no cluster."""
        _join(self.plan)
        with suppress(ValueError):  # there is none
            ray.kill(ray.get_actor(self.plan.actor, namespace=NAMESPACE))

    def _asked(self, call: Call, on_reply: OnReply | None) -> list[Any]:
        if not call.prompts:
            return []
        answer = self._remotely("ask", call)
        if on_reply is not None:
            for place in sorted(answer.replies):
                on_reply(place, answer.replies[place])
        if answer.failure is not None:
            raise answer.failure.raised()
        return [answer.replies[place] for place in range(len(call.prompts))]

    def _remotely(self, method: str, *args: Any) -> Any:
        """The result of a method of `Engine`. One that dies is replaced: a reply depends on nothing but its prompt."""
        died = 0
        while True:
            try:
                return ray.get(getattr(self._engine(), method).remote(*args))
            except (RayActorError, NodeDiedError, OutOfMemoryError) as error:
                self._opened = (None, None)
                if died == len(_WAITS):
                    raise LanguageModelError(
                        f"the engine of {self.plan.model} died {died + 1} times, at last: {_line(error)}; look for memory that ran out, "
                        "and into Ray's logs; the next call opens another"
                    ) from error
                _log.warning("the engine of %s has died; opening another (%s)", self.plan.model, _line(error))
                time.sleep(_WAITS[died])
                died += 1
            except RayError as error:
                raise LanguageModelError(f"the engine of {self.plan.model} cannot be asked: {_line(error)}") from error

    def _engine(self) -> Any:
        """The actor, opened by the first process that comes here."""
        _join(self.plan)
        here = ray.get_runtime_context()
        cluster = (here.get_job_id(), here.get_node_id(), here.get_worker_id())
        with self._lock:
            if self._opened[0] != cluster:
                self._opened = (cluster, self._found())
            return self._opened[1]

    def _found(self) -> Any:
        plan = self.plan
        actor = ray.remote(Engine).options(
            name=plan.actor,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=plan.num_cpus,
            num_gpus=plan.num_gpus,
            max_concurrency=100_000,  # calls that wait
        )
        engine = actor.remote(
            plan.spec,
            plan.settings,
            record=None if plan.shared_record is None else Path(plan.shared_record),
            window=plan.window_ms / 1000,
            max_batch=int(plan.max_batch),
            at_once=int(plan.at_once),
            stays=plan.lifetime == "detached",
        )
        if not ray.wait([engine.hello.remote()], timeout=self._patience)[0]:
            ray.kill(engine)
            raise LanguageModelError(
                f"after {self._patience:g} s the cluster has no room for the engine of {plan.model}, which wants {plan.num_gpus:g} GPUs "
                f"and {plan.num_cpus:g} cores; it has {_resources(ray.cluster_resources())}, of which free: "
                f"{_resources(ray.available_resources())}; lower num_gpus or num_cpus, or what env runners reserve"
            )
        failure = ray.get(engine.open.remote(ray.get_runtime_context().get_job_id()))
        if failure is not None:
            ray.kill(engine)  # it holds what it reserved, which the next one, with other settings, may need
            raise failure.raised()
        return engine


def _join(plan: Plan) -> None:
    """Ray is there: env runners have it, anybody else joins the cluster of this machine."""
    if ray.is_initialized():
        return
    from recoworld.training.cluster import quiet

    with quiet():
        try:
            ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            raise LanguageModelError(
                f"{plan.model}: no Ray cluster runs on this machine; start one (`ray start --head`, or ray.init() in Python), or name "
                f"{plan.spec!r} without 'ray:', to have it in this process alone"
            ) from error


def _resources(each: dict[str, float]) -> str:
    return f"{each.get('GPU', 0.0):g} GPUs and {each.get('CPU', 0.0):g} cores"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:800]
