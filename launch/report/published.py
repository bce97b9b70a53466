"""Scores that others published for Fin-R1's five sets, to stand beside ours. Another harness: other prompts, other rules.

Source: table 2 of arXiv:2503.16252v1 and the table of results in the README of github.com/SUFE-AIFLM-Lab/Fin-R1; the two
agree where both were read, Fin-R1-SFT stands in the README alone, and DeepSeek-R1's row was read there only. Neither says how answers were compared or which rows were asked.
"""

from __future__ import annotations

from typing import Any

SOURCE = "arXiv:2503.16252v1, table 2; README of github.com/SUFE-AIFLM-Lab/Fin-R1"

_SETS = ("FinQA", "ConvFinQA", "Ant_Finance", "TFNS", "Finance-Instruct-500k")

_SCORES = {
    "Qwen2.5-7B-Instruct": (60.0, 66.0, 85.0, 68.0, 49.0),
    "Fin-R1-SFT": (73.0, 81.0, 76.0, 68.0, 61.0),
    "Fin-R1": (76.0, 85.0, 81.0, 71.0, 62.9),
    "DeepSeek-R1": (71.0, 82.0, 90.0, 78.0, 70.0),
}
"""Percent, in the order of `_SETS`: the base, what was made of it in two steps, and the teacher."""

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
    """The published scores (shares, by model) on the set that a benchmark asks, or None."""
    if benchmark not in _BENCHMARKS:
        return None
    name = _BENCHMARKS[benchmark]
    place = _SETS.index(name)
    scores = {model: round(percents[place] / 100, 4) for model, percents in _SCORES.items()}
    return {"set": name, "source": SOURCE, "scores": scores}
