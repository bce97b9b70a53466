"""Questions that a `FaultServer` can tell apart by their number."""

from __future__ import annotations

from distill.records import Question


def numbered_question(number: int) -> Question:
    return Question(
        id=f"q-{number}",
        source="made",
        split="train",
        lang="en",
        task="reporting",
        question=f"Secret-Corp asks question number {number}: revenue 300, profit 12; what is the net margin?",
        gold="4%",
        answer_type="percent",
        unit="%",
        licence="Apache-2.0",
        meta={"doc": f"page-{number}", "answer_type": "percent", "solution": "12 / 300 = 4%."},
    )
