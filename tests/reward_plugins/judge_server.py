"""Judges to test against: one that answers, and one for each way in which a judge fails."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Manner = str | Callable[[int, dict[str, str]], str]


class JudgeServer(ThreadingHTTPServer):
    """Answers as its `manner` says, and keeps the requests that it got.

    An answer is right if its first word is in the reference. Reasoning gets 5 in every dimension, 2 in logic where it
    says "out of thin air". A manner may also be a function of the request's number (from 1) and of what was shown.
    `replied` counts, by what was shown, the replies that were given to be sent: before they leave, so that who has a
    reply finds it counted. `verdict`, where set, makes the verdict on what was shown. Requests beyond `at_most` wait
    until it is raised.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, manner: Manner, delay_s: float = 0.0) -> None:
        self.manner = manner
        self.delay_s = delay_s
        self.requests: list[dict[str, Any]] = []
        self.replied: Counter[str] = Counter()
        self.at_most: int | None = None
        self.counting = threading.Lock()
        self.keys: list[str | None] = []
        self.verdict: Callable[[dict[str, str]], str] | None = None
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no news here."""


_USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
_DIMENSIONS = ("internal_consistency", "logical_consistency", "relevance", "instruction_consistency")


def _comparison(shown: dict[str, str]) -> str:
    same = shown["candidate"].split()[0].lower() in shown["reference"].lower()
    return json.dumps({"reason": "compared", "verdict": "correct" if same else "wrong"})


def _scores(shown: dict[str, str]) -> str:
    scores = dict.fromkeys(_DIMENSIONS, 5)
    if "out of thin air" in shown["reasoning"]:
        scores["logical_consistency"] = 2
    return json.dumps({name: {"reason": "read", "score": score} for name, score in scores.items()})


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.counting:
            self.server.requests.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
            number = len(self.server.requests)
        while self.server.at_most is not None and number > self.server.at_most:
            time.sleep(0.01)
        text = body["messages"][1]["content"]
        shown = json.loads(text)
        manner = self.server.manner
        if not isinstance(manner, str):
            manner = manner(number, shown)
        if manner == "hangs":
            time.sleep(20)
            return
        if manner == "speaks no http":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            self.close_connection = True
            return
        if manner == "tears a chunk":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{")
            self.close_connection = True
            return
        if manner.startswith("http "):
            self.send_error(int(manner[5:]))
            return
        time.sleep(self.server.delay_s)
        verdict = _scores(shown) if "reasoning" in shown else (self.server.verdict or _comparison)(shown)
        with self.server.counting:
            earlier = self.server.replied[text]
            self.server.replied[text] += 1
        contents = {
            "answers": verdict,
            "fences": f"```json\n{verdict}\n```",
            "thinks": f'<think>{{"verdict": "wrong"}}</think>{verdict}',
            "babbles": "The candidate looks quite right to me, I would say correct!",
            "babbles once": verdict if len(body["messages"]) > 2 else "Let me see.",
            "other verdict": '{"verdict": "maybe"}',
            "two verdicts": f'{verdict} {{"verdict": "wrong"}}',
            "moody": verdict if earlier % 2 == 0 else verdict.replace("5", "1"),
        }
        reply: Any = {"choices": [{"message": {"content": contents.get(manner, "")}}], "usage": _USAGE}
        if manner == "error in a 200":
            reply = {"error": {"message": "the backend is gone", "code": 502}}
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
def judging(manner: Manner, delay_s: float = 0.0) -> Iterator[JudgeServer]:
    """A judge of that manner while the block runs."""
    server = JudgeServer(manner, delay_s)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
