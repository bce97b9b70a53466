"""The files that say how a training is spread: DeepSpeed's JSON and accelerate's YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from launch.check import inside
from launch.check.finding import Findings, holds, lacking, mistake
from launch.check.place import Machine, Place
from launch.check.surroundings import port_to_take
from reward_plugins.errors import did_you_mean

_BATCH = {
    "train_micro_batch_size_per_gpu": "per_device_train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
}
"""Numbers that DeepSpeed and the trainer both want to know; they must be equal, or "auto"."""

_MULTI = ("CPU", "GPU", "NPU", "MLU", "SDAA", "MUSA", "XPU", "HPU", "NEURON")
_KINDS = ("NO", "DEEPSPEED", "FSDP", "MEGATRON_LM", "XLA", "TPU", *(f"MULTI_{each}" for each in _MULTI))
"""What accelerate 1.15 takes for `distributed_type`; YAML reads an unquoted NO as false, and accelerate that as NO."""


def read_deepspeed(given: Any, place: Place) -> tuple[dict[str, Any], str]:
    """A recipe's `deepspeed` key as a configuration (its file, or the mapping itself), and what is wrong with it."""
    if isinstance(given, dict):
        return given, ""
    file = place.path(str(given))
    if not file.is_file():
        near = did_you_mean(file.name, [each.name for each in sorted(file.parent.glob("*.json"))])
        return {}, f"deepspeed: {file}: no such file{near}"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        return {}, f"deepspeed: {file} is not JSON ({error}); mend it, or take one of recipes/deepspeed/"
    return (config, "") if isinstance(config, dict) else ({}, f"deepspeed: {file} is no JSON object of settings")


def deepspeed(config: Mapping[str, Any], asked: Mapping[str, Any], stack: str) -> Findings:
    """Mistakes of a DeepSpeed configuration: unknown keys of ZeRO, and numbers that are not the recipe's."""
    zero = config.get("zero_optimization") or {}
    known = set(inside.value(stack, ask="deepspeed_keys"))
    wrong = [key for key in zero if key not in known]
    for key in wrong:
        yield mistake("deepspeed", f"deepspeed: unknown key 'zero_optimization.{key}'{did_you_mean(key, known)}")
    if zero.get("stage", 0) not in (0, 1, 2, 3):
        yield mistake("deepspeed", f"deepspeed: zero_optimization.stage is {zero['stage']!r}; it is 0, 1, 2 or 3")
    for theirs, ours in _BATCH.items():
        said, meant = config.get(theirs, "auto"), asked.get(ours)
        if said != "auto" and meant is not None and said != meant:
            yield mistake(
                "deepspeed", f'{ours} is {meant}, and {theirs} in the deepspeed file is {said}; write "auto" there'
            )
    if not wrong:
        yield holds("deepspeed", f"ZeRO stage {zero.get('stage', 0)}")


def accelerate(config: Mapping[str, Any], ranks: int, asked: Mapping[str, Any], machine: Machine) -> Findings:
    """Mistakes of an accelerate configuration, for a launch of `ranks` processes of the recipe `asked`."""
    keys = inside.value("rl", ask="accelerate_keys")
    wrong = [(key, key, keys[""]) for key in config if key not in keys[""]]
    for name, known in keys.items():
        inner = config.get(name) if name else None
        if isinstance(inner, dict):
            wrong += [(f"{name}.{key}", key, known) for key in inner if key not in known]
        elif inner is not None:
            yield mistake("accelerate", f"accelerate: {name} is {inner!r}; it is a mapping of settings")
    for where, key, known in wrong:
        yield mistake("accelerate", f"accelerate: unknown key {where!r}{did_you_mean(key, known)}")
    if not wrong:
        yield holds("accelerate", f"{config.get('distributed_type', 'no')}, {ranks} processes")
    kind = str(config.get("distributed_type") or "NO")
    if kind not in _KINDS:
        yield mistake("accelerate", f"accelerate: distributed_type: {kind!r} is none{did_you_mean(kind, _KINDS)}")
    stage = _plugin(config).get("zero_stage", 2)
    if stage not in (0, 1, 2, 3):
        yield mistake("accelerate", f"accelerate: deepspeed_config.zero_stage is {stage!r}; it is 0, 1, 2 or 3")
    machines = int(config.get("num_machines", 1))
    on_cpu = bool(config.get("use_cpu"))
    if on_cpu and str(config.get("mixed_precision", "no")) != "no":
        yield mistake(
            "accelerate", f'accelerate: mixed_precision is {config["mixed_precision"]} with use_cpu; write "no"'
        )
    if not on_cpu and not asked.get("use_cpu") and not machine.cards:
        yield lacking(
            "accelerate",
            "accelerate: this configuration is for GPUs, and there is none here; take recipes/accelerate/cpu_zero3.yaml",
        )
    if machine.cards and not on_cpu and ranks > machine.cards * machines:
        yield machine.short_of("accelerate", f"{ranks} processes on {machine.words}: each needs a GPU; set --processes")
    if machines > 1 and not config.get("main_process_ip"):
        yield lacking(
            "accelerate", f"num_machines is {machines}; give main_process_ip, the address of the first machine"
        )
    if port := config.get("main_process_port"):
        yield from port_to_take("127.0.0.1", int(port), "main_process_port")


def zero_of_accelerate(config: Mapping[str, Any]) -> tuple[int, bool, bool, bool]:
    """(ZeRO stage, optimiser offloaded, weights offloaded, FSDP) of an accelerate configuration."""
    plugin = _plugin(config)
    sharded = config.get("distributed_type") == "FSDP"
    if config.get("distributed_type") != "DEEPSPEED":
        return 0, False, False, sharded
    offload = plugin.get("offload_optimizer_device", "none") != "none"
    return int(plugin.get("zero_stage", 2)), offload, plugin.get("offload_param_device", "none") != "none", sharded


def _plugin(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """DeepSpeed's settings in an accelerate configuration; {} where they are none, or no mapping."""
    given = config.get("deepspeed_config")
    return given if isinstance(given, dict) else {}
