"""How many requests are in flight, and when to give a server up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class EndpointDown(RuntimeError):
    """The endpoint is not asked any more: it failed so often in a row, or the user stopped the run."""


class Gate:
    """Lets so many requests through at once, and none after `patience` failed rows in a row, none answered between."""

    def __init__(self, at_once: int, patience: int, on_reply: Callable[[], None]) -> None:
        self._slots = threading.Semaphore(at_once)
        self._patience = patience
        self._on_reply = on_reply
        self._counting = threading.Lock()
        self._failed_in_a_row = 0
        self._stopped = threading.Event()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around one row's request with its retries; raises `EndpointDown` where it must not be sent."""
        try:
            with self._slots:
                if self._stopped.is_set() or self._failed_in_a_row >= self._patience:
                    raise EndpointDown
                yield
        except Exception as error:
            if getattr(error, "code", 0) in (400, 413, 422):
                raise  # the server speaks of this prompt, so it is up
            with self._counting:
                self._failed_in_a_row += 1
            raise
        else:
            self._failed_in_a_row = 0
        finally:
            self._on_reply()

    def stop(self) -> None:
        """Let nothing more through; requests in flight end, and their answers are kept."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Let time pass before the next attempt, as long as the run goes on."""
        self._stopped.wait(seconds)
