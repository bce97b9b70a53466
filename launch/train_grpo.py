"""`finr1 grpo`: an OpenR1 recipe on TRL's trainer by `accelerate launch launch/grpo.py`."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from launch import batch, check, engine, models, open_r1_engine, openr1, recipe, resolved, stacks
from launch.paths import KIT, home
from launch.record import EngineRun, machine, weights
from launch.serving.server import has_gpu
from launch.train import engine_env, log_of, need_space, row_count, write_recipe
from reward_plugins.errors import Refused


def run(
    name: str, overrides: list[str], accelerate: str | None, processes: int | None, dry_run: bool
) -> dict[str, Any]:
    """Run an OpenR1 recipe by `accelerate launch launch/grpo.py`.

    `accelerate` is a configuration file (by default ZeRO-3, on the GPUs that are here or on the CPU); `processes` how
    many ranks there are (by default one per GPU, two on a CPU, or the most below it over which an update divides).
    `dry_run` only says what became of each key and writes the resolved recipe; no stack is started for it.

    Raises:
        Refused: a recipe that cannot run, with the key to change.
    """
    asked = recipe.load(name, overrides)
    everything = partial(check.need_grpo, asked, name, accelerate, processes)
    with check.all_told(everything):
        translated = check.grpo_keys(asked, name)
        ranks = processes or batch.most_ranks(translated, _gpus() if has_gpu() else 2)
        arithmetic = batch.of_recipe(translated, ranks) or check.grpo_batch(translated, ranks)
    out = home() / translated.trl["output_dir"]
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(openr1.table(translated.fates), f"{ranks} ranks: {arithmetic}", sep="\n")
    if dry_run:
        folder = out.with_name(f"{out.name}-dry-run")  # the run's own folder is touched by runs only
        return {"done": "dry run", "out": str(folder), **resolved.write(translated, folder)}
    with check.all_told(everything):
        openr1.refuse_code_rewards(translated)
        model = models.resolve(translated.trl.get("model_name_or_path", ""), home())
        sets = check.grpo_data(translated)
    shape = recipe.find(accelerate or f"recipes/accelerate/{'zero3' if has_gpu() else 'cpu_zero3'}.yaml")
    identity = {**asked, "_accelerate": recipe.load(shape), "_processes": ranks}
    stack = "rl-vllm" if translated.trl.get("use_vllm") else "rl"
    run = EngineRun(recipe=identity, reads=[*sets, *weights(model)], out=out, stack=stack)
    if run.is_done():
        return {"done": "already", "out": str(out)}
    everything()
    need_space(out)
    run.begin()
    given = write_recipe(out, {**asked, "model_name_or_path": model, "output_dir": str(out)})
    words: list[str | Path] = [stacks.program(stack, "accelerate"), "launch", "--config_file", shape]
    words += ["--num_processes", str(ranks), KIT / "launch" / "grpo.py", "--config", given]
    env = engine_env(model, check.grpo_needs_hub(translated))
    started = time.time()
    # One thread a rank on a shared CPU: more of them wait for each other.
    threads = {} if has_gpu() else {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks))}
    seconds = engine.run(words, name="GRPO", log=log_of(out), env=env | threads)
    run.finish(started, engine_seconds=round(seconds, 1), rows={str(path): row_count(path) for path in sets})
    return {"done": "now", "out": str(out), "seconds": round(seconds, 1)}


def by_engine(
    name: str,
    *,
    overrides: list[str] | None = None,
    accelerate: str | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    engine: str = "trl",
    open_r1: str | None = None,
    python: str | None = None,
) -> dict[str, Any]:
    """Reinforcement learning by TRL's GRPO trainer, of the kit's own stack or of a real open-r1 (`engine: open-r1`)."""
    if engine == "open-r1":
        return open_r1_engine.run(
            name,
            overrides or [],
            open_r1=open_r1 or os.environ.get("FINR1_OPEN_R1"),
            python=python or os.environ.get("FINR1_OPEN_R1_PYTHON"),
            accelerate=accelerate,
            processes=processes,
            dry_run=dry_run,
        )
    if engine != "trl":
        raise Refused(f"no engine is called {engine!r}; there are trl and open-r1")
    return run(name, overrides or [], accelerate, processes, dry_run)


def _gpus() -> int:
    return len(machine().get("gpus", [])) or 1
