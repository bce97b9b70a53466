"""`finr1 doctor`: what this machine has, what it lacks, for what, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from launch import listening, stacks
from launch.check.place import gpus, this_machine
from launch.gateway import running as gateway
from launch.paths import CACHE, KIT, STACKS, home
from launch.record import versions
from reward_plugins.errors import Refused

_STACK_GIB = {"kit": 1.2, "sft": 5.2, "rl": 0.3}
"""What a stack adds to the disk when made in this order: `du -sm` of all three in one call, where torch counts once."""

_MEMORY_GIB = 10.0
"""What the quickstart takes at its most, with two ranks of GRPO under ZeRO-3, rounded up."""

_SHARED_GIB = 1.0
"""Data loaders and NCCL hand tensors over in /dev/shm; a container's default of 64 MiB ends in a bus error."""

_FILES = 4096
"""Open files: a teacher at 4,096 requests at once, or a data set in as many shards."""

_PORTS = {
    8011: "finr1 serve: set port in recipes/serve/local.yaml",
    7860: "finr1 webui: set --port",
    8000: "vLLM's server for GRPO: set vllm_server_port",
    29500: "accelerate and torchrun: set main_process_port",
}
"""The ports that the kit's recipes and commands take unless told otherwise, and how to tell them."""


State = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Line:
    """One finding. "bad": a command that everybody needs would fail; "warn": some use would, or is slower."""

    about: str
    state: State
    found: str
    cure: str = ""


def examine(console: Console, as_json: bool = False) -> bool:
    """Print all findings, as a table or as JSON; True if nothing is bad."""
    lines = list(findings())
    good = all(line.state != "bad" for line in lines)
    if as_json:
        sys.stdout.write(json.dumps([asdict(line) for line in lines], ensure_ascii=False, indent=1) + "\n")
        return good
    table = Table(title="finr1 doctor", title_justify="left", show_header=False)
    colours = {"ok": "green", "warn": "yellow", "bad": "red"}
    for line in lines:
        said = f"{line.found}: {line.cure}" if line.cure else line.found
        table.add_row(line.about, f"[{colours[line.state]}]{line.state}[/]", escape(said))
    console.print(table)
    return good


def findings() -> Iterator[Line]:
    """All findings, from the machine to the stacks."""
    yield from _programs()
    yield from _room()
    yield from _cards()
    yield from _stacks()
    yield from _ports()
    yield from _environment()
    yield from _folders()


def _programs() -> Iterator[Line]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    known = sys.version_info[:2] in ((3, 11), (3, 12))
    yield Line("Python", _either(known, "bad"), version, "" if known else "the stacks are pinned for 3.11 and 3.12")
    try:
        yield Line("uv", "ok", str(stacks.uv()))
    except Refused as refusal:
        missing = not all(stacks.is_ready(name) for name in ("sft", "rl"))
        yield Line("uv", "bad" if missing else "warn", "not found", f"it makes the stacks; {refusal}")
    tools: list[tuple[str, State, str]] = [
        ("g++", "bad", "DeepSpeed compiles a small operator on first use; install g++"),
        ("git", "warn", "versions in manifests; install git"),
    ]
    for name, state, use in tools:
        found = shutil.which(name)
        yield Line(name, _either(bool(found), state), found or "not found", "" if found else use)
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    yield Line(
        "browser",
        _either(bool(browser), "warn"),
        browser or "no Chromium",
        "" if browser else "only the web UI's tests need it; install chromium",
    )
    try:
        yield Line("HAProxy", "ok", gateway.program())
    except Refused as refusal:
        yield Line("HAProxy", "warn", "not found", f"only finr1 gateway needs it; {refusal}")


def _room() -> Iterator[Line]:
    machine = this_machine()
    processors = len(os.sched_getaffinity(0))
    yield Line("processors", _either(processors > 1, "warn"), str(processors), "" if processors > 1 else "expect hours")
    enough = machine.memory >= _MEMORY_GIB
    yield Line(
        "memory",
        _either(enough, "bad"),
        f"{machine.memory:.1f} GiB",
        "" if enough else f"the quickstart needs about {_MEMORY_GIB:.0f} GiB",
    )
    shared = shutil.disk_usage("/dev/shm").free / 2**30 if Path("/dev/shm").is_dir() else 0.0
    yield Line(
        "/dev/shm",
        _either(shared >= _SHARED_GIB, "warn"),
        f"{shared:.1f} GiB free",
        "" if shared >= _SHARED_GIB else "several ranks need 1 GiB; in a container: --shm-size=2g",
    )
    need = sum(size for name, size in _STACK_GIB.items() if not stacks.is_ready(name)) + 4
    for about, folder in {"disk": home(), "disk of the stacks": STACKS}.items():
        free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free / 2**30
        cure = "" if free >= need else f"{need:.0f} GiB are needed for stacks and checkpoints"
        yield Line(about, _either(free >= need, "bad"), f"{free:.0f} GiB free in {folder}", cure)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield Line(
        "open files", _either(files >= _FILES, "warn"), str(files), "" if files >= _FILES else f"ulimit -n {_FILES}"
    )


def _cards() -> Iterator[Line]:
    cards = gpus()
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    if not cards:
        if devices:
            yield Line("GPUs", "warn", f"{len(devices)} in /dev", "nvidia-smi does not run; install the driver's tools")
        else:
            yield Line("GPUs", "ok", "none: everything runs on the CPU")
        return
    for name, size, capability in cards:
        old = capability < 8.0
        cure = "no bf16 on it: recipes need bf16: false and fp16: true" if old else ""
        yield Line("GPU", "warn" if old else "ok", f"{name}, {size:.0f} GiB, compute capability {capability}", cure)
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        yield Line("CUDA_VISIBLE_DEVICES", "warn", os.environ["CUDA_VISIBLE_DEVICES"], "only these GPUs are used")
    yield Line("driver", "ok", _asked_of_nvidia("driver_version"))
    compiler = shutil.which("nvcc") or next(map(str, Path("/usr/local").glob("cuda*/bin/nvcc")), None)
    yield Line(
        "nvcc",
        "ok" if compiler else "warn",
        compiler or "not found",
        "" if compiler else "DeepSpeed compiles its Adam for offloading with it; without offloading nothing needs it",
    )
    if len(cards) > 1:
        found = {name: _installed(name, "nvidia-nccl") for name in stacks.NAMES if stacks.is_ready(name)}
        said = ", ".join(f"{name} {version}" for name, version in found.items() if version)
        yield Line(
            "NCCL", "ok" if said else "warn", said or "not found", "" if said else "made with the stacks sft and rl"
        )


def _stacks() -> Iterator[Line]:
    torches = {}
    for name in stacks.NAMES:
        if not stacks.is_ready(name):
            outdated = (STACKS / name).is_dir()
            found = "made from other pins" if outdated else "not made yet"
            yield Line(
                f"stack {name}", "warn" if outdated else "ok", found, "made anew on its next use" if outdated else ""
            )
            continue
        held = versions(name)
        torches[name] = held.get("torch")
        drift = drifted(name)
        said = ", ".join(f"{package} {version}" for package, version in held.items()) or "ready"
        cure = f"not as pinned: {', '.join(drift[:3])}; remove {STACKS / name} to have it made anew" if drift else ""
        yield Line(f"stack {name}", "warn" if drift else "ok", said, cure)
    different = {version for version in torches.values() if version}
    if len(different) > 1:
        said = ", ".join(f"{name} {version}" for name, version in torches.items() if version)
        yield Line("torch", "bad", said, "one version for all stacks; remove the stacks that differ")
    elif different:
        yield Line("torch", "ok", f"{different.pop()} in every stack that holds it")


def drifted(name: str) -> list[str]:
    """The packages of a stack whose installed version is not the pinned one, as "name 1.0 (pinned 1.1)"."""
    pinned: dict[str, set[str]] = {}
    # A package may be pinned twice, for two Pythons or machines; either version is as pinned then.
    for package, version in re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", stacks.pins(name).read_text(encoding="utf-8"), re.M
    ):
        pinned.setdefault(_canonical(package), set()).add(version)
    found = {_canonical(dist.metadata["Name"] or ""): dist.version for dist in _distributions(name)}
    return [
        f"{package} {found[package]} (pinned {' or '.join(sorted(wanted))})"
        for package, wanted in pinned.items()
        if package in found and found[package] not in wanted
    ]


def _ports() -> Iterator[Line]:
    for port, use in _PORTS.items():
        why = listening.why_not_free("127.0.0.1", port)
        yield Line(f"port {port}", "warn" if why else "ok", f"in use ({why})" if why else "free", use if why else "")


def _environment() -> Iterator[Line]:
    proxies = [name for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY") if os.environ.get(name)]
    spared = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    if proxies and not any(name in spared for name in ("127.0.0.1", "localhost", "*")):
        yield Line(
            "proxy",
            "warn",
            f"{proxies[0]} is set",
            "requests to the local server would go through it; no_proxy=127.0.0.1,localhost",
        )
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        yield Line("HF_HUB_OFFLINE", "warn", "1", "no model or set is fetched from a hub")


def _folders() -> Iterator[Line]:
    root = home()
    writable = os.access(root, os.W_OK)
    yield Line("home", _either(writable, "bad"), str(root), "" if writable else "it cannot be written; set FINR1_HOME")
    python = sorted(path.name for path in (root / "datasets").glob("*.py"))
    if python:
        yield Line(
            "datasets/", "bad", python[0], "Python would take the folder for the library of that name; move it away"
        )
    registry = root / "dataset_info.json"
    if registry.is_file() and not registry.read_bytes().isascii():
        yield Line("dataset_info.json", "bad", "not ASCII", "LLaMA-Factory reads it without an encoding; export again")
    yield Line("folders", "ok", f"kit {KIT}, stacks {STACKS}, models {CACHE / 'models'}")


def _either(good: bool, otherwise: State) -> State:
    return "ok" if good else otherwise


def _distributions(name: str) -> Iterator[importlib.metadata.Distribution]:
    site = next((STACKS / name / "lib").glob("python3.*/site-packages"), None)
    return iter(importlib.metadata.distributions(path=[str(site)]) if site else ())


def _installed(name: str, prefix: str) -> str:
    """The version of the first package of a stack whose name starts so, "" if there is none."""
    found = (
        dist.version for dist in _distributions(name) if _canonical(dist.metadata["Name"] or "").startswith(prefix)
    )
    return next(found, "")


def _canonical(package: str) -> str:
    """A package's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _asked_of_nvidia(field: str) -> str:
    words = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10).stdout.strip().partition("\n")[0]
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
