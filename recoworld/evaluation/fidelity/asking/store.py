"""What was answered already: kept in a folder, so that an interrupted report asks nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.datasets.cache import read_arrays, write_arrays
from recoworld.types import Floats


class Answers:
    """Arrays by question; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, key: str = "") -> None:
        """key: of all that the answers depend on beside the question: simulator, data, version."""
        self._folder, self._key = folder, key

    def kept(self, question: tuple[Any, ...], ask: Callable[[], Floats]) -> Floats:
        """The answer from before, or else of `ask()`, which is written down."""
        if self._folder is None:
            return ask()
        digest = hashlib.blake2b(self._key.encode(), digest_size=12)
        for part in question:
            digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        name = digest.hexdigest()
        path = self._folder / f"{name}.npz"
        before = read_arrays(path, name)
        if before is not None:
            return before["answer"]
        answer = ask()
        write_arrays(path, name, {"answer": answer})
        return answer
