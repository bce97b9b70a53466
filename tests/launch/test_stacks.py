"""Stacks are made once, mended when broken, and never taken for whole when they are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from launch import stacks
from launch.paths import KIT
from reward_plugins.errors import Refused

SMALL = next(
    block
    for block in (KIT / "stacks" / "kit.txt").read_text(encoding="utf-8").replace(" \\\n", " ").splitlines()
    if block.startswith("iniconfig==")
)
"""One package of the kit's own pins, with its hashes: a stack of two seconds."""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack called `chat` in a folder of its own, pinned to one small package."""
    pins = tmp_path / "chat.txt"
    pins.write_text(SMALL + "\n", encoding="utf-8")
    monkeypatch.setattr(stacks, "STACKS", tmp_path / "venvs")
    monkeypatch.setattr(stacks, "pins", lambda name: pins)
    monkeypatch.setattr(stacks, "KIT", tmp_path)
    monkeypatch.setattr(stacks, "uv", lambda: KIT / ".venv" / "bin" / "uv")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "small"\nversion = "1"\n[build-system]\nrequires = ["uv_build>=0.9,<0.14"]\n'
        'build-backend = "uv_build"\n[tool.uv.build-backend]\nmodule-root = ""\n'
    )
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "__init__.py").write_text("")
    return pins


def imports(interpreter: Path) -> bool:
    return (
        subprocess.run([interpreter, "-c", "import iniconfig; iniconfig.IniConfig"], capture_output=True).returncode
        == 0
    )


def test_a_stack_is_made_once_and_then_found_at_once(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert imports(stacks.python("chat"))
    monkeypatch.setattr(stacks, "_run", lambda *words: pytest.fail(f"it runs uv {words[0]} again"))
    assert imports(stacks.python("chat"))


def test_an_installation_that_broke_off_is_made_anew(small: Path) -> None:
    interpreter = stacks.python("chat")
    folder = stacks.STACKS / "chat"
    (folder / ".made-from").unlink()
    next(folder.rglob("iniconfig/__init__.py")).unlink()  # a hard link: writing would change the store of uv
    assert not imports(interpreter)
    assert imports(stacks.python("chat"))


def test_a_changed_file_makes_the_stack_anew(small: Path) -> None:
    stacks.python("chat")
    small.write_text(SMALL + "\n# another line\n", encoding="utf-8")
    assert not stacks.is_ready("chat")
    stacks.python("chat")
    assert stacks.is_ready("chat")


def test_a_failing_installation_says_so_and_is_not_taken_for_ready(small: Path) -> None:
    small.write_text("iniconfig==2.0.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    with pytest.raises(Refused, match="the stack is not ready"):
        stacks.python("chat")
    assert not stacks.is_ready("chat")


def test_an_unknown_stack_is_refused() -> None:
    with pytest.raises(Refused, match="no stack is called 'gpu'"):
        stacks.pins("gpu")


def test_no_pinned_file_records_an_address_and_all_agree_on_torch() -> None:
    torch = set()
    for path in sorted((KIT / "stacks").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text and "--index-url" not in text and "--find-links" not in text, path.name
        pinned = [line.split()[0] for line in text.splitlines() if line[:1].isalnum()]
        assert all("==" in name for name in pinned), path.name
        assert text.count("--hash=sha256:") >= len(pinned), path.name
        torch |= {name for name in pinned if name.startswith("torch==")}
    assert len(torch) == 1
