"""EasyR1: `worker.reward.reward_function=<this file>:compute_score`."""

from __future__ import annotations

from typing import Any

from reward_plugins import verify
from reward_plugins.bridges import row_of
from reward_plugins.rewards import finance_format
from reward_plugins.rows import fields_of

REWARD_NAME = "finance"
REWARD_TYPE = "batch"

_FORMAT_WEIGHT = 0.1  # EasyR1's own examples weigh the form by 0.1


def compute_score(reward_inputs: list[dict[str, Any]], format_weight: float = _FORMAT_WEIGHT) -> list[dict[str, float]]:
    """`overall`, `accuracy` and `format` of each completion; an input holds `response` and `ground_truth` (`row_of`)."""
    scores = []
    for row in reward_inputs:
        _, gold, question, meta = fields_of({**row, **row_of(row["ground_truth"])})
        accuracy = float(verify(row["response"], gold, question, meta).correct)
        form = float(finance_format.well_formed(row["response"]))
        overall = (1 - format_weight) * accuracy + format_weight * form
        scores.append({"overall": overall, "accuracy": accuracy, "format": form})
    return scores
