"""Those who talk to a gateway, one request or 32 clients at once, and what its log says of them."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from versions_behind import KEY, QUESTION, chat

from launch.gateway import running
from launch.gateway.settings import GatewaySettings

CLIENTS = 32


class Client:
    """One connection that is kept, as a client library keeps it; the key goes with each request."""

    def __init__(self, settings: GatewaySettings, key: str | None = KEY) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=60)
        self.headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def ask(
        self, body: dict[str, Any] | bytes | None, path: str = "/v1/chat/completions", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body of one answer."""
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        self.connection.request("POST" if sent else "GET", path, sent, {**self.headers, **headers})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def version_for(self, user: str, text: str = QUESTION) -> str:
        """Who would answer this user, without asking a model."""
        status, headers, _ = self.ask(chat(text, user=user), "/finr1/route")
        assert status == 204
        return str(headers["X-Model-Version"])


def log_rows(settings: GatewaySettings, at_least: int) -> list[dict[str, Any]]:
    """The request log's rows; what HAProxy says about itself stands between them.

    HAProxy writes a row once the answer has left, so a client that has its answer may be a moment ahead of the log.
    """
    deadline = time.monotonic() + 30
    while True:
        lines = (Path(settings.data) / running.LOG).read_text(encoding="utf-8").splitlines(keepends=True)
        rows = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        if len(rows) >= at_least or time.monotonic() > deadline:
            return rows
        time.sleep(0.05)


def wait_until(so: Callable[[], bool]) -> float:
    """Wait for what comes within seconds, on a machine under full load later; returns the time at which it is so."""
    deadline = time.monotonic() + 60
    while not so():
        assert time.monotonic() < deadline, "it does not come to pass"
        time.sleep(0.05)
    return time.monotonic()


def workers(settings: GatewaySettings) -> list[int]:
    """HAProxy's worker processes: the children of its master. After a reload the old one ends its answers and goes."""
    master = int((Path(settings.data) / "requests.pid").read_text(encoding="utf-8").split()[0])
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def one_worker(settings: GatewaySettings) -> float:
    """Wait until no request meets the configuration before the last reload any more; returns the time."""
    return wait_until(lambda: len(workers(settings)) == 1)


def known_to_be_down(settings: GatewaySettings, *names: str) -> float:
    """Wait until HAProxy has found by its checks that these versions have no server; returns the time."""

    def so() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.metrics_port}/metrics", timeout=10) as answer:
            told = answer.read().decode().splitlines()
        return all(f'haproxy_backend_active_servers{{proxy="{name}"}} 0' in told for name in names)

    return wait_until(so)


def weighed(settings: GatewaySettings, **weights: int) -> GatewaySettings:
    """The recipe with other weights."""
    versions = {name: each.model_copy(update={"weight": weights[name]}) for name, each in settings.versions.items()}
    return settings.model_copy(update={"versions": versions})


class Talk:
    """Clients that ask one question after another; `answers` and `failures` carry the time at which each was asked."""

    def __init__(self, settings: GatewaySettings, more: dict[str, Any] | None = None) -> None:
        self.settings, self.more, self.ended = settings, more, threading.Event()
        self.answers: list[tuple[float, str]] = []
        self.failures: list[tuple[float, int | str, str | None]] = []

    def __enter__(self) -> Talk:
        self.pool = ThreadPoolExecutor(CLIENTS)
        self.running = [self.pool.submit(self._talk, number) for number in range(CLIENTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.pool.shutdown()
        for one in self.running:
            one.result()

    def on(self, seconds: float) -> float:
        """Let them talk; returns the time at which this began."""
        begun = time.monotonic()
        time.sleep(seconds)
        return begun

    def _talk(self, number: int) -> None:
        client = Client(self.settings)
        while not self.ended.is_set():
            begun = time.monotonic()
            try:
                status, headers, body = client.ask(
                    chat(QUESTION, **(self.more or {})), **{"X-OpenWebUI-User-Id": f"user-{number}"}
                )
            except (
                OSError,
                http.client.HTTPException,
            ) as error:  # a connection that was cut: never clear, never retryable
                self.failures.append((begun, repr(error), None))
                client = Client(self.settings)
                continue
            if status == 200:
                said = headers["X-Model-Version"]
                # A stand-in's own words say who it is; a model's do not.
                assert self.more or f"<answer>{said}</answer>" in body.decode()
                self.answers.append((begun, said))
            else:
                self.failures.append((begun, status, headers["Retry-After"]))
                time.sleep(0.1)
