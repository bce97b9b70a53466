"""A server that is gone before it answered: a client is told so by a 502 that it can try again, whatever it asked before."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from gateway_clients import Client
from versions_behind import KEY, QUESTION, chat, need_haproxy, recipe_for

from launch.gateway import running


class Dying(BaseHTTPRequestHandler):
    """Is well, and answers a question unless that is "die"."""

    def do_GET(self) -> None:
        """The health check."""
        self._answer()

    def do_POST(self) -> None:
        """A question."""
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        if b"die" not in asked:
            self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_client_with_earlier_answers_gets_a_502_and_no_closed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    need_haproxy()
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)
    with ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Dying))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        settings = stack.enter_context(recipe_for({"v1": (f"http://127.0.0.1:{server.server_port}/v1", 100)}))
        stack.enter_context(running.gateway(settings))
        client = Client(settings)
        assert client.ask(chat(QUESTION))[0] == 200
        status, headers, body = client.ask(chat("die"))
    assert (status, headers["Retry-After"]) == (502, "5")
    assert b"the model broke off before it answered" in body
