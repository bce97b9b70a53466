"""How many requests to one endpoint run at once, and when the next may start."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

# A 429 takes away 30% of the requests in flight; an answer gives back 1/limit, so that a full round of answers adds
# one (additive increase, multiplicative decrease, as TCP shares a line). 0.7 keeps most of the rate that did work.
_DECREASE = 0.7


class Stop:
    """The word to start nothing more. What is in flight may end; sleeps end at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Say it."""
        self._event.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep for that long, or until the word is said."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


class Throttle:
    """Lets at most `ceiling` requests run at once, fewer after "too many requests".

    Used as `async with throttle:` around one attempt. `limited(pause)` reports a 429: nothing starts for `pause`
    seconds, and the number allowed shrinks, once for each pause however many requests were told. `went_well()`
    lets it grow again.
    """

    def __init__(self, ceiling: int, stop: Stop) -> None:
        self._ceiling = float(ceiling)
        self._limit = float(ceiling)
        self._stop = stop
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resume_at = 0.0

    @property
    def limit(self) -> int:
        """How many requests may run at once now."""
        return max(1, int(self._limit))

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stop:
            pause = self._resume_at - loop.time()
            if pause > 0:
                await self._stop.sleep(pause)
            elif self._running < self.limit:
                break
            else:
                turn = loop.create_future()
                self._waiting.append(turn)
                await turn
        self._running += 1

    async def __aexit__(self, *exc: object) -> None:
        self._running -= 1
        # Two turns for one that ended: the limit may have grown. Who wakes in vain waits again.
        for _ in range(min(2, len(self._waiting))):
            turn = self._waiting.popleft()
            if not turn.done():  # done: its task was cancelled
                turn.set_result(None)

    def limited(self, pause: float) -> None:
        """Too many requests: wait `pause` seconds, then go on with fewer."""
        now = asyncio.get_running_loop().time()
        if now >= self._resume_at:
            self._limit = max(1.0, min(self._limit, self._running) * _DECREASE)
        self._resume_at = max(self._resume_at, now + pause)

    def went_well(self) -> None:
        """An answer came: allow a little more."""
        self._limit = min(self._ceiling, self._limit + 1 / self._limit)
