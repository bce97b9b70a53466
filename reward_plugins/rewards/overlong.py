"""The penalty for completions that run into the length limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class SoftOverlong:
    """0 up to `max_completion_length - cache` tokens, falling to -1 at `max_completion_length`, -1 beyond (DAPO, eq. 13).

    `max_completion_length`, `cache`: tokens. The source is "DAPO: An Open-Source LLM Reinforcement Learning System at
    Scale", section 3.4.
    """

    def __init__(self, max_completion_length: int = 4096, cache: int = 1024) -> None:
        self.longest, self.cache = max_completion_length, cache
        self.__name__ = "length"

    def __call__(
        self,
        completion_ids: Sequence[Sequence[int]],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One score for each completion, by its number of tokens."""
        scores: list[float | None] = [self.penalty(len(ids)) for ids in completion_ids]
        if log_metric is not None:
            log_metric("length/over", sum(score != 0 for score in scores) / max(len(scores), 1))
        return scores

    def penalty(self, tokens: int) -> float:
        """The penalty for a completion of that many tokens."""
        free = self.longest - self.cache
        if tokens <= free:
            return 0.0
        return -1.0 if tokens >= self.longest else (free - tokens) / self.cache


length = SoftOverlong()
