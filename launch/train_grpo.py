"""`finr1 grpo`: an OpenR1 recipe on TRL's trainer by `accelerate launch launch/grpo.py`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from launch import check, engine, models, recipe, stacks
from launch.paths import KIT, home
from launch.record import EngineRun, machine, weights
from launch.server import has_gpu
from launch.train import engine_env, log_of, need_space, row_count, write_recipe


def run(
    name: str, overrides: list[str], accelerate: str | None, processes: int | None, dry_run: bool
) -> dict[str, Any]:
    """Run an OpenR1 recipe by `accelerate launch launch/grpo.py`.

    `accelerate` is a configuration file (by default ZeRO-3, on the GPUs that are here or on the CPU); `processes` how
    many ranks there are (by default one per GPU, two on a CPU).
    """
    asked = recipe.load(name, overrides)
    translated = check.grpo_keys(asked, name)
    model = models.resolve(translated.trl.get("model_name_or_path", ""), home())
    sets = check.grpo_data(translated)
    ranks = processes or (_gpus() if has_gpu() else 2)
    shape = recipe.find(accelerate or f"recipes/accelerate/{'zero3' if has_gpu() else 'cpu_zero3'}.yaml")
    check.grpo_batch(translated, ranks)
    out = home() / translated.trl["output_dir"]
    identity = {**asked, "_accelerate": recipe.load(shape), "_processes": ranks}
    run = EngineRun(recipe=identity, reads=[*sets, *weights(model)], out=out, stack="rl")
    if run.is_done() and not dry_run:
        return {"done": "already", "out": str(out)}
    if not dry_run:
        need_space(out)
        run.begin()
    resolved = write_recipe(out, {**asked, "model_name_or_path": model, "output_dir": str(out)})
    words: list[str | Path] = [
        stacks.program("rl", "accelerate"),
        "launch",
        "--config_file",
        shape,
        "--num_processes",
        str(ranks),
    ]
    words += [KIT / "launch" / "grpo.py", "--config", resolved, *(["--dry-run"] if dry_run else [])]
    started = time.time()
    # One thread a rank on a shared CPU: more of them wait for each other.
    threads = {} if has_gpu() else {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks))}
    seconds = engine.run(words, name="GRPO", log=log_of(out), env=engine_env(model) | threads)
    if not dry_run:
        run.finish(started, engine_seconds=round(seconds, 1), rows={str(path): row_count(path) for path in sets})
    return {"done": "now", "out": str(out), "seconds": round(seconds, 1)}


def _gpus() -> int:
    return len(machine().get("gpus", [])) or 1
