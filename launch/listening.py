"""What every server that the kit starts needs: a free port before, an answer after, and a wait for its end."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from launch import engine
from reward_plugins.errors import Refused


def need_free_port(host: str, port: int, log: Path) -> None:
    """Refuse a port that somebody else holds; what an earlier run with this `log` left there is ended first."""
    engine.end_leftover(log)  # a server of ours that outlived its killed parent is not "in use"
    if why := why_not_free(host, port):
        raise Refused(f"port {port} on {host} is in use ({why}); set another port")


def why_not_free(host: str, port: int) -> str:
    """Why nothing can listen on a port now, "" if it is free."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def wait_until_answers(url: str, process: subprocess.Popen[bytes], *, name: str, log: Path, seconds: float) -> None:
    """Return when a GET of `url` is answered with 200.

    Raises:
        EngineFailed: the program ended, or did not answer in time.
    """
    deadline = time.monotonic() + seconds
    while not answers(url):
        if process.poll() is not None:
            raise engine.EngineFailed(f"the {name} did not start: {engine.last_words(log)} (all of it: {log})")
        if time.monotonic() > deadline:
            raise engine.EngineFailed(f"the {name} was not healthy within {seconds:.0f} s (see {log})")
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 200 within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):  # the latter where somebody speaks no HTTP
        return False


def until_ctrl_c(pid: int, *, name: str, log: Path) -> None:
    """Stay while a child process runs; it stays to be reaped by whoever started it.

    Raises:
        EngineFailed: it ended by itself.
    """
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except KeyboardInterrupt:
        return
    raise engine.EngineFailed(f"the {name} ended by itself; see {log}")
