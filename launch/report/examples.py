"""The rows that a reader should see: worked examples of each model, and where the models disagree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eval_adapters.reviews import Row
from launch.report.read import Evaluation

DISAGREEMENTS = 40
"""Rows listed where models disagree: enough to read, few enough to keep the file small."""

LONGEST = 20_000
"""Characters that are shown of a prompt or a completion: a long report page, and no more than a browser scrolls well."""

_SHOWN = ("id", "lang", "kind", "level", "status", "cause", "reason", "extracted", "gold", "question")


def examples(evaluations: list[Evaluation]) -> dict[str, list[dict[str, Any]]]:
    """For each model one row that it has right, one that it has wrong, and one on which it differs from others."""
    return {evaluation.model: _worked(evaluation, evaluations) for evaluation in evaluations}


def disagreements(evaluations: list[Evaluation]) -> dict[str, Any]:
    """Questions that some models have right and others not: how many, and the first ones.

    Where a question was asked several times, a model has it right that answers most of its samples so.
    """
    listed: list[dict[str, Any]] = []
    for number, samples in evaluations[0].questions.items():
        of_all = {each.model: each.questions[number] for each in evaluations}
        if len({right for rows in of_all.values() if (right := _mostly_right(rows)) is not None}) > 1:
            answers = {model: _brief(rows) for model, rows in of_all.items()}
            head = samples[0]
            listed.append({"id": head.id, "question": head.question, "gold": head.gold, "answers": answers})
    return {"total": len(listed), "rows": listed[:DISAGREEMENTS]}


def _worked(evaluation: Evaluation, all_of_set: list[Evaluation]) -> list[dict[str, Any]]:
    others = [other for other in all_of_set if other is not evaluation]

    def disagree(number: int, row: Row) -> bool:
        mine = _mostly_right(evaluation.questions[number])
        theirs = {_mostly_right(other.questions[number]) for other in others} - {None}
        return row.rated and mine is row.correct and bool(theirs - {mine})

    kinds: dict[str, Callable[[int, Row], bool]] = {
        "right": lambda _, row: row.correct,
        "wrong": lambda _, row: row.status == "wrong",
        "disagree": disagree,
    }
    chosen: list[dict[str, Any]] = []
    used: set[int] = set()
    for kind, fits in kinds.items():
        # The first in file order: a choice that nobody made by taste.
        all_rows = ((number, row) for number, samples in evaluation.questions.items() for row in samples)
        found = next(((number, row) for number, row in all_rows if number not in used and fits(number, row)), None)
        if found is not None:
            number, row = found
            used.add(number)
            rivals = {other.model: _brief(other.questions[number]) for other in others} if kind == "disagree" else {}
            chosen.append({"why": kind, **_shown(row), "others": rivals})
    return chosen


def _mostly_right(samples: list[Row]) -> bool | None:
    """Whether more than half of the rated samples are right; None where none is rated."""
    rated = [row.correct for row in samples if row.rated]
    return 2 * sum(rated) > len(rated) if rated else None


def _brief(samples: list[Row]) -> dict[str, Any]:
    """The first sample's answer, and how many of all are right."""
    row = samples[0]
    return {
        "status": row.status,
        "cause": row.cause,
        "extracted": row.extracted,
        "right": sum(each.correct for each in samples),
        "samples": len(samples),
    }


def _shown(row: Row) -> dict[str, Any]:
    shown = {key: getattr(row, key) for key in (*_SHOWN, "finish_reason", "completion_tokens")}
    return {**shown, "prompt": _clipped(row.prompt), "completion": _clipped(row.completion)}


def _clipped(text: str) -> str:
    """A text with its middle left out where it is too long for a page; the review file has all of it."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters ...]\n{text[-half:]}"
