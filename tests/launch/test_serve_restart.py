"""A server that went down comes back, so often and no more; the programs here are ones that die on time."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import free_port

from launch.engine import EngineFailed
from launch.listening import answers, why_not_free
from launch.serving import restart as restarting
from launch.serving.command import Command
from launch.serving.events import events_path, history
from launch.serving.settings import Restart, ServeSettings
from reward_plugins.errors import Refused

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        if self.path == "/die": os._exit(7)
    def log_message(self, *words): pass
print("RuntimeError: the engine is out of memory", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> ServeSettings:
    port = free_port()
    words: list[str | Path] = [sys.executable, "-c", SERVER, str(port)]
    start = Command(words, "finr1", {}, frozenset({"PATH"}), home)
    monkeypatch.setattr("launch.serving.server.command", lambda settings, log: start)
    monkeypatch.setattr(restarting.health, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(restarting, "_LONGEST_WAIT_S", 0.3)
    return ServeSettings(model="x/y", engine="transformers", port=port, log="runs/s.log", start_s=20)


def served(settings: ServeSettings, at: dict[int, Callable[[int], None]]) -> tuple[list[dict[str, Any]], EngineFailed]:
    """Serve until it fails; `at` says what is done to the process that is up for the n-th time."""
    ups = 0

    def say(line: str) -> None:
        nonlocal ups
        if line.startswith("a finance question"):
            ups += 1
            pid = int(Path(settings.log).with_suffix(".pid").read_text("utf-8").split()[0])
            threading.Timer(0.2, at.get(ups, kill), (pid,)).start()

    with pytest.raises(EngineFailed) as failure:
        restarting.serve_on(settings, say)
    lines = events_path(Path(settings.log)).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], failure.value


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_it_comes_back_so_often_and_no_more(settings: ServeSettings) -> None:
    settings.restart = Restart(times=2, within_s=60)
    events, failure = served(settings, {2: lambda _: answers(f"{settings.base}/die") and None})
    states = [event["state"] for event in events]
    assert states == ["starting", *["up", "asked", "down"] * 3, "given up"]
    downs = [event["why"] for event in events if event["state"] == "down"]
    assert downs == ["it was killed by SIGKILL", "it ended with exit code 7", "it was killed by SIGKILL"]
    assert all("out of memory" in event["last_words"] for event in events if event["state"] == "down")
    assert "went down more than 2 times within 60 s, and stays down" in str(failure)
    assert "it was killed by SIGKILL" in str(failure)
    assert why_not_free("127.0.0.1", settings.port) == ""
    # A program that is no model is up, and not well.
    assert {event["health"] for event in events if event["state"] == "asked"} == {"error"}


def test_without_a_policy_it_stays_down(settings: ServeSettings) -> None:
    events, failure = served(settings, {})
    assert [event["state"] for event in events] == ["starting", "up", "asked", "down"]
    assert str(failure).startswith("the server went down: it was killed by SIGKILL (see ")


def test_what_never_ran_is_not_tried_again(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    settings.restart = Restart()
    start = Command([sys.executable, "-c", "raise ValueError('no such layer')"], "finr1", {}, frozenset(), home)
    monkeypatch.setattr("launch.serving.server.command", lambda settings, log: start)
    events, failure = served(settings, {})
    assert [event["state"] for event in events] == ["starting", "down"]
    assert "ValueError: no such layer" in str(failure)
    told = history(events_path(Path(settings.log)))
    assert told.startswith("down since ") and "ValueError: no such layer" in told


def test_a_start_that_is_refused_is_no_part_of_the_history(settings: ServeSettings) -> None:
    """Such as a second one beside the server that runs: health would say of that one that it is starting."""
    said: list[str] = []
    with socket.socket() as other, pytest.raises(Refused, match="is in use"):
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        restarting.serve_on(settings, said.append)
    assert said == [] and not events_path(Path(settings.log)).exists()


def test_a_hung_server_is_brought_back(settings: ServeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process lives, its port accepts, and nothing answers."""
    monkeypatch.setattr(restarting, "_PROBE_EVERY_S", 0.1)
    monkeypatch.setattr(restarting, "_SILENT_S", 1.0)
    monkeypatch.setattr("launch.engine._GRACE_S", 1.0)  # a program that stands still hears no SIGTERM
    settings.restart = Restart(times=1)
    events, _ = served(settings, {1: lambda pid: os.kill(pid, signal.SIGSTOP)})
    downs = [event["why"] for event in events if event["state"] == "down"]
    assert downs[0].startswith("its /health has not answered with 200 for ")
    assert downs[1] == "it was killed by SIGKILL"


def test_the_waits_double_and_old_falls_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    policy, downs = Restart(times=7, within_s=600), deque[float]()
    assert [restarting._wait(policy, downs) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, None]
    now += 601
    assert restarting._wait(policy, downs) == 1
