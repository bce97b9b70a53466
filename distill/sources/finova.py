"""Finova: Chinese tasks whose prompts state the form of the answer: compliance, intents, entities and reasoning."""

from __future__ import annotations

from collections.abc import Iterator

from distill.records import Question
from distill.sources.rows import BadRow, Row


def finova(row: Row) -> Iterator[Question]:
    """A prompt and its gold: 是 or 否, a list of intents, a JSON list of entities, a letter or a number."""
    gold = row.text("ground_truth")
    if gold == "[]":
        raise BadRow("the gold is an empty list")
    yield row.question(row.text("prompt"), gold, task=row.text("from") or "reasoning")
