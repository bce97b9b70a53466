"""The benchmarks inside EvalScope itself: its command, and the traps that its own adapters leave open."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mock_server import serve
from small_sets import Golds, rows, write_set

import eval_adapters
from reward_plugins.errors import Refused

NAMES = ("finr1_finmath", "finr1_finqa")


def adapter(name: str, arguments: dict[str, Any], **more: Any) -> Any:
    eval_adapters.register()
    from evalscope import TaskConfig
    from evalscope.api.registry import get_benchmark

    task = TaskConfig(model="m", api_url="http://127.0.0.1:9/v1", datasets=[name], dataset_args=arguments, **more)
    return get_benchmark(name, task)


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_loads_its_rows_by_path_and_takes_the_content_for_its_revision(
    tmp_path: Path, name: str
) -> None:
    subset = name.removeprefix("finr1_")
    content = [{**each, "source": subset} for each in rows(4)]
    data = write_set(tmp_path / "test", content[:3], subset)
    made = adapter(name, {name: {"local_path": str(data)}})
    samples = made.load_dataset()[subset]
    assert [message.text for message in samples[1].input] == ["Think, then answer.", "What is item 1?"]
    assert made.benchmark_meta.dataset_revision.startswith("sha256:")
    write_set(data, content, subset)
    changed = adapter(name, {name: {"local_path": str(data)}})
    assert changed.benchmark_meta.dataset_revision != made.benchmark_meta.dataset_revision


def test_a_missing_path_never_asks_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    with pytest.raises(Refused, match="no test set at"):
        adapter("finr1_finmath", {"finr1_finmath": {"local_path": str(tmp_path / "org" / "name")}})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"localpath": "x"}, "dataset_args localpath cannot be used"),
        ({"few_shot_num": 2}, "dataset_args few_shot_num cannot be used"),
        ({"system_prompt": "Be brief."}, "dataset_args system_prompt cannot be used"),
    ],
)
def test_arguments_that_evalscope_would_drop_or_that_change_the_prompt_are_refused(
    tmp_path: Path, arguments: dict[str, Any], complaint: str
) -> None:
    data = write_set(tmp_path / "test", rows(2))
    with pytest.raises(Refused, match=complaint):
        adapter("finr1_finmath", {"finr1_finmath": {"local_path": str(data), **arguments}})


def test_a_single_file_with_few_shot_examples_is_refused(tmp_path: Path) -> None:
    file = write_set(tmp_path / "test", rows(2)) / "finmath.jsonl"
    assert len(adapter("finr1_finmath", {"finr1_finmath": {"local_path": str(file)}}).load_dataset()["finmath"]) == 2
    with pytest.raises(Refused, match="few_shot_num cannot be used"):
        adapter("finr1_finmath", {"finr1_finmath": {"local_path": str(file), "few_shot_num": 1}})


def test_arguments_for_a_set_that_is_not_run_are_refused(tmp_path: Path) -> None:
    data = write_set(tmp_path / "test", rows(2))
    with pytest.raises(Refused, match="dataset_args names finr1_finmth"):
        adapter("finr1_finmath", {"finr1_finmath": {"local_path": str(data)}, "finr1_finmth": {}})


def test_registering_twice_is_harmless_and_leaves_the_callers_logging_alone() -> None:
    eval_adapters.register()
    handlers = logging.getLogger().handlers[:]
    eval_adapters.register()
    assert logging.getLogger().handlers == handlers


def test_importing_the_package_does_not_import_evalscope() -> None:
    code = (
        "import sys, eval_adapters.run, launch.report; print('evalscope' in sys.modules, 'matplotlib' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "eval_adapters", *words], capture_output=True, text=True, timeout=120)


def test_evalscopes_own_command_runs_our_benchmark(tmp_path: Path) -> None:
    content = rows(4)
    data = write_set(tmp_path / "test", content)
    words = [
        "eval",
        "--model",
        "m",
        "--datasets",
        "finr1_finmath",
        "--no-timestamp",
        "--work-dir",
        str(tmp_path / "out"),
    ]
    arguments = {"finr1_finmath": {"local_path": str(data)}}
    with serve(Golds(content)) as server:
        done = command(*words, "--api-url", server.url, "--dataset-args", json.dumps(arguments))
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == 4
    report = json.loads((tmp_path / "out" / "reports" / "m" / "finr1_finmath.json").read_text(encoding="utf-8"))
    assert report["metrics"][0]["score"] == 1.0
    arguments["finr1_finmath"]["local_path"] = str(tmp_path / "gone")
    refused = command(*words, "--api-url", "http://127.0.0.1:9/v1", "--dataset-args", json.dumps(arguments))
    assert refused.returncode == 2
    assert refused.stderr.rstrip().endswith(f"no test set at {tmp_path / 'gone' / 'finmath.jsonl'}: no such folder")


def test_evalscopes_package_is_not_rewritten() -> None:
    refused = command("benchmark-info", "finr1_finmath", "--update")
    assert refused.returncode == 2
    assert "rewrites files inside EvalScope's package" in refused.stderr
