"""A home folder with a small model's configuration and tokenizer, two small sets, and a recipe for each trainer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from distill.dataset_info import entry
from launch import models
from launch.paths import KIT

ROWS = 16
REWARDS = ["reward_plugins.rewards.finance_accuracy", "reward_plugins.rewards.finance_format"]

SFT: dict[str, Any] = {
    "model_name_or_path": "model",
    "dataset_dir": ".",
    "dataset": "small_sft",
    "template": "chatml",
    "cutoff_len": 2048,
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "full",
    "output_dir": "runs/sft",
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-4,
    "num_train_epochs": 1,
    "bf16": False,
    "save_strategy": "no",
    "report_to": "none",
}

GRPO: dict[str, Any] = {
    "model_name_or_path": "model",
    "dataset_name": "datasets/small/grpo",
    "max_prompt_length": 2048,
    "reward_funcs": REWARDS,
    "reward_weights": [1.0, 0.2],
    "output_dir": "runs/grpo",
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "num_generations": 4,
    "max_completion_length": 64,
    "max_steps": 1,
    "learning_rate": 1e-6,
    "bf16": False,
    "use_cpu": True,
    "save_strategy": "no",
    "report_to": "none",
}


def furnish(home: Path) -> None:
    """Put the model's small files (no weights), the sets, their registry and the kit's recipes into a home folder."""
    source = models.unpack()
    (home / "model").mkdir()
    for name in ("config.json", *models.TOKENIZER_FILES):
        if (source / name).is_file():
            shutil.copyfile(source / name, home / "model" / name)
    write(home / "model" / "model.safetensors", "no check reads weights, or loads them")
    for part in ("sft", "grpo"):
        lines = (KIT / "datasets" / "demo" / part / "train.jsonl").read_text(encoding="utf-8").splitlines()
        write(home / "datasets" / "small" / part / "train.jsonl", "\n".join(lines[:ROWS]) + "\n")
    register(home, small_sft=entry("datasets/small/sft/train.jsonl"))
    shutil.copytree(KIT / "recipes", home / "recipes")


def register(home: Path, **entries: dict[str, Any]) -> None:
    """Write `dataset_info.json`."""
    write(home / "dataset_info.json", json.dumps(entries))


def rows_of(home: Path, part: str) -> list[dict[str, Any]]:
    """The rows of the small set's `sft` or `grpo` file."""
    text = (home / "datasets" / "small" / part / "train.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def rewrite(home: Path, part: str, rows: list[dict[str, Any]]) -> None:
    """Put other rows into the small set's file."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write(home / "datasets" / "small" / part / "train.jsonl", text)


def write(path: Path, text: str) -> None:
    """Write a file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
