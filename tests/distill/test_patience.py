"""One timer for many tasks: who waits too long is told so, and nobody else."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest

from distill.patience import Patience


class Hurried(selectors.DefaultSelector):
    """Where the loop would wait, its clock jumps: the order of events hangs on no machine's load."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


def played(scene: Coroutine[Any, Any, Any]) -> Any:
    """The result of a scene, played in no time."""

    def loop() -> asyncio.AbstractEventLoop:
        selector = Hurried()
        made = asyncio.SelectorEventLoop(selector)
        made.time = lambda: selector.now  # type: ignore[method-assign]
        return made

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(scene)


def test_each_task_has_its_own_time_and_a_cancelled_one_ends() -> None:
    async def scene() -> list[object]:
        patience = Patience(0.1)

        async def work(begins: float, takes: float) -> str:
            await asyncio.sleep(begins)
            with patience:
                await asyncio.sleep(takes)
            await asyncio.sleep(0.05)  # what comes after the block has no limit
            return "done"

        tasks = [asyncio.create_task(work(*times)) for times in ((0, 5), (0, 0.02), (0.06, 0.06), (0.06, 5), (0.01, 5))]
        await asyncio.sleep(0.03)
        tasks[4].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        patience.close()
        return [type(result) if isinstance(result, BaseException) else result for result in results]

    assert played(scene()) == [TimeoutError, "done", "done", TimeoutError, asyncio.CancelledError]


def test_a_task_can_wait_again_after_its_time_was_up() -> None:
    async def scene() -> tuple[str, int]:
        patience = Patience(0.03)
        with pytest.raises(TimeoutError), patience:
            await asyncio.sleep(5)
        with patience:
            await asyncio.sleep(0.01)
        task = asyncio.current_task()
        assert task is not None
        return "done", task.cancelling()

    assert played(asyncio.wait_for(scene(), 2)) == ("done", 0)
