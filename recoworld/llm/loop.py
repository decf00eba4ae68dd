"""Asynchronous calls behind blocking ones: an event loop in a thread of its own, which many threads may give work to."""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from recoworld.errors import LanguageModelError

_LEAVE = 5.0
"""Seconds that cancelled calls have to end."""


class Batch:
    """What the calls of one batch know of each other."""

    trouble: Exception | None = None
    """Why no more of them are begun; one that waits to try again gives up."""


Job = Callable[[Batch], Awaitable[Any]]


class Loop:
    """An event loop whose thread is started by the first call, and ended by `close` or with the object."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, _stop, self._loop, self._thread)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of one coroutine. Raises what it raises, and LanguageModelError after `close`."""
        self._start(work)
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def gather(self, jobs: Sequence[Job], on_reply: Callable[[int, Any], None] | None = None) -> list[Any]:
        """The results of all jobs, which begin at once, in order; `on_reply` is called in this thread as each comes.

        After an error the others may end (`Batch.trouble` tells them), then it is raised. Ctrl-C, or an error of `on_reply`, cancels them.
        """
        batch, results, arrived = Batch(), dict[int, Any](), queue.SimpleQueue[int | None]()

        async def one(place: int, job: Job) -> None:
            try:
                results[place] = await job(batch)
            except Exception as error:
                batch.trouble = batch.trouble or error
            else:
                arrived.put(place)

        async def every() -> None:
            tasks = [asyncio.ensure_future(one(place, job)) for place, job in enumerate(jobs)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                arrived.put(None)

        work = every()
        self._start(work)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        told = set[int]()
        try:
            while (place := arrived.get()) is not None:
                if on_reply is not None:
                    on_reply(place, results[place])
                told.add(place)
        except BaseException as error:
            future.cancel()
            _wait_for_end(arrived)
            # What has arrived has been paid for. The one in hand is told again: nobody knows how far `on_reply` came with it.
            if on_reply is not None and not isinstance(error, Exception):
                for place in results.keys() - told:
                    on_reply(place, results[place])
            raise
        if batch.trouble is not None:
            raise batch.trouble
        return [results[place] for place in range(len(jobs))]

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return not self._end.alive

    def close(self) -> None:
        """End the thread; twice is fine."""
        self._end()

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        with self._lock:
            if not self._end.alive:
                work.close()
                raise LanguageModelError("the language model was closed; make a new one")
            if not self._thread.is_alive():
                self._thread.start()


def _wait_for_end(arrived: queue.SimpleQueue[int | None]) -> None:
    """Until the cancelled calls have ended, if they do so soon."""
    try:
        while arrived.get(timeout=_LEAVE) is not None:
            pass
    except queue.Empty:
        pass


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """End the thread and what still runs in it."""

    async def leave() -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_LEAVE) if tasks else None

    if thread.is_alive() and thread is not threading.current_thread():
        asyncio.run_coroutine_threadsafe(leave(), loop).result(2 * _LEAVE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_LEAVE)
    if not loop.is_running():
        loop.close()
