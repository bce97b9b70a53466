"""The real `finr1` command, run as a person would run it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from launch.paths import KIT

FINR1 = KIT / ".venvs" / "kit" / "bin" / "finr1"


def finr1(
    *words: str | Path, home: Path, timeout: float = 600, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the real command in a home folder of its own."""
    environment = {**os.environ, "FINR1_HOME": str(home), "COLUMNS": "200", **env}
    return subprocess.run(
        [FINR1, *map(str, words)], capture_output=True, text=True, timeout=timeout, cwd=cwd or home, env=environment
    )
