"""The reward for the form of a completion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_plugins.completion import completion_text, parse


class FinanceFormat:
    """1.0 for exactly one non-empty think block followed by exactly one non-empty answer block, else 0.0.

    `think_opened`: True where the chat template writes `<think>` itself, so that the completion begins inside it;
    False where the model must write it; None (the default) takes either.
    """

    def __init__(self, think_opened: bool | None = None) -> None:
        self.think_opened = think_opened
        self.__name__ = "finance_format"

    def __call__(
        self,
        completions: Sequence[str | Sequence[Mapping[str, Any]]],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One score for each completion; logs the share that is well formed."""
        scores: list[float | None] = [float(self.well_formed(completion_text(text))) for text in completions]
        if log_metric is not None:
            log_metric("finance_format/well_formed", sum(score or 0.0 for score in scores) / max(len(scores), 1))
        return scores

    def well_formed(self, text: str) -> bool:
        """Whether one completion keeps the form."""
        parsed = parse(text)
        if self.think_opened is None:
            return parsed.strict or parsed.strict_opened
        return parsed.strict_opened if self.think_opened else parsed.strict


finance_format = FinanceFormat()
finance_format_opened = FinanceFormat(think_opened=True)
