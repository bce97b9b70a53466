"""A small run of benchmarks/distilling.py: bounds that hold on a machine that does other things, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

KIT = Path(__file__).parents[2]


def test_asking_and_resuming_are_cheap(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    sizes = ["--questions", "4000", "--resume", "40000", "--turns", "1", "--out", str(out)]
    program = [sys.executable, "-P", str(KIT / "benchmarks" / "distilling.py"), *sizes]
    subprocess.run(
        program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # its own bounds are for a quiet machine
    result = json.loads(out.read_text(encoding="utf-8"))
    asking, resuming = result["asking"], result["resuming"]
    # In processor time, which other programs disturb less than the clock: about 1.25 times the bare loop, and 9 µs a question.
    assert asking["stage_cpu_us"][0] < 1.7 * asking["bare_cpu_us"][0]
    assert asking["peak_mib"] < 200 and resuming["peak_mib"] < 200
    assert resuming["cpu_seconds"] / 40_000 * 1e6 < 20
