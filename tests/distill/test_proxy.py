"""Endpoints behind a proxy that the environment names."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from distill import ask, teachers
from distill.proxy import proxy_of
from distill.records import Trace, read_records
from reward_plugins.errors import Refused

ANSWER = json.dumps({"choices": [{"message": {"content": "<think>12 / 300</think><answer>4%</answer>"}}]}).encode()
BASIC = {"Proxy-Authorization": "Basic bWU6c0BjcmV0"}  # me:s@cret


class ForwardProxy(socketserver.StreamRequestHandler):
    """Answers in the place of whoever is asked for, and notes how it was asked."""

    heads: ClassVar[list[tuple[str, str | None]]] = []

    def handle(self) -> None:
        while line := self.rfile.readline().decode():
            headers = {}
            while (header := self.rfile.readline().decode().strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            self.rfile.read(int(headers["content-length"]))
            self.heads.append((line.split(" ")[1], headers.get("proxy-authorization")))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)


@pytest.fixture
def forward_proxy() -> Iterator[int]:
    """Its port on 127.0.0.1."""
    ForwardProxy.heads.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), ForwardProxy) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def settings(questions: Path) -> ask.Settings:
    teacher = teachers.Teacher(name="t", base_url="http://teacher.invalid:8000/v1", model="m", attempts=1)
    return ask.Settings(questions=questions, out=questions.parent / "traces.jsonl", teachers=[teacher])


def test_the_proxy_of_the_environment_is_used_and_its_password_told_to_it_alone(
    make_questions: Callable[..., Path],
    forward_proxy: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:s%40cret@127.0.0.1:{forward_proxy}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    stage = settings(make_questions(3))
    assert ask.run(stage)["teachers"]["t"]["answered"] == 3
    assert [trace.answer for trace in read_records(stage.out, Trace)] == ["4%"] * 3
    assert ForwardProxy.heads == [("http://teacher.invalid:8000/v1/chat/completions", BASIC["Proxy-Authorization"])] * 3
    written = "".join(path.read_text(encoding="utf-8") for path in stage.out.parent.glob("traces*"))
    assert "cret" not in written + "".join(capfd.readouterr())


def test_a_proxy_that_is_not_there_is_named(
    make_questions: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(Refused, match="refused, at the proxy that the environment names") as refused:
        ask.run(settings(make_questions(1)))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/v1", {"proxy": "http://proxy:3128"}),
        ("http://127.0.0.1:8000/v1", {}),
        ("http://[::1]:8000/v1", {}),
        ("http://localhost:8000/v1", {}),
        ("https://inside.example.org/v1", {}),
        ("http://api.example.com/v1", {"proxy": "http://proxy:3128", "headers": BASIC}),
    ],
)
def test_which_addresses_go_by_the_proxy(url: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy:3128")
    monkeypatch.setenv("http_proxy", "http://me:s%40cret@proxy:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", ".example.org")
    assert proxy_of(url) == expected


def test_behind_tls_the_password_opens_the_tunnel_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://me:s%40cret@proxy:3128")
    assert proxy_of("https://api.example.com/v1") == {"proxy": "http://proxy:3128", "proxy_headers": BASIC}
