"""Homes and ports for runs of the real engines."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from launch.paths import KIT

HERE = Path(__file__).parent


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_home(folder: Path, port: int) -> Path:
    """A home folder with the kit's recipes and a serving recipe of its own port."""
    (folder / "runs").mkdir(parents=True)
    shutil.copytree(KIT / "recipes", folder / "recipes")
    serve = f"model: {{}}\nengine: transformers\nport: {port}\ndtype: float32\nflags: {{transformers: {{cb-num-blocks: 64}}}}\n"
    (folder / "runs" / "serve.yaml").write_text(serve, encoding="utf-8")
    return folder
