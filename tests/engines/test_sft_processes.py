"""SFT by several processes under ZeRO-3, as LLaMA-Factory starts them: by `finr1 sft`, and one launcher a machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command import finr1
from places import free_port

from launch import stacks
from launch.engine import environment
from launch.paths import KIT

RECIPE = KIT / "recipes" / "sft" / "smollm2_135m_cpu.yaml"


@pytest.fixture
def changes(tmp_path: Path, tiny_model: Path) -> list[str]:
    """A home with the demo set, and what makes the shipped recipe one of two steps on it."""
    shutil.copytree(KIT / "datasets" / "demo", tmp_path / "datasets" / "demo")
    registry = json.loads((KIT / "dataset_info.json").read_bytes())
    (tmp_path / "dataset_info.json").write_text(json.dumps({"demo_sft": registry["demo_sft"]}), encoding="ascii")
    deepspeed = KIT / "recipes" / "deepspeed" / "zero3.json"
    return [
        f"model_name_or_path={tiny_model}",
        "dataset=demo_sft",
        "output_dir=runs/out",
        "max_steps=2",
        "cutoff_len=768",
        "per_device_train_batch_size=1",
        f"deepspeed={deepspeed}",
    ]


def two_steps(home: Path, log: str) -> None:
    assert "world size: 2" in log and "ZeRO-3" in log
    assert json.loads((home / "runs/out/trainer_state.json").read_text("utf-8"))["global_step"] == 2
    assert (home / "runs/out/model.safetensors").is_file()


def test_two_processes_of_one_machine(changes: list[str], tmp_path: Path) -> None:
    sets = [word for change in changes for word in ("--set", change)]
    done = finr1("sft", str(RECIPE), *sets, home=tmp_path, NPROC_PER_NODE="2", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    two_steps(tmp_path, (tmp_path / "runs/out/engine.log").read_text("utf-8", "replace"))


def test_two_launchers_train_together(changes: list[str], tmp_path: Path) -> None:
    """What `launch/slurm/sft.slurm` starts on each machine, with a place for each."""
    trainer = stacks.program("sft", "llamafactory-cli")
    path = f"{trainer.parent}{os.pathsep}{os.environ['PATH']}"
    places = {"PATH": path, "FORCE_TORCHRUN": "1", "NNODES": "2", "NPROC_PER_NODE": "1", "MASTER_ADDR": "127.0.0.1"}
    places |= {"MASTER_PORT": str(free_port()), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    running = []
    for rank in (0, 1):
        with (tmp_path / f"machine{rank}.log").open("wb") as log:
            words = [trainer, "train", RECIPE, *changes]
            env = environment(places | {"NODE_RANK": str(rank)})
            running.append(subprocess.Popen(words, cwd=tmp_path, env=env, stdout=log, stderr=log))
    try:
        codes = [process.wait(300) for process in running]
    finally:
        for process in running:
            process.terminate()
    said = [(tmp_path / f"machine{rank}.log").read_text("utf-8", "replace") for rank in (0, 1)]
    assert codes == [0, 0], said[0][-2000:] + said[1][-2000:]
    two_steps(tmp_path, said[0])
