"""A GRPO run that was killed outright and started again ends as one that was left alone."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command import FINR1, finr1
from places import HERE, free_port, new_home

from launch.engine import environment
from launch.paths import KIT

RECIPE = HERE / "recipes" / "resumed_grpo.yaml"
COMPARED = ("loss", "reward", "reward_std", "kl", "entropy", "grad_norm", "rewards/even_tokens/mean", "num_tokens")


@pytest.fixture(scope="module")
def place(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = new_home(tmp_path_factory.mktemp("resumed"), free_port())
    shutil.copytree(tiny_model, home / "runs" / "model")
    (home / "datasets").mkdir()
    shutil.copytree(KIT / "datasets" / "demo" / "grpo", home / "datasets" / "demo" / "grpo")
    return home


def words(out: str) -> list[str]:
    return [
        "grpo",
        str(RECIPE),
        "--accelerate",
        "recipes/accelerate/cpu.yaml",
        "--processes",
        "1",
        "--set",
        f"output_dir={out}",
    ]


def curve(out: Path) -> list[dict[str, float]]:
    log = json.loads((out / "trainer_state.json").read_text())["log_history"]
    return [{key: entry[key] for key in COMPARED} for entry in log if "reward" in entry]


def test_a_killed_run_has_the_curve_of_one_left_alone(place: Path) -> None:
    rewards = {"PYTHONPATH": str(HERE)}
    whole = finr1(*words("runs/whole"), home=place, **rewards)
    assert whole.returncode == 0, whole.stderr[-3000:]
    out = place / "runs" / "killed"
    env = environment({"FINR1_HOME": str(place), **rewards})
    process = subprocess.Popen(
        [FINR1, *words("runs/killed")], cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 200
    while not (out / "checkpoint-2" / "trainer_state.json").is_file():
        assert process.poll() is None and time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.json").is_file()
    again = finr1(*words("runs/killed"), home=place, **rewards)
    assert again.returncode == 0, again.stderr[-3000:]
    expected, found = curve(place / "runs" / "whole"), curve(out)
    assert len(expected) == len(found) == 6
    assert len({entry["reward"] for entry in expected}) > 1, "a curve that is flat proves nothing"
    for step, (ours, theirs) in enumerate(zip(expected, found, strict=True), 1):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6), f"step {step}"
