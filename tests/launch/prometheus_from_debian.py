"""Debian's Prometheus and promtool, taken out of their package: installing it would start a server on all addresses."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from launch.paths import CACHE


def program(name: str) -> Path:
    """`prometheus` or `promtool`; the test is skipped where there is neither an installed one nor a package."""
    if found := shutil.which(name):
        return Path(found)
    folder = CACHE / "prometheus"
    binary = folder / "usr" / "bin" / name
    if not binary.is_file():
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.skip("no Prometheus here: apt-get install prometheus")
        folder.mkdir(parents=True, exist_ok=True)
        for words in (["apt-get", "update", "-qq"], ["apt-get", "download", "-qq", "prometheus"]):
            subprocess.run(words, check=True, cwd=folder, capture_output=True, timeout=600)
        (package,) = folder.glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=120)
        package.unlink()
    return binary
