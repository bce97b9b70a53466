"""How a reward reads the data columns that a trainer hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reward_plugins.rows import fields_of


def metas_of(size: int, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each row's meta for `verify`: the `meta` column (a JSON string or a dict), with the columns `choices`, `unit`,
    `answer_type` and `source` where the data set has them.
    """
    names = [name for name in ("meta", "choices", "unit", "answer_type", "source") if columns.get(name) is not None]
    rows = ({name: columns[name][index] for name in names} for index in range(size))
    return [fields_of({"gold": "", **row})[3] for row in rows]


def questions_of(size: int, columns: Mapping[str, Any]) -> list[str]:
    """Each row's question: the `question` column, else the last user message of the prompt, else ""."""
    questions = columns.get("question")
    if questions is not None:
        return [str(question or "") for question in questions]
    prompts: Sequence[Any] = columns.get("prompts") or [""] * size
    return [_last_user(prompt) for prompt in prompts]


def _last_user(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    for message in reversed(prompt or ()):
        if message.get("role") == "user" and isinstance(message.get("content"), str):
            return str(message["content"])
    return ""
