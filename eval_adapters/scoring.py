"""One completion, one outcome: what `reward_plugins` says of it, with the reasons that only a server knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eval_adapters.rows import Asked
from reward_plugins import verify
from reward_plugins.completion import parse
from reward_plugins.rewards.form import finance_format

Status = Literal["correct", "wrong", "no_answer", "error"]

CUT = "cut by max_tokens"
EMPTY = "empty completion"
IN_REASONING = "ended inside the reasoning"
NO_FINAL = "no final answer"

SERVER_SPOKE = {
    "model_length": "prompt longer than the context",
    "content_filter": "content filter",
}
"""Stop reasons under which the text is not the model's: EvalScope puts the server's error message in its place."""


@dataclass(frozen=True)
class Outcome:
    """What became of one question.

    `status`: correct; wrong (it answered, and it is not so); no_answer (nothing to compare); error (we failed).
    `cause`: why there is no answer, or which error. `well_formed`: the form `<think>..</think><answer>..</answer>`
    was kept. `extracted`, `reason`: the verifier's.
    """

    status: Status
    cause: str = ""
    well_formed: bool = False
    extracted: str = ""
    reason: str = ""

    def metrics(self) -> dict[str, float]:
        """The row's part in each reported rate; empty for an error, which counts in none of them."""
        if self.status == "error":
            return {}
        correct = self.status == "correct"
        return {
            "accuracy": float(correct),
            "strict_accuracy": float(correct and self.well_formed),
            "format_rate": float(self.well_formed),
            "no_answer_rate": float(self.status == "no_answer"),
        }


def join_reasoning(reasoning: str, text: str, cut: bool) -> str:
    """The whole completion of a server that returns the reasoning apart, as the model wrote it.

    Where the token limit cut it before any final text, the think block was never closed, and stays open here.
    """
    if not reasoning:
        return text
    return f"<think>{reasoning}" if cut and not text else f"<think>{reasoning}</think>{text}"


def score(response: str, stop_reason: str, row: Asked) -> Outcome:
    """Score a whole completion against a row's gold.

    `stop_reason` is EvalScope's word for why generation ended (`stop`, `max_tokens`, `model_length`, ...). A
    completion that the token limit cut counts as an answer only where its answer block was closed: anything else in
    it is not what the model would have said at the end.
    """
    if stop_reason in SERVER_SPOKE:
        return Outcome("error", SERVER_SPOKE[stop_reason])
    well_formed = finance_format.well_formed(response)
    parsed = parse(response)
    cut = stop_reason == "max_tokens"
    if cut and (parsed.cut_off or parsed.unclosed or not parsed.blocks):
        return Outcome("no_answer", CUT, well_formed)
    verdict = verify(response, row.gold, question=row.question, meta=row.meta)
    if verdict.status == "undecided":
        return Outcome("error", "the rule cannot decide", well_formed, verdict.extracted, verdict.reason)
    if verdict.status == "no_answer":
        cause = EMPTY if not response.strip() else IN_REASONING if parsed.cut_off else NO_FINAL
        return Outcome("no_answer", cause, well_formed, verdict.extracted, verdict.reason)
    return Outcome(verdict.status, "", well_formed, verdict.extracted, verdict.reason)
