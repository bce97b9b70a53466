"""A real SFT run that learns nothing says so while it runs, and its manifest keeps what was said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from command import finr1

from launch.paths import KIT


def test_a_run_that_learns_nothing_says_so(tmp_path: Path, tiny_model: Path) -> None:
    shutil.copytree(KIT / "datasets" / "demo", tmp_path / "datasets" / "demo")
    registry = json.loads((KIT / "dataset_info.json").read_bytes())
    (tmp_path / "dataset_info.json").write_text(json.dumps({"demo_sft": registry["demo_sft"]}), encoding="ascii")
    changes = {
        "model_name_or_path": str(tiny_model),
        "dataset": "demo_sft",
        "output_dir": "runs/still",
        "max_steps": 24,
        "logging_steps": 1,
        "learning_rate": "1e-12",
        "lr_scheduler_type": "constant",
        "warmup_ratio": 0,
        "per_device_train_batch_size": 1,
        "cutoff_len": 768,  # the demo set has rows of more than the recipe's 384 tokens
    }
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    done = finr1("sft", "recipes/sft/smollm2_135m_cpu.yaml", *sets, home=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    manifest = json.loads((tmp_path / "runs" / "still" / "manifest.json").read_text("utf-8"))
    assert [said for said in manifest["warnings"] if said.startswith("loss: ") and "raise learning_rate" in said]
    assert all(f": {said}" in " ".join(done.stderr.split()) for said in manifest["warnings"])
