"""One archive from the net into the cache: checked, unpacked with care, no half files left behind."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recoworld.datasets.cache import replacing
from recoworld.datasets.files import unwritable
from recoworld.errors import DownloadFailed

TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two packets."""
TRIES = 2


def fetch(url: str, md5: str, folder: Path, members: Mapping[str, int], advice: str) -> None:
    """Download a zip archive and put the files `members` (name in the archive -> most bytes it may have) into `folder`.

    Nothing else is unpacked, whatever the archive holds. Raises DownloadFailed, or CacheUnwritable where the folder is full or
    read-only; both leave no partial file.
    """
    import pooch
    import requests

    why: Exception | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(TRIES):
            bar = _Bar(url)
            try:
                with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:  # our own: others may download too
                    loader = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT)
                    archive = pooch.retrieve(url, known_hash=f"md5:{md5}", fname="archive.zip", path=temporary, downloader=loader)
                    return _unpack(Path(archive), folder, members)
            except (requests.exceptions.RequestException, ValueError, zipfile.BadZipFile, KeyError) as error:
                why = error
            finally:
                bar.close()
    except OSError as error:
        raise unwritable(folder, error, "RECOWORLD_CACHE") from error
    reason = " ".join(str(why).split())[:300]
    raise DownloadFailed(f"cannot download {url}, tried {TRIES} times: {type(why).__name__}: {reason}; expected the archive with md5 {md5}; {advice}") from why


def _unpack(archive: Path, folder: Path, members: Mapping[str, int]) -> None:
    with zipfile.ZipFile(archive) as source:
        for name, limit in members.items():
            with source.open(name) as member, replacing(folder / name.rsplit("/", 1)[-1]) as temporary:
                data = member.read(limit + 1)
                if len(data) > limit:
                    raise zipfile.BadZipFile(f"{name} has more than {limit:,} bytes")
                temporary.write_bytes(data)


class _Bar:
    """What pooch asks of a progress bar, drawn by rich."""

    def __init__(self, url: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(f"downloading {url}", total=None)
        self.total: Any = 0

    def update(self, size: int) -> None:
        self._progress.start()
        self._progress.update(self._task, total=self.total or None, advance=size)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()
