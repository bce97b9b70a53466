"""How many requests to one endpoint run at once, how many a minute, and when the next may start."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

# A 429 takes away 30% of the requests in flight; answers give it back, a twentieth of the ceiling for each round of
# them, so that a limit by the minute is felt for a minute and not for the rest of the run. (Additive increase,
# multiplicative decrease, as TCP shares a line.)
_DECREASE = 0.7
_ROUNDS_TO_THE_CEILING = 20
# Longer than the clock of an event loop is coarse, and too short for an endpoint to notice.
_SAVED_UP_S = 0.1
# While one waits, what others took may turn out to be less.
_LOOK_AGAIN_S = 0.1


class Stop:
    """The word to start nothing more. What is in flight may end; sleeps end at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._said = False

    def __bool__(self) -> bool:
        return self._said

    def set(self) -> None:
        """Say it."""
        self._said = True
        self._event.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep for that long, or until the word is said."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


class Throttle:
    """Lets at most `ceiling` requests run at once, fewer after "too many requests".

    Used as `async with throttle:` around one attempt. `limited` reports a 429 and `went_well` an answer.
    """

    def __init__(self, ceiling: int, stop: Stop) -> None:
        self._ceiling = float(ceiling)
        self._limit = float(ceiling)
        self._step = max(1.0, ceiling / _ROUNDS_TO_THE_CEILING)
        self._stop = stop
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resume_at = 0.0
        self._decreased_at = 0.0

    @property
    def limit(self) -> int:
        """How many requests may run at once now."""
        return max(1, int(self._limit))

    @property
    def pauses(self) -> bool:
        """Whether an endpoint's wish to wait after a 429 has not run out."""
        return self._resume_at > 0.0 and self._resume_at > asyncio.get_running_loop().time()

    async def __aenter__(self) -> None:
        while not self._stop:
            if self.pauses:
                await self.pause()
            if self._running < int(self._limit):  # never below 1
                break
            await self._turn(asyncio.get_running_loop().create_future())
        self._running += 1

    async def __aexit__(self, *exc: object) -> None:
        self._running -= 1
        if self._waiting:
            self._wake(2)  # two for one that ended, since the limit may have grown; who wakes in vain waits again

    async def pause(self) -> None:
        """Wait for as long as the endpoint asked for after a 429; returns at once where it did not."""
        loop = asyncio.get_running_loop()
        while not self._stop and self._resume_at > loop.time():
            await self._stop.sleep(self._resume_at - loop.time())

    def limited(self, pause: float, started: float) -> None:
        """A request that started at `started` (the loop's time) was one too many: none starts for `pause` seconds.

        Requests that were on their way when the limit shrank do not shrink it again.
        """
        now = asyncio.get_running_loop().time()
        if started >= self._decreased_at:
            self._decreased_at = now
            self._limit = max(1.0, self._limit * _DECREASE)
        self._resume_at = max(self._resume_at, now + pause)

    def went_well(self) -> None:
        """An answer came: allow a little more."""
        self._limit = min(self._ceiling, self._limit + self._step / self._limit)

    async def _turn(self, turn: asyncio.Future[None]) -> None:
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had been given its turn: pass it on
                self._wake(1)
            raise

    def _wake(self, count: int) -> None:
        while count and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # done: its task was cancelled
                turn.set_result(None)
                count -= 1


class Pace:
    """At most `per_minute` of something, evenly spread; None sets no limit.

    Endpoints count by the minute, and some by the second as well, so what was not used is not saved up beyond a tenth
    of a second. Those who wait are let through in the order in which they came.
    """

    def __init__(self, per_minute: float | None, stop: Stop) -> None:
        self._seconds_each = 60.0 / per_minute if per_minute else 0.0
        self._stop = stop
        self._turn = asyncio.Lock()
        self._next = 0.0

    async def wait(self, amount: Callable[[], float] = lambda: 1.0) -> float:
        """Wait for one's turn and take `amount`, asked for when the turn comes; returns at once after the word to stop.

        Returns what was taken, for `correct`.
        """
        if not self._seconds_each:
            return 0.0
        loop = asyncio.get_running_loop()
        async with self._turn:
            while not self._stop and (early := self._next - loop.time()) > 0:
                await self._stop.sleep(min(early, _LOOK_AGAIN_S))
            taken = amount()
            self._next = max(self._next, loop.time() - _SAVED_UP_S) + taken * self._seconds_each
        return taken

    def correct(self, amount: float) -> None:
        """What was taken by estimate was so much more (or, below zero, less): whoever waits feels it."""
        self._next += amount * self._seconds_each
