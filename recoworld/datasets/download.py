"""One archive from the net into the cache: checked, unpacked with care, no half files left behind."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recoworld.datasets.files import unwritable
from recoworld.errors import DownloadFailed
from recoworld.files import replacing

TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two packets."""
TRIES = 2
LARGEST = 2**28
"""Bytes of an archive."""


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
            try:
                with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:  # our own: others may download too
                    archive = pooch.retrieve(url, known_hash=f"md5:{md5}", fname="archive.zip", path=temporary, downloader=_stream)
                    return _unpack(Path(archive), folder, members)
            except (requests.exceptions.RequestException, ValueError, zipfile.BadZipFile, KeyError) as error:
                why = error
    except OSError as error:
        raise unwritable(folder, error, "RECOWORLD_CACHE") from error
    reason = " ".join(str(why).split())[:300]
    raise DownloadFailed(
        f"cannot download {url}, tried {TRIES} times: {type(why).__name__}: {reason}; expected the archive with md5 {md5}; {advice}"
    ) from why


def _stream(url: str, output: str, _: Any) -> None:
    """What pooch calls to download: with a bound, a bar on stderr, and the connection closed whatever happens."""
    import requests
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    with requests.get(url, stream=True, timeout=TIMEOUT) as response, open(output, "wb") as file, bar:
        response.raise_for_status()
        task = bar.add_task(f"downloading {url}", total=int(response.headers.get("Content-Length", 0)) or None)
        for chunk in response.iter_content(2**16):
            if file.tell() + len(chunk) > LARGEST:
                raise ValueError(f"more than {LARGEST:,} bytes")
            file.write(chunk)
            bar.update(task, completed=file.tell())


def _unpack(archive: Path, folder: Path, members: Mapping[str, int]) -> None:
    with zipfile.ZipFile(archive) as source:
        for name, limit in members.items():
            with source.open(name) as member, replacing(folder / name.rsplit("/", 1)[-1]) as temporary:
                data = member.read(limit + 1)
                if len(data) > limit:
                    raise zipfile.BadZipFile(f"{name} has more than {limit:,} bytes")
                temporary.write_bytes(data)
