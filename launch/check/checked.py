"""The outcome of a check, and the facts that several kinds of recipe share: the model's folder, its configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from launch import models
from launch.check.finding import Finding, State, mistake, of, unknown
from launch.check.place import Place
from launch.check.strings import Rendered
from reward_plugins.errors import Refused


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
        return found, []
    if cached := _cached(found):
        return cached, []
    return None, [
        unknown(
            "model",
            f"{found} is not on this machine: the string that it sees, tokens and memory can be looked at once it is",
        )
    ]


def _cached(hub_id: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(hub_id, "config.json")
    return str(Path(file).parent) if isinstance(file, str) else None
