"""The stage `screen`: is each trace right, and fit to be learnt from? One verdict a request, and the funnel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill import manifest
from distill.journal import entries, traces_at
from distill.progress import progress_bars
from distill.questions import QuestionIndex, check_meta
from distill.records import Question, RuleVerdict, Trace, Verdict, write_records
from distill.stage import StageSettings
from reward_plugins import verify
from reward_plugins.completion import parse
from reward_plugins.errors import Refused


class Settings(StageSettings):
    """`questions` and `traces` (a journal) -> `out`, a file of verdicts in the order of the journal."""

    questions: Path
    traces: Path
    out: Path
    skip_bad: bool = False

    def inputs(self) -> list[Path]:
        return [self.questions, self.traces]

    def manifest_path(self) -> Path:
        return manifest.beside(self.out)


def screen(trace: Trace, question: Question) -> Verdict:
    """The verdict on one trace; pure.

    Kept is what the rule finds correct and what has the form of a completion: one think block that is not empty, one
    answer block, nothing outside, not cut off at the token limit.
    """
    if trace.error is not None:
        rule = RuleVerdict(status="error", reason=trace.error)
        return Verdict(trace_id=trace.id, rule=rule, keep=False, why=f"error: {trace.error}")
    found = verify(trace.response, question.gold, question=question.question, meta=check_meta(question))
    rule = RuleVerdict(status=found.status, extracted=found.extracted, reason=found.reason)
    if trace.finish_reason == "length":
        why = "cut off at the token limit"
    elif not found.correct:
        why = found.status
    else:
        why = malformed(trace.response)
    return Verdict(trace_id=trace.id, rule=rule, keep=not why, why=why or "kept")


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


def run(settings: Settings) -> dict[str, Any]:
    """Judge every request's last trace; returns the funnel.

    A journal may hold older traces of a request (its prompt has changed since) and traces of questions that are gone:
    they get no verdict and are counted as `superseded` and `without_question`. Raises `Refused` for bad input.
    """
    stage = manifest.Run("screen", settings)
    bad: Counter[str] = Counter()
    funnel = Funnel()
    if not settings.traces.is_file():
        raise Refused(f"{settings.traces}: no such file; the stage `distill` writes it")
    with QuestionIndex(settings.questions, settings.skip_bad, bad) as questions, progress_bars() as bars:
        offsets, superseded = latest(settings.traces, settings.skip_bad, bad)
        bar = bars.add_task("screen", total=len(offsets), note="")

        def verdicts() -> Iterator[Verdict]:
            for done, trace in enumerate(traces_at(settings.traces, offsets), 1):
                question = questions.get(trace.question_id)
                if question is None:
                    funnel.without_question += 1
                else:
                    verdict = screen(trace, question)
                    funnel.add(trace, question, verdict)
                    yield verdict
                if done % 256 == 0 or done == len(offsets):
                    bars.update(bar, completed=done, note=f"{funnel.stages['kept']:,} kept")

        write_records(settings.out, verdicts())
    counts = {**funnel.counts(), "superseded": superseded, "bad_lines": dict(bad)}
    stage.done([settings.out], counts)
    return counts


def latest(traces: Path, skip_bad: bool, bad: Counter[str]) -> tuple[list[int], int]:
    """The offsets of the last trace of each request, in the order of the journal, and how many older ones there are.

    A request is a question, a teacher and a sample. Memory: about 100 bytes a request.
    """
    last: dict[int, int] = {}
    lines = 0
    for entry in entries(traces, skip_bad, bad):
        lines += 1
        last[hash(entry.slot)] = entry.offset
    return sorted(last.values()), lines - len(last)


class Funnel:
    """Counts that add up: asked = errors + answered; answered by status; right = kept + left out by form."""

    def __init__(self) -> None:
        self.stages: Counter[str] = Counter()
        self.by: dict[str, dict[str, Counter[str]]] = {"teacher": {}, "lang": {}, "source": {}}
        self.why: Counter[str] = Counter()
        self.status: Counter[str] = Counter()
        self.without_question = 0

    def add(self, trace: Trace, question: Question, verdict: Verdict) -> None:
        """Count one verdict."""
        status = verdict.rule.status
        reached = ["asked"]
        reached += ["answered"] * (status != "error") + ["right"] * (status == "correct") + ["kept"] * verdict.keep
        self.stages.update(reached)
        for name, group in (("teacher", trace.teacher), ("lang", question.lang), ("source", question.source)):
            self.by[name].setdefault(group, Counter()).update(reached)
        self.status[status] += 1
        self.why[verdict.why] += 1

    def counts(self) -> dict[str, Any]:
        """The funnel as JSON values, in a fixed order."""
        steps = ("asked", "answered", "right", "kept")
        return {
            **{step: self.stages[step] for step in steps},
            "status": dict(sorted(self.status.items())),
            "why": dict(sorted(self.why.items())),
            "by": {
                name: {group: {step: counts[step] for step in steps} for group, counts in sorted(groups.items())}
                for name, groups in self.by.items()
            },
            "without_question": self.without_question,
        }
