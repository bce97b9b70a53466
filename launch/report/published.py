"""Scores that others published for Fin-R1's five sets, to stand beside ours. Another harness: other prompts, other rules.

Each number is given with the place where it stands. The two sources agree on all but one: Fin-R1-SFT on
Finance-Instruct is 61.4 in the paper, whose average of 71.9 it gives, and 61.0 in the README beside the same average.
"""

from __future__ import annotations

from typing import Any

_PAPER = "arXiv:2503.16252v1, table 2"
_README = "github.com/SUFE-AIFLM-Lab/Fin-R1, README of 2025-03-21 (commit 8a2a6cb)"

_SETS = ("FinQA", "ConvFinQA", "Ant_Finance", "TFNS", "Finance-Instruct-500k")

_ROWS: tuple[tuple[str, tuple[float, ...], tuple[str, ...]], ...] = (
    ("Qwen2.5-7B-Instruct", (60.0, 66.0, 85.0, 68.0, 49.0), (_PAPER, _README)),
    ("Fin-R1-SFT", (73.0, 81.0, 76.0, 68.0, 61.4), (_PAPER,)),
    ("Fin-R1-SFT", (73.0, 81.0, 76.0, 68.0, 61.0), (_README,)),
    ("Fin-R1", (76.0, 85.0, 81.0, 71.0, 62.9), (_PAPER, _README)),
    ("DeepSeek-R1", (71.0, 82.0, 90.0, 78.0, 70.0), (_PAPER, _README)),
)
"""Model, percent in the order of `_SETS`, where it stands: the base, what was made of it in two steps, the teacher."""

_BENCHMARKS = {
    "finr1_finqa": "FinQA",
    "finr1_convfinqa": "ConvFinQA",
    "finr1_convfinqa_own": "ConvFinQA",
    "finr1_fin_eva": "Ant_Finance",
    "finr1_tfns": "TFNS",
    "finr1_finance_instruct": "Finance-Instruct-500k",
}
"""Our benchmarks over the same sets."""


def published(benchmark: str) -> dict[str, Any] | None:
    """The published scores on the set that a benchmark asks: {"set", "scores": [{"model", "score", "sources"}]}, or None.

    `score` is a share; where two sources print different numbers for a model, each has an entry of its own.
    """
    if benchmark not in _BENCHMARKS:
        return None
    name = _BENCHMARKS[benchmark]
    sources: dict[tuple[str, float], list[str]] = {}
    for model, percents, where in _ROWS:
        sources.setdefault((model, percents[_SETS.index(name)]), []).extend(where)
    scores = [
        {"model": model, "score": round(percent / 100, 4), "sources": where}
        for (model, percent), where in sources.items()
    ]
    return {"set": name, "scores": scores}
