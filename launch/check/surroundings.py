"""What a run meets outside its recipe: ports, packages, logins, the disk, and the folder that it will fill."""

from __future__ import annotations

import importlib.metadata
import netrc
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from launch import listening, stacks
from launch.check.finding import Findings, holds, lacking, mistake, note, unknown
from launch.check.place import Machine, Place
from launch.paths import STACKS
from reward_plugins.errors import did_you_mean

_TRACKERS = {
    "wandb": "wandb",
    "swanlab": "swanlab",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "trackio": "trackio",
    "comet_ml": "comet_ml",
    "clearml": "clearml",
}
"""What `report_to` may name, and the package that it needs in the stack."""

_OPTIONAL = {
    "enable_liger_kernel": "liger_kernel",
    "use_liger_kernel": "liger_kernel",
    "use_unsloth": "unsloth",
    "use_galore": "galore_torch",
    "use_apollo": "apollo_torch",
    "use_badam": "badam",
}
"""Keys that are true or false, and the package that each needs."""

LEAST_FREE_GIB = 2.0
"""The smallest model's weights and optimiser state, twice over."""


def arithmetic(asked: Mapping[str, Any], machine: Machine) -> Findings:
    """Whether the machine computes in the recipe's number type."""
    for key in ("bf16", "fp16", "pure_bf16", "tf32"):
        if asked.get(key) is not True:
            continue
        if asked.get("use_cpu"):
            yield mistake(
                "arithmetic", f"{key} and use_cpu are both true, and training on a CPU is in fp32; set {key}: false"
            )
        elif not machine.cards:
            yield lacking("arithmetic", f"{key} needs a GPU, and there is none here; set {key}: false")
        elif key != "fp16" and not machine.bf16:
            yield lacking(
                "arithmetic", f"{key} needs a GPU of compute capability 8.0 or more; set {key}: false, fp16: true"
            )


def attention(stack: str, asked: Mapping[str, Any], machine: Machine) -> Findings:
    """Whether the attention that the recipe asks for is installed."""
    key = "flash_attn" if stack == "sft" else "attn_implementation"
    if str(asked.get(key, "")) not in ("fa2", "flash_attention_2"):
        return
    if not machine.cards:
        yield lacking("packages", f"{key}: {asked[key]} needs a GPU, and there is none here; set sdpa")
    elif not has_package(stack, "flash_attn"):
        yield lacking(
            "packages",
            f"{key}: {asked[key]} needs the package flash-attn in the stack {stack}; install it, or set sdpa",
        )


def quantisation(stack: str, asked: Mapping[str, Any], machine: Machine) -> Findings:
    """Whether quantised weights can be trained here, and by an adapter."""
    keys = [key for key in ("quantization_bit", "load_in_4bit", "load_in_8bit") if asked.get(key)]
    if not keys:
        return
    key = keys[0]
    if stack == "sft" and asked.get("finetuning_type", "lora") not in ("lora", "oft"):
        yield mistake(
            "quantisation",
            f"{key} is set, and finetuning_type is {asked['finetuning_type']}: quantised weights are not trained; set lora",
        )
    if stack != "sft" and not asked.get("use_peft"):
        yield mistake(
            "quantisation", f"{key} is set without use_peft: quantised weights are not trained; set use_peft: true"
        )
    if not machine.cards:
        yield lacking("quantisation", f"{key}: bitsandbytes needs a GPU, and there is none here; leave {key} out")
    elif not machine.named and not has_package(stack, "bitsandbytes"):
        yield lacking(
            "quantisation",
            f"{key} needs the package bitsandbytes in the stack {stack}: uv pip install --python "
            f".venvs/{stack} bitsandbytes",
        )


def optional_packages(stack: str, asked: Mapping[str, Any], machine: Machine) -> Findings:
    """Whether the packages are there that some keys, and the optimisers on 8 bits, need beside the stack."""
    for key, package in _OPTIONAL.items():
        if asked.get(key) is True and not has_package(stack, package):
            yield lacking(
                "packages", f"{key} needs the package {package} in the stack {stack}; install it, or leave it out"
            )
    optimiser = str(asked.get("optim", ""))
    if not any(part in optimiser for part in ("8bit", "4bit", "paged", "bnb")):
        return
    if not machine.cards:
        yield lacking("packages", f"optim: {optimiser} needs a GPU, and there is none here; set adamw_torch")
    elif not machine.named and not has_package(stack, "bitsandbytes"):
        yield lacking("packages", f"optim: {optimiser} needs the package bitsandbytes in the stack {stack}; install it")


def by_ray() -> bool:
    """Whether Ray starts a LLaMA-Factory run's processes: it is asked for by the environment alone."""
    return os.environ.get("USE_RAY", "").lower() in ("1", "true", "y")  # as LLaMA-Factory reads it


def ray(asked: Mapping[str, Any]) -> Findings:
    """Whether a LLaMA-Factory recipe with workers of Ray will be run by Ray, and Ray is there."""
    if int(asked.get("ray_num_workers", 1)) < 2:
        return
    if not by_ray():
        yield note("ray", "ray_num_workers is without effect unless USE_RAY=1 is set in the environment")
    elif not has_package("sft", "ray"):
        yield lacking(
            "ray", 'ray_num_workers: Ray is not in the stack sft; uv pip install --python .venvs/sft "ray[default]"'
        )


def goes_on_from(asked: Mapping[str, Any], place: Place) -> Findings:
    """Whether the checkpoint is there that the recipe names."""
    named = asked.get("resume_from_checkpoint")
    if isinstance(named, str) and not place.path(named).is_dir():
        yield place.missing(
            "output", place.path(named), "resume_from_checkpoint", "leave it out: a run goes on from its own by itself"
        )


def trackers(stack: str, asked: Mapping[str, Any]) -> Findings:
    """Whether what `report_to` names is installed, and W&B logged in or offline."""
    named = asked.get("report_to") or []
    for each in named if isinstance(named, list) else [named]:
        if each in ("none", "all"):
            continue
        if each not in _TRACKERS:
            yield mistake(
                "tracking", f"report_to: {each!r} is no tracker{did_you_mean(str(each), [*_TRACKERS, 'none'])}"
            )
            continue
        if each == "wandb" and not _wandb_can_start():
            yield lacking(
                "tracking",
                "report_to: wandb without a login would stop and ask; set WANDB_API_KEY, or WANDB_MODE=offline, or "
                "another report_to",
            )
        elif not has_package(stack, _TRACKERS[each]):
            yield lacking(
                "tracking",
                f"report_to: {each} needs the package {_TRACKERS[each]} in the stack {stack}; install it, or set none",
            )


def hub(asked: Mapping[str, Any]) -> Findings:
    """Whether a run that pushes to the hub may: the trainer makes the repository before its first step."""
    if not asked.get("push_to_hub"):
        return
    from huggingface_hub import get_token

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):  # as the hub's library reads it
        yield lacking("hub", "push_to_hub: HF_HUB_OFFLINE is set, so nothing can be pushed; unset it, or set false")
    elif not (asked.get("hub_token") or get_token()):
        yield lacking("hub", "push_to_hub: there is no login for the hub; set HF_TOKEN, or push_to_hub: false")


def output(asked: Mapping[str, Any], place: Place, key: str = "output_dir") -> Findings:
    """Whether the run may have its folder: it is no one else's, and the disk has room."""
    if not asked.get(key):
        return
    out = place.path(str(asked[key]))
    if file := next((each for each in (out, *out.parents) if each.is_file()), None):
        yield mistake("output", f"{key}: {file} is a file; name a folder")
        return
    for read in ("model_name_or_path", "adapter_name_or_path", "dataset_name"):
        source = place.path(str(asked.get(read) or "-"))
        if source == out or source.is_relative_to(out):
            yield mistake(
                "output", f"{key}: {out} holds what {read} reads, which would be moved away; name another folder"
            )
            return
    if out.is_dir() and any(out.iterdir()):
        # The kit's own runs, and those of the engines started by hand, each leave one of these.
        runs = ("started.sha256", "manifest.json", "trainer_state.json", "training_args.bin", "resolved_recipe.json")
        if out == place.home or not (any((out / name).exists() for name in runs) or any(out.glob("checkpoint-*"))):
            yield mistake("output", f"{key}: {out} holds files that are no run's; name an empty or a new folder")
            return
        yield note("output", f"{key}: {out} holds a run; the same recipe goes on from it, another moves it aside first")
    free = shutil.disk_usage(next(path for path in (out, *out.parents) if path.exists())).free / 2**30
    if free < LEAST_FREE_GIB:
        yield lacking(
            "output", f"{key}: {out} has {free:.1f} GiB left, and a run needs {LEAST_FREE_GIB:.0f} to save itself"
        )
    else:
        yield holds("output", f"{key}: {out}, {free:.0f} GiB free")


def port_to_take(host: str, port: int, key: str) -> Findings:
    """Whether a port that the run will listen on is free."""
    if why := listening.why_not_free(host, port):
        yield lacking("port", f"{key}: port {port} on {host} is in use ({why}); set another one")
    else:
        yield holds("port", f"{key}: port {port} is free")


def server_to_ask(url: str, key: str, cure: str) -> Findings:
    """Whether something listens where the run will ask."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), timeout=2):
            yield holds("port", f"{key}: {url} is there")
    except OSError:
        yield lacking("port", f"{key}: nothing answers at {url}; {cure}")


def key_in_environment(name: str | None, of: str) -> Findings:
    """Whether the environment holds a key that the recipe names; the key itself is not looked at."""
    if name and not os.environ.get(name):
        yield lacking("keys", f"{of}: the environment has no {name}; set it before the run")


def vllm(asked: Mapping[str, Any], machine: Machine) -> Findings:
    """Whether vLLM can run: a GPU, its stack, and a server where the recipe's mode needs one."""
    if not asked.get("use_vllm"):
        return
    if not machine.cards:
        yield lacking("vllm", "use_vllm needs a GPU, and there is none here; set use_vllm: false")
    elif not machine.named and not stacks.is_ready("rl-vllm"):
        yield unknown("vllm", "the stack rl-vllm is not made yet; the run makes it first")
    if asked.get("vllm_mode") == "server" and machine.cards and not machine.named:
        base = asked.get("vllm_server_base_url")
        url = str(base or f"http://{asked.get('vllm_server_host', '127.0.0.1')}:{asked.get('vllm_server_port', 8000)}")
        yield from server_to_ask(
            url,
            "vllm_server_base_url" if base else "vllm_server_port",
            "start the vLLM server first, or set vllm_mode: colocate",
        )


def has_package(stack: str, module: str) -> bool:
    """Whether a stack holds a package, by the name of its distribution or module; nothing is imported.

    True for "", an environment that is not the kit's, and for a stack that is not made yet: nobody knows.
    """
    if not stack or not stacks.is_ready(stack):
        return True
    site = next((STACKS / stack / "lib").glob("python3.*/site-packages"), None)
    if site is None:
        return False
    if (site / module).is_dir():
        return True
    wanted = module.replace("_", "-").lower()
    found = (dist.metadata["Name"] or "" for dist in importlib.metadata.distributions(path=[str(site)]))
    return any(name.replace("_", "-").lower() == wanted for name in found)


def _wandb_can_start() -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return True
    if os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(Path(os.environ.get("NETRC", Path.home() / ".netrc"))).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
