"""verl: `reward.custom_reward_function.path=<this file>` and `.name=compute_score` (older releases: without `reward.`)."""

from __future__ import annotations

from typing import Any

from reward_plugins import verify
from reward_plugins.rows import fields_of


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any] | None = None, **_ignored: Any
) -> dict[str, Any]:
    """The score of one completion: 1.0 for a correct answer, else 0.0; `acc` and the status go to verl's metrics.

    `extra_info` may hold `question` and `meta`. verl has no "no score": an undecided answer scores 0 and says so.
    """
    row = {**(extra_info or {}), "gold": ground_truth, "source": data_source}
    _name, gold, question, meta = fields_of(row)
    verdict = verify(solution_str, gold, question, meta)
    return {
        "score": float(verdict.correct),
        "acc": float(verdict.correct),
        "undecided": float(verdict.status == "undecided"),
    }
