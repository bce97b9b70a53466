"""An OpenAI-compatible server on 127.0.0.1 that answers from a script, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Drip:
    """A reply that sends a byte every `every_s` seconds and never ends, or breaks off after `cut_after` bytes."""

    text: str
    every_s: float = 0.0
    cut_after: int | None = None


Reply = dict[str, Any] | web.StreamResponse | float | Drip
"""A JSON reply, a whole HTTP response, the seconds to hang, or bytes that drip in."""


def completion(text: str | None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion with one choice; `message` may add `reasoning_content`."""
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "mock",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": len((text or "").split()), "total_tokens": 9},
    }


@dataclass
class MockServer:
    """`reply` is called with the request's JSON; `requests` holds every one of them, in order of arrival.

    `sizes`: the bytes of each request's body.
    """

    reply: Callable[[dict[str, Any]], Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    url: str = ""
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def questions(self) -> list[str]:
        """The last message of each request."""
        return [request["messages"][-1]["content"] for request in self.requests]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One POST to /v1/chat/completions."""
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.sizes.append(request.content_length or 0)
        answer = self.reply(body)
        if isinstance(answer, Drip):
            return await self._drip(request, answer)
        if isinstance(answer, float):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), answer)
            return web.json_response(completion("too late"))
        return web.json_response(answer) if isinstance(answer, dict) else answer

    async def _drip(self, request: web.Request, drip: Drip) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100000"})
        await response.prepare(request)
        for byte in drip.text.encode()[: drip.cut_after]:
            if self.closing.is_set():
                break
            await response.write(bytes([byte]))
            await asyncio.sleep(drip.every_s)
        if request.transport is not None:
            request.transport.abort()
        return response


@contextmanager
def serve(reply: Callable[[dict[str, Any]], Reply]) -> Iterator[MockServer]:
    """A server on a free port for as long as the block runs."""
    server = MockServer(reply)
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle)
    app.router.add_post("/ask", server.handle)  # a protocol of one's own
    runner = web.AppRunner(app, shutdown_timeout=0)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.closing.set)  # lets hanging requests go
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
