"""Servers that stand for served versions: each says by its text which one it is, and its HAProxy from Debian."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from mock_server import completion

from launch.gateway.measure import free_ports
from launch.gateway.settings import GatewaySettings
from reward_plugins.errors import Refused

KEY = "a-key-for-tests"
QUESTION = "What was the year-over-year growth in revenue?"


def need_haproxy() -> None:
    """Debian's package is installed where that is possible, else the test is skipped."""
    from launch.gateway.running import program

    def there() -> bool:
        try:
            return bool(program())
        except Refused:
            return False

    if not there() and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "haproxy", "lua-cjson"]):
            subprocess.run(["apt-get", *words], check=True, env=quiet, capture_output=True, timeout=600)
    if not there():
        pytest.skip("no HAProxy here: apt-get install haproxy lua-cjson")


@dataclass
class Behind:
    """A server of one version. `hold_s` is how long an answer takes; `seen` holds each request's headers and body.

    A request may ask for a fault: `status` (500), or `cut` (the stream breaks off). With `go_on` each word of a stream
    is followed by the next once that is released, and the stream breaks off where it is not.
    """

    name: str
    hold_s: float = 0.0
    url: str = ""
    seen: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None
    well: bool = True
    go_on: threading.Semaphore | None = None

    async def health(self, _: web.Request) -> web.Response:
        """200 while it is `well`."""
        return web.json_response({}, status=200 if self.well else 503)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """One completion, whole or streamed word by word."""
        body = await request.json()
        self.seen.append((dict(request.headers), body))
        if body.get("fault") == "status":
            return web.json_response({"error": {"message": "out of memory"}}, status=500)
        if not body.get("stream"):
            await asyncio.sleep(self.hold_s)
            return web.json_response(completion(f"<think>t</think><answer>{self.name}</answer>"))
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        with contextlib.suppress(ConnectionError):  # who asked may have gone
            await self._words(request, stream, body.get("fault") == "cut")
        return stream

    async def _words(self, request: web.Request, stream: web.StreamResponse, cut: bool) -> None:
        for word in (self.name, "second", "third"):
            await stream.write(f'data: {{"choices":[{{"delta":{{"content":"{word}"}}}}]}}\n\n'.encode())
            await asyncio.sleep(self.hold_s)
            if self.go_on is not None and not await asyncio.to_thread(self.go_on.acquire, timeout=30):
                cut = True
            if cut and request.transport is not None:
                request.transport.abort()
        await stream.write(b"data: [DONE]\n\n")


@contextmanager
def version(name: str, hold_s: float = 0.0, port: int = 0) -> Iterator[Behind]:
    """A version's server for as long as the block runs; `stop` ends it at once, answers in hand and all."""
    server = Behind(name, hold_s)
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/health", server.health)
    runner = web.AppRunner(app, shutdown_timeout=0)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def stop() -> None:
        if thread.is_alive():
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    server.stop = stop
    try:
        yield server
    finally:
        stop()
        loop.close()


async def _models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "fin", "object": "model"}]})


@contextmanager
def recipe_for(weights: dict[str, tuple[str, int]], /, **more: Any) -> Iterator[GatewaySettings]:
    """A recipe on free ports and a data folder whose path is short enough for a socket.

    A server that says nothing of `health` is there as long as its port is: those of the tests live in this process, and
    on a busy machine they may be late to say that they are well.
    """
    port, metrics_port = free_ports()
    versions = {name: {"url": url, "weight": weight, "health": None} for name, (url, weight) in weights.items()}
    if isinstance(general := more.get("general"), dict):
        more["general"] = {"health": None, **general}
    with tempfile.TemporaryDirectory(prefix="gw-") as data:
        keys = {"versions": versions, "port": port, "metrics_port": metrics_port, "data": data, **more}
        yield GatewaySettings.model_validate(keys)


def chat(text: str, **more: Any) -> dict[str, Any]:
    """A request's body with one user message."""
    return {"model": "fin", "messages": [{"role": "user", "content": text}], **more}
