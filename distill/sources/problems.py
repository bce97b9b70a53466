"""Problem sets in English: XFinBench and the finance problems of TheoremQA."""

from __future__ import annotations

from collections.abc import Iterator

from distill.records import Question
from distill.sources.rows import BadRow, Row


def xfinbench(row: Row) -> Iterator[Question]:
    """XFinBench: statements to judge (golds 1.0 or 1, and 0.0), sums and choices. Questions that need a figure are left out."""
    if row.text("figure"):
        raise BadRow("the question needs a figure")
    task, question, gold = row.text("task"), row.text("question"), row.text("ground_truth")
    if task == "bool":
        question += "\n\nIs this statement true or false?"
        gold = {"1": "true", "0": "false"}.get(gold.removesuffix(".0"), "")
    choices = row.text("choice") if task == "mcq" else None
    yield row.question(question, gold, task=task, id=row.text("id"), choices=choices)


def theoremqa(row: Row) -> Iterator[Question]:
    """TheoremQA: numbers, true or false, and lists. Questions that need a picture, and other fields, are left out."""
    if row.text("field") != "Finance":
        raise BadRow("not of the field Finance")
    if row.text("Picture"):
        raise BadRow("the question needs a picture")
    yield row.question(
        row.text("Question"), row.get("Answer"), task=row.text("theorem") or "theorem", id=row.text("id")
    )
