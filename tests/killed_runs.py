"""A training run whose process is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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
