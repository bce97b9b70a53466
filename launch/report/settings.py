"""What a report recipe says."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ReportSettings(BaseModel):
    """A report: what was evaluated, what to compare with, what else to show.

    `evaluations`: folders in which `result.json` files are looked for, at any depth. `base`: the model that the others
    are compared with (default: the first of the evaluation's recipe). `headline`: the set that the answer on top is
    about (default: the first). `runs`: training runs by name, for the curves. `manifests`: JSON or YAML files that
    say what was run, shown as they are. `seed`: of the bootstrap.
    """

    model_config = ConfigDict(extra="forbid")

    out: Path
    evaluations: list[Path] = Field(min_length=1)
    base: str = ""
    headline: str = ""
    runs: dict[str, Path] = Field(default_factory=dict)
    manifests: list[Path] = Field(default_factory=list)
    title: str = "Did it get better?"
    seed: int = 0
