"""The reward for a right answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_plugins.completion import completion_text
from reward_plugins.decision import verify
from reward_plugins.rewards.columns import metas_of, questions_of

STATES = ("correct", "wrong", "no_answer", "undecided")


def finance_accuracy(
    completions: Sequence[str | Sequence[Mapping[str, Any]]],
    solution: Sequence[str],
    log_metric: Callable[[str, float], None] | None = None,
    **columns: Any,
) -> list[float | None]:
    """1.0 for a correct answer, 0.0 for a wrong one or none, None where only a judge could tell.

    Columns read where they are there: `question` (else the last user message of `prompts`), `meta` (a JSON string or
    a dict). Logs the share of each state under equal keys on every rank.
    """
    size = len(completions)
    rows = zip(completions, solution, questions_of(size, columns), metas_of(size, columns), strict=True)
    states = [verify(completion_text(text), str(gold), question, meta).status for text, gold, question, meta in rows]
    if log_metric is not None:
        counts: Counter[str] = Counter(states)
        for state in STATES:
            log_metric(f"finance_accuracy/{state}", counts[state] / max(size, 1))
    return [None if state == "undecided" else float(state == "correct") for state in states]
