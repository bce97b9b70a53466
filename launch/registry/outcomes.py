"""A version's evaluation as it is kept for the paired test, and what speaks against putting it in the champion's place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from launch.report import words
from launch.report.intervals import Difference, difference
from launch.report.read import Evaluation


class SetOutcome(BaseModel):
    """One test set: what was asked (content by hash), by which rules it was scored, and what became of each question.

    `rows`: by the question's place in the set, the share of right samples among the rated ones (None where none is
    rated) and the document that it comes from. `unanswered` counts rows that failed and may be asked again.
    """

    model_config = ConfigDict(extra="forbid")

    asked: dict[str, Any]
    sampling: dict[str, Any]
    scoring_sha256: str
    unanswered: int
    rows: dict[int, tuple[float | None, str]]

    @property
    def score(self) -> tuple[float, int] | None:
        """The mean share of right answers, and of how many questions; None where none is rated."""
        shares = [share for share, _ in self.rows.values() if share is not None]
        return (sum(shares) / len(shares), len(shares)) if shares else None


class Outcomes(BaseModel):
    """All sets that a version was evaluated on.

    `by` says what ties the evaluation to the weights: their hash, or only the name under which a server had them.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    by: Literal["weights", "name"]
    sets: dict[str, SetOutcome]

    def scores(self) -> str:
        """One phrase: the share of right answers on each set."""
        said = [
            f"{name} {words.percent(score[0])} of {score[1]}"
            for name, each in self.sets.items()
            if (score := each.score)
        ]
        return ", ".join(said) or "nothing that could be rated"


def outcome_of(evaluation: Evaluation) -> SetOutcome:
    """What is kept of one model on one set."""
    asking = evaluation.result["asking"]
    rows: dict[int, tuple[float | None, str]] = {}
    for place, samples in evaluation.questions.items():
        right = [sample.correct for sample in samples if sample.rated]
        rows[place] = (sum(right) / len(right) if right else None, samples[0].doc)
    return SetOutcome(
        asked=asking["set"],
        sampling={key: asking.get(key) for key in ("generation", "repeats", "seed")},
        scoring_sha256=evaluation.result["scoring_sha256"],
        unanswered=len(evaluation.result["failed"]),
        rows=rows,
    )


@dataclass(frozen=True)
class Comparison:
    """A version against the champion: the paired difference on each set, why not to promote, and what to know."""

    found: dict[str, Difference]
    objections: list[str]
    remarks: list[str]

    def sentences(self) -> list[str]:
        """What each paired test said."""
        return [f"{name}: {_said(found)}" for name, found in self.found.items()]


def compare(outcomes: Outcomes | None, champion: int | None, theirs: Outcomes | None) -> Comparison:
    """Whether a version may take the champion's place, on every set that the champion was evaluated on.

    Without a champion an evaluation is all that is asked. `theirs` is the champion's evaluation.
    """
    if outcomes is None:
        return Comparison({}, ["it has no evaluation: register it again with --report"], [])
    objections = [
        f"{name}: {each.unanswered} rows have no answer yet: run finr1 eval again, then register again"
        for name, each in outcomes.sets.items()
        if each.unanswered
    ]
    remarks = ["the evaluation is of these weights by name only"] if outcomes.by == "name" else []
    if champion is None:
        return Comparison({}, objections, remarks)
    if theirs is None:
        missing = (
            f"the champion, version {champion}, has no evaluation to compare with: register it again with --report"
        )
        return Comparison({}, [*objections, missing], remarks)
    found: dict[str, Difference] = {}
    for name, other in theirs.sets.items():
        mine = outcomes.sets.get(name)
        unlike = "it was not evaluated on this set" if mine is None else _unlike(mine, other)
        if mine is None or unlike:
            objections.append(
                f"{name}: not comparable with the champion, version {champion}: {unlike}; run finr1 eval for both and "
                "register both again"
            )
            continue
        paired = _paired(mine, other)
        if paired is None:
            objections.append(f"{name}: no question was rated for both it and the champion, version {champion}")
            continue
        found[name] = paired
        if paired.verdict == "worse":
            objections.append(f"{name}: significantly worse than the champion, version {champion}: {_said(paired)}")
        if mine.sampling != other.sampling:
            changed = ", ".join(_changes(other.sampling, mine.sampling))
            remarks.append(f"{name}: asked in another way than the champion ({changed})")
    return Comparison(found, objections, remarks)


def _unlike(one: SetOutcome, other: SetOutcome) -> str:
    if one.asked != other.asked:
        return f"it was asked other questions ({', '.join(_changes(other.asked, one.asked))})"
    if one.scoring_sha256 != other.scoring_sha256:
        return "it was scored by another version of the verifier"
    return ""


def _paired(mine: SetOutcome, theirs: SetOutcome) -> Difference | None:
    both = [
        (first, second, document)
        for place, (first, document) in theirs.rows.items()
        if first is not None and place in mine.rows and (second := mine.rows[place][0]) is not None
    ]
    if not both:
        return None
    ones, others, documents = zip(*both, strict=True)
    return difference(ones, others, documents)


def _said(found: Difference) -> str:
    return (
        f"{words.points(found.value)} points (95% interval {words.span(found.low, found.high, 'en')}, "
        f"{words.p_value(found.p)}, {found.n} questions)"
    )


def _changes(before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """`max_tokens 64 -> 96` for each value that differs."""
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    """A hash is told apart by its first digits."""
    text = str(value)
    return f"{text[:19]}…" if len(text) > 24 else text
