"""The outcome of a check, and the facts that several kinds of recipe share: the model's folder, its configuration."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from launch import models
from launch.check.finding import Finding, Findings, State, lacking, mistake, of, unknown
from launch.check.place import Place
from launch.check.strings import Rendered
from reward_plugins.errors import Refused

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
"""Files of which each makes a tokenizer, by whichever class."""


@dataclass
class Checked:
    """All that a check of one recipe found; `shown` are conversations as tokens, `became` what old keys became."""

    findings: list[Finding] = field(default_factory=list)
    shown: list[Rendered] = field(default_factory=list)
    became: list[tuple[str, str]] = field(default_factory=list)

    def passes(self, elsewhere: bool = False) -> bool:
        """Whether the recipe can run; `elsewhere`: on another machine, so that what this one lacks does not count."""
        return not of(self.findings, State.MISTAKE, *([] if elsewhere else [State.LACKING]))


def model_folder(name: object, place: Place, key: str = "model_name_or_path") -> tuple[str | None, list[Finding]]:
    """The folder of a model on this machine, or None and why there is none to look at.

    An id of the Hugging Face hub stands for its files in the local cache; nothing is fetched.
    """
    if not isinstance(name, str) or not name:
        return None, []  # its own finding says so
    if place.will_be_made(Path(name)):
        return None, [unknown("model", f"{name} is written by an earlier stage of the pipeline")]
    try:
        found = models.resolve(name, place.home)
    except Refused as refusal:
        if place.path(name).exists():
            return None, [mistake("model", f"{key}: {refusal}")]
        return None, [place.missing("model", place.path(name), key, "train it first, or give a Hugging Face id")]
    if Path(found).is_dir():
        wrong = list(_parts(Path(found), key)) if key == "model_name_or_path" else []
        return (None if wrong and wrong[0].state is State.MISTAKE else found), wrong
    if cached := _cached(found):
        return cached, []
    return None, [
        unknown(
            "model",
            f"{found} is not on this machine: the string that it sees, tokens and memory can be looked at once it is",
        )
    ]


def _parts(folder: Path, key: str) -> Findings:
    """What a folder lacks that a model has: its configuration, its tokenizer, its weights."""
    if not (folder / "config.json").is_file():
        said = "holds an adapter and no model; merge it into its base (`finr1 merge`), and name the merged folder"
        yield mistake("model", f"{key}: {folder} {said}", key)
        return
    if not any((folder / name).is_file() for name in _TOKENIZERS) and not any(folder.glob("*.tiktoken")):
        said = "has no tokenizer (tokenizer.json); copy it from the model that this one was trained from"
        yield mistake("model", f"{key}: {folder} {said}", key)
        return
    weights = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    listed: set[str] = set()
    for index in folder.glob("*.index.json"):
        with contextlib.suppress(ValueError, AttributeError):  # a broken index is the engine's to tell
            listed |= set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())
    if lost := sorted(name for name in listed if not (folder / name).is_file()):
        yield lacking("model", f"{key}: {folder} lacks {lost[0]}, which its index names; fetch the model again")
    elif not weights:
        yield lacking("model", f"{key}: {folder} has no weights (model.safetensors); did its training or fetch end?")
    elif pointers := [file.name for file in weights if _is_pointer(file)]:
        said = f"{pointers[0]} is a pointer of Git LFS, not weights; run `git lfs pull` in it"
        yield lacking("model", f"{key}: {folder}: {said}")


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as weights:
        return weights.read(20).startswith(b"version https://git")


def _cached(hub_id: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(hub_id, "config.json")
    return str(Path(file).parent) if isinstance(file, str) else None
