"""SFT by LLaMA-Factory and the merge of adapters: one recipe, one engine, one run folder each."""

from __future__ import annotations

import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from launch import check, checkpoints, engine, models, recipe, stacks, train_log
from launch.check.surroundings import by_ray
from launch.paths import home
from launch.record import EngineRun, weights
from launch.serving.settings import has_gpu
from reward_plugins.errors import Refused


def sft(name: str, overrides: list[str]) -> dict[str, Any]:
    """Run a LLaMA-Factory recipe, as `llamafactory-cli train` would, with its check before and its manifest after.

    A run that was stopped goes on from its last checkpoint; one that is done is not repeated.
    """
    asked = recipe.load(name, overrides)
    everything = partial(check.need_sft, asked, name)
    with check.all_told(everything):
        check.sft_keys(asked, name)
        model = models.resolve(asked["model_name_or_path"], home())
        registry, sets = check.sft_data(asked)
    out = home() / asked["output_dir"]
    run = EngineRun(recipe=asked, reads=[*sets, *weights(model)], out=out, stack="sft")
    if run.is_done():
        return {"done": "already", "out": str(out)}
    everything()
    need_space(out)
    run.begin()
    given = {**asked, "model_name_or_path": model, "dataset_dir": str(registry.parent), "output_dir": str(out)}
    # The folder is this run's and holds its log already; LLaMA-Factory would refuse it.
    given["overwrite_output_dir"] = True
    given.pop("resume_from_checkpoint", None)
    if checkpoint := checkpoints.to_go_on_from(out, asked.get("resume_from_checkpoint")):
        given["resume_from_checkpoint"] = checkpoint
    resolved = write_recipe(out, given)
    env = engine_env(model, check.sft_needs_hub(asked)) | (_by_torchrun() if asked.get("deepspeed") else {})
    started = time.time()
    program = stacks.program("sft", "llamafactory-cli")
    with train_log.watched(log_of(out)) as warnings:
        seconds = engine.run([program, "train", resolved], name="LLaMA-Factory", log=log_of(out), env=env)
    if Path(model).is_dir():
        models.keep_tokenizer(Path(model), out)
    rows = {str(path): row_count(path) for path in sets}
    run.finish(started, engine_seconds=round(seconds, 1), rows=rows, warnings=warnings)
    return {"done": "now", "out": str(out), "seconds": round(seconds, 1)}


def merge(name: str, overrides: list[str]) -> dict[str, Any]:
    """Merge an adapter into its base model by `llamafactory-cli export`, with the base model's own tokenizer."""
    asked = recipe.load(name, overrides)
    everything = partial(check.need_merge, asked, name)
    with check.all_told(everything):
        for key in ("model_name_or_path", "adapter_name_or_path", "template", "export_dir"):
            if not isinstance(asked.get(key), str):
                raise Refused(f"{name}: key {key!r} is missing")
        model = models.resolve(asked["model_name_or_path"], home())
        adapter = models.resolve(asked["adapter_name_or_path"], home())
    out = home() / asked["export_dir"]
    run = EngineRun(recipe=asked, reads=[*weights(model), *weights(adapter)], out=out, stack="sft")
    if run.is_done():
        return {"done": "already", "out": str(out)}
    everything()
    need_space(out)
    run.begin()
    given = {**asked, "model_name_or_path": model, "adapter_name_or_path": adapter, "export_dir": str(out)}
    resolved = write_recipe(out, given)
    started = time.time()
    program = stacks.program("sft", "llamafactory-cli")
    seconds = engine.run(
        [program, "export", resolved], name="LLaMA-Factory", log=log_of(out), env=engine_env(model, False)
    )
    if Path(model).is_dir():
        models.keep_tokenizer(Path(model), out)
    run.finish(started, engine_seconds=round(seconds, 1))
    return {"done": "now", "out": str(out), "seconds": round(seconds, 1)}


def engine_env(model: str, needs_hub: bool) -> dict[str, str]:
    """The environment that a trainer gets: a run whose model and data are here must not wait for a hub."""
    offline = Path(model).is_dir() and not needs_hub
    return {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "warning"} if offline else {}


def _by_torchrun() -> dict[str, str]:
    """What LLaMA-Factory needs for DeepSpeed: it starts processes itself for two cards and more, and refuses it on one."""
    if by_ray():
        return {}
    # It starts as many as there are cards, which on a CPU are none.
    one = {} if has_gpu() else {"NPROC_PER_NODE": os.environ.get("NPROC_PER_NODE", "1")}
    return {"FORCE_TORCHRUN": "1", **one}


def need_space(out: Path) -> None:
    """Refuse a run whose folder has no room for its result."""
    free = shutil.disk_usage(next(path for path in (out, *out.parents) if path.exists())).free
    if free < _LEAST_FREE:
        raise Refused(
            f"{out} has {free / 2**30:.1f} GiB left; a run needs {_LEAST_FREE / 2**30:.0f} GiB to save itself"
        )


def write_recipe(out: Path, given: dict[str, Any]) -> Path:
    """Write the recipe as the engine gets it into the run's folder."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "recipe.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


_LEAST_FREE = 2 * 2**30
"""The smallest model's weights and optimiser state, twice over."""


def log_of(out: Path) -> Path:
    """Where an engine's output goes."""
    return out / "engine.log"


def row_count(path: Path) -> int:
    """Lines of a file that are not empty."""
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
