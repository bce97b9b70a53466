"""How many traces reach each step of the screen, and why the others do not."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from distill.records import Question, Trace, Verdict

STEPS = ("asked", "answered", "right", "well_formed", "well_reasoned", "kept")


class Group(NamedTuple):
    """What the funnel is broken down by."""

    teacher: str
    lang: str
    source: str

    @classmethod
    def of(cls, trace: Trace, question: Question) -> Group:
        """The group of one trace."""
        return cls(trace.teacher, question.lang, question.source)


def reached(verdict: Verdict) -> int:
    """How many of `STEPS` a trace has reached.

    One that a judge was not asked about, because it was lost already, has not reached "right" unless the rule says so.
    Kept is what is well reasoned; where the reasoning is not screened, what is well formed.
    """
    if verdict.keep:
        return len(STEPS)
    if verdict.rule.status == "error":
        return 1
    if verdict.rule.status != "correct" and not judged_right(verdict):
        return 2
    return 4 if verdict.why.startswith(("reasoning: ", "judge: ")) else 3


def judged_right(verdict: Verdict) -> bool:
    """Whether it was the judge who found the answer right."""
    return verdict.judge is not None and verdict.judge.answer == "correct"


class Funnel:
    """Counts that add up: each step is the next one and what `lost` names under the next one."""

    def __init__(self) -> None:
        self.stages: Counter[str] = Counter()
        self.without_question = 0
        self._by: dict[str, dict[str, Counter[str]]] = {name: {} for name in Group._fields}
        self._status: Counter[str] = Counter()
        self._right_by: Counter[str] = Counter()
        self._lost: dict[str, Counter[str]] = {step: Counter() for step in STEPS[1:-1]}
        self._why: Counter[str] = Counter()

    def add(self, group: Group, verdict: Verdict) -> None:
        """Count one verdict."""
        count = reached(verdict)
        self.stages.update(STEPS[:count])
        for name, value in zip(Group._fields, group, strict=True):
            self._by[name].setdefault(value, Counter()).update(STEPS[:count])
        self._status[verdict.rule.status] += 1
        self._why[verdict.why] += 1
        if count > 2:
            self._right_by["judge" if judged_right(verdict) else "rule"] += 1
        if not verdict.keep:
            self._lost[STEPS[count]][verdict.why] += 1

    def counts(self) -> dict[str, Any]:
        """The funnel as JSON values, in a fixed order."""
        return {
            **{step: self.stages[step] for step in STEPS},
            "right_by": {"rule": self._right_by["rule"], "judge": self._right_by["judge"]},
            "lost": {step: dict(sorted(reasons.items())) for step, reasons in self._lost.items()},
            "status": dict(sorted(self._status.items())),
            "why": dict(sorted(self._why.items())),
            "by": {
                name: {group: {step: counts[step] for step in STEPS} for group, counts in sorted(groups.items())}
                for name, groups in self._by.items()
            },
            "without_question": self.without_question,
        }
