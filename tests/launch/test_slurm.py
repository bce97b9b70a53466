"""The SLURM scripts, run with stand-ins for SLURM's commands and for the trainers: what each machine would start."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from launch.paths import KIT

SCRIPTS = KIT / "launch" / "slurm"

SCONTROL = """#!/bin/bash
[[ "$*" == "show hostnames node[3-4]" ]] || exit 9
printf 'node3\\nnode4\\n'
"""

SRUN = """#!/bin/bash
# As srun does: the same command on each machine, which is told its number.
printf '%s\\n' "$@" > srun_options
while [[ $1 == --* ]]; do shift; done
for number in 0 1; do SLURM_NODEID=$number "$@" || exit 1; done
"""

TRAINER = """#!/usr/bin/env python3
import json, os, sys
names = ("FORCE_TORCHRUN", "NNODES", "NODE_RANK", "NPROC_PER_NODE", "MASTER_ADDR", "MASTER_PORT")
with open("started.jsonl", "a") as log:
    print(json.dumps({"words": sys.argv[1:], **{n: os.environ[n] for n in names if n in os.environ}}), file=log)
"""

SLURM = {
    "SLURM_JOB_ID": "123456",
    "SLURM_JOB_NODELIST": "node[3-4]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_GPUS_ON_NODE": "8",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with stand-ins, and a recipe."""
    files = {
        "bin/scontrol": SCONTROL,
        "bin/srun": SRUN,
        ".venvs/rl/bin/accelerate": TRAINER,
        ".venvs/sft/bin/llamafactory-cli": TRAINER,
        "my recipe.yaml": "",
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    return tmp_path


def submit(script: str, *words: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **SLURM, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", str(SCRIPTS / script), *words], cwd=checkout, env=env, capture_output=True, text=True, timeout=300
    )


def started(checkout: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (checkout / "started.jsonl").read_text().splitlines()]


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.slurm")), ids=lambda path: path.name)
def test_bash_reads_each_script(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_grpo_starts_one_launcher_on_each_machine(checkout: Path) -> None:
    done = submit("grpo.slurm", "my recipe.yaml", "--set", "max_steps=1", checkout=checkout)
    assert done.returncode == 0, done.stderr
    both = [list(map(str, machine["words"])) for machine in started(checkout)]  # type: ignore[call-overload]
    assert [option(words, "--machine_rank") for words in both] == ["0", "1"]
    for words in both:
        assert words[0] == "launch"
        assert (option(words, "--num_machines"), option(words, "--num_processes")) == ("2", "16")
        assert (option(words, "--main_process_ip"), option(words, "--main_process_port")) == ("node3", "23456")
        assert option(words, "--config_file") == "recipes/accelerate/zero3_multinode.yaml"
        assert words[-5:] == ["launch/grpo.py", "--config", "my recipe.yaml", "--set", "max_steps=1"]
    assert "--kill-on-bad-exit=1" in (checkout / "srun_options").read_text().splitlines()


def test_sft_starts_one_trainer_on_each_machine(checkout: Path) -> None:
    done = submit("sft.slurm", "my recipe.yaml", "max_steps=1", checkout=checkout)
    assert done.returncode == 0, done.stderr
    both = started(checkout)
    assert [machine["NODE_RANK"] for machine in both] == ["0", "1"]
    for machine in both:
        assert machine["words"] == ["train", "my recipe.yaml", "max_steps=1"]
        assert (machine["FORCE_TORCHRUN"], machine["NNODES"], machine["NPROC_PER_NODE"]) == ("1", "2", "8")
        assert (machine["MASTER_ADDR"], machine["MASTER_PORT"]) == ("node3", "23456")


@pytest.mark.parametrize("script", ["grpo.slurm", "sft.slurm"])
def test_a_missing_recipe_or_stack_ends_the_job_before_srun(script: str, checkout: Path) -> None:
    assert submit(script, checkout=checkout).returncode != 0
    assert submit(script, "no.yaml", checkout=checkout).returncode == 2
    for program in (checkout / ".venvs").rglob("bin/*"):
        program.unlink()
    done = submit(script, "my recipe.yaml", checkout=checkout)
    assert done.returncode == 2 and "makes the stack" in done.stderr
    assert not (checkout / "srun_options").exists()
