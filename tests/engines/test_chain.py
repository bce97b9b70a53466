"""The whole chain with the real engines: what it leaves, that it does nothing twice, that a kill costs nothing."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import FINR1, finr1
from places import HERE, free_port, new_home

from launch import check, models
from launch.engine import environment
from launch.serving.server import ServeSettings, serving

CHAIN = HERE / "recipes" / "chain.yaml"
DATA = ("sft/train.jsonl", "grpo/train.jsonl", "test/finmath.jsonl")


@dataclass(frozen=True)
class Chain:
    """A finished run of the chain."""

    home: Path
    words: list[str]
    first_s: float


def make_home(folder: Path, model: Path) -> tuple[Path, list[str]]:
    port = free_port()
    home = new_home(folder, port)
    serve = home / "runs" / "serve.yaml"
    serve.write_text(serve.read_text().replace("{}", str(model)), encoding="utf-8")
    return home, ["run", str(CHAIN), "--set", f"model={model}", "--set", f"port={port}"]


def digests(home: Path) -> dict[str, str]:
    folder = home / "datasets" / "chain"
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in DATA}


@pytest.fixture(scope="module")
def chain(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    home, words = make_home(tmp_path_factory.mktemp("chain"), tiny_model)
    begin = time.monotonic()
    done = finr1(*words, home=home)
    assert done.returncode == 0, done.stderr[-3000:]
    return Chain(home, words, time.monotonic() - begin)


def test_each_stage_leaves_its_result_and_its_manifest(chain: Chain) -> None:
    runs = chain.home / "runs" / "chain"
    for folder in ("sft", "grpo"):
        manifest = json.loads((runs / folder / "manifest.json").read_text())
        assert manifest["stack_versions"]["torch"].startswith("2.13.0")
        assert manifest["inputs"] and manifest["outputs"] and manifest["settings"]["recipe"]
        state = json.loads((runs / folder / "trainer_state.json").read_text())
        assert any("loss" in step for step in state["log_history"])
    rewards = json.loads((runs / "grpo" / "trainer_state.json").read_text())["log_history"]
    assert any("rewards/finance_accuracy/mean" in step for step in rewards)
    report = (runs / "report" / "report.html").read_text(encoding="utf-8")
    assert "sft-grpo" in report


def test_grpo_ran_under_zero3_on_two_processes(chain: Chain) -> None:
    log = (chain.home / "runs" / "chain" / "grpo" / "engine.log").read_text(errors="replace")
    assert "--num_processes 2" in log
    assert "zero" in log.lower()


def test_every_request_is_accounted_for(chain: Chain) -> None:
    results = sorted((chain.home / "runs" / "chain" / "eval").rglob("result.json"))
    assert len(results) == 3
    for path in results:
        counts = json.loads(path.read_text())["counts"]
        assert counts["requested"] == 12
        assert counts["correct"] + counts["wrong"] + counts["no_answer"] + counts["error"] == 12


def test_a_second_run_does_nothing_and_takes_under_ten_seconds(chain: Chain) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (chain.home / "runs").rglob("*.safetensors")}
    before = digests(chain.home)
    (chain.home / "dataset_info.json").unlink()  # the registry is tracked by git: a checkout may put an older one back
    begin = time.monotonic()
    again = finr1(*chain.words, home=chain.home)
    took = time.monotonic() - begin
    assert again.returncode == 0, again.stderr[-2000:]
    assert took < 10, f"{took:.1f} s"
    assert again.stderr.count("already") >= 6
    assert stamps == {path: path.stat().st_mtime_ns for path in (chain.home / "runs").rglob("*.safetensors")}
    assert digests(chain.home) == before
    assert "chain_sft" in json.loads((chain.home / "dataset_info.json").read_text())


def test_trained_folders_keep_the_base_tokenizer_and_chat_template(chain: Chain, tiny_model: Path) -> None:
    for folder in ("sft", "grpo"):
        trained = chain.home / "runs" / "chain" / folder
        for name in models.TOKENIZER_FILES:
            assert (trained / name).is_file() == (tiny_model / name).is_file(), name
            if (tiny_model / name).is_file():
                assert (trained / name).read_bytes() == (tiny_model / name).read_bytes(), name


def test_sft_rollout_server_and_evaluation_see_one_string(
    chain: Chain, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token for token in the trainers' stacks, and by count where a server only tells the number."""
    monkeypatch.setenv("FINR1_HOME", str(chain.home))
    trained = str(chain.home / "runs" / "chain" / "sft")
    shown = check.templates_agree(
        check.Trained(str(tiny_model), "chatml", [chain.home / "datasets" / "chain" / "sft" / "train.jsonl"])
    )
    rolled = check.prompts_agree(trained, [chain.home / "datasets" / "chain" / "grpo" / "train.jsonl"])
    assert rolled[0].prompt[:8] == shown[0].prompt[:8]
    test_row = json.loads((chain.home / "datasets" / "chain" / "test" / "finmath.jsonl").open().readline())
    talk = [*test_row["prompt"], {"role": "assistant", "content": "x"}]
    expected = len(check.render_by_chat_template("rl", trained, [talk])[0]["prompt_ids"])
    predictions = next((chain.home / "runs" / "chain" / "eval" / "sft").rglob("predictions/**/*.jsonl"))
    counted = {
        row["index"]: row["model_output"]["usage"]["input_tokens"]
        for row in map(json.loads, predictions.read_text(encoding="utf-8").splitlines())
    }
    assert counted[0] == expected


def test_a_template_that_differs_is_refused_with_the_place(chain: Chain, tiny_model: Path) -> None:
    words = ["check", "recipes/sft/smollm2_135m_cpu.yaml", "--set", f"model_name_or_path={tiny_model}"]
    words += ["--set", "dataset=chain_sft"]
    good = finr1(*words, home=chain.home)
    assert good.returncode == 0, good.stderr
    assert "<|im_start|>" in good.stdout
    bad = finr1(*words, "--set", "template=llama3", home=chain.home)
    assert bad.returncode == 2
    assert "trains on another string" in bad.stderr


def test_the_trained_model_loads_in_a_server_and_answers(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    monkeypatch.setenv("FINR1_HOME", str(chain.home))
    settings = ServeSettings(
        model="runs/chain/grpo", engine="transformers", port=free_port(), dtype="float32", log="runs/served.log"
    )
    with serving(settings) as endpoint:
        body = {"model": endpoint.model_id, "messages": [{"role": "user", "content": "1+1?"}], "max_tokens": 4}
        request = urllib.request.Request(
            f"{endpoint.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["choices"][0]["message"]["role"] == "assistant"
        pid = endpoint.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_kills_at_random_moments_lose_and_repeat_nothing(
    chain: Chain, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The command is killed outright again and again; what it leaves is what an undisturbed run leaves."""
    home, words = make_home(tmp_path_factory.mktemp("killed"), tiny_model)
    env = environment({"FINR1_HOME": str(home)})
    dice = random.Random(7)
    for _ in range(6):
        process = subprocess.Popen(
            [FINR1, *words], cwd=home, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(dice.uniform(1.0, chain.first_s / 3))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    done = finr1(*words, home=home)
    assert done.returncode == 0, done.stderr[-3000:]
    assert digests(home) == digests(chain.home)
    traces = [json.loads(line) for line in (home / "runs" / "chain" / "traces.jsonl").read_text().splitlines()]
    assert len({trace["id"] for trace in traces}) == len(traces) == 24 + 8 * 2
    for path in (home / "runs" / "chain" / "eval").rglob("predictions/**/*.jsonl"):
        rows = [json.loads(line)["index"] for line in path.read_text().splitlines()]
        assert sorted(rows) == list(range(12))
