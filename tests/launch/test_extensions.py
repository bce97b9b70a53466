"""The folder in which PyTorch builds an engine's parts, and its locks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launch import extensions
from launch.paths import STACKS


def test_a_lock_that_nobody_holds_is_taken_away(tmp_path: Path) -> None:
    held, left = (tmp_path / name / "lock" for name in ("held", "left"))
    for lock in (held, left):
        lock.parent.mkdir()
    holding = os.open(held, os.O_CREAT | os.O_EXCL)
    try:
        os.close(os.open(left, os.O_CREAT | os.O_EXCL))  # as a build that was killed
        assert extensions.drop_abandoned_locks(tmp_path) == [left]
        assert held.exists() and not left.exists()
    finally:
        os.close(holding)


def test_each_stack_builds_in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_EXTENSIONS_DIR", raising=False)
    folders = {
        extensions.build_env(STACKS / stack / "bin" / "python")["TORCH_EXTENSIONS_DIR"] for stack in ("sft", "rl")
    }
    assert len(folders) == 2 and all(folder.startswith(str(STACKS)) for folder in folders)
    assert extensions.build_env(Path("/usr/bin/python3")) == {}
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "/somewhere")
    assert extensions.build_env(STACKS / "sft" / "bin" / "python") == {}
