"""The watcher: reads the gateway's log and the thumbs, asks probes, and tells Prometheus on 127.0.0.1."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from launch import listening
from launch.gateway.running import LOG as REQUESTS
from launch.gateway.settings import LOOPBACK, GatewaySettings, need_keys
from launch.paths import home
from launch.watch.probes import Probed, State, probe, questions
from launch.watch.request_log import Answered, RequestLog
from launch.watch.thumbs import Answers, Thumbs
from reward_plugins.errors import Refused

LOOK_S = 5.0
"""Between two looks at log and thumbs; Prometheus asks every 15 s or more."""
_DATABASE = "webui.db"
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280)
"""From a first byte to a reasoning model's longest answer; each bound about twice the one before."""


class Watch:
    """The metrics of one gateway, all by version."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.registry = CollectorRegistry()
        self._settings = settings
        self._log = RequestLog(home() / settings.data / REQUESTS)
        self._answers = Answers()
        chat = settings.watch.chat
        self._thumbs = Thumbs(home() / chat / _DATABASE, settings.split) if chat else None
        make: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter(
            "finr1_requests", "Requests that reached the gateway with a key.", ["version", "route", "status"], **make
        )
        self._cut = Counter("finr1_cut_answers", "Answers that broke off, by whom.", ["version", "by"], **make)
        self._seconds = Histogram(
            "finr1_request_seconds", "From the request to the end of its answer.", ["version"], buckets=_SECONDS, **make
        )
        self._first = Histogram(
            "finr1_first_byte_seconds", "Until the model began to answer.", ["version"], buckets=_SECONDS, **make
        )
        self._rated = Gauge("finr1_thumbs", "Thumbs that stand in Open WebUI now.", ["version", "rating"], **make)
        self._readable = Gauge("finr1_thumbs_readable", "1: the thumbs could be read at the last look.", **make)
        self._probes = Counter("finr1_probes", "Probe questions, by how they ended.", ["version", "state"], **make)
        self._tokens = Counter("finr1_probe_tokens", "Tokens written for probes.", ["version"], **make)
        self._probe_seconds = Histogram(
            "finr1_probe_seconds", "How long a probe took.", ["version"], buckets=_SECONDS, **make
        )

        # A count that begins at 0 can be seen to rise; one that appears with its first event cannot.
        for version in settings.versions if settings.watch.probes else ():
            for state in get_args(State):
                self._probes.labels(version, state)

    def look(self) -> None:
        """Count what is new in the log, and the thumbs as they stand."""
        for request in self._log.new():
            self._answers.add(request)
            self._count(request)
        if self._thumbs is None:
            return
        try:
            counts = self._thumbs.count(self._answers)
        except sqlite3.Error as error:  # busy, or of another Open WebUI: the next look may read it
            print(f"the thumbs cannot be read: {error}", file=sys.stderr)
            self._readable.set(0)
            return
        self._readable.set(1)
        self._rated.clear()
        for (version, rating), number in counts.items():
            self._rated.labels(version, rating).set(number)

    def count_probe(self, version: str, probed: Probed) -> None:
        """Count one probe."""
        self._probes.labels(version, probed.state).inc()
        if probed.state != "error":
            self._probe_seconds.labels(version).observe(probed.seconds)
        if probed.tokens is not None:
            self._tokens.labels(version).inc(probed.tokens)

    def _count(self, request: Answered) -> None:
        self._requests.labels(request.version, request.route, str(request.status)).inc()
        if request.cut:
            self._cut.labels(request.version, request.cut).inc()
        if request.status == 200:
            self._seconds.labels(request.version).observe(request.total_s)
            if request.first_byte_s is not None:
                self._first.labels(request.version).observe(request.first_byte_s)


def watch(settings: GatewaySettings, told: Callable[[str], None], ended: threading.Event | None = None) -> None:
    """Watch until `ended` is set or Ctrl-C; `told` gets the address of the metrics once they are there.

    Raises:
        Refused: the port is taken, a key is not set, or the probes are none.
    """
    ended = ended or threading.Event()
    if settings.watch.probes:
        need_keys(settings)
    asked = questions(settings.watch)
    if why := listening.why_not_free(LOOPBACK, settings.watch.port):
        raise Refused(f"port {settings.watch.port} on {LOOPBACK} is in use ({why}); set another watch.port")
    watching = Watch(settings)
    watching.look()
    server, _ = start_http_server(settings.watch.port, LOOPBACK, watching.registry)
    if asked:
        threading.Thread(target=_probe_on, args=(settings, watching, asked, ended), daemon=True).start()
    told(f"http://{LOOPBACK}:{settings.watch.port}/metrics")
    try:
        while not ended.wait(LOOK_S):
            watching.look()
    except KeyboardInterrupt:
        return
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def _probe_on(settings: GatewaySettings, watching: Watch, asked: list[dict[str, Any]], ended: threading.Event) -> None:
    while True:
        for name, version in settings.versions.items():
            for row in asked:
                if ended.is_set():
                    return
                watching.count_probe(name, probe(version, row, settings.watch))
        if ended.wait(settings.watch.probe_every_s):
            return
