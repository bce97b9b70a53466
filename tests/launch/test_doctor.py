"""What `finr1 doctor` says of a machine: facts, what to do, and an exit code."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest
from command import finr1

from launch import doctor, stacks
from launch.doctor import Line, findings


def line(about: str) -> Line:
    """The finding on one matter."""
    return next(found for found in findings() if found.about == about)


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stacks of our own making, so that no test hangs on those that are here."""
    folder = tmp_path / "stacks"
    folder.mkdir()
    for module in (doctor, stacks):
        monkeypatch.setattr(module, "STACKS", folder)
    monkeypatch.setattr("launch.record.STACKS", folder)
    return folder


def make(folder: Path, name: str, **packages: str) -> None:
    """A stack that holds these packages by name only, and counts as made from the pins."""
    site = folder / name / "lib" / "python3.11" / "site-packages"
    for package, version in packages.items():
        info = site / f"{package}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", encoding="utf-8"
        )
    shutil.copyfile(stacks.pins(name), folder / name / ".made-from")


def test_every_line_has_a_state_and_each_trouble_a_cure(home: Path) -> None:
    found = list(findings())
    assert len(found) > 15
    assert all(each.cure for each in found if each.state != "ok")
    assert len({each.about for each in found if each.about != "GPU"}) >= len(found) - 8


def test_json_holds_the_same_lines(home: Path) -> None:
    shown = finr1("doctor", "--json", home=home)
    lines = json.loads(shown.stdout)
    assert {"about", "state", "found", "cure"} == set(lines[0])
    assert shown.returncode == (2 if any(each["state"] == "bad" for each in lines) else 0)
    assert {"Python", "memory", "stack sft", "port 8011"} <= {each["about"] for each in lines}


def test_two_versions_of_torch_are_bad(home: Path, made: Path) -> None:
    make(made, "sft", torch="2.13.0")
    make(made, "rl", torch="2.12.0")
    assert line("torch").state == "bad"
    assert "sft 2.13.0, rl 2.12.0" in line("torch").found


def test_one_version_of_torch_is_well(home: Path, made: Path) -> None:
    make(made, "sft", torch="2.13.0")
    make(made, "rl", torch="2.13.0")
    assert line("torch").state == "ok"


def test_a_package_that_is_not_as_pinned_is_named(home: Path, made: Path) -> None:
    make(made, "rl", trl="1.15.0", torch="2.13.0")
    assert doctor.drifted("rl") == ["trl 1.15.0 (pinned 1.16.0)"]
    found = line("stack rl")
    assert (found.state, "trl 1.15.0" in found.cure) == ("warn", True)


def test_a_stack_of_older_pins_is_told_from_one_that_is_not_there(home: Path, made: Path) -> None:
    make(made, "sft", torch="2.13.0")
    (made / "sft" / ".made-from").write_text("older\n", encoding="utf-8")
    assert line("stack sft").found == "made from other pins"
    assert line("stack rl").found == "not made yet"


def test_a_port_in_use_is_a_warning_with_the_key_to_change(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor, "_PORTS", {port: "set the key"})
        found = line(f"port {port}")
    assert (found.state, found.cure) == ("warn", "set the key")


def test_a_full_disk_and_little_memory_are_bad(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(home)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**30))
    assert line("disk").state == "bad"
    monkeypatch.setattr(doctor, "_MEMORY_GIB", 10**6)
    assert line("memory").state == "bad"


def test_a_proxy_that_takes_local_requests_is_a_warning(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://user:secret@proxy:3128")
    found = line("proxy")
    assert found.state == "warn"
    assert "secret" not in found.found + found.cure
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert "proxy" not in {each.about for each in findings()}


def test_python_files_in_datasets_are_bad(home: Path) -> None:
    (home / "datasets").mkdir()
    (home / "datasets" / "__init__.py").touch()
    assert line("datasets/").state == "bad"


def test_a_registry_that_is_not_ascii_is_bad(home: Path) -> None:
    (home / "dataset_info.json").write_text('{"财务": {}}', encoding="utf-8")
    assert line("dataset_info.json").state == "bad"


@pytest.fixture
def nvidia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for nvidia-smi on a machine that has none: it prints what the test writes into its file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(f'#!/bin/sh\ncat "{folder}/says"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder / "says"


def test_cards_are_read_from_nvidia_smi(home: Path, nvidia: Path) -> None:
    from launch.check import this_machine

    nvidia.write_text("NVIDIA H100 80GB HBM3, 81559, 9.0\nTesla T4, 15360, 7.5\n", encoding="utf-8")
    cards = [found for found in findings() if found.about == "GPU"]
    assert [(card.state, card.found) for card in cards] == [
        ("ok", "NVIDIA H100 80GB HBM3, 80 GiB, compute capability 9.0"),
        ("warn", "Tesla T4, 15 GiB, compute capability 7.5"),
    ]
    machine = this_machine()
    assert (machine.cards, machine.card, machine.bf16) == (2, 15.0, False)


def test_only_visible_cards_count(home: Path, nvidia: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from launch.check import this_machine

    nvidia.write_text("H100, 81559, 9.0\n" * 8, encoding="utf-8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert this_machine().cards == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert this_machine().cards == 0
