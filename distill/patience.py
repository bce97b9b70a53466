"""One time limit for many tasks at the price of one timer.

A timer for each request, as the HTTP library sets it, costs a tenth of the processor's time that a request takes.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Patience:
    """`with patience:` around what one task waits for raises `TimeoutError` there once `seconds` have gone by.

    As `asyncio.timeout` does, by cancelling the task; one limit for all, so the task that began first ends first.
    A task is in one such block at a time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began: dict[asyncio.Task[Any], float] = {}  # in the order of their beginning
        self._cancelled: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._began[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._began.pop(task, None)
        if task not in self._cancelled:
            return
        self._cancelled.remove(task)
        # With another cancellation on top of ours the task is meant to end.
        if not task.uncancel() and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Cancel whose time is up, and come again when that of the next one is."""
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, began in list(self._began.items()):
            if (left := began + self.seconds - loop.time()) > 0:
                self._timer = loop.call_later(left, self._look)
                return
            del self._began[task]
            self._cancelled.add(task)
            task.cancel()
