"""Golds of several parts: lists (in any order unless the question fixes one) and ranges."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from reward_plugins.quantity import Quantity, scan, whole
from reward_plugins.units import NONE, Unit

# A longer list is a table; comparing it item by item would no longer be cheap.
_MOST = 64

_BULLET = re.compile(r"^\s*(?:[-*•·]|\(?\d{1,2}[.)、]|[(（]\d{1,2}[)）]|[①-⑳])\s+", re.MULTILINE)
# "1) products 2) services" in one line: numbers that count the parts.
_COUNTED = re.compile(r"(?:^|(?<=[\s,，;；、。:：]))[(（]?(?:(\d{1,2})(?:[)）]|[.、．](?!\d))|([①-⑳]))\s*")
_STRONG = re.compile(r"\s*(?:[;；\n|]|、)\s*(?:and |以及|和)?")
_WEAK = re.compile(
    r"\s*(?:,(?!\d{3}(?!\d))|(?<!\d),|，|;|；|\n|、|\||&|/(?=\s))\s*(?:and |以及|和)?|\s+and\s+|\s*(?:以及|及|和|与)\s*"
)
_ALTERNATIVE = re.compile(r"\bor\b|或|还是|\beither\b", re.IGNORECASE)
_RESPECTIVELY = re.compile(r",? ?(?:respectively|分别(?:为|是)?|依次(?:为|是)?|in that order)[,:：]?", re.IGNORECASE)
_RANGE_WORD = re.compile(r"[~至到]|\bto\b|(?<=[\d%元万亿.]) ?- ?(?=[\d$¥€£.])", re.IGNORECASE)
_LEAD_IN = re.compile(r"\s*(?:between|from|约|大约|介于|从|在|about)?\s*", re.IGNORECASE)
_TRAIL_OFF = re.compile(r"\s*(?:之间|per \w+|左右)?[.。]?\s*", re.IGNORECASE)
# "不少于3亿元，不超过4亿元": the two ends as bounds.
_AT_LEAST = re.compile(
    r"(?:不少于|不低于|不小于|至少|最低|最少|≥|\b(?:at least|no less than|not less than|minimum of)) ?(?=[\d$¥€£]|$)",
    re.I,
)
_AT_MOST = re.compile(
    r"(?:不超过|不多于|不高于|不大于|至多|最高|最多|≤|(?:at|but) most|no more than|not more than|(?:up )?to)", re.I
)
_INTERVAL = re.compile(r"[^\[\]\d]{0,20}\[[^,，\[\]]{1,20}[,，] ?[^,，\[\]]{1,20}\][.。]?")
_INCLUSIVE = re.compile(r" ?[(（](?:含|含本数|inclusive)[)）]", re.IGNORECASE)
# 50万元以上500万元以下: the two bounds of a fine or a term, as statutes write them.
_BOUNDS = re.compile(
    r"(?:及|\(含\))?以上(?:\(含\))?[,，、]? ?(?:且|并|至|到)?(?P<high>[^,，。;；\n以]{1,20})以下(?:\(含\))?(?:的?罚款)?"
)
_IN_SENTENCE = re.compile(r"(?:between|from|介于|从|range[sd]? (?:is |was )?(?:from )?)(?= ?[\d$¥€£])", re.IGNORECASE)


def gold_items(gold: str) -> list[str] | None:
    """The parts of a gold that is plainly a list: a JSON list, or parts between `;`, `|` or line breaks; else None."""
    text = gold.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            value = json.loads(text)
        except ValueError:
            value = [part.strip(" '\"") for part in text[1:-1].split(",")]
        if isinstance(value, list) and all(not isinstance(item, (dict, list)) for item in value):
            return [str(item) for item in value if str(item).strip()]
        return None
    parts = [part.strip() for part in re.split(r"[;；|\n]", text) if part.strip()]
    return parts if 2 <= len(parts) <= _MOST else None


def answer_items(text: str, count: int) -> list[str]:
    """The parts of a (plain) answer, split as finely as `count` parts ask for."""
    text = text.strip(" .。")
    if text.startswith("[") and text.endswith("]"):
        listed = gold_items(text)
        if listed is not None and len(listed) == count:
            return listed
        text = text[1:-1]
    text = _RESPECTIVELY.sub(" ", text).strip()
    if "\n" in text:
        text = _BULLET.sub("", text)
    if (counted := _counted(text)) and len(counted) == count:
        return counted
    strong = [part for part in _STRONG.split(text) if part.strip()]
    if len(strong) == count or len(strong) > _MOST:
        return [part.strip(" \"'") for part in strong]
    return [part.strip(" \"'") for part in _WEAK.split(text) if part and part.strip()][: _MOST + 1]


def _counted(text: str) -> list[str]:
    """The parts of a text that numbers itself 1, 2, 3 ... from its beginning; [] for any other."""
    marks = list(_COUNTED.finditer(text))[: _MOST + 1]
    numbers = [int(mark[1]) if mark[1] else ord(mark[2]) - ord("①") + 1 for mark in marks]
    if len(marks) < 2 or marks[0].start() or numbers != list(range(1, len(marks) + 1)):
        return []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return [text[mark.end() : end].strip(" \"',，;；、。") for mark, end in zip(marks, ends, strict=True)]


def compare_items(
    answer: str, golds: list[str], ordered: bool, agrees: Callable[[str, str], str], labels: list[str]
) -> tuple[str, str]:
    """Whether the parts of an answer are the parts of the gold, each exactly once.

    `agrees(part, gold part)` gives a status. `labels` are years that the question names in its order: parts that carry
    them ("2018: 5; 2019: 7") are put into that order first.
    """
    if _ALTERNATIVE.search(answer) and not any(_ALTERNATIVE.search(gold) for gold in golds):
        return "wrong", "it leaves the answer open"
    items = answer_items(answer, len(golds))
    if len(items) != len(golds):
        return ("wrong", f"it has {len(items)} parts, the gold {len(golds)}")
    if len(set(labels)) == len(labels) == len(items):
        at = [
            next((index for index, label in enumerate(labels) if re.search(rf"\b{label}\b", item)), -1)
            for item in items
        ]
        if sorted(at) == list(range(len(items))):
            items = [item for _, item in sorted(zip(at, items, strict=True))]
            items = [
                re.sub(
                    rf"[(]?(?:\b(?:in|for|FY|fiscal) ?)?{label}年?[)]?\s*(?:[:：=]|-(?=\s))?|\bin\s*$", " ", item
                ).strip(" :：,")
                for item, label in zip(items, labels, strict=True)
            ]
            ordered = True
    if ordered:
        states = [agrees(item, gold) for item, gold in zip(items, golds, strict=True)]
        worst = _worst(states)
        return worst, "the parts in their order" if worst == "correct" else "a part differs, in the order asked for"
    open_golds = list(golds)
    states = []
    for item in items:
        match = next((gold for gold in open_golds if agrees(item, gold) == "correct"), None)
        if match is not None:
            open_golds.remove(match)
            states.append("correct")
        else:
            states.append(_worst_of_best([agrees(item, gold) for gold in open_golds]))
    worst = _worst(states)
    return worst, "the same parts" if worst == "correct" else "a part differs"


def _worst(states: list[str]) -> str:
    return "wrong" if "wrong" in states else "undecided" if "undecided" in states else "correct"


def _worst_of_best(states: list[str]) -> str:
    return "undecided" if "undecided" in states else "wrong"


def gold_range(gold: str) -> tuple[Quantity, Quantity] | None:
    """The two ends of a gold like 10%-15% or 3亿元至3.5亿元, or None."""
    gold = _BOUNDS.sub(r"至\g<high>", gold)
    bounds = _AT_LEAST.match(gold)
    if not (bounds or _RANGE_WORD.search(gold)) or whole(gold) is not None:
        return None
    ends = _ends(gold, scan(gold))
    if (
        ends
        and not bounds
        and not (_LEAD_IN.fullmatch(gold[: ends[0].start]) and _TRAIL_OFF.fullmatch(gold[ends[1].end :]))
    ):
        return None
    return ends if ends and ends[0].value < ends[1].value and not (ends[0].year_like and ends[1].year_like) else None


def _ends(text: str, found: list[Quantity] | None) -> tuple[Quantity, Quantity] | None:
    if found is None or len(found) < 2:
        return None
    if len(found) == 2 and _AT_LEAST.search(text[: found[0].start]):
        low, high = found
        if _AT_MOST.fullmatch(text[low.end : high.start].strip(" ,，、且但并and")):
            return low, high
    if len(found) == 2 and _INTERVAL.fullmatch(text):
        return found[0], found[1]
    for low, high in pairwise(found):
        between = text[low.end : high.start].strip()
        joined = between in ("-", "~", "至", "到", "to", "", "and", "和", "与") and (between or text[high.start] == "-")
        if joined and not (between in ("and", "和", "与") and not _IN_SENTENCE.search(text[: low.start + 1])):
            joiner = not between and high.sign < 0  # "10% -15%": the minus joins the two
            return low, replace(high, value=-high.value, sign=0) if joiner else high
    return None


def compare_range(answer: str, gold: tuple[Quantity, Quantity]) -> tuple[str, str]:
    """Whether a (plain) answer states the same range, with both ends in the same order."""
    answer = _BOUNDS.sub(r"至\g<high>", _INCLUSIVE.sub("", answer))
    found = scan(answer)
    ends = _ends(answer, found)
    if ends is None or found is None or len([each for each in found if not each.year_like]) != 2:
        return "wrong", "it states no range of two ends"
    if _ALTERNATIVE.search(answer):
        return "wrong", "it leaves the answer open"
    ours = [end.amount for end in _shared_unit(ends)]
    theirs = [end.amount for end in _shared_unit(gold)]
    kinds = [_family(end.unit) for end in (_shared_unit(ends)[1], _shared_unit(gold)[1])]
    if kinds[0] != kinds[1] and not (kinds[0][0] == "" and kinds[1][0] == "money"):
        return "wrong", "the range is in another unit"
    same = all(one == other for one, other in zip(ours, theirs, strict=True))
    return ("correct", "the same range") if same else ("wrong", "another range")


def _family(unit: Unit) -> tuple[str, str]:
    """What two units must share to be compared; %, bp and points are shares of a whole alike."""
    return unit.kind, "" if unit.kind == "share" and unit.label != "x" else unit.label


def _shared_unit(ends: tuple[Quantity, Quantity]) -> tuple[Quantity, Quantity]:
    """10-15% means 10% to 15%: the first end takes the unit of the second where it has none."""
    low, high = ends
    if low.prefixed and not high.unit.kind:  # $1.0-1.2 billion: the currency is said once
        high = replace(high, unit=replace(high.unit, kind="money", label=low.unit.label))
    if low.unit is NONE or (
        low.unit.kind == "money" and not low.unit.scaled and high.unit.kind == "money" and low.prefixed
    ):
        unit = high.unit
    elif low.unit.kind == "" and low.unit.scaled:
        unit = type(low.unit)(high.unit.kind, high.unit.label, high.unit.factor, low.unit.scale, True)
    else:
        unit = low.unit
    return Quantity(low.value, low.place, unit, low.sign, low.start, low.end), high
