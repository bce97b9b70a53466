"""Why a completion was judged as it was, in words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from reward_plugins.completion import parse
from reward_plugins.decision import verify
from reward_plugins.expectation import Expectation, expectation
from reward_plugins.extraction import final_answers
from reward_plugins.tolerance import ZERO


def explain(response: str, gold: str, question: str = "", meta: Mapping[str, Any] | None = None) -> str:
    """What was found, what it was compared with and what was decided, as plain lines of text."""
    completion = parse(response)
    extraction = final_answers(completion)
    expected = expectation(gold, question, meta)
    verdict = verify(response, gold, question, meta)
    reasoning = f"{len(completion.reasoning)} characters of reasoning" if completion.reasoning else "no reasoning"
    if completion.cut_off:
        reasoning += ", cut off before its end"
    form = (
        "strict"
        if completion.strict
        else "strict, think opened by the template"
        if completion.strict_opened
        else "loose"
    )
    lines = [f"completion  {reasoning}; form: {form}"]
    where = {
        "block": "the answer block",
        "box": r"the last \boxed{}",
        "line": "the line that announces it",
        "text": "the bare text",
    }
    if extraction.answers:
        lines += [f"found       {answer!r} in {where[extraction.where]}" for answer in extraction.answers[:8]]
    else:
        lines.append("found       no final answer")
    lines.append(f"gold        {gold!r}, read as {_reading(expected)}")
    lines += [f"            {line}" for line in _details(expected)]
    lines.append(f"decided     {verdict.status}: {verdict.reason}")
    return "\n".join(lines)


def _reading(expected: Expectation) -> str:
    if expected.kind == "choice":
        return f"the choice {''.join(sorted(expected.letters))} of {''.join(sorted(expected.keys))}"
    if expected.kind == "list":
        return f"a list of {len(expected.items)} parts, {'in order' if expected.wanted.ordered else 'in any order'}"
    names = {
        "polarity": f"a judgement ({'yes' if expected.positive else 'no'})",
        "label": f"one of the labels {', '.join(expected.labels)}",
        "range": "a range with two ends",
        "date": "a date",
        "number": "a calendar year" if expected.year else "a number",
        "text": "words",
    }
    return names[expected.kind]


def _details(expected: Expectation) -> list[str]:
    number = expected.number
    if number is None or expected.year:
        return []
    lines = [f"unit: {_unit(number.unit.kind, number.unit.label, number.unit.size)} ({number.why})"]
    for target in number.targets:
        shown, place = target.value / number.unit.size, target.place / number.unit.size
        if target.value == 0:
            lines.append(f"{target.source}: 0; anything up to {ZERO} counts as 0")
        else:
            lines.append(
                f"{target.source}: {_figure(shown)}, to {_figure(place)}: more digits must round to it (within "
                f"{_figure(place / 2)}), fewer must be it rounded to four significant digits, or as the set's other field shows"
            )
    if number.open_scale:
        lines.append("a scale word (million, 万) with the same digits is undecided: nothing says which scale holds")
    return lines


def _unit(kind: str, label: str, size: Decimal) -> str:
    return f"{label or kind or 'none'}{'' if size == 1 else f' x {_figure(size)}'}"


def _figure(value: Decimal) -> str:
    text = f"{value:.12f}".rstrip("0").rstrip(".") if abs(value) < 10**15 else f"{value:E}"
    return text or "0"
