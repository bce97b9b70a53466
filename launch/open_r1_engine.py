"""`finr1 grpo --engine open-r1`: the same recipe, with the same rewards, on a real open-r1 checkout and environment."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from launch import batch, check, engine, models, recipe
from launch.openr1 import BATCH_KEYS, RENAMED, Translation
from launch.paths import KIT, home
from launch.record import EngineRun, weights
from launch.train import engine_env, log_of, need_space, row_count
from reward_plugins.errors import Refused

BRIDGE = "reward_plugins.bridges.for_open_r1"

_OLD_NAMES = {"dtype": "torch_dtype"} | {
    new: old for old, new in RENAMED.items() if old in ("vllm_guided_decoding_regex", "wandb_log_unique_prompts")
}
"""Today's names that TRL 0.18 and open-r1 do not know, and what they were called."""

_MEMORY_ONLY = ("vllm_enable_sleep_mode", "use_cache")
"""Newer keys that change how much memory a run takes and nothing else: left out on an open-r1."""

_LOSSES = ("grpo", "bnpo", "dr_grpo")
"""What TRL 0.18 can compute."""

_PACKAGES = ("torch", "transformers", "trl", "accelerate", "deepspeed", "math-verify")


class OpenR1Run(EngineRun):
    """A run in an environment that is not the kit's: its own versions make its identity."""

    installed: dict[str, str]

    def stack_versions(self) -> dict[str, str]:
        """What the named environment holds, and open-r1's commit."""
        return self.installed

    def identity(self) -> dict[str, Any]:
        """The recipe, open-r1's commit, and the versions of what trains."""
        return {"recipe": json.loads(json.dumps(self.recipe, default=str)), "versions": self.installed}


def run(
    name: str,
    overrides: list[str],
    *,
    open_r1: str | None,
    python: str | None,
    accelerate: str | None = None,
    processes: int | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Run a recipe by open-r1's own script, with the kit's rewards put where it looks for them.

    `open_r1` is a checkout of open-r1, `python` the interpreter of an environment that holds what it needs;
    `accelerate` a configuration file (by default one process per GPU, or CPU processes); `processes` the ranks.

    Raises:
        Refused: no checkout or environment, or a recipe that TRL 0.18 cannot run as it is meant.
    """
    checkout, interpreter = _checkout(open_r1), _interpreter(python)
    asked = recipe.load(name, overrides)
    translated = check.grpo_keys(asked, name)
    model = models.resolve(translated.trl["model_name_or_path"], home())
    sets = check.grpo_data(translated)
    shape = recipe.find(accelerate or "recipes/accelerate/cpu.yaml")
    launched = recipe.load(shape)
    ranks = processes or int(launched.get("num_processes", 1))
    solved = batch.of_recipe(translated, ranks)
    out = home() / translated.trl["output_dir"]
    versions = _versions(interpreter, checkout)
    identity = {**asked, "_accelerate": launched, "_processes": ranks}
    run = OpenR1Run(recipe=identity, reads=[*sets, *weights(model)], out=out, stack="open-r1", installed=versions)
    if not dry_run:
        if run.is_done():
            return {"done": "already", "out": str(out)}
        check.need_grpo(asked, name, str(shape), ranks, open_r1=True)
        need_space(out)
        run.begin()
    given = old_recipe(asked, translated) | {"model_name_or_path": model, "output_dir": str(out)}
    given |= old_data(given, sets, out)
    if launched.get("use_cpu"):
        given.setdefault("use_cpu", True)
    resolved = _write(out, given)
    if dry_run:
        return {"recipe": str(resolved), "batch": str(solved or "")}
    words: list[str | Path] = [interpreter, "-m", "accelerate.commands.launch", "--config_file", shape]
    words += ["--num_processes", str(ranks), "-m", BRIDGE, "--config", resolved]
    path = os.pathsep.join([str(KIT), str(checkout / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = engine_env(model, check.grpo_needs_hub(translated)) | {"PYTHONPATH": path}
    started = time.time()
    seconds = engine.run(words, name="open-r1", log=log_of(out), env=env)
    run.finish(started, engine_seconds=round(seconds, 1), rows={str(path): row_count(path) for path in sets})
    return {"done": "now", "out": str(out), "seconds": round(seconds, 1)}


def old_recipe(asked: dict[str, Any], translated: Translation) -> dict[str, Any]:
    """A recipe in the keys of open-r1 and TRL 0.18: those that it has by their old names stay as they are.

    Raises:
        Refused: a value that TRL 0.18 does not have, or that open-r1's script cannot express.
    """
    given: dict[str, Any] = {}
    for key, value in asked.items():
        if key in BATCH_KEYS or key in _MEMORY_ONLY or key == "vllm_device":
            continue
        given[_OLD_NAMES.get(key, key)] = value
    for key in ("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation"):
        if translated.batch:
            given[key] = translated.trl[key]
    if (loss := given.get("loss_type", "bnpo")) not in _LOSSES:
        raise Refused(
            f"loss_type {loss!r} is newer than the TRL 0.18 of open-r1, which has {', '.join(_LOSSES)}; "
            "bnpo is the nearest to dapo (the same on one process without accumulation)"
        )
    if isinstance(scale := given.get("scale_rewards"), str):
        if scale not in ("group", "none"):
            raise Refused(f"scale_rewards {scale!r} is newer than the TRL 0.18 of open-r1; take group or none")
        given["scale_rewards"] = scale == "group"
    if 0 < (steps := given.get("warmup_steps") or 0) < 1:
        del given["warmup_steps"]
        given["warmup_ratio"] = steps
    given.setdefault("report_to", "none")  # open-r1's own default is every tracker that is installed
    return given


def old_data(given: dict[str, Any], sets: list[Path], out: Path) -> dict[str, Any]:
    """The keys of a data set as open-r1's script reads it: it builds a conversation out of one column of text.

    A set whose prompts are conversations already is written out again beside the run, with the question as text and
    the system prompt as the recipe's `system_prompt`; {} where the set needs nothing.

    Raises:
        Refused: prompts with several turns, or with different system prompts, which open-r1 cannot express.
    """
    column = given.get("dataset_prompt_column", "prompt")
    local = home() / str(given.get("dataset_name", ""))
    if not given.get("dataset_name") or not local.is_dir():
        return {}
    if not isinstance(check.first_rows(sets[0], 1)[0].get(column), list):
        return {"dataset_name": str(local)}
    systems: set[str] = set()
    folder = out / "open_r1_data"
    folder.mkdir(parents=True, exist_ok=True)
    for file in sets:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        for row in rows:
            system, row[column] = _question(row[column], file)
            systems.add(system)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / file.name).write_text(text, encoding="utf-8")
    if len(systems) > 1:
        raise Refused(f"{local}: its rows have {len(systems)} different system prompts; open-r1 gives one to all")
    system = systems.pop()
    return {"dataset_name": str(folder)} | ({"system_prompt": system} if system else {})


def _question(prompt: list[dict[str, str]], file: Path) -> tuple[str, str]:
    """(system prompt or "", the user's text) of a conversation of one turn."""
    said = [turn["role"] for turn in prompt]
    if said not in (["user"], ["system", "user"]):
        raise Refused(f"{file}: a prompt of turns {', '.join(said)}; open-r1 builds one user turn only")
    return (prompt[0]["content"] if said[0] == "system" else ""), prompt[-1]["content"]


def _write(out: Path, given: dict[str, Any]) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / "open_r1_recipe.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def _checkout(path: str | None) -> Path:
    if not path:
        raise Refused("name a checkout of open-r1: --open-r1 PATH (or FINR1_OPEN_R1=PATH); git clone makes one")
    if not (Path(path) / "src" / "open_r1" / "grpo.py").is_file():
        raise Refused(f"{path} is no checkout of open-r1: it has no src/open_r1/grpo.py")
    return Path(path).resolve()


def _interpreter(path: str | None) -> Path:
    if not path:
        raise Refused(
            "name the Python of an environment that holds open-r1's requirements: --python PATH "
            "(or FINR1_OPEN_R1_PYTHON=PATH)"
        )
    if not os.access(path, os.X_OK):
        raise Refused(f"{path} is no program: --python takes the environment's bin/python")
    return Path(path).absolute()  # not resolved: a virtual environment's python is a link


def _versions(interpreter: Path, checkout: Path) -> dict[str, str]:
    """Versions of what trains, and the checkout's commit where it has one."""
    program = (
        "import importlib.metadata as m, json; found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        f"print(json.dumps({{name: found[name] for name in {_PACKAGES!r} if name in found}}))"
    )
    shown = subprocess.run([interpreter, "-c", program], capture_output=True, text=True)
    if shown.returncode:
        raise Refused(f"{interpreter} does not run: {' '.join(shown.stderr.split()[-20:])}")
    found: dict[str, str] = json.loads(shown.stdout)
    for name in ("torch", "transformers", "trl", "accelerate"):
        if name not in found:
            raise Refused(f"{interpreter} has no {name}: install what open-r1's setup.py names into that environment")
    commit = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True)
    return found | ({"open-r1": commit.stdout.strip()} if commit.returncode == 0 else {})
