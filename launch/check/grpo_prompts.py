"""The prompts of a GRPO recipe's rows, as the chat messages that the training sees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.prompts import Message
from launch.check.finding import Findings, holds, mistake
from launch.check.rows import Row, Turns
from launch.openr1 import Translation

_ROLES = ("system", "user", "assistant", "tool", "developer")
"""Those that chat templates know; most fail on any other, or leave the turn out."""
_MESSAGE = "each {role, content}, the role system, user or assistant, the content a text"


def prompt_columns(translated: Translation, file: Path, read: list[Row]) -> Findings:
    """Whether each row of a file has a prompt that a chat template can render."""
    column = translated.data.get("dataset_prompt_column", "prompt")
    for number, row in enumerate(read, 1):
        if column not in row:
            yield mistake(
                "columns",
                f"{file}, row {number}: no column {column!r} (dataset_prompt_column); it has {', '.join(row)}",
            )
            return
        if not prompt_of(translated.data, row):
            yield mistake(
                "columns", f"{file}, row {number}: {column!r} is no text and no list of chat messages ({_MESSAGE})"
            )
            return
        if not all(turn["content"].strip() for turn in prompt_of({}, {"prompt": row[column]})):
            yield mistake("columns", f"{file}, row {number}: a turn of {column!r} is empty")
            return
    yield holds("columns", f"{file.name}: {', '.join(read[0])}")


def prompt_of(data: Mapping[str, Any], row: Row) -> Turns:
    """A row's prompt as chat messages, with the recipe's system prompt before it; [] where it is none."""
    said = row.get(str(data.get("dataset_prompt_column", "prompt")))
    if isinstance(said, str) and said:
        turns = [Message(role="user", content=said)]
    elif isinstance(said, list) and said and all(map(_is_message, said)):
        turns = [Message(role=turn["role"], content=turn["content"]) for turn in said]
    else:
        return []
    system = data.get("system_prompt")
    has_system = turns[0]["role"] == "system" or not isinstance(system, str)
    return turns if has_system else [Message(role="system", content=str(system)), *turns]


def _is_message(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") in _ROLES and isinstance(turn.get("content"), str)
