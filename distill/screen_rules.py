"""The part of the screen that rules decide: pure functions of a trace and its question, on all cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from distill.journal import traces_at
from distill.questions import check_meta
from distill.reasoning import Reasoning, measured
from distill.records import Question, RuleVerdict, Trace, Verdict
from distill.screen_funnel import Group
from distill.spread import Engine
from reward_plugins import verify
from reward_plugins.completion import parse


class Place(NamedTuple):
    """Where a trace and its question stand: the byte offsets of their lines."""

    trace: int
    question: int


class Screened(NamedTuple):
    """What the rule says of one trace, and what the funnel counts it by."""

    place: Place
    group: Group
    verdict: Verdict


def screen(trace: Trace, question: Question, reasoning: Reasoning | None = None) -> Verdict:
    """The rule's verdict on one trace; pure.

    Kept is what the rule finds correct, what has the form of a completion (one think block that is not empty, one
    answer block, nothing outside, not cut off at the token limit), and what reaches `reasoning` as far as rules can
    measure it. `why` is "undecided" where only a judge can tell whether the answer is right, and nothing else is amiss.
    """
    if trace.error is not None:
        rule = RuleVerdict(status="error", reason=trace.error)
        return Verdict(trace_id=trace.id, rule=rule, keep=False, why=f"error: {trace.error}")
    found = verify(trace.response, question.gold, question=question.question, meta=check_meta(question))
    rule = RuleVerdict(status=found.status, extracted=found.extracted, reason=found.reason)
    if trace.finish_reason == "length":
        why = "cut off at the token limit"
    elif found.status in ("correct", "undecided"):
        why = malformed(trace.response)
        if not why and reasoning is not None:
            rule.dimensions = measured(trace.reasoning, question)
            failed = reasoning.fails(rule.dimensions)
            why = f"reasoning: {failed}" if failed else ""
        if not why and not found.correct:
            why = "undecided"
    else:
        why = found.status
    return Verdict(trace_id=trace.id, rule=rule, keep=not why, why=why or "kept")


def screen_rows(rows: Iterable[tuple[Trace, Question]], reasoning: Reasoning | None = None) -> list[Verdict]:
    """`screen` of many rows, in their order: what a batch of another engine is mapped with."""
    return [screen(trace, question, reasoning) for trace, question in rows]


def malformed(response: str) -> str:
    """What is wrong with the form of a completion; "" if nothing is."""
    parsed = parse(response)
    if parsed.strict:
        return ""
    if not parsed.reasoning.strip():
        return "no reasoning"
    if not parsed.blocks:
        return "no answer block"
    if len(parsed.blocks) > 1:
        return "several answer blocks"
    return "text outside the blocks" if parsed.outside.strip() else "tags out of order"


def screen_all(
    traces: Path, questions: Path, places: Iterable[Place], count: int, reasoning: Reasoning | None, engine: Engine
) -> Iterator[Screened]:
    """Yield the rule's verdicts in the order of `places`, `count` of them.

    Memory does not grow with the rows. Raises `Refused` for a line that is no record, and as the engine does.
    """
    files = _Files(traces.absolute(), questions.absolute(), reasoning)  # other machines start in other folders
    yield from engine.map(_screen_batch, files, places, count)


def rows_at(traces: Path, questions: Path, places: Iterable[Place]) -> Iterator[tuple[Trace, Question]]:
    """The traces and their questions at these places, in their order. Raises `Refused` for a line that is no trace."""
    places = list(places)
    with questions.open("rb") as file:
        for place, trace in zip(places, traces_at(traces, [place.trace for place in places]), strict=True):
            file.seek(place.question)
            yield trace, Question.model_validate_json(file.readline())


class _Files(NamedTuple):
    """What every batch of places needs."""

    traces: Path
    questions: Path
    reasoning: Reasoning | None


def _screen_batch(files: _Files, places: list[Place]) -> list[Screened]:
    rows = rows_at(files.traces, files.questions, places)
    return [
        Screened(place, Group.of(trace, question), screen(trace, question, files.reasoning))
        for place, (trace, question) in zip(places, rows, strict=True)
    ]
