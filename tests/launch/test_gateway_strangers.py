"""Who speaks no HTTP to the gateway, such as a port scanner: its log stays what its page says, and the watcher goes on."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway_clients import log_rows
from versions_behind import KEY, need_haproxy, recipe_for

from launch.gateway import running
from launch.watch.exporter import Watch
from launch.watch.request_log import RequestLog

NO_HTTP = {"TLS": b"\x16\x03\x01\x02\x00\r\n\r\n", "half a line": b"GET\r\n\r\n", "gone": b"POST /v1/chat"}


def test_what_is_no_http_is_one_row_of_json_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    need_haproxy()
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)
    with ExitStack() as stack:
        settings = stack.enter_context(recipe_for({"v1": ("http://127.0.0.1:1/v1", 100)}))
        stack.enter_context(running.gateway(settings))
        for said in NO_HTTP.values():
            with socket.create_connection(("127.0.0.1", settings.port), timeout=10) as stranger:
                stranger.sendall(said)
                stranger.shutdown(socket.SHUT_WR)
                stranger.recv(1000)
        rows = log_rows(settings, len(NO_HTTP))
        watching = Watch(settings)
        watching.look()
        counted = watching.registry.get_sample_value(
            "finr1_requests_total", {"version": "none", "route": "none", "status": "400"}
        )
    assert [(row["version"], row["bucket"], row["status"]) for row in rows] == [("none", -1, 400)] * len(NO_HTTP)
    assert all(abs(row["begin_ms"] / 1000 - time.time()) < 120 for row in rows)
    assert counted == len(NO_HTTP)


def test_rows_of_an_older_log_that_are_no_json_are_passed_over(tmp_path: Path) -> None:
    old = '{"begin_ms":-,"version":"-","route":"-","bucket":-,"status":400,"first_byte_ms":-1,"total_ms":0,"bytes":0,"end":"PR"}'
    row = {
        "begin_ms": 1,
        "version": "a",
        "route": "none",
        "bucket": 5,
        "status": 200,
        "first_byte_ms": 1,
        "total_ms": 2,
    }
    (tmp_path / "log").write_text(f"{old}\n{json.dumps({**row, 'bytes': 1, 'end': '--'})}\n", encoding="utf-8")
    assert [request.version for request in RequestLog(tmp_path / "log").new()] == ["a"]
