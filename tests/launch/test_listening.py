"""Whether somebody answers at an address."""

from __future__ import annotations

import socketserver
import threading

import pytest

from launch import listening


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"", False),
        (b"HTTP/1.1 503 Down\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
    ],
)
def test_only_a_200_is_an_answer(said: bytes, answers: bool) -> None:
    class Speaker(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(said)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Speaker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert listening.answers(f"http://127.0.0.1:{server.server_address[1]}/health") is answers
        server.shutdown()
