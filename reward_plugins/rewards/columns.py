"""How a reward reads the data columns that a trainer hands over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def column(columns: Mapping[str, Any], name: str, size: int) -> Sequence[Any]:
    """The column of that name, or `size` times None where the data set has none."""
    values = columns.get(name)
    return [None] * size if values is None else values


def row_meta(meta: Any) -> dict[str, Any] | None:
    """A row's `meta` as a dict: it is stored as a JSON string, because columns must have one type in all rows."""
    if isinstance(meta, str):
        meta = json.loads(meta) if meta.strip() else None
    return dict(meta) if meta else None


def question_of(size: int, columns: Mapping[str, Any]) -> list[str]:
    """Each row's question: the `question` column, else the last user message of the prompt, else ""."""
    questions = columns.get("question")
    if questions is not None:
        return [str(question or "") for question in questions]
    return [_last_user(prompt) for prompt in column(columns, "prompts", size)]


def _last_user(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    for message in reversed(prompt or ()):
        if message.get("role") == "user" and isinstance(message.get("content"), str):
            return str(message["content"])
    return ""
