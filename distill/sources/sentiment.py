"""TFNS, the Twitter Financial News Sentiment set: text and a class of 0, 1 or 2."""

from __future__ import annotations

from collections.abc import Iterator

from distill.records import Question
from distill.sources.rows import BadRow, Row

_LABELS = {"0": "bearish", "1": "bullish", "2": "neutral"}


def tfns(row: Row) -> Iterator[Question]:
    """The class by its name, as the set's card gives it; the tweet is the passage."""
    label = row.text("label")
    if label and label not in _LABELS:
        raise BadRow("a label that is none of 0, 1, 2")
    yield row.question(
        "What is the sentiment of this financial tweet: bearish, bullish or neutral?" if row.text("text") else "",
        _LABELS.get(label),
        task="sentiment",
        context=row.text("text"),
        labels=_LABELS,
    )
