"""What one policy's run left behind, kept on disk so that an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.datasets.cache import read_arrays, write_arrays
from recoworld.errors import ConfigError
from recoworld.evaluation.ranking import Ranking
from recoworld.evaluation.table import SessionTable
from recoworld.files import replacing


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """All sessions and rankings of one policy."""

    policy: str
    """The name by which it was asked for."""
    privileged: bool
    """Whether it reads the hidden mindset: a bound, not a competitor."""
    fit_seconds: float
    run_seconds: float
    table: SessionTable
    ranking: Ranking


class Folder:
    """The output folder of one evaluation: leaderboard.json, leaderboard.csv, results/POLICY.npz, sessions/POLICY.jsonl."""

    def __init__(self, path: Path, settings: dict[str, Any], *, fresh: bool = False, report: str = "leaderboard.json") -> None:
        """Refuses, with ConfigError, a folder with results of other settings, unless they are to be replaced (`fresh`).

        report: the published JSON file that holds the `settings` of what is there.
        """
        self.path = path
        self._key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12).hexdigest()
        self.before = _published(path / report)
        """What an earlier run published; {} where there is nothing, or nothing is kept."""
        there = self.before.get("settings", settings)
        if fresh:
            self.before = {}
            for old in [path / report, (path / report).with_suffix(".csv"), *path.glob("results/*.npz"), *path.glob("sessions/*.jsonl")]:
                old.unlink(missing_ok=True)
        elif there != settings:
            other = list(_differences(there, settings))
            raise ConfigError(
                f"{path} holds results of another evaluation ({'; '.join(other) or 'of another version'}); "
                "choose another folder, or replace them: --fresh"
            )
        try:  # before anything is computed
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise ConfigError(f"cannot write to {path} ({error.strerror}); choose another folder, or free the disk") from None

    def results(self) -> dict[str, Result]:
        """What is finished, by policy; damaged files are passed over."""
        found = {}
        for path in sorted(self.path.glob("results/*.npz")):
            arrays = read_arrays(path, self._key)
            if arrays is not None:
                facts = json.loads(str(arrays["facts"]))
                table = SessionTable(**{field.name: arrays[f"table.{field.name}"] for field in fields(SessionTable)})
                ranking = Ranking(**{field.name: arrays[f"ranking.{field.name}"] for field in fields(Ranking)})
                found[facts["policy"]] = Result(**facts, table=table, ranking=ranking)
        return found

    def keep(self, result: Result) -> None:
        """Write one result, complete or not at all. Raises ConfigError for a folder that cannot be written."""
        facts = {name: getattr(result, name) for name in ("policy", "privileged", "fit_seconds", "run_seconds")}
        arrays = {"facts": np.array(json.dumps(facts))}
        for part, owner in (("table", result.table), ("ranking", result.ranking)):
            arrays |= {f"{part}.{field.name}": getattr(owner, field.name) for field in fields(owner)}
        with self._writing():
            write_arrays(self.path / "results" / f"{stem(result.policy)}.npz", self._key, arrays)

    def log(self, policy: str) -> Path:
        """Where a policy's sessions are written in full."""
        return self.path / "sessions" / f"{stem(policy)}.jsonl"

    def publish(self, contents: Mapping[str, str | bytes]) -> None:
        """Replace files, each complete or not at all. Raises ConfigError for a folder that cannot be written."""
        for name, content in contents.items():
            with self._writing(), replacing(self.path / name) as temporary:
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
                temporary.chmod(0o644)  # temporary files are private

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"cannot write to {self.path} ({error.strerror or error}); choose another folder, or free the disk"
            ) from error


def stem(policy: str) -> str:
    """A policy's name as a file's, e.g. "my_package.mine:Mine" -> "my_package.mine-Mine"; long ones stay different."""
    stem = re.sub(r"[^A-Za-z0-9._+-]+", "-", policy)
    return stem if len(stem) <= 100 else f"{stem[:80]}-{hashlib.blake2b(policy.encode(), digest_size=8).hexdigest()}"


def _differences(there: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Settings that are not alike, by name; of those that hold others, the others."""
    for name in now:
        before, after = there.get(name), now[name]
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{within}{name}: ")
        elif before != after:
            yield f"{within}{name}: {before!r} there, {after!r} now"


def _published(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**content, "settings": dict(content["settings"])}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is there and is no {path.stem} of RecoWorld; choose another folder, or remove it") from None
