"""One completion, one outcome: what `reward_plugins` says of it, with the reasons that only a server knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from eval_adapters.rows import Asked
from reward_plugins import verify
from reward_plugins.completion import Completion, parse
from reward_plugins.rewards.form import finance_format

Status = Literal["correct", "wrong", "no_answer", "undecided", "error"]

CUT = "cut by max_tokens"
EMPTY = "empty completion"
IN_REASONING = "ended inside the reasoning"
NO_FINAL = "no final answer"
DECLINED = "declined to answer"

SERVER_SPOKE = {
    "model_length": "prompt longer than the context",
    "content_filter": "content filter",
}
"""Stop reasons under which the text is not the model's: EvalScope puts the server's error message in its place."""


@dataclass(frozen=True)
class Outcome:
    """What became of one question.

    `status`, the headline: correct; wrong (it answered, and it is not so); no_answer (nothing to compare); undecided
    (it answered, and only a judge could tell); error (we failed). `strict_status`: the same where the demanded form
    was kept, else no_answer. `lenient_status`: correct also where no answer is marked and the last line gives it.
    `cause`: why there is no answer, or which error. `well_formed`: the form `<think>..</think><answer>..</answer>` was
    kept. `extracted`, `reason`: the verifier's. `official`: what FinQA's own value rule says, None where it was not
    asked. `label`: the class that was named, "" for none, None where there are no classes.
    """

    status: Status
    cause: str = ""
    well_formed: bool = False
    extracted: str = ""
    reason: str = ""
    lenient_status: Status = "error"
    official: bool | None = None
    label: str | None = None

    @property
    def strict_status(self) -> Status:
        """The status where the form was kept; answered in another form, it is no answer."""
        return self.status if self.well_formed or self.status == "error" else "no_answer"

    @property
    def rated(self) -> bool:
        """Whether the row counts in the rates: an error is not the model's, and what is undecided is not known."""
        return self.status not in ("error", "undecided")

    def metrics(self) -> dict[str, float]:
        """The row's part in each reported rate; empty for a row that counts in none of them."""
        if not self.rated:
            return {}
        official = {} if self.official is None else {"execution_accuracy": float(self.official)}
        return {
            "accuracy": float(self.status == "correct"),
            "strict_accuracy": float(self.strict_status == "correct"),
            "lenient_accuracy": float(self.lenient_status == "correct"),
            "format_rate": float(self.well_formed),
            "no_answer_rate": float(self.status == "no_answer"),
            **official,
        }


def join_reasoning(reasoning: str, text: str, cut: bool) -> str:
    """The whole completion of a server that returns the reasoning apart, as the model wrote it.

    Where the token limit cut it before any final text, the think block was never closed, and stays open here.
    """
    if not reasoning:
        return text
    return f"<think>{reasoning}" if cut and not text else f"<think>{reasoning}</think>{text}"


def score(response: str, stop_reason: str, row: Asked, official: bool = False, classes: bool = False) -> Outcome:
    """Score a whole completion against a row's gold.

    `stop_reason` is EvalScope's word for why generation ended (`stop`, `max_tokens`, `model_length`, ...). A
    completion that the token limit cut counts as an answer only where its answer block was closed: anything else in
    it is not what the model would have said at the end. `official` and `classes` fill those fields of the outcome.
    """
    if stop_reason in SERVER_SPOKE:
        return Outcome("error", SERVER_SPOKE[stop_reason])
    parsed = parse(response)
    outcome = replace(_decided(response, parsed, stop_reason, row), well_formed=finance_format.well_formed(response))
    if official:
        outcome = replace(outcome, official=official_value(outcome.extracted, row.gold, row.meta))
    if classes:
        answered = outcome.status in ("correct", "wrong")
        outcome = replace(outcome, label=_label(response, row) if answered else "")
    return outcome


def _decided(response: str, parsed: Completion, stop_reason: str, row: Asked) -> Outcome:
    if stop_reason == "max_tokens" and (parsed.cut_off or parsed.unclosed or not parsed.blocks):
        return Outcome("no_answer", CUT, lenient_status="no_answer")
    verdict = verify(response, row.gold, question=row.question, meta=row.meta)
    if verdict.status != "no_answer":
        return Outcome(
            verdict.status, extracted=verdict.extracted, reason=verdict.reason, lenient_status=verdict.status
        )
    return Outcome(
        "no_answer",
        _why_none(response, parsed, verdict.reason),
        reason=verdict.reason,
        lenient_status="correct" if _last_line_is_right(parsed, row) else "no_answer",
    )


def _why_none(response: str, parsed: Completion, reason: str) -> str:
    if not response.strip():
        return EMPTY
    if parsed.cut_off:
        return IN_REASONING
    return DECLINED if "declines" in reason else NO_FINAL


def _last_line_is_right(parsed: Completion, row: Asked) -> bool:
    """Whether the last line of an answer without any mark gives the gold: where people end what they work out."""
    lines = parsed.final.split("\n") if not parsed.blocks else []
    last = next((line for line in reversed(lines) if line.strip()), "")
    return bool(last) and verify(f"<answer>{last}</answer>", row.gold, row.question, row.meta).correct


def official_value(answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
    """FinQA's own rule, applied to a value instead of a program's result.

    Source: `evaluate.py` of github.com/czyssrs/FinQA (MIT): "$" and "," are dropped, a percentage is divided by 100,
    and the value must equal `exe_ans` after both are rounded to five decimals; what is no number must be the same
    text (yes, no).
    """
    wanted = str(meta.get("exe_ans", gold))
    theirs, mine = _value(wanted), _value(answer)
    if theirs is None or mine is None:
        return bool(answer) and answer.strip().lower() == wanted.strip().lower()
    return round(theirs, 5) == round(mine, 5)


def _value(text: str) -> float | None:
    bare = text.replace(",", "").replace("$", "").strip()
    try:
        return float(bare[:-1]) / 100 if bare.endswith("%") else float(bare)
    except ValueError:
        return None


def _label(response: str, row: Asked) -> str:
    """The class that a completion names: the one that, as a gold, would be given by it; "" if there is none."""
    named = row.meta.get("labels") or []
    names = named.values() if isinstance(named, Mapping) else named
    found = (str(name) for name in names if verify(response, str(name), row.question, row.meta).correct)
    return next(found, "")


def macro_f1(pairs: Iterable[tuple[str, str]]) -> float | None:
    """The mean F1 over the classes that occur as golds, of (gold, named class) pairs; None for no pair.

    Every class weighs the same, however rare. "" is no class: an answer that is missing misses its gold.
    """
    pairs = list(pairs)
    scores = []
    for name in {gold for gold, _ in pairs}:
        hits = sum(gold == said == name for gold, said in pairs)
        misses = sum((gold == name) != (said == name) for gold, said in pairs)
        scores.append(2 * hits / (2 * hits + misses))
    return sum(scores) / len(scores) if scores else None
