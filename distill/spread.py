"""Work over many processors, its results in the order of the rows: the same code for one machine and for several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from reward_plugins.errors import Refused

Shared = TypeVar("Shared")
Row = TypeVar("Row")
Done = TypeVar("Done")

# Rows that a process takes at a time: of traces about 50 ms of work, so that handing over costs little beside it, and
# three batches of long traces (25 kB a line) weigh a few megabytes.
BATCH = 64
# Fewer rows than this are done before a second process has started (half a second of imports).
_WORTH_A_PROCESS = 1024


class Engine(ABC):
    """What does a stage's work on rows. `name` is what the manifest calls it."""

    name: str

    @abstractmethod
    def map(
        self, work: Callable[[Shared, list[Row]], list[Done]], shared: Shared, rows: Iterable[Row], count: int
    ) -> Generator[Done]:
        """Yield what `work(shared, batch)` returns for each row, in the order of the `count` rows.

        `work` is a pure function of a module. `shared` is what every batch needs; each process gets it once. Rows are
        small (places in a file, not texts), since they pass through this process. What `work` raises is raised here.
        """


class Cores(Engine):
    """Processes of this machine: `workers` of them, by default one a core; none where there is too little to do.

    Memory does not grow with the rows. Raises `Refused` where a process was killed.
    """

    name = "cores"

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or len(os.sched_getaffinity(0))

    def map(
        self, work: Callable[[Shared, list[Row]], list[Done]], shared: Shared, rows: Iterable[Row], count: int
    ) -> Generator[Done]:
        """See `Engine.map`."""
        processes = min(self._workers, -(-count // _WORTH_A_PROCESS))
        if processes <= 1:
            for batch in batches(rows, BATCH):
                yield from work(shared, batch)
            return
        # Not forked: the progress bars run in a thread, and a lock that it held at the fork would never be released.
        spawning = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, spawning, initializer=_begin, initargs=(work, shared))
        waiting: deque[Future[list[Done]]] = deque()
        try:
            for batch in batches(rows, BATCH):
                waiting.append(pool.submit(_go_on, batch))
                if len(waiting) > 2 * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool:
            raise Refused(
                "a process of this stage was killed, most often for want of memory; free some, or set workers: 1"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows in lists of `size`, the last one shorter."""
    rest = iter(rows)
    return iter(lambda: list(islice(rest, size)), [])


_at_hand: tuple[Callable[[Any, list[Any]], list[Any]], Any]
"""In a process of the pool: the work, and what it shares."""


def _begin(work: Callable[[Any, list[Any]], list[Any]], shared: Any) -> None:
    global _at_hand
    _at_hand = work, shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed says nothing, and its processes would wait for rows for ever, with all that they share."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _go_on(batch: list[Any]) -> list[Any]:
    work, shared = _at_hand
    return work(shared, batch)
