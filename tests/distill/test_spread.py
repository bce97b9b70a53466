"""Work over several processes: order, bounds, and what becomes of a failure."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill.on_ray import Ray, _Rows, _Worker
from distill.spread import BATCH, Cores
from reward_plugins.errors import Refused


def doubled(bad: int, rows: list[int]) -> list[tuple[int, int]]:
    if bad in rows:
        raise Refused(f"row {bad} is bad")
    return [(2 * row, os.getpid()) for row in rows]


def read(path: Path, rows: list[int]) -> list[str]:
    return [path.read_text(encoding="utf-8") for _ in rows]


def test_results_come_in_the_order_of_the_rows_from_several_processes() -> None:
    found = list(Cores(2).map(doubled, -1, range(3000), 3000))
    assert [row for row, _ in found] == [2 * row for row in range(3000)]
    assert os.getpid() not in {process for _, process in found}


def test_few_rows_start_no_process_and_rows_are_taken_as_they_are_needed() -> None:
    rows = iter(range(1000))
    found = Cores(2).map(doubled, -1, rows, 1000)
    assert [process for _, process in itertools.islice(found, 10)] == [os.getpid()] * 10
    assert next(rows) == BATCH


def test_what_the_work_refuses_is_refused_here() -> None:
    with pytest.raises(Refused, match="row 2900 is bad"):
        list(Cores(2).map(doubled, 2900, range(3000), 3000))


def test_processes_end_with_a_parent_that_is_killed() -> None:
    program = (
        "from test_spread import doubled; from distill.spread import Cores; from itertools import count\n"
        "for _, process in Cores(2).map(doubled, -1, count(), 10**9): print(process, flush=True)"
    )
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        processes: set[int] = set()
        while len(processes) < 2:
            processes.add(int(parent.stdout.readline()))
        parent.kill()
    deadline = time.monotonic() + 20
    while (left := {each for each in processes if Path(f"/proc/{each}").exists()}) and time.monotonic() < deadline:
        time.sleep(0.05)
    for each in left:
        os.kill(each, signal.SIGKILL)
    assert not left


def test_a_machine_of_a_cluster_that_lacks_a_file_says_so(tmp_path: Path) -> None:
    worker = _Worker(read, tmp_path / "not_shared.jsonl")
    refused = worker({"rows": _Rows([1])})["done"]
    assert isinstance(refused, Refused) and "not_shared.jsonl is not there on this machine" in str(refused)


def test_ray_is_missed_in_plain_words_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the engine sets Ray's own switches
    with pytest.raises(Refused, match="the package ray is missing"), Ray():
        pass
