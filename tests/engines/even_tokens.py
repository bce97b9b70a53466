"""A reward for tests: the share of even token numbers, which differs from completion to completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def even_tokens(completion_ids: Sequence[Sequence[int]], **columns: Any) -> list[float]:
    """One score for each completion."""
    return [sum(number % 2 == 0 for number in ids) / max(len(ids), 1) for ids in completion_ids]
