"""Running another program: its failure in words, its end with ours."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch import engine
from reward_plugins.errors import Refused

SLEEPER = (
    "import subprocess, sys, time; p = subprocess.Popen(['sleep', '300']); print(p.pid, flush=True); time.sleep(300)"
)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for(text: Path) -> list[str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        words = text.read_text().split() if text.is_file() else []
        if words and words[-1].isdigit():
            return words
        time.sleep(0.05)
    raise AssertionError("the program did not start")


def test_a_disk_that_filled_up_is_named_whatever_the_engine_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(home)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4096))
    words = [sys.executable, "-c", "raise RuntimeError('unexpected pos 64')"]
    with pytest.raises(engine.EngineFailed, match=r"the disk of .* is full; free some space"):
        engine.run(words, name="Trainer", log=home / "engine.log")
    assert engine.run([sys.executable, "-c", ""], name="Trainer", log=home / "engine.log") > 0


def test_a_failure_names_the_cause_and_the_log(home: Path) -> None:
    program = "import sys; print('[rank0]: ValueError: rows differ', file=sys.stderr); print('x.ChildFailedError:'); sys.exit(3)"
    with pytest.raises(engine.EngineFailed, match=r"exit code 3: ValueError: rows differ \(all of it: .*engine.log"):
        engine.run([sys.executable, "-c", program], name="trial", log=home / "engine.log")


def test_the_last_words_are_of_the_last_run_and_without_its_launchers_prefix(home: Path) -> None:
    log = home / "server.log"
    before = "\n$ python server\nValueError: of a run long ago\n"
    log.write_text(
        f"{before}\n$ python server\n(APIServer pid=7) INFO 11-21 15:54:21 [server.py:1] Started\n"
        "(APIServer pid=7) ERROR 11-21 15:54:54 [async_llm.py:906] vllm.exceptions.EngineDeadError: see above\n"
        "INFO:     Shutting down\n",
        encoding="utf-8",
    )
    assert engine.last_words(log) == "vllm.exceptions.EngineDeadError: see above"
    log.write_text(f"{before}\n$ python server\n(Worker pid=7) Killed\n", encoding="utf-8")
    assert engine.last_words(log) == "Killed"
    log.write_text(before, encoding="utf-8")
    assert engine.last_words(log) == "ValueError: of a run long ago"


def test_the_whole_group_ends_with_the_block(home: Path) -> None:
    log = home / "run.log"
    with engine.started([sys.executable, "-c", SLEEPER], name="trial", log=log) as process:
        child = int(wait_for(log)[-1])
        assert is_alive(child)
    assert not is_alive(process.pid)
    assert not is_alive(child)
    assert not log.with_suffix(".pid").exists()


def test_what_a_killed_command_leaves_is_ended_by_the_next_start(home: Path) -> None:
    """The command is killed outright; its engine's child would live on and hold memory or a port."""
    log = home / "run.log"
    program = (
        "from pathlib import Path; from launch import engine; import sys, time\n"
        f"with engine.started([sys.executable, '-c', {SLEEPER!r}], name='trial', log=Path({str(log)!r})):\n"
        "    time.sleep(300)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "FINR1_HOME": str(home)})
    child = int(wait_for(log)[-1])
    command.send_signal(signal.SIGKILL)
    command.wait()
    with engine.started(["true"], name="trial", log=log) as process:
        process.wait()
    assert not is_alive(child)


def test_a_process_that_only_got_the_number_is_left_alone(home: Path) -> None:
    """A number is used again after a restart of the machine; the note's start time tells the two apart."""
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        (home / "run.pid").write_text(f"{other.pid} 12345\n")
        engine.end_leftover(home / "run.log")
        assert is_alive(other.pid)
    finally:
        other.kill()
        other.wait()


def test_a_second_start_leaves_a_running_one_alone(home: Path) -> None:
    log = home / "run.log"
    program = (
        "from pathlib import Path; from launch import engine; import sys, time\n"
        f"with engine.started([sys.executable, '-c', {SLEEPER!r}], name='trial', log=Path({str(log)!r})):\n"
        "    time.sleep(300)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=home) as first:
        child = int(wait_for(log)[-1])
        with pytest.raises(Refused, match=f"process {first.pid} is running already"):
            engine.end_leftover(log)
        assert is_alive(child)
        first.kill()
    engine.end_leftover(log)
    assert not is_alive(child)
