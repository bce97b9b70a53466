"""Where PyTorch builds an engine's C++ parts (DeepSpeed's), and the locks there that a killed build leaves behind.

By its own default all environments of a user share one folder, whatever PyTorch they hold, and a build that was killed
leaves a lock for which every later start waits for ever, without a word (torch.utils.file_baton).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

from launch.paths import STACKS


def build_env(program: Path) -> dict[str, str]:
    """The variable that gives a stack's programs a folder of their own; {} for other programs, or where the user set one.

    It goes with the stack when that is made anew. Machines that share the stack do not share it: a lock says nothing of
    the machine whose process holds it.
    """
    if "TORCH_EXTENSIONS_DIR" in os.environ or STACKS.absolute() not in program.absolute().parents[2:3]:
        return {}
    folder = program.parents[1] / "torch_extensions" / socket.gethostname()
    drop_abandoned_locks(folder)
    return {"TORCH_EXTENSIONS_DIR": str(folder)}


def drop_abandoned_locks(folder: Path) -> list[Path]:
    """Take away the locks of this user's builds that no process holds any more; returns them."""
    found = [lock for lock in folder.glob("*/lock") if lock.stat().st_uid == os.geteuid()]
    left = [lock for lock in found if not _is_held(lock)]
    if left:
        time.sleep(0.2)  # who is just done closes its lock before it takes it away
    dropped = [lock for lock in left if lock.exists()]
    for lock in dropped:
        lock.unlink(missing_ok=True)
    return dropped


def _is_held(lock: Path) -> bool:
    """Whether a process has the file open, as a build keeps its lock (Linux)."""
    path = lock.resolve()
    for process in Path("/proc").iterdir():
        # A process, or a file of it, that is gone meanwhile, or somebody else's.
        with contextlib.suppress(OSError):
            for opened in (process / "fd").iterdir() if process.name.isdecimal() else ():
                with contextlib.suppress(OSError):
                    if opened.readlink() == path:
                        return True
    return False
