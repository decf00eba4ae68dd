"""What was answered already: kept in a folder, so that an interrupted report asks nothing twice."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recoworld.datasets.cache import Arrays, read_arrays, write_arrays


class Answers:
    """Arrays by question; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, key: str = "") -> None:
        """key: of all that the answers depend on beside the question: simulator, data, version."""
        self.folder, self._key, self._full = folder, key, False

    def kept(self, question: tuple[Any, ...], ask: Callable[[], Arrays]) -> Arrays:
        """The answer from before, or else of `ask()`, which is written down; where that fails a warning says so, once.

        question: numbers, words and arrays.
        """
        if self.folder is None:
            return ask()
        digest = hashlib.blake2b(self._key.encode(), digest_size=12)
        for part in question:
            if isinstance(part, np.ndarray):
                digest.update(f"|{part.dtype} {part.shape} ".encode() + part.tobytes())
            else:
                digest.update(f"|{part!r}".encode())
        name = digest.hexdigest()
        path = self.folder / f"{name}.npz"
        before = read_arrays(path, name)
        if before is not None:
            return before
        answer = ask()
        try:
            if not self._full:
                write_arrays(path, name, answer)
        except OSError as error:
            self._full = True
            warnings.warn(
                f"cannot write the answers to {self.folder} ({error.strerror or error}); going on without keeping them: an interrupted "
                "report will ask them again. Free the disk before you go on with it",
                stacklevel=2,
            )
        return answer
