"""Start HAProxy on a gateway recipe, look the recipe over by HAProxy itself, and swap a running one's configuration."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launch import engine, listening
from launch.gateway.render import configuration
from launch.gateway.rule import rule_map
from launch.gateway.settings import LOOPBACK, GatewaySettings, need_keys
from launch.paths import home
from reward_plugins.errors import Refused
from reward_plugins.files import write_whole

LOG = "requests.log"
"""Inside the data folder: one JSON object a request, no text, beside what HAProxy says about itself."""

_START_S = 30.0
_SWAP_S = 30.0
"""A new worker is up within a second; on a machine under full load it takes longer."""
_SOCKET_PATH = 100
"""Bytes; the kernel takes 107 (unix(7)), and HAProxy adds a few while it binds."""


@dataclass(frozen=True)
class Gateway:
    """A gateway that is up: `url` ends in /v1, `metrics` is what Prometheus reads, `pid` is HAProxy's master process."""

    url: str
    metrics: str
    pid: int


@contextlib.contextmanager
def gateway(settings: GatewaySettings) -> Iterator[Gateway]:
    """Start HAProxy and stop it when the block is left.

    Raises:
        Refused: HAProxy is not installed or refuses the recipe, a key is not set, or a port is taken.
        EngineFailed: it did not start.
    """
    data = _data(settings)
    log = data / LOG
    for host, port in ((settings.host, settings.port), (LOOPBACK, settings.metrics_port)):
        listening.need_free_port(host, port, log)
    config, _ = written(settings, data)
    words: list[str | Path] = [program(), "-W", "-S", f"{_master(data)},mode,600", "-f", config]
    with engine.started(words, name="gateway", log=log, inherit=_inherited(settings)) as process:
        metrics = f"http://{LOOPBACK}:{settings.metrics_port}/metrics"
        listening.wait_until_answers(metrics, process, name="gateway", log=log, seconds=_START_S)
        yield Gateway(f"http://{_reached(settings)}:{settings.port}/v1", metrics, process.pid)


def reload(settings: GatewaySettings) -> dict[str, str]:
    """Put a changed recipe into the gateway that runs on its data folder; no connection is cut.

    A new worker takes the new requests, the old one ends its answers and goes. Returns the id of the configuration
    that now holds. Keys are those that the gateway was started with.

    Raises:
        Refused: no gateway runs there, or HAProxy refuses the recipe; the running one is untouched.
        EngineFailed: the running gateway did not take it up.
    """
    config, config_id = written(settings, _data(settings))
    try:
        with socket.socket(socket.AF_UNIX) as master:
            master.settimeout(_SWAP_S)
            master.connect(str(_master(config.parent)))
            master.sendall(b"reload\n")
            while master.recv(4096):  # until HAProxy hangs up, which it does as it starts anew
                pass
    except OSError as error:
        raise Refused(f"no gateway runs on {config.parent} ({error}); start it first") from None
    deadline = time.monotonic() + _SWAP_S
    while _config_id(settings) != config_id:
        if time.monotonic() > deadline:
            raise engine.EngineFailed(f"the gateway did not take up the new configuration; see {config.parent / LOG}")
        time.sleep(0.05)
    return {"gateway": f"http://{_reached(settings)}:{settings.port}/v1", "configuration": config_id}


def check(settings: GatewaySettings) -> dict[str, str]:
    """Let HAProxy read the configuration; nothing is started, and a running gateway's files stay as they are.

    Raises:
        Refused: HAProxy's complaint, or a key that is not set.
    """
    with tempfile.TemporaryDirectory(prefix="finr1-gateway-") as scratch:
        written(settings, Path(scratch))
    return {"accepted by": program()}


def program() -> str:
    """HAProxy's path, with what reads JSON for it.

    Raises:
        Refused: it is not installed.
    """
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise Refused("HAProxy is not here; on Debian and Ubuntu: apt-get install haproxy lua-cjson")
    return found


def written(settings: GatewaySettings, data: Path) -> tuple[Path, str]:
    """Write the configuration into a folder: its file, accepted by HAProxy, and its id.

    Raises:
        Refused: a key is not set, or HAProxy complains; what it complains of never takes the file's name.
    """
    need_keys(settings)
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    rule = rule_map(home() / settings.rule) if settings.general else ""
    # Named by its content: a running worker's own map is never changed under it.
    rule_file = data / f"rule-{hashlib.sha256(rule.encode()).hexdigest()[:12]}.map"
    write_whole(rule_file, rule)
    text, config_id = configuration(settings, rule_file)
    config, tried = data / "haproxy.cfg", data / "haproxy.cfg.tried"
    write_whole(tried, text)
    words = [program(), "-c", "-f", str(tried)]  # with -q it would keep its reasons to itself
    env = engine.environment(None, _inherited(settings))
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    if done.returncode:
        tried.unlink()
        reasons = [line for line in done.stderr.splitlines() if not line.startswith("[NOTICE]")]
        raise Refused(f"HAProxy refuses this recipe: {' '.join(' '.join(reasons).split())[:900]}")
    tried.replace(config)
    for old in data.glob("rule-*.map"):
        if old != rule_file:
            old.unlink()
    return config, config_id


def _data(settings: GatewaySettings) -> Path:
    """The data folder, refused where a socket in it could not be named."""
    data = (home() / settings.data).resolve()
    if len(os.fsencode(_master(data))) > _SOCKET_PATH:
        raise Refused(f"the data folder's path is too long for a socket in it ({data}); set a shorter one")
    return data


def _inherited(settings: GatewaySettings) -> tuple[str, ...]:
    """All that HAProxy sees of our environment."""
    return ("PATH", "TZ", *settings.key_variables)


def _master(data: Path) -> Path:
    return data / "master.sock"


def _reached(settings: GatewaySettings) -> str:
    """The address under which this machine reaches the gateway."""
    return LOOPBACK if settings.host in ("0.0.0.0", "::", "*") else settings.host


def _config_id(settings: GatewaySettings) -> str | None:
    """Which configuration a new connection meets, None while it meets none."""
    with (
        contextlib.suppress(OSError, http.client.HTTPException),
        contextlib.closing(http.client.HTTPConnection(_reached(settings), settings.port, timeout=2)) as connection,
    ):
        connection.request("GET", "/health")
        return connection.getresponse().headers.get("X-Gateway-Config")
    return None
