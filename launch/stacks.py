"""One virtual environment per engine, made on first use and left alone while its pinned file does not change."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from launch.paths import KIT, STACKS, STARTED_IN
from reward_plugins.errors import Refused

NAMES = ("kit", "ray", "sft", "rl", "rl-vllm", "compress", "chat")
_STAMP = ".made-from"
"""A copy of the pinned file, put into a stack when its installation is complete (the Makefile does the same)."""


def pins(name: str) -> Path:
    """The pinned requirement file of a stack."""
    if name not in NAMES:
        raise Refused(f"no stack is called {name!r}; there are {', '.join(NAMES)}")
    return KIT / "stacks" / f"{name}.txt"


def is_ready(name: str) -> bool:
    """Whether the stack stands and was made from the file as it is now."""
    stamp = STACKS / name / _STAMP
    return stamp.is_file() and stamp.read_bytes() == pins(name).read_bytes()


def identity(name: str) -> str:
    """The sha256 of a stack's pinned file."""
    return hashlib.sha256(pins(name).read_bytes()).hexdigest()


def python(name: str) -> Path:
    """The stack's interpreter; installs the stack first where it is missing, broken off or out of date.

    Raises:
        Refused: uv is missing, or the installation failed (its last words are in the message).
    """
    if not is_ready(name):
        _install(name)
    return STACKS / name / "bin" / "python"


def program(name: str, script: str) -> Path:
    """A console script of a stack, such as `llamafactory-cli` of `sft`."""
    return python(name).with_name(script)


def enter(name: str) -> None:
    """Go on in another stack: this process becomes the same `finr1` command under that stack's interpreter.

    It begins anew there, so a stage calls this before it has done anything. Does nothing where it is there already.
    """
    interpreter = python(name)
    if Path(sys.prefix).resolve() == (STACKS / name).resolve():
        return
    os.chdir(STARTED_IN)
    sys.stdout.flush()
    os.execv(interpreter, [str(interpreter), "-m", "launch.cli", *sys.argv[1:]])


def uv() -> Path:
    """The uv that the Makefile put into `.venv`, or one on the path."""
    own = KIT / ".venv" / "bin" / "uv"
    found = own if own.is_file() else shutil.which("uv")
    if not found:
        raise Refused("uv is missing: run `make kit` (or `pip install uv`) and start again")
    return Path(found)


def _install(name: str) -> None:
    STACKS.mkdir(parents=True, exist_ok=True)
    with (STACKS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_ready(name):  # another process made it while we waited
            return
        target = STACKS / name
        message = f"stack {name}: installing {pins(name).relative_to(KIT)} into {target} (once)"
        with Console(stderr=True).status(message):
            # A stack without its stamp may be half an installation, which `pip sync` would take for whole.
            _run("venv", "--quiet", "--clear", "--python", sys.executable, str(target))
            _run("pip", "sync", "--quiet", "--require-hashes", "--python", str(target), str(pins(name)))
            _run("pip", "install", "--quiet", "--no-deps", "--python", str(target), "--editable", str(KIT))
        part = target / f"{_STAMP}.part"
        part.write_bytes(pins(name).read_bytes())
        part.replace(target / _STAMP)


def _run(*words: str) -> None:
    # Never fetch an interpreter: every stack runs on the Python that runs the kit.
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run([uv(), *words], env=env, capture_output=True, text=True, cwd=KIT)
    if done.returncode:
        last = " ".join(done.stderr.split()[-60:])
        raise Refused(f"uv {words[0]} failed, so the stack is not ready (run the command again to retry): {last}")
