"""What a report recipe says."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from eval_adapters.prices import TokenPrices


class ReportSettings(BaseModel):
    """A report: what was evaluated, what to compare with, what else to show.

    `evaluations`: folders in which `result.json` files are looked for, at any depth. `base`: the model that the others
    are compared with (default: the first of the evaluation's recipe). `headline`: the set that the answer on top is
    about (default: the first). `runs`: training runs by name, for the curves. `manifests`: JSON or YAML files that
    say what was run, shown as they are. `overlap`: files that `finr1 overlap` wrote over the training data; the test
    questions that they name are shown, and the scores without them. `prices`: by model, what its tokens cost. `perf`: by
    model, the folder of a load test. `published`: show Fin-R1's published scores beside ours. `seed`: of the bootstrap.
    """

    model_config = ConfigDict(extra="forbid")

    out: Path
    evaluations: list[Path] = Field(min_length=1)
    base: str = ""
    headline: str = ""
    runs: dict[str, Path] = Field(default_factory=dict)
    manifests: list[Path] = Field(default_factory=list)
    overlap: list[Path] = Field(default_factory=list)
    prices: dict[str, TokenPrices] = Field(default_factory=dict)
    perf: dict[str, Path] = Field(default_factory=dict)
    published: bool = True
    title: str = "Did it get better?"
    seed: int = 0
