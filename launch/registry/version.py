"""One version of a model, as MLflow's registry holds it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from launch.registry import serving

TAG = "finr1."
"""Before the names of our tags in MLflow."""


@dataclass(frozen=True)
class Version:
    """One version: its number, where its weights lie and their hash, and what is known beside them (`tags`)."""

    number: int
    folder: Path
    sha256: str
    run_id: str
    created: datetime
    tags: dict[str, str]
    aliases: list[str] = field(default_factory=list)

    @property
    def weights(self) -> dict[str, str]:
        """The sha256 of each file of weights, by its name."""
        files: dict[str, str] = json.loads(self.tags.get("weights", "{}"))
        return files

    @property
    def served(self) -> serving.Served:
        """What a server needs of it."""
        return serving.Served(version=self.number, model=self.folder, sha256=self.sha256)

    @property
    def lacks(self) -> list[str]:
        """The parts that nobody gave."""
        parts = {
            "run": "recipe, data and curves (--run)",
            "evaluation": "evaluation (--report)",
            "parent": "parent (register what it was trained from, or name a version with --parent)",
        }
        lacking = [phrase for tag, phrase in parts.items() if tag not in self.tags]
        if "run" in self.tags and "curves" not in self.tags:
            lacking.append("training curves (the run left no log)")
        return lacking


def version_of(found: Any, aliases: dict[str, int]) -> Version:
    """MLflow's model version as one of ours; `aliases` is {alias: number}."""
    tags = {name.removeprefix(TAG): value for name, value in found.tags.items() if name.startswith(TAG)}
    number = int(found.version)
    return Version(
        number,
        Path(tags.pop("folder")),
        tags.pop("sha256"),
        found.run_id,
        datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        tags,
        sorted(alias for alias, of in aliases.items() if of == number),
    )
