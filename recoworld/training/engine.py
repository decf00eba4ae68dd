"""What runs in the Ray actor behind "ray:": one engine, opened once, for all processes of a cluster."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recoworld.llm.make import make_model
from recoworld.training.calls import Answer, Call, Failure
from recoworld.training.gathering import Gatherer

_LOOK = 5.0
"""Seconds between looks at which jobs are over."""
_log = logging.getLogger("recoworld.llm")


class Engine:
    """A language model and the calls that wait for it; an actor with asynchronous methods.

    A Ray actor ends with the process that made it, which here is whichever runner happened to ask first. So this one is detached, and ends
    itself as soon as every job that it was opened for is over, unless it `stays`.
    """

    def __init__(
        self, spec: str, settings: dict[str, Any], *, record: Path | None, window: float, max_batch: int, at_once: int, stays: bool
    ) -> None:
        """Opens nothing yet. spec, settings, record: of `make_model`; window, max_batch, at_once: of `Gatherer`."""
        self._spec, self._settings, self._record, self._stays = spec, settings, record, stays
        self._gathering = {"window": window, "max_batch": max_batch, "at_once": at_once}
        self._opening = asyncio.Lock()
        self._gatherer: Gatherer | None = None
        self._jobs = set[str]()
        self._watching: asyncio.Task[None] | None = None

    async def hello(self) -> int:
        """The process, once it has a place on some node."""
        return os.getpid()

    async def open(self, job: str) -> Failure | None:
        """Open the model, if nobody has; None when it is there. job: whose engine this is from now on, too."""
        self._jobs.add(job)
        if self._watching is None and not self._stays:
            self._watching = asyncio.create_task(self._watch())
        async with self._opening:
            if self._gatherer is None:
                try:
                    model = await asyncio.to_thread(make_model, self._spec, record=self._record, **self._settings)
                except (Exception, SystemExit) as error:
                    _log.warning("%s cannot be opened", self._spec, exc_info=True)
                    return Failure.of(error)
                self._gatherer = Gatherer(model=model, **self._gathering)  # type: ignore[arg-type]  # of mixed types
        return None

    async def ask(self, call: Call) -> Answer:
        """See `Gatherer.ask`."""
        return await self._opened().ask(call)

    async def report(self) -> dict[str, Any]:
        """The engine's own name, and what it was asked."""
        gatherer = self._opened()
        return {"engine": gatherer.model.name, **asdict(gatherer.tally)}

    def _opened(self) -> Gatherer:
        if self._gatherer is None:
            raise RuntimeError("the engine was not opened")
        return self._gatherer

    async def _watch(self) -> None:
        """End with the last job."""
        while True:
            await asyncio.sleep(_LOOK)
            if self._jobs <= await asyncio.to_thread(_over):
                if self._gatherer is not None:
                    await asyncio.to_thread(self._gatherer.model.close)
                os._exit(0)


def _over() -> set[str]:
    """Jobs whose driver has ended; none while the cluster does not tell."""
    from ray._private import state  # the public list of jobs needs the dashboard

    try:
        return {job["JobID"] for job in state.jobs() if job["IsDead"]}
    except Exception:
        _log.debug("the list of jobs cannot be had", exc_info=True)
        return set()
