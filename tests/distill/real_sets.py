"""The real sets that lie beside the kit's checkout, as recipes name them; nothing of the data is kept in the project."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from distill.records import Question
from distill.sources import LeftOut, Source

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not in ../shared/data")

SETS: dict[str, dict[str, Any]] = {
    "finqa": {"name": "finqa", "path": "finqa", "part": "raw"},
    "finqa flat": {"name": "finqa", "path": "finqa/finqa_dev80.jsonl"},
    "finqa flat, executed": {"name": "finqa", "path": "finqa/quark_train_250_a.jsonl"},
    "convfinqa": {"name": "convfinqa", "path": "convfinqa", "part": "dev"},
    "tatqa": {"name": "tatqa", "path": "tatqa", "split": "validation"},
    "tathqa": {"name": "tathqa", "path": "tathqa", "split": "validation"},
    "fin_eva": {"name": "fin_eva", "path": "fin_eva_ant"},
    "fineval": {"name": "fineval", "path": "fineval", "split": "validation"},
    "fineval dev": {"name": "fineval", "path": "fineval", "part": "_dev"},
    "cflue": {"name": "cflue", "path": "cflue"},
    "xfinbench": {"name": "xfinbench", "path": "xfinbench", "split": "validation"},
    "theoremqa": {"name": "theoremqa", "path": "theoremqa/theoremqa_finance_81.json"},
    "disc_finllm": {"name": "disc_finllm", "path": "disc_finllm", "part": "json"},
    "finova": {"name": "finova", "path": "finova"},
}


@cache
def rows(name: str) -> tuple[Question | LeftOut, ...]:
    """All rows of a set, read once for all tests."""
    place = SETS[name]
    return tuple(Source.model_validate({**place, "path": DATA / place["path"]}).questions())


def questions(name: str) -> list[Question]:
    """The good rows of a set."""
    return [row for row in rows(name) if isinstance(row, Question)]
