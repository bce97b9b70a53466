"""`finr1 doctor`: what this machine has, and what it lacks for which stage."""

from __future__ import annotations

import shutil
import socket
import sys

from rich.console import Console
from rich.table import Table

from launch import stacks
from launch.paths import CACHE, STACKS, home
from launch.record import machine, versions

_STACK_GIB = 8.0
"""What the sft and the rl stack take together, downloads included (their torch is stored once)."""


def examine(console: Console) -> bool:
    """Print a table of findings; True if nothing stands in the way of the CPU quickstart."""
    table = Table(title="finr1 doctor", title_justify="left", show_header=False)
    good = True

    def line(what: str, found: str, ok: bool = True, cure: str = "") -> None:
        nonlocal good
        good &= ok
        table.add_row(what, "[green]ok[/green]" if ok else "[red]mend[/red]", found if ok else f"{found}: {cure}")

    facts = machine()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    line("Python", version, sys.version_info[:2] in ((3, 11), (3, 12)), "the stacks are pinned for 3.11 and 3.12")
    for tool, use in (("g++", "DeepSpeed compiles a small operator on first use"), ("git", "versions in manifests")):
        line(tool, shutil.which(tool) or "not found", shutil.which(tool) is not None, use)
    line("processors", str(facts["cpus"]))
    line("memory", f"{facts['memory_gib']} GiB", facts["memory_gib"] >= 10, "the quickstart needs about 10 GiB")
    need = 0.0 if all(stacks.is_ready(name) for name in ("kit", "sft", "rl")) else _STACK_GIB
    free = shutil.disk_usage(home()).free / 2**30
    line("disk", f"{free:.0f} GiB free", free > need + 4, f"{need + 4:.0f} GiB are needed for stacks and checkpoints")
    line("GPUs", ", ".join(facts.get("gpus", [])) or "none: everything runs on the CPU")
    for name in stacks.NAMES:
        found = ", ".join(f"{key} {value}" for key, value in versions(name).items()) if stacks.is_ready(name) else ""
        line(f"stack {name}", found or ("ready" if stacks.is_ready(name) else "made on first use"))
    torches = {versions(name).get("torch") for name in stacks.NAMES if stacks.is_ready(name)} - {None}
    line("torch", ", ".join(sorted(filter(None, torches))) or "not yet", len(torches) < 2, "one version for all stacks")
    with socket.socket() as probe:
        port_is_free = probe.connect_ex(("127.0.0.1", 8011)) != 0
    line(
        "port 8011", "free" if port_is_free else "in use", port_is_free, "set another port in recipes/serve/local.yaml"
    )
    line("folders", f"{home()}, stacks in {STACKS}, models in {CACHE}")
    console.print(table)
    return good
