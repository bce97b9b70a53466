"""What an engine's run leaves beside its result: the recipe as it was run, versions, hashes, and when it is done."""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from rich.console import Console

from distill.manifest import Run, describe, is_current
from distill.stage import StageSettings
from launch import stacks
from launch.paths import KIT, STACKS

_STARTED = "started.sha256"
"""Holds the hash of the settings and inputs of the run that a folder's checkpoints belong to."""

_TELLING = (
    "CUDA_",
    "NCCL_",
    "GLOO_",
    "OMP_",
    "MKL_",
    "TORCH",
    "PYTORCH_",
    "DS_",
    "ACCELERATE_",
    "HF_",
    "TRANSFORMERS_",
)
_SECRET = ("KEY", "TOKEN", "SECRET", "PASS", "ENDPOINT")
"""The last names hosts, which may carry credentials in their address."""

_WEIGHTS = ("*.safetensors", "adapter_config.json", "config.json", "tokenizer.json", "chat_template.jinja")


class EngineRun(StageSettings):
    """A stage whose work another stack does: the recipe it gets, the files it reads, the folder it fills."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    recipe: dict[str, Any]
    reads: list[Path]
    out: Path
    stack: str

    def inputs(self) -> list[Path]:
        """Every file that the result depends on."""
        return self.reads

    def manifest_path(self) -> Path:
        """`manifest.json` in the folder that the engine fills."""
        return self.out / "manifest.json"

    def identity(self) -> dict[str, Any]:
        """The recipe and the pinned stack: a run with other versions is another run."""
        return {
            "recipe": json.loads(json.dumps(self.recipe, default=str)),
            "stack": f"{self.stack} {stacks.identity(self.stack)}",
        }

    def stack_versions(self) -> dict[str, str]:
        """The versions of the packages that trained."""
        return versions(self.stack)

    def code(self) -> str:
        """Training depends on its data and its rewards' names, not on the kit's code: a new kit trains nothing anew."""
        return ""

    def is_done(self) -> bool:
        """Whether this very run ended well and its results still stand."""
        return is_current(self.manifest_path(), self, self.inputs())

    def begin(self) -> None:
        """Make the folder ready: a checkpoint may be gone on from only if this very run made it.

        What another run left, with other settings or inputs, is moved aside to `<out>.replaced-N`; nothing is deleted.
        """
        files = {str(path): describe(path)["sha256"] for path in self.inputs()}
        mine = hashlib.sha256(json.dumps([self.identity(), files], sort_keys=True).encode()).hexdigest()
        note = self.out / _STARTED
        if self.out.is_dir() and any(self.out.iterdir()):
            started = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
            if started != mine:
                names = (self.out.with_name(f"{self.out.name}.replaced-{n}") for n in itertools.count(1))
                aside = next(path for path in names if not path.exists())
                self.out.rename(aside)
                Console(stderr=True).print(f"what another run left in {self.out} is now in {aside}", highlight=False)
        self.out.mkdir(parents=True, exist_ok=True)
        self.manifest_path().unlink(missing_ok=True)
        note.write_text(mine + "\n", encoding="utf-8")

    def finish(self, started: float, **more: Any) -> dict[str, Any]:
        """Write the manifest; the last thing that a run does."""
        outputs = [path for pattern in _WEIGHTS for path in sorted(self.out.glob(pattern))]
        run = Run(self.out.name, self, started)
        return run.done(
            outputs,
            {},
            stack_versions=self.stack_versions(),
            machine=machine(),
            environment=environment(os.environ),
            kit_commit=kit_commit(),
            **more,
        )


def weights(model: str) -> list[Path]:
    """The files of a model folder that decide what it says (none for a hub id: its revision is in the recipe)."""
    folder = Path(model)
    return sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern)) if folder.is_dir() else []


def versions(stack: str) -> dict[str, str]:
    """The versions of the packages of a stack that matter to a result."""
    site = next((STACKS / stack / "lib").glob("python3.*/site-packages"))
    names = ("torch", "transformers", "llamafactory", "trl", "accelerate", "deepspeed", "peft", "vllm", "datasets")
    found = {name: importlib.metadata.distributions(name=name, path=[str(site)]) for name in names}
    return {name: each.version for name, all_of_it in found.items() for each in all_of_it}


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that a trainer's result or speed may depend on; never one that may hold a secret."""
    return {
        name: value
        for name, value in sorted(variables.items())
        if name.startswith(_TELLING) and not any(word in name for word in _SECRET)
    }


def kit_commit() -> str:
    """The commit of the kit's checkout, with "+" where files were changed since; "" where it is no checkout."""
    try:
        words = ["git", "-C", str(KIT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def machine() -> dict[str, Any]:
    """What a timing depends on: processors, memory, GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts: dict[str, Any] = {"cpus": len(os.sched_getaffinity(0)), "memory_gib": round(memory / 2**30, 1)}
    try:
        query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        shown = subprocess.run(query, capture_output=True, text=True, timeout=10)
        if shown.returncode == 0:
            facts["gpus"] = shown.stdout.strip().splitlines()
    except (OSError, subprocess.TimeoutExpired):
        pass
    return facts
