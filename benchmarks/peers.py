"""RecoWorld beside its peers: one run, one machine, one table.

Every peer gets a virtual environment of its own, since their pins exclude each other and RecoWorld's; a complete one is used
again. In it a measuring script (`peer_*.py`, in this folder) runs as a subprocess and prints one line of JSON. What fails is a
row that says why, and the others go on; Ctrl-C prints what is done.

    python benchmarks/peers.py                                  # all: 3 minutes on two cores, 2 once installed
    python benchmarks/peers.py --only sardine-rec recoworld --json out/peers.json

How to read it. A *step* answers one slate of every user of the setting. *Responses/s* is steps/s x users x slate: items shown and
reacted to. Slates are random and cost next to nothing everywhere, except where a row says "its own recommender", and the fastest
of several windows counts, since interference only ever slows one. It compares speed, not fidelity: RecSim and RecSim NG let a
user pick at most one item of a slate, SARDINE draws a click per item, RecoWorld an act per item and instructions besides.

JSON: {"machine": {cpu, cores, python, ...}, "rows": [{name, version, setting, steps_per_s, responses_per_s, note}], "recoworld":
{...}, "installs": {peer: {python, pins, seconds, reused}}}; a figure that could not be had is null.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
N_ITEMS, SLATE_SIZE, N_USERS = 4_000, 10, 1_000
COMPLETE = "complete.json"  # written last into a peer's environment: what it was made of


class Failed(Exception):
    """Why a peer has no figures, in words for its row."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """What to install, with which Python, and how to measure it. `bare` is installed without its declared dependencies."""

    name: str
    version: str
    pythons: tuple[tuple[int, int], ...]
    pins: tuple[str, ...]
    bare: tuple[str, ...] = ()
    takes: str
    script: tuple[str, ...]


# RecSim NG 0.1.2 (2022) only says "tensorflow>=2.3". What holds it together: Keras 2, so TensorFlow < 2.16 and Python < 3.12; edward2
# 0.0.2 wraps scipy distributions and breaks on those of scipy 1.11; gym from 0.23 on refuses its shapes; np.Inf needs NumPy 1.
# It never imports its declared jax and matplotlib on this path, nor RecSim anything but the checkpointer of dopamine-rl: hence `bare`.
LINUX = "sys_platform == 'linux' and platform_machine == 'x86_64'"
TENSORFLOW = (
    f"tensorflow-cpu==2.15.1; {LINUX}",
    "tensorflow==2.15.1; sys_platform != 'linux' or platform_machine != 'x86_64'",
    "numpy==1.26.4",
    "scipy==1.10.1",
    "gym==0.22.0",
    "gin-config==0.5.0",
    "setuptools<81",
)
PEERS = (
    Peer(
        name="sardine-rec",
        version="1.0.8",
        pythons=((3, 13), (3, 12), (3, 11), (3, 10)),
        pins=("sardine-rec==1.0.8", "gymnasium==1.2.2", "numpy>=2,<3"),
        takes="under 1 min",
        script=("peer_sardine.py",),
    ),
    Peer(
        name="recsim-ng",
        version="0.1.2",
        pythons=((3, 11), (3, 10), (3, 9)),
        pins=(*TENSORFLOW, "tensorflow-probability==0.23.0", "edward2==0.0.2"),
        bare=("recsim-ng==0.1.2",),
        takes="1-3 min, 1.5 GB",
        script=("peer_recsim_ng.py", "--library", "recsim-ng"),
    ),
    Peer(
        name="recsim",
        version="0.2.4",
        pythons=((3, 11), (3, 10), (3, 9)),
        pins=TENSORFLOW,
        bare=("recsim==0.2.4", "dopamine-rl==4.0.9"),
        takes="1-3 min, 1.5 GB",
        script=("peer_recsim_ng.py", "--library", "recsim"),
    ),
)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def row(name: str, version: str, setting: str, steps_per_s: float | None, responses_per_s: float | None, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "setting": setting,
        "steps_per_s": steps_per_s,
        "responses_per_s": responses_per_s,
        "note": note,
    }


# --- subprocesses -------------------------------------------------------------------------------------------------------------


def run(command: Sequence[str | Path], what: str, timeout: float) -> str:
    """The output of `command`; raises `Failed` where it fails or takes too long, and leaves no process or file of it behind."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET")}
    env |= {"PYTHONNOUSERSITE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    with tempfile.TemporaryDirectory(prefix="recoworld-peer-", ignore_cleanup_errors=True) as scratch:
        env |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch)  # killed, pip and TensorFlow leave files there
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=env,
                start_new_session=os.name == "posix",  # a group of its own: what pip starts ends with it
            )
        except OSError as error:
            raise Failed(f"{what}: {error}") from None
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failed(f"{what}: took longer than {timeout:g} s and was stopped") from None
            raise
    if process.returncode:
        raise Failed(f"{what}: exit status {process.returncode}: {reason(err or out)}")
    return out


def reason(output: str) -> str:
    """The lines of a failed command which say why, one line: pip's errors, else the end."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    errors = [line for line in lines if line.startswith("ERROR")]
    return textwrap.shorten(" | ".join(errors or lines[-2:]) or "no output", 400)


# --- environments -------------------------------------------------------------------------------------------------------------


def interpreters(extra: Sequence[str]) -> Iterator[str]:
    """Pythons to try, best first: those asked for, this one, those on the path, pyenv's."""
    yield from extra
    yield sys.executable
    for minor in range(13, 8, -1):
        if found := shutil.which(f"python3.{minor}"):
            yield found
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from (str(path) for path in sorted(versions.glob("*/bin/python"), reverse=True))


def find_python(peer: Peer, extra: Sequence[str]) -> tuple[str, tuple[int, int]]:
    """The first interpreter that runs, is of a version the peer's pins exist for and can make environments."""
    seen = []
    for path in dict.fromkeys(interpreters(extra)):
        try:
            found = run([path, "-c", "import sys, ensurepip, venv; print(*sys.version_info[:2])"], path, 30)
            major, minor = (int(part) for part in found.split())
        except (Failed, ValueError):
            continue  # a pyenv shim of a version not selected, or a Python without venv
        if (major, minor) in peer.pythons:
            return path, (major, minor)
        seen.append(f"{major}.{minor}")
    wanted = ", ".join(f"{major}.{minor}" for major, minor in peer.pythons)
    raise Failed(f"needs Python {wanted}; found {', '.join(dict.fromkeys(seen)) or 'none'}: name one with --python PATH")


def environment(peer: Peer, venvs: Path, extra: Sequence[str], timeout: float) -> tuple[Path, dict[str, Any]]:
    """The Python of the peer's environment, made unless a complete one of the same pins is there, and what it was made of."""
    home = venvs / peer.name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pins = [*peer.pins, *peer.bare]
    try:
        made = json.loads((home / COMPLETE).read_text())
        if made["pins"] == pins:
            run([python, "-c", ""], "environment made earlier", 60)  # its base interpreter may be gone
            say(f"{peer.name} {peer.version}: using {home}")
            return python, made | {"reused": True}
    except (OSError, ValueError, KeyError, Failed):
        pass  # none yet, or one that was not finished
    if home.exists() and any(home.iterdir()) and not (home / "pyvenv.cfg").is_file():
        raise Failed(f"{home} holds something other than a virtual environment: move it away or name another folder with --venvs")
    base, version = find_python(peer, extra)
    say(f"{peer.name} {peer.version}: installing into {home} with Python {version[0]}.{version[1]} ({peer.takes}) ...")
    start = time.perf_counter()
    shutil.rmtree(home, ignore_errors=True)
    venvs.mkdir(parents=True, exist_ok=True)
    run([base, "-m", "venv", home], "python -m venv", 120)
    install = [python, "-m", "pip", "install", "--quiet"]
    run([*install, *peer.pins], "pip install", timeout)
    if peer.bare:
        run([*install, "--no-deps", *peer.bare], "pip install --no-deps", timeout)
    made = {"python": f"{version[0]}.{version[1]}", "pins": pins, "seconds": round(time.perf_counter() - start, 1)}
    (home / COMPLETE).write_text(json.dumps(made, indent=1))
    say(f"{peer.name} {peer.version}: installed in {made['seconds']:.0f} s")
    return python, made | {"reused": False}


def measure_peer(peer: Peer, python: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows that the peer's script prints as JSON, as its last line, run in its own environment."""
    say(f"{peer.name} {peer.version}: measuring ({options.windows} windows of {options.seconds:g} s per setting) ...")
    script, *arguments = peer.script
    windows = ["--seconds", str(options.seconds), "--windows", str(options.windows)]
    out = run([python, HERE / script, *arguments, *windows], script, options.measure_timeout)
    try:
        answer = json.loads(out.strip().splitlines()[-1])
        return [row(peer.name, answer["version"], **measured) for measured in answer["rows"]]
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise Failed(f"{script}: expected one line of JSON last, got {out[-200:]!r} ({error!r})") from None


# --- RecoWorld ----------------------------------------------------------------------------------------------------------------

# What is asked of benchmarks/throughput.py, which runs in this interpreter:
#   synthetic_dataset_env(n_items=4000, slate_size=10) -> (make_single, make_vector), on data which need no download
#       make_single() -> gymnasium.Env of one user; its action_space is MultiDiscrete([n_items] * slate_size)
#       make_vector(num_envs) -> gymnasium.vector.VectorEnv of num_envs users which resets finished users by itself
#   measure(env_id, **kwargs) -> {"single_steps_per_s": float, "batched_responses_per_s": float, ...}; asked for with --env


def load_throughput() -> ModuleType:
    path = HERE / "throughput.py"
    if not path.is_file():
        raise Failed(f"{path} is missing: RecoWorld was not measured")
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    try:
        import recoworld  # noqa: F401

        return importlib.import_module("throughput")
    except ModuleNotFoundError as error:
        raise Failed(f"not measured: {error}; RecoWorld must be installed in this Python ({sys.executable}): pip install -e .") from None


def fastest(step: Callable[[int], int], options: argparse.Namespace) -> float:
    """Slates answered per second in the fastest window; `step` gets its number and says how many it answered."""
    made, best = 0, 0.0
    for _ in range(options.windows):
        answered, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < options.seconds:
            answered += step(made)
            made += 1
        best = max(best, answered / elapsed)
    return best


def measure_recoworld(options: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One user, then 1,000 at once, on the synthetic catalogue, then the environments of --env. Rows are added as they come."""
    throughput = load_throughput()
    import numpy as np  # RecoWorld's own dependency; the peers are driven without it

    import recoworld

    version = str(getattr(recoworld, "__version__", "working tree"))
    make_single, make_vector = throughput.synthetic_dataset_env(n_items=N_ITEMS, slate_size=SLATE_SIZE)
    setting = f"{N_ITEMS:,} items, slate {SLATE_SIZE}"
    note = "synthetic catalogue, behavioural simulator"
    rng = np.random.default_rng(0)

    def slates(n: int) -> Any:  # int64 [n, SLATE_SIZE], different items within a slate
        return np.stack([rng.choice(N_ITEMS, SLATE_SIZE, replace=False) for _ in range(n)])

    say("recoworld: measuring one user ...")
    env, one = make_single(), slates(1_000)

    def step_one(i: int) -> int:
        _, _, terminated, truncated, _ = env.step(one[i % len(one)])
        if terminated or truncated:
            env.reset()
        return 1

    env.reset(seed=0)
    single = fastest(step_one, options)
    env.close()
    rows.append(row("recoworld", version, f"1 user, {setting}", single, single * SLATE_SIZE, note))

    say(f"recoworld: measuring {N_USERS:,} users at once ...")
    envs, many = make_vector(N_USERS), [slates(N_USERS) for _ in range(8)]
    same_step = getattr((envs.metadata or {}).get("autoreset_mode"), "name", "") == "SAME_STEP"
    finished = 0

    def step_many(i: int) -> int:
        nonlocal finished
        resetting = finished  # with NEXT_STEP autoreset those who finished are begun anew in this step and see no slate
        _, _, terminated, truncated, _ = envs.step(many[i % len(many)])
        finished = 0 if same_step else int(np.count_nonzero(terminated | truncated))
        return N_USERS - resetting

    envs.reset(seed=0)
    batched = fastest(step_many, options)  # slates/s
    envs.close()
    rows.append(row("recoworld", version, f"{N_USERS:,} users, {setting}", batched / N_USERS, batched * SLATE_SIZE, note))

    for env_id in options.env:
        say(f"recoworld: throughput.measure({env_id!r}) ...")
        got = throughput.measure(env_id)
        by = f"throughput.measure({env_id!r})"
        rows.append(row("recoworld", version, f"{env_id}, 1 user", got["single_steps_per_s"], None, by))
        rows.append(row("recoworld", version, f"{env_id}, batched", None, got["batched_responses_per_s"], by))
    return {
        "version": version,
        "setting": setting,
        "users": N_USERS,
        "single_steps_per_s": single,
        "batched_responses_per_s": batched * SLATE_SIZE,
        "note": note,
    }


# --- report -------------------------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Aligned columns; notes below, numbered, each once."""
    notes = list(dict.fromkeys(r["note"] for r in rows if r["note"]))
    cells = [("name", "version", "setting", "steps/s", "responses/s", "note")]
    for r in rows:
        figures = ("-" if r[key] is None else f"{r[key]:,.0f}" for key in ("steps_per_s", "responses_per_s"))
        cells.append((r["name"], r["version"], r["setting"], *figures, f"[{notes.index(r['note']) + 1}]" if r["note"] else ""))
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    pad = [str.rjust if column in (3, 4) else str.ljust for column in range(6)]  # figures to the right
    aligned = ["  ".join(pad[i](cell, widths[i]) for i, cell in enumerate(line)) for line in cells]
    aligned.insert(1, "  ".join("-" * w for w in widths))
    numbered = [textwrap.fill(f"[{i}] {note}", 132, subsequent_indent="    ") for i, note in enumerate(notes, 1)]
    return "\n".join([*(line.rstrip() for line in aligned), "", *numbered])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*names, "recoworld"], default=["recoworld", *names], help="what to measure")
    parser.add_argument("--venvs", type=Path, default=Path(tempfile.gettempdir()) / "recoworld-peers", help="the peers' environments")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="an interpreter to try first for the peers")
    parser.add_argument("--env", action="append", default=[], metavar="ID", help="a RecoWorld environment to measure besides")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same figures here")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one window")
    parser.add_argument("--windows", type=int, default=3, help="windows per setting; the fastest counts")
    parser.add_argument("--install-timeout", type=float, default=900.0, metavar="S", help="for one pip command")
    parser.add_argument("--measure-timeout", type=float, default=600.0, metavar="S", help="for all settings of one peer")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.windows < 1:
        parser.error(f"expected --seconds > 0 and --windows >= 1, got {options.seconds:g} and {options.windows}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    rows: list[dict[str, Any]] = []
    report: dict[str, Any] = {"machine": machine(), "rows": rows, "recoworld": {}, "installs": {}}
    interrupted = False
    try:
        if "recoworld" in options.only:
            try:
                report["recoworld"] = measure_recoworld(options, rows)
            except Exception as error:  # whatever it is, the peers can still be measured
                why = str(error) if isinstance(error, Failed) else f"not measured: {type(error).__name__}: {error}"
                say(f"recoworld: {why}")
                rows.append(row("recoworld", "-", f"{N_ITEMS:,} items, slate {SLATE_SIZE}", None, None, why))
                report["recoworld"] = {"note": why}
        for peer in (peer for peer in PEERS if peer.name in options.only):
            try:
                python, report["installs"][peer.name] = environment(peer, options.venvs, options.python, options.install_timeout)
                rows.extend(measure_peer(peer, python, options))
            except Exception as error:  # one peer must not stop the others
                why = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
                say(f"{peer.name} {peer.version}: {why}")
                rows.append(row(peer.name, peer.version, "not measured", None, None, why))
    except KeyboardInterrupt:
        interrupted = True
        say("interrupted: this is what was done")
    about = report["machine"]
    print(f"{about['cpu']}, {about['cores']} cores, Python {about['python']}, {about['date']}\n")
    print(table(rows) if rows else "nothing was measured")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
        say(f"wrote {options.json}")
    if interrupted:
        return 130
    return 0 if any(r["steps_per_s"] or r["responses_per_s"] for r in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
