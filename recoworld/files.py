"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to, which becomes `path` at the end, or vanishes on an error. Makes the folders above.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.part")
    try:
        part.touch(exist_ok=False)
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Raises OSError unless a file can be made in a folder, or, where it is not there yet, in the nearest one above that is.

    Leaves nothing behind.
    """
    with tempfile.TemporaryFile(dir=next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))):
        pass
