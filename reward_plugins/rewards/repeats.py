"""The penalty for saying the same thing over and over."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_plugins.completion import completion_text

# A word of Latin letters or figures; each Chinese or Japanese character is a unit of its own.
_UNIT = re.compile(r"[^\W\u3040-\u30ff\u4e00-\u9fff]+|[\u3040-\u30ff\u4e00-\u9fff]")


def units_of(text: str) -> list[str]:
    """The words of a text in lower case; in Chinese and Japanese each character, so that no word list is needed."""
    return _UNIT.findall(text.lower())


def repeated_share(units: Sequence[str], size: int) -> float:
    """The share of runs of `size` units that were said before, between 0 and 1; 0 for fewer units than that."""
    total = len(units) - size + 1
    if total <= 0:
        return 0.0
    return 1 - len(set(zip(*(units[start:] for start in range(size)), strict=False))) / total


class Repetition:
    """`max_penalty` times the share of n-grams that have been said before; 0 for texts shorter than one n-gram.

    n-grams are of words, in Chinese and Japanese of characters, so that they need no word list. `ngram_size`: units in
    an n-gram; `max_penalty`: not above 0. After "Demystifying Long Chain-of-Thought Reasoning in LLMs", appendix.
    """

    def __init__(self, ngram_size: int = 8, max_penalty: float = -1.0) -> None:
        if max_penalty > 0:
            raise ValueError("max_penalty must not be above 0")
        self.size, self.most = ngram_size, max_penalty
        self.__name__ = "repetition"

    def __call__(
        self,
        completions: Sequence[str | Sequence[Mapping[str, Any]]],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One score for each completion."""
        scores: list[float | None] = [self.penalty(completion_text(completion)) for completion in completions]
        if log_metric is not None:
            log_metric("repetition/mean", sum(score or 0.0 for score in scores) / max(len(scores), 1))
        return scores

    def penalty(self, text: str) -> float:
        """The penalty for one text."""
        return repeated_share(units_of(text), self.size) * self.most


repetition = Repetition()
