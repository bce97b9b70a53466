"""An adapter: is the one there that is trained on, and does the model have the modules that are to be adapted?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launch.check import inside, memory
from launch.check.checked import model_folder
from launch.check.finding import Findings, mistake
from launch.check.place import Place
from reward_plugins.errors import did_you_mean

_ALL = {"lora_target": "all", "lora_target_modules": "all-linear"}
"""What LLaMA-Factory and TRL each write for every linear module; neither knows the other's word."""


def adapter(asked: Mapping[str, Any], place: Place) -> Findings:
    """Whether the folders of `adapter_name_or_path` are there and hold an adapter."""
    named = asked.get("adapter_name_or_path") or []
    for name in named if isinstance(named, list) else str(named).split(","):
        folder, said = model_folder(name.strip(), place, "adapter_name_or_path")
        yield from said
        if folder and not (Path(folder) / "adapter_config.json").is_file():
            yield mistake("model", f"adapter_name_or_path: {folder} holds no adapter (no adapter_config.json)")


def targets(stack: str, model: str, shape: memory.Shape, asked: Mapping[str, Any], key: str) -> Findings:
    """Mistakes for names in `key` that no module of the model has: the trainer would say so once it has loaded it."""
    if not shape.adapter or not asked.get(key):
        return
    counted = inside.answers(stack, [shape.question(model)])[0]
    if counted.error:
        return  # the finding on memory says it
    given = asked[key]
    for name in given if isinstance(given, list) else str(given).split(","):
        last = str(name).strip().rpartition(".")[2]
        if last == _ALL[key] or last in counted.value["modules"]:
            continue
        if last in _ALL.values():
            yield mistake("values", f"{key}: {last!r} is another engine's word; here it is {_ALL[key]!r}", key)
        else:
            near = did_you_mean(last, counted.value["modules"])
            yield mistake("values", f"{key}: the model has no module {last!r}{near}", key)
