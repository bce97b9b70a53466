"""Judges to test against: one that answers, and one for each way in which a judge fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class JudgeServer(ThreadingHTTPServer):
    """Answers as its `manner` says, and keeps the requests that it got."""

    daemon_threads = True

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.keys.append(self.headers.get("Authorization"))
        manner = self.server.manner
        if manner == "hangs":
            time.sleep(20)
            return
        if manner == "http 500":
            self.send_error(500)
            return
        shown = json.loads(body["messages"][-1]["content"])
        same = shown["candidate"].split()[0].lower() in shown["reference"].lower()
        contents = {
            "answers": json.dumps({"reason": "compared", "verdict": "correct" if same else "wrong"}),
            "fences": '```json\n{"reason": "compared", "verdict": "correct"}\n```',
            "thinks": '<think>{"verdict": "wrong"}</think>{"reason": "r", "verdict": "correct"}',
            "babbles": "The candidate looks quite right to me, I would say correct!",
            "other verdict": '{"verdict": "maybe"}',
            "two verdicts": '{"verdict": "correct"} {"verdict": "wrong"}',
        }
        reply: Any = {"choices": [{"message": {"content": contents.get(manner, "")}}], "usage": {"total_tokens": 7}}
        raw = b"\x00\xff no json" if manner == "garbage" else json.dumps(reply).encode()
        if manner == "floods":
            raw = b"x" * 300_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if manner == "drips":
            for byte in raw:
                self.wfile.write(bytes([byte]))
                time.sleep(0.2)
            return
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def judging(manner: str) -> Iterator[JudgeServer]:
    """A judge of that manner while the block runs."""
    server = JudgeServer(manner)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
