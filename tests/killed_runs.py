"""A training run whose process is killed, and whether it ends as another did."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from recoworld.training.records import read_lines


def killed_in_mid_run(config: Path, out: Path) -> list[dict[str, Any]]:
    """Start `recoworld train` in a process of its own, SIGKILL it after two iterations at least; the metrics that it left."""
    with tempfile.TemporaryDirectory(prefix="rw", dir="/tmp") as folder:
        own = ["--set", f"cluster.temp_dir={folder}", "--set", "cluster.cpus=1"]
        driver = subprocess.Popen(
            [sys.executable, "-m", "recoworld.cli", "train", str(config), "--out", str(out), *own], stderr=subprocess.PIPE, text=True
        )
        try:
            while len(read_lines(out / "metrics.jsonl")) < 2:
                assert driver.poll() is None, driver.stderr and driver.stderr.read()
                time.sleep(0.01)
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.communicate()
        time.sleep(1.0)  # Ray's reaper ends the driver's processes
    return read_lines(out / "metrics.jsonl")


def assert_same_figures(one: Path, other: Path, *, apart_by: float = 0.0) -> None:
    """Two files of figures, a line an iteration: bit for bit, or so far apart, by themselves or by their size; times are not compared.

    A process that starts alone may add up in another order than one that has run other tests.
    """
    first, second = ([_figures(line) for line in read_lines(path)] for path in (one, other))
    assert len(first) == len(second)
    for here, there in zip(first, second, strict=True):
        near = {name: pytest.approx(value, rel=apart_by, abs=apart_by) for name, value in there.items() if type(value) is float}
        assert here == there | (near if apart_by else {})


def _figures(line: dict[str, Any], path: str = "") -> dict[str, Any]:
    """A line of metrics.jsonl by the paths of its figures, without those that hang on the machine."""
    out: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, dict):
            out |= _figures(value, f"{path}{name}.")
        elif name not in ("seconds", "steps_per_second", "restarted_runners"):
            out[path + name] = value
    return out
