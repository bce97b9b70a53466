"""An OpenAI-compatible endpoint on 127.0.0.1 that fails in the ways in which real ones do."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

GOOD = "<think>Net margin = 12 / 300 = 4%.</think><answer>4%</answer>"
_NUMBER = re.compile(r"question number (\d+)")

# What one request gets: "ok" or one of the faults of `FaultServer._answer`.
Script = Callable[[int, int], str]


def always(fault: str) -> Script:
    return lambda number, attempt: fault


def first(faults: Sequence[str]) -> Script:
    """Each question meets one of the faults at its first attempt (by its number), then all is well."""
    return lambda number, attempt: faults[number % len(faults)] if attempt == 1 else "ok"


class FaultServer:
    """Runs in a thread of its own. `script(number of the question, attempt from 1)` says what happens.

    `asked` counts requests by question, `answered` those answered in full. With so many answered as `at_most` says,
    further requests wait until it is raised.
    """

    def __init__(self, script: Script, delay_s: float = 0.0, message: dict[str, Any] | None = None) -> None:
        self.script = script
        self.delay_s = delay_s
        self.message = message or {"role": "assistant", "content": GOOD}
        self.usage: dict[str, Any] | None = {"prompt_tokens": 60, "completion_tokens": 30}
        self.asked: Counter[int] = Counter()
        self.answered: Counter[int] = Counter()
        self.at_most: int | None = None
        self.running = self.most_running = 0
        self.headers: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> FaultServer:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._end.wait()
        await runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        if len(self.bodies) < 100:
            self.headers.append(dict(request.headers))
            self.bodies.append(body)
        found = _NUMBER.search(body["messages"][-1]["content"])
        number = int(found[1]) if found else 0
        self.asked[number] += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            while self.at_most is not None and sum(self.answered.values()) >= self.at_most:
                await asyncio.sleep(0.01)
            return await self._answer(self.script(number, self.asked[number]), number, request)
        finally:
            self.running -= 1

    async def _answer(self, fault: str, number: int, request: web.Request) -> web.StreamResponse:
        if fault == "ok":
            self.answered[number] += 1
            return web.json_response(self.completion())
        if fault == "429":
            return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": "0.05"})
        if fault == "arrears":
            error = {"code": "Arrearage", "message": "not in good standing"}
            return web.json_response({"error": error}, status=400)
        if fault.isdigit():
            return web.json_response({"error": {"message": f"no good: {number} told"}}, status=int(fault))
        if fault == "hang":
            await asyncio.sleep(30)
        if fault == "html":
            return web.Response(text="<!DOCTYPE html><p>Bad gateway</p>", content_type="text/html")
        if fault == "not json":
            return web.Response(text='{"choices": [', content_type="application/json")
        if fault == "wrong json":
            return web.json_response(["not", "a", "completion"])
        if fault == "no message":
            return web.json_response({"choices": [{"index": 0}]})
        if fault == "empty choices":
            return web.json_response({"choices": []})
        if fault == "error in 200":
            return web.json_response({"error": {"message": "overloaded"}})
        if fault == "cut":
            whole = json.dumps(self.completion()).encode()
            response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
            await response.prepare(request)
            await response.write(whole[: len(whole) // 2])
        assert request.transport is not None
        request.transport.close()  # "cut" and "drop"
        return web.Response()

    def completion(self) -> dict[str, Any]:
        """An answer; `usage` None leaves it out."""
        told = {} if self.usage is None else {"usage": self.usage}
        choice = {"index": 0, "finish_reason": "stop", "message": self.message}
        return {"id": "the same id each time", "choices": [choice], **told}
