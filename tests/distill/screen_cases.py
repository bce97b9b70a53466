"""Traces to screen, and what must hold of every funnel."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distill import screen
from distill.journal import Journal, trace_id
from distill.records import Question, Trace, Verdict, read_records
from distill.reply import completion
from distill.screen_funnel import STEPS

STEPWISE = "Revenue is 300 and profit is 12. The net margin is profit divided by revenue. 12 / 300 = 0.04. As a share that is 4%."


def made_trace(
    question: Question,
    answer: str = "4%",
    reasoning: str = STEPWISE,
    teacher: str = "t",
    sample: int = 0,
    **more: object,
) -> Trace:
    """A trace as the distil stage journals it."""
    digest = "a" * 64
    fields = {
        "reasoning": reasoning,
        "answer": answer,
        "response": completion(reasoning, answer),
        "finish_reason": "stop",
    }
    return Trace.model_validate(
        {
            "id": trace_id(question.id, teacher, sample, digest),
            "question_id": question.id,
            "teacher": teacher,
            "sample": sample,
            "prompt_sha256": digest,
            **fields,
            **more,
        }
    )


def journal(path: Path, traces: Iterable[Trace]) -> Path:
    with Journal(path) as out:
        for trace in traces:
            out.append(trace)
    return path


def verdicts(settings: screen.Settings) -> list[Verdict]:
    return list(read_records(settings.out, Verdict))


def adds_up(counts: dict[str, Any]) -> None:
    for step, following in itertools.pairwise(STEPS[:-1]):
        assert counts[step] == counts[following] + sum(counts["lost"][following].values()), following
    assert counts["kept"] == counts["well_reasoned"] == counts["why"].get("kept", 0)
    assert counts["right"] == sum(counts["right_by"].values())
    assert counts["asked"] == sum(counts["why"].values()) == sum(counts["status"].values())
    for groups in counts["by"].values():
        for step in STEPS:
            assert counts[step] == sum(group[step] for group in groups.values())
