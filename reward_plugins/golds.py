"""Is every gold accepted as its own answer? A row that fails this teaches the opposite of what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reward_plugins.amounts import executed_disagrees
from reward_plugins.cheats import declines
from reward_plugins.decision import verify
from reward_plugins.markup import plain
from reward_plugins.rows import fields_of


def check(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (id, reason) for each row that must not be trained on.

    `rows` are questions or GRPO rows. A row fails where its gold is empty, where the verifier does not accept the gold
    as its own answer, or where the data set states two values that differ (FinQA's `answer` and `exe_ans`, beyond
    rounding and percent). Raises `Refused` for a row without a gold.
    """
    for row in rows:
        name, gold, question, meta = fields_of(row)
        if reason := refusal(gold, question, meta):
            yield name, reason


# Two letters or two numbers with an "or" between them; an "or" between words may be a name's (profit or loss).
_CANDIDATES = re.compile(
    r"[(]?(?P<one>[A-H]|[-$€£¥]*\d[\d.,]*[^\d\s]{0,4})[)]? ?(?:or|或者?|还是) ?[(]?(?:[A-H]|[-$€£¥]*\d[\d.,]*[^\d\s]{0,4})[)]?[.。]?",
    re.IGNORECASE,
)


def _unusable(gold: str) -> str:
    if declines(gold):
        return "the gold declines to answer"
    return "the gold leaves the answer open" if _CANDIDATES.fullmatch(gold) else ""


def refusal(gold: str, question: str = "", meta: Mapping[str, Any] | None = None) -> str:
    """Why a gold cannot serve as one, "" if it can."""
    if not plain(gold):
        return "the gold is empty"
    if reason := _unusable(plain(gold)):
        return reason
    verdict = verify(f"<think>gold</think><answer>{gold}</answer>", gold, question, meta)
    if not verdict.correct:
        return f"not accepted as its own answer: {verdict.reason}"
    if meta and executed_disagrees(meta):
        return "answer and exe_ans differ beyond rounding and percent"
    return ""
