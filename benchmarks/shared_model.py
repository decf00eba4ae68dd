"""One engine for many callers: user turns a second through "ray:", with and without batches, on an engine that takes a fixed time a call.

    python benchmarks/shared_model.py --json shared.json [--callers 64] [--processes 4] [--latency 0.5] [--turns 20]

Callers are threads of several processes (as env runners are); each asks for one user's turn, waits, and asks again. The engine is
arithmetic that sleeps: what is measured is how calls become batches, and what the way through Ray costs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import ray

from recoworld.llm.make import make_model
from recoworld.llm.model import Completion, LanguageModel, Prompt
from recoworld.llm.scripted import Scripted
from recoworld.training.cluster import quiet

HERE = Path(__file__).parent
WAYS: dict[str, dict[str, Any]] = {
    "each call by itself": {"max_batch": 1, "window_ms": 0},
    "calls gather while the engine is busy": {"window_ms": 0},
    "window of 5 ms": {"window_ms": 5},
    "window of 20 ms": {"window_ms": 20},
}


class Slow(Scripted):
    """Takes its time for a batch, however large."""

    def __init__(self, latency: float) -> None:
        super().__init__(["yes", "no"], name="slow")
        self._latency = latency

    def generate(self, prompts: Sequence[Prompt], **kwargs: Any) -> list[Completion]:
        """After a while."""
        time.sleep(self._latency)
        return super().generate(prompts, **kwargs)


def open_slow(what: str, *, latency: float) -> LanguageModel:
    """What "ray:shared_model:open_slow" shares."""
    return Slow(latency)


def converse(model: LanguageModel, process: int, callers: int, turns: int) -> None:
    """All callers of one process."""

    def caller(number: int) -> None:
        for turn in range(turns):
            model.generate([Prompt.of(f"process {process}, caller {number}, turn {turn}")])

    threads = [Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(*, callers: int, processes: int, latency: float, turns: int) -> dict[str, Any]:
    """Turns a second and the mean batch of every way."""
    runner = ray.remote(num_cpus=0)(converse)
    out = {}
    for way, settings in WAYS.items():
        model: Any = make_model("ray:shared_model:open_slow", latency=latency, **settings)
        share, few = callers // processes, max(1, turns // 10) if settings.get("max_batch") == 1 else turns
        ray.get([runner.remote(model, process, share, 1) for process in range(processes)])  # processes and engine are there
        before, began = model.report(), time.perf_counter()
        ray.get([runner.remote(model, process, share, few) for process in range(processes)])
        seconds, after = time.perf_counter() - began, model.report()
        model.end()
        prompts, batches = (after[name] - before[name] for name in ("prompts", "batches"))
        out[way] = {"user_turns_per_s": share * processes * few / seconds, "mean_batch": prompts / batches}
    return out


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("callers", 64), ("processes", 4), ("turns", 20)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds of a call to the engine")
    parser.add_argument("--json", type=Path)
    args = vars(parser.parse_args())
    out = args.pop("json")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *sys.path])  # for the engine's process
    with quiet():
        ray.init(address="local", log_to_driver=False, include_dashboard=False)
        try:
            ways = measure(**args)
        finally:
            ray.shutdown()
    for way, figures in ways.items():
        print(f"{way:40s} {figures['user_turns_per_s']:8.0f} user turns/s, batches of {figures['mean_batch']:.1f}")
    if out:
        out.write_text(json.dumps({"settings": args, "machine": f"{platform.processor()}, {os.cpu_count()} cores", "ways": ways}, indent=1))


if __name__ == "__main__":
    main()
