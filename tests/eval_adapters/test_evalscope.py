"""The benchmarks inside EvalScope itself: its command, and the traps that its own adapters leave open."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from mock_server import completion, serve
from small_sets import Golds, row, rows, write_set

import eval_adapters
from eval_adapters.catalogue import BENCHMARKS
from launch.report.usage import read_perf
from reward_plugins.errors import Refused


def adapter(name: str, arguments: dict[str, Any], **more: Any) -> Any:
    eval_adapters.register()
    from evalscope import TaskConfig
    from evalscope.api.registry import get_benchmark

    task = TaskConfig(model="m", api_url="http://127.0.0.1:9/v1", datasets=[name], dataset_args=arguments, **more)
    return get_benchmark(name, task)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_loads_its_rows_by_path_and_takes_the_content_for_its_revision(
    tmp_path: Path, name: str
) -> None:
    about = BENCHMARKS[name]
    source, task = (about.sources or ("desk",))[0], (about.tasks or ("calculation",))[0]
    content = [{**each, "source": source, "task": task} for each in rows(4)]
    data = write_set(tmp_path / "test", content[:3])
    arguments = {name: {"local_path": str(data), "subset_list": ["finmath"]}}
    made = adapter(name, arguments)
    samples = made.load_dataset()["finmath"]
    assert [message.text for message in samples[1].input] == ["Think, then answer.", "What is item 1?"]
    assert made.benchmark_meta.dataset_revision.startswith("sha256:")
    assert made.benchmark_meta.evaluation_version == about.version
    write_set(data, content)
    changed = adapter(name, arguments)
    assert changed.benchmark_meta.dataset_revision != made.benchmark_meta.dataset_revision


def test_prompt_files_and_examples_are_given_as_extra_params(tmp_path: Path) -> None:
    bare = [{key: value for key, value in each.items() if key != "prompt"} for each in rows(2)]
    data = write_set(tmp_path / "test", bare)
    write_set(data, [{**row(number, "1"), "split": "train"} for number in (7, 8)], "train")
    (tmp_path / "p.txt").write_text("Think.", encoding="utf-8")
    shots = {"path": str(data / "train.jsonl"), "count": 1}
    given = {"local_path": str(data), "extra_params": {"system_prompt": str(tmp_path / "p.txt"), "few_shot": shots}}
    samples = adapter("finr1_finmath", {"finr1_finmath": given}).load_dataset()["finmath"]
    assert [message.role for message in samples[0].input] == ["system", "user", "assistant", "user"]
    with pytest.raises(Refused, match=r"few_shot\.count"):
        wrong = {**given, "extra_params": {"few_shot": {"path": "x"}}}
        adapter("finr1_finmath", {"finr1_finmath": wrong})


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


def test_evalscope_s_judge_never_takes_the_rule_s_place(tmp_path: Path) -> None:
    arguments = {"finr1_finmath": {"local_path": str(write_set(tmp_path / "test", rows(2)))}}
    judge = {"models": [{"model_id": "j", "api_url": "http://127.0.0.1:9/v1"}]}
    for strategy in ("llm", "llm_recall"):
        with pytest.raises(Refused, match="EvalScope's judge cannot be used"):
            adapter("finr1_finmath", arguments, judge={**judge, "strategy": strategy})
    assert adapter("finr1_finmath", arguments, judge={**judge, "strategy": "auto"}).use_llm_judge is False


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
    return subprocess.run([sys.executable, "-m", "eval_adapters", *words], capture_output=True, text=True, timeout=300)


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


def test_evalscopes_perf_measures_an_endpoint(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("What is 1% of 200?\nWhat is 2% of 200?\n", encoding="utf-8")
    with serve(lambda _: completion("2")) as server:
        words = [
            "--url",
            f"{server.url}/chat/completions",
            "--api",
            "openai",
            "--model",
            "m",
            "--dataset",
            "line_by_line",
        ]
        more = ["--dataset-path", str(prompts), "--number", "2", "--parallel", "1", "--no-stream"]
        done = command("perf", *words, *more, "--outputs-dir", str(tmp_path / "perf"))
        assert done.returncode == 0, done.stderr
        assert server.questions[-1].startswith("What is")
    (measured,) = read_perf(tmp_path / "perf")
    assert (measured["requests"], measured["failed"], measured["concurrency"]) == (2, 0, 1)
    assert 0 < measured["latency_s"] < 10 and measured["requests_per_s"] > 0


def test_the_dashboard_answers_on_this_machine_and_nowhere_else(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "eval_adapters", "app", "--port", str(port), "--outputs", str(tmp_path)]
    log = tmp_path / "log"
    with log.open("wb") as out, subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT) as child:
        try:
            deadline = time.monotonic() + 100
            while time.monotonic() < deadline and child.poll() is None:
                with (
                    contextlib.suppress(OSError),
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page,
                ):
                    assert page.status == 200
                    break
                time.sleep(0.3)
            else:
                pytest.fail(log.read_text(encoding="utf-8"))
            listening = Path("/proc/net/tcp").read_text(encoding="ascii")
            assert f"0100007F:{port:04X}" in listening and f"00000000:{port:04X}" not in listening
        finally:
            child.terminate()


def test_changed_data_refuses_an_old_cache(tmp_path: Path) -> None:
    content = rows(3)
    data = write_set(tmp_path / "test", content)
    out = str(tmp_path / "out")
    arguments = json.dumps({"finr1_finmath": {"local_path": str(data)}})
    words = ["eval", "--model", "m", "--datasets", "finr1_finmath", "--dataset-args", arguments]
    with serve(Golds(content)) as server:
        words += ["--api-url", server.url]
        assert command(*words, "--work-dir", out, "--no-timestamp").returncode == 0
        assert command(*words, "--use-cache", out).returncode == 0
        assert len(server.requests) == 3
        write_set(data, content[::-1])  # the same rows at other places, by which EvalScope matches its cache
        refused = command(*words, "--use-cache", out)
        assert refused.returncode != 0
        assert "dataset_revision" in refused.stderr or "identity" in refused.stderr
        assert len(server.requests) == 3
