"""`finr1 serve`: a server until Ctrl-C, and with a restart policy one that comes back when it went down.

What happened stands in the file of `launch.serving.events`.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque

from launch import engine, listening
from launch.paths import home
from launch.serving import health
from launch.serving.events import Events, Say
from launch.serving.server import Endpoint, serving
from launch.serving.settings import Restart, ServeSettings, key_of
from reward_plugins.errors import Refused

_LONGEST_WAIT_S = 30.0
"""Between two starts: the first comes after 1 s, and each further one in the window after twice as long."""
_PROBE_EVERY_S = 10.0
_SILENT_S = 60.0
"""A server whose process lives and whose /health has not said 200 for so long is taken for hung."""
_LOOK_EVERY_S = 0.2


def serve_on(settings: ServeSettings, say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM; with `restart` in the settings, bring a server back that went down.

    Raises:
        Refused: the recipe cannot work.
        EngineFailed: the first start failed, the server went down and there is no `restart`, or it went down more
            often than that allows.
    """
    events = Events(home() / settings.log, say)
    downs: deque[float] = deque()
    why = ""

    def starting() -> None:
        # A start that is refused, such as a second one with this log, is no part of the history.
        if not downs:
            events.note("starting", f"starting {settings.model}", model=settings.model, url=f"{settings.base}/v1")

    begin = time.monotonic()
    try:
        while True:
            try:
                with serving(settings, starting) as endpoint:
                    _tell_up(events, settings, endpoint, time.monotonic() - begin, again=bool(downs))
                    why = _until_down(settings, endpoint)
            except (engine.EngineFailed, Refused) as failure:
                if not downs:  # what never ran does not run the next time
                    if isinstance(failure, engine.EngineFailed):
                        events.note("down", "it did not start", why=str(failure))
                    raise
                why = str(failure)
            begin = time.monotonic()
            log = home() / settings.log
            events.note("down", f"the server went down: {why}", why=why, last_words=engine.last_words(log))
            if settings.restart is None:
                raise engine.EngineFailed(f"the server went down: {why} (see {log})")
            wait = _wait(settings.restart, downs)
            if wait is None:
                times, within = settings.restart.times, settings.restart.within_s
                gives_up = f"it went down more than {times} times within {within:.0f} s, and stays down"
                events.note("given up", gives_up)
                raise engine.EngineFailed(f"{gives_up}; the last time: {why} (see {log})")
            time.sleep(wait)
    except (KeyboardInterrupt, SystemExit) as stop:
        events.note("stopped", "stopped")
        if isinstance(stop, SystemExit):
            raise


def _tell_up(events: Events, settings: ServeSettings, endpoint: Endpoint, seconds: float, again: bool) -> None:
    """Note that it is up by its own word, and then what it says to the question of `launch.serving.health`."""
    up = f"{endpoint.model_id} {'is back' if again else 'answers'} at {endpoint.url} after {seconds:.1f} s"
    facts = {"url": endpoint.url, "model": endpoint.model_id, "pid": endpoint.pid, "seconds": round(seconds, 1)}
    events.note("up", up if again else f"{up} (Ctrl-C stops it)", **facts)
    found = health.ask(endpoint.url, endpoint.model_id, key_of(settings.api_key_env))
    events.note("asked", f"a finance question: {found}", health=found.state, why=found.why)


def _until_down(settings: ServeSettings, endpoint: Endpoint) -> str:
    """Wait until the server has ended, or says no longer that it is well; returns why."""
    well = probed = time.monotonic()
    while True:
        # It stays to be reaped by `engine.started`, which then ends what else is left of its group.
        ended = os.waitid(os.P_PID, endpoint.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is not None:
            if ended.si_code == os.CLD_EXITED:
                return f"it ended with exit code {ended.si_status}"
            return f"it was killed by {signal.Signals(ended.si_status).name}"
        if time.monotonic() - probed > _PROBE_EVERY_S:
            probed = time.monotonic()
            if listening.answers(f"{settings.base}/health"):
                well = probed
            elif probed - well > _SILENT_S:
                return f"its /health has not answered with 200 for {probed - well:.0f} s"
        time.sleep(_LOOK_EVERY_S)


def _wait(restart: Restart, downs: deque[float]) -> float | None:
    """Seconds until the next start; None when it went down too often. Counts this time."""
    now = time.monotonic()
    downs.append(now)
    while now - downs[0] > restart.within_s:
        downs.popleft()
    if len(downs) > restart.times:
        return None
    return float(min(2 ** (len(downs) - 1), _LONGEST_WAIT_S))
