"""`--engine ray` on a cluster of two machines: the same bytes as on one, and plain words where it cannot be."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import FINR1, finr1
from places import HERE
from real_sets import needs_data, questions
from screen_cases import STEPWISE, journal, made_trace

from distill.records import write_records
from launch import models, stacks
from launch.engine import environment

pytestmark = needs_data

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Ray's own switch for "this machine alone": it would look for 127.0.0.1 at the machine's outer address."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two machines with one processor each."""
    words = [stacks.python("ray"), HERE / "ray_cluster.py"]
    env = environment(LOOPBACK)
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()  # which ends it


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Real questions, made-up traces of them, and a recipe for each stage; what they write stands in their home."""
    shared = tmp_path_factory.mktemp("shared")
    found = [each for name in ("finqa", "tatqa", "cflue", "fin_eva") for each in questions(name)[:150]]
    train, test = found[::2], found[1::2]
    copied = [each.model_copy(update={"id": f"copy of {each.id}"}) for each in (*test[:40:4], *train[:40:4])]
    train += copied
    for name, rows in ("train", train), ("test", test):
        write_records(shared / f"{name}.jsonl", rows)
    answers = ("{}", "-987654.25", "about {}, I think")
    traces = (
        made_trace(each, answers[(at + sample) % 3].format(each.gold), sample=sample, reasoning=STEPWISE * (1 + at % 9))
        for at, each in enumerate(train)
        for sample in range(4)
    )
    journal(shared / "traces.jsonl", traces)
    reads = {"questions": str(shared / "train.jsonl"), "traces": str(shared / "traces.jsonl")}
    measured = {"tokenizer": str(models.unpack()), "cutoff_len": 800, "prompt_cutoff": 800}
    stages: dict[str, dict[str, Any]] = {
        "screen": {**reads, "out": "runs/verdicts.jsonl", "reasoning": {"diversity": 0.3}},
        "overlap": {
            "questions": reads["questions"],
            "tests": [str(shared / "test.jsonl")],
            "out": "runs/overlap.jsonl",
        },
        "export": {
            **reads,
            **measured,
            "set": "made",
            "verdicts": "runs/verdicts.jsonl",
            "overlap": "runs/overlap.jsonl",
            "max_per_question": 2,
            "use": "research",
            "allow_licences": sorted({each.licence for each in train}),
        },
    }
    for name, settings in stages.items():
        (shared / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return {name: shared / f"{name}.yaml" for name in stages}


@pytest.fixture(scope="module")
def homes(cluster: str, recipes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What the three stages wrote on this machine's cores, and on the cluster."""
    alone, together = (tmp_path_factory.mktemp(name) for name in ("alone", "together"))
    for home, more in (alone, []), (together, ["--engine", "ray", "--address", cluster]):
        for stage, path in recipes.items():
            done = finr1(stage, path, *more, home=home, **LOOPBACK)
            assert done.returncode == 0, done.stderr[-3000:]
    return alone, together


def written(home: Path) -> dict[str, bytes]:
    """What the stages wrote, less what tells the times."""
    files = [*home.glob("runs/*.jsonl"), *home.glob("datasets/made/*/*.jsonl"), home / "dataset_info.json"]
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(files)}


def test_the_cluster_writes_the_same_bytes(homes: tuple[Path, Path]) -> None:
    alone, together = map(written, homes)
    assert alone == together
    assert len(alone) == 6 and all(alone.values())


def test_the_manifests_differ_in_the_engine_alone(homes: tuple[Path, Path]) -> None:
    for name in (
        "runs/verdicts.jsonl.manifest.json",
        "runs/overlap.jsonl.manifest.json",
        "datasets/made/manifest.json",
    ):
        alone, together = (json.loads((home / name).read_text(encoding="utf-8")) for home in homes)
        assert (alone["engine"], together["engine"]) == ("cores", "ray")
        assert alone["counts"] == together["counts"]
    counts = json.loads((homes[1] / "datasets/made/manifest.json").read_text(encoding="utf-8"))["counts"]
    assert counts["rows"]["sft/train.jsonl"] and counts["rows"]["grpo/train.jsonl"]
    assert {"sft: longer than cutoff_len", "sft: contaminated", "grpo: longer than prompt_cutoff"} <= {
        *counts["left_out"]
    }


def test_both_machines_work_and_the_order_is_kept(cluster: str) -> None:
    words = [stacks.python("ray"), HERE / "ray_order.py", cluster]
    done = subprocess.run(words, env=environment(LOOPBACK), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    # Ray tells of its workers' ends on the same stream, in whichever order.
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert json.loads(said[-1]) == {"in_order": True, "machines": 2, "refused": "row 700 is bad"}


def test_a_killed_run_leaves_nothing_half_written(
    cluster: str, recipes: dict[str, Path], homes: tuple[Path, Path], tmp_path: Path
) -> None:
    words = [FINR1, "screen", recipes["screen"], "--engine", "ray", "--address", cluster]
    env = {**environment(LOOPBACK), "FINR1_HOME": str(tmp_path)}
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = tmp_path / "runs" / "verdicts.jsonl.part"
    deadline = time.monotonic() + 60
    while not part.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert part.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "runs" / "verdicts.jsonl").exists()
    assert finr1(*words[1:], home=tmp_path, **LOOPBACK).returncode == 0
    verdicts = (tmp_path / "runs" / "verdicts.jsonl").read_bytes()
    assert verdicts == (homes[0] / "runs" / "verdicts.jsonl").read_bytes() and not part.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--engine", "ray", "--address", "127.0.0.1:1"], "no Ray cluster answers at 127.0.0.1:1"),
        (["--engine", "ray", "--address", "somewhere"], "not HOST:PORT"),
        (["--engine", "spark"], "there are cores and ray"),
        (["--address", "127.0.0.1:1"], "say --engine ray"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    more: list[str], said: str, recipes: dict[str, Path], tmp_path: Path
) -> None:
    done = finr1("screen", recipes["screen"], *more, home=tmp_path)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
