"""A terminal that is closed ends a command as Ctrl-C does, so that what it started is ended, too."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from command import FINR1
from places import free_port
from versions_behind import KEY


@pytest.mark.parametrize(("before", "code"), [(signal.SIG_DFL, 128 + signal.SIGHUP), (signal.SIG_IGN, None)])
def test_a_closed_terminal_ends_a_command_unless_nohup_holds_it(
    before: signal.Handlers, code: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGHUP is as SIGTERM; `nohup` has it ignored. The watcher is what starts fastest, and it needs no HAProxy."""
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)
    port = free_port()
    recipe = f"versions: {{v1: {{url: 'http://127.0.0.1:1/v1', weight: 1}}}}\nwatch: {{port: {port}}}\n"
    (tmp_path / "gateway.yaml").write_text(recipe, encoding="utf-8")
    watcher = subprocess.Popen(
        [FINR1, "gateway", "gateway.yaml", "watch"],
        cwd=tmp_path,
        env={**os.environ, "FINR1_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, before),
    )
    try:
        assert watcher.stdout is not None and b"metrics by version" in watcher.stdout.readline()
        watcher.send_signal(signal.SIGHUP)
        if code is None:
            with pytest.raises(subprocess.TimeoutExpired):
                watcher.wait(2)
        else:
            assert watcher.wait(30) == code
    finally:
        watcher.kill()
        watcher.wait()
