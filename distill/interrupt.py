"""What Ctrl-C means to a run that pays for answers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator

from rich.progress import Progress

from distill.throttle import Stop


def say_waiting(bars: Progress) -> None:
    """Say that nothing more is started."""
    bars.console.print("Stopping: waiting for the answers that are on their way. Ctrl-C drops them.")


@contextlib.contextmanager
def gentle_interrupt(stop: Stop, bars: Progress) -> Iterator[list[bool]]:
    """The first Ctrl-C starts nothing more and waits for the answers that are paid; the second drops them."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    presses: list[bool] = []

    def pressed() -> None:
        presses.append(True)
        if stop and task is not None:
            task.cancel()
        else:
            stop.set()
            say_waiting(bars)

    if threading.current_thread() is not threading.main_thread():
        yield presses
        return
    loop.add_signal_handler(signal.SIGINT, pressed)
    try:
        yield presses
    finally:
        loop.remove_signal_handler(signal.SIGINT)
