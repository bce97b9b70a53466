"""Run another stack's program: its output into a log, its end with ours, its failure in plain words."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from launch.extensions import build_env
from launch.paths import home
from reward_plugins.errors import Refused

_PR_SET_PDEATHSIG = 1  # prctl(2)
_BEFORE_A_LINE = re.compile(r"^(\[rank\d+\]: ?|\(\w+ pid=\d+\) ([A-Z]+ [\d-]+ [\d:]+ \[[^]]*\] )?)")
"""What launchers put before the lines of their workers: the rank, or vLLM's process, level, time and place."""
_GRACE_S = 20.0
"""Time between a polite and a forced end: a trainer closes its workers within a few seconds."""


_FULL = 2**20
"""Bytes left on a disk that is full: an engine that failed to write leaves some when it takes its last file away."""


class EngineFailed(Exception):
    """An engine ended with an error of its own; the message names its log and its last words (exit code 1)."""


def run(words: Sequence[str | Path], *, name: str, log: Path, env: Mapping[str, str] | None = None) -> float:
    """Run a program to its end and return the seconds it took.

    Output goes to `log` (appended) and, where a person watches, to the terminal, progress bars included.

    Raises:
        EngineFailed: it ended with another exit code than 0.
    """
    begin = time.monotonic()
    with started(words, name=name, log=log, env=env, watch=sys.stderr.isatty()) as process:
        if process.stdout is not None:
            with log.open("ab") as copy:
                while chunk := process.stdout.read1(65536):  # type: ignore[attr-defined]
                    copy.write(chunk)
                    copy.flush()
                    sys.stderr.buffer.write(chunk)
                    sys.stderr.buffer.flush()
        code = process.wait()
    if code and shutil.disk_usage(log.parent).free < _FULL:
        # Its own words are of a file that could not be written, or were themselves cut off.
        raise EngineFailed(
            f"{name} ended with exit code {code}: the disk of {log.parent} is full; free some space and run the same command again"
        )
    if code:
        raise EngineFailed(f"{name} ended with exit code {code}: {last_words(log)} (all of it: {log})")
    return time.monotonic() - begin


@contextlib.contextmanager
def started(
    words: Sequence[str | Path],
    *,
    name: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    watch: bool = False,
    inherit: Collection[str] | None = None,
    told: bytes | None = None,
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program in a process group of its own, and end the whole group when the block is left.

    It finds the programs that stand beside it by their names: engines start `torchrun` and `ninja` so. Of our own
    environment it gets the variables named in `inherit` (by default all), and `told` on its standard
    input: what stands there is in no list of processes and in no environment, as a key should be. It runs in `folder`
    (by default the home folder).

    If this process is killed outright, the kernel ends the program with it; what its children leave behind is
    ended at the next start from the note beside the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    end_leftover(log)
    note = log.with_suffix(".pid")
    with log.open("ab") as out:
        out.write(f"\n$ {' '.join(map(str, words))}\n".encode())
        out.flush()
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=folder or home(),
            env=_beside(words[0], environment(env, inherit)),
            stdin=subprocess.DEVNULL if told is None else subprocess.PIPE,
            stdout=subprocess.PIPE if watch else out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    note.write_text(f"{process.pid} {_birth(process.pid)} {os.getpid()} {_birth(os.getpid())}\n", encoding="utf-8")
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin:  # a program that died says why in its log
                process.stdin.write(told or b"")
        yield process
    finally:
        _end_group(process.pid)
        process.wait()
        note.unlink(missing_ok=True)


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however that ends (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def last_words(log: Path, lines: int = 3) -> str:
    """The last lines of a log's last run that say something, as one line; an exception's own line first."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        text = file.read().decode("utf-8", "replace").replace("\r", "\n")
    text = text.rpartition("\n$ ")[2].partition("\n")[2] or text  # `started` writes its command before each run
    said = [_BEFORE_A_LINE.sub("", line).strip() for line in text.splitlines()]
    said = [line for line in said if line]
    # `ValueError: ...` at the start of a line is where a traceback says what went wrong; the launcher's own error
    # that its child failed comes after it and says nothing.
    errors = [line for line in said if line.split(":")[0].endswith(("Error", "Exception", "Refused")) and ":" in line]
    causes = [line for line in errors if "ChildFailedError" not in line]
    return " | ".join(causes[-1:] or errors[-1:] or said[-lines:])[:600]


def environment(extra: Mapping[str, str] | None, inherit: Collection[str] | None = None) -> dict[str, str]:
    """The environment of an engine: ours (or the variables named), with what speeds its start and steadies its output."""
    env = {name: value for name, value in os.environ.items() if inherit is None or name in inherit}
    # Each engine imports thousands of modules at each start: let Python keep what it compiled.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.pop("VIRTUAL_ENV", None)
    return env | {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"} | dict(extra or {})


def _beside(program: str | Path, env: dict[str, str]) -> dict[str, str]:
    path = Path(program)
    if not path.is_absolute():
        return env
    return build_env(path) | env | {"PATH": f"{path.parent}{os.pathsep}{env.get('PATH', os.defpath)}"}


def _birth(pid: int) -> str:
    """The start time of a process, which tells it from a later one with the same number ("" if it has ended)."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else rest[18]


def end_leftover(log: Path) -> None:
    """End what an earlier run with this log left behind when it was killed outright.

    Raises:
        Refused: that run is still there; two must not write into one place.
    """
    note = log.with_suffix(".pid")
    if not note.is_file():
        return
    pid, birth, owner, owners_birth = (note.read_text(encoding="utf-8").split() + [""] * 4)[:4]
    if owner.isdigit() and int(owner) != os.getpid() and owners_birth and _birth(int(owner)) == owners_birth:
        raise Refused(f"process {owner} is running already and writes to {log}; stop it, or wait for its end")
    if pid.isdigit() and (not _birth(int(pid)) or _birth(int(pid)) == birth):
        # Either the leader still runs, or it is gone and only its group can be left.
        _end_group(int(pid))
    note.unlink(missing_ok=True)


def _end_group(group: int) -> None:
    """SIGTERM, then SIGKILL, to each process of a group."""
    for sign, patience in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(group, sign)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-group, os.WNOHANG)
            try:
                os.killpg(group, 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(0.05)
