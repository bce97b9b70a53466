"""SFT that was killed outright goes on from its last checkpoint, and its loss curve is that of a run left alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from command import FINR1, finr1

from launch.paths import KIT

_STEPS = 16


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home with the demo set."""
    shutil.copytree(KIT / "datasets" / "demo", tmp_path / "datasets" / "demo")
    registry = json.loads((KIT / "dataset_info.json").read_bytes())
    (tmp_path / "dataset_info.json").write_text(json.dumps({"demo_sft": registry["demo_sft"]}), encoding="ascii")
    return tmp_path


def words(model: Path, out: str) -> list[str]:
    changes = {
        "model_name_or_path": str(model),
        "dataset": "demo_sft",
        "output_dir": out,
        "max_steps": _STEPS,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": 3,
        "per_device_train_batch_size": 2,
        # Slow enough to be caught between two checkpoints, and it draws random numbers, which must be resumed too.
        "lora_dropout": 0.1,
        "finetuning_type": "lora",
        "lora_rank": 8,
        "cutoff_len": 768,  # the demo set has rows of more than the recipe's 384 tokens
    }
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    return ["sft", "recipes/sft/smollm2_135m_cpu.yaml", *sets]


def curve(out: Path) -> list[tuple[int, float]]:
    history = json.loads((out / "trainer_state.json").read_text("utf-8"))["log_history"]
    return [(step["step"], step["loss"]) for step in history if "loss" in step]


def test_a_killed_run_has_the_curve_of_one_left_alone(place: Path, tiny_model: Path) -> None:
    whole = finr1(*words(tiny_model, "runs/whole"), home=place)
    assert whole.returncode == 0, whole.stderr[-2000:]

    broken = place / "runs" / "broken"
    env = {**os.environ, "FINR1_HOME": str(place)}
    with subprocess.Popen([FINR1, *words(tiny_model, "runs/broken")], env=env, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not (broken / "checkpoint-3" / "trainer_state.json").is_file():
            assert process.poll() is None and time.monotonic() < deadline, "it never got to its first checkpoint"
            time.sleep(0.02)
        process.kill()
    assert not (broken / "manifest.json").exists()

    again = finr1(*words(tiny_model, "runs/broken"), home=place)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "resume_from_checkpoint" in (broken / "recipe.yaml").read_text("utf-8")
    alone, resumed = curve(place / "runs" / "whole"), curve(broken)
    assert [step for step, _ in resumed] == [step for step, _ in alone] == list(range(1, _STEPS + 1))
    assert [loss for _, loss in resumed] == pytest.approx([loss for _, loss in alone], rel=1e-3)
    assert (broken / "training_loss.png").is_file()
    third = finr1(*words(tiny_model, "runs/broken"), home=place)
    assert json.loads(third.stdout)["done"] == "already"
