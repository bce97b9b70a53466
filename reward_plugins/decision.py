"""The decision: does this completion give the gold answer?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from reward_plugins.completion import parse
from reward_plugins.verdict import Verdict

_NUMBER = re.compile(r"[-+]?\d{1,30}(?:,\d{3}){0,10}(?:\.\d{1,30})?")


def verify(response: str, gold: str, question: str = "", meta: Mapping[str, Any] | None = None) -> Verdict:
    """Decide whether `response` gives the gold answer; pure, never raises, linear in the length of `response`.

    `response` is the whole completion; `gold` the answer as the data set states it; `question` may be ""; `meta` is
    what the data set says about the gold (`dataset`, `answer_type`, `scale`, `unit`, `labels`, `choices`, `answer`,
    `exe_ans`, ...; unknown keys are ignored).
    """
    answers = {block.strip() for block in parse(response).blocks if block.strip()}
    if not answers:
        return Verdict("no_answer", "", "there is no answer block")
    if len(answers) > 1:
        return Verdict("wrong", " | ".join(sorted(answers)), "the answer blocks conflict")
    answer = answers.pop()
    if answer.casefold() == gold.strip().casefold():
        return Verdict("correct", answer, "the same text as the gold")
    ours, golds = _NUMBER.findall(answer), _NUMBER.findall(gold)
    if len(ours) == 1 and len(golds) == 1:
        value, target = (Decimal(text.replace(",", "")) for text in (ours[0], golds[0]))
        half_unit = Decimal(5).scaleb(int(target.as_tuple().exponent) - 1)
        if abs(value - target) <= half_unit and ("%" in answer) <= ("%" in gold):
            return Verdict("correct", answer, "the number rounds to the gold")
        return Verdict("wrong", answer, "another number than the gold")
    return Verdict("wrong" if golds else "undecided", answer, "another text than the gold")
