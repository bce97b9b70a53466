"""Fixtures that more than one package's tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home folder, with the working directory in it, as a command would have it."""
    monkeypatch.setenv("FINR1_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
