"""LLaMA-Factory's own web UI, from its own stack, on the kit's registry of data sets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launch import engine, listening, stacks
from launch.paths import KIT, home
from reward_plugins.errors import Refused

LOG = Path("runs/webui/webui.log")
_START_S = 180.0
"""It imports torch and gradio: about 20 s on two cores, more with a cold disk."""


@dataclass(frozen=True)
class Page:
    """A web page that is up: its address, and the process behind it."""

    url: str
    pid: int


@contextlib.contextmanager
def web_ui(port: int) -> Iterator[Page]:
    """Start the web UI on 127.0.0.1, wait until it answers, and stop it and its training when the block is left.

    It works in the home folder: `.` is its dataset folder, so every exported set is listed, and what it trains goes
    to `saves/`.

    Raises:
        Refused: the port is taken, or there is no registry to show.
        EngineFailed: it did not start.
    """
    if not (home() / "dataset_info.json").is_file():
        raise Refused(f"{home() / 'dataset_info.json'}: no such file; `finr1 export` writes it")
    log = home() / LOG
    listening.need_free_port("127.0.0.1", port, log)
    python = stacks.python("sft")
    env = {
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_SHARE": "0",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    with engine.started([python, KIT / "launch" / "inside" / "webui.py"], name="web UI", log=log, env=env) as process:
        url = f"http://127.0.0.1:{port}"
        listening.wait_until_answers(f"{url}/", process, name="web UI", log=log, seconds=_START_S)
        yield Page(url, process.pid)
