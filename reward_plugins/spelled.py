"""English number words: three hundred and fifty million, minus three point one, three eighths, one and a half."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {word: 10 * value for value, word in enumerate(_TENS, 2)}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4, "fifth": 5,
    "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8, "tenth": 10, "tenths": 10,
}  # fmt: skip
_WORD = "|".join(sorted([*_SMALL, *_LARGE, "hundred", "dozen", "nil"], key=len, reverse=True))
_PART = "|".join(sorted(_PARTS, key=len, reverse=True))
RUN = re.compile(
    rf"\b(?:a (?=hundred|thousand|million|billion|half|quarter|third))?(?:{_WORD}|{_PART})\b"
    rf"(?:[ ,-]{{1,2}}(?:and (?:a )?)?(?:{_WORD}|{_PART}|point)\b){{0,24}}",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"[a-z]+")
_SCALE = re.compile(r"\b(?:" + "|".join(_LARGE) + r")\b", re.IGNORECASE)


def parse(run: str) -> tuple[Decimal, Decimal] | None:
    """The value of a run of number words and the size of its last place (0: exact), or None if it is no number."""
    words = [word for word in _SPLIT.findall(run.lower()) if word not in ("and", "a")]
    if words == ["nil"]:
        return Decimal(0), Decimal(1)
    if "point" in words:
        return _with_decimals(words)
    if words and words[-1] in _PARTS:
        return _with_part(words, mixed=" and " in run.lower())
    value = _whole(words)
    return None if value is None else (value, Decimal(1))


def lone_scale(run: str) -> int:
    """Where the scale word of a run like "three hundred and eighty million" begins, 0 if it has none or several."""
    found = list(_SCALE.finditer(run))
    return found[0].start() if len(found) == 1 and found[0].end() == len(run) else 0


def _whole(words: list[str]) -> Decimal | None:
    total, section, last = 0, 0, ""
    for word in words:
        if word in _SMALL:
            value = _SMALL[word]
            # "fifty two" adds up; "two fifty" and "two three" do not
            if last in _SMALL and not (_SMALL[last] >= 20 and 0 < value < 10):
                return None
            section += value
        elif word in ("hundred", "dozen"):
            section = max(section, 1) * (100 if word == "hundred" else 12)
        elif word in _LARGE:
            total += max(section, 1) * _LARGE[word]
            section = 0
        else:
            return None
        last = word
    return Decimal(total + section) if words else None


def _with_decimals(words: list[str]) -> tuple[Decimal, Decimal] | None:
    at = words.index("point")
    whole = _whole(words[:at]) if at else Decimal(0)
    digits, rest = "", words[at + 1 :]
    while rest and rest[0] in _SMALL and _SMALL[rest[0]] < 10:
        digits += str(_SMALL[rest.pop(0)])
    factor = 1
    for word in rest:
        if word not in _LARGE:
            return None
        factor *= _LARGE[word]
    if whole is None or not digits:
        return None
    return (whole + Decimal(f"0.{digits}")) * factor, Decimal(1).scaleb(-len(digits)) * factor


def _with_part(words: list[str], mixed: bool) -> tuple[Decimal, Decimal] | None:
    parts = Decimal(_PARTS[words[-1]])
    if len(words) == 1:
        return 1 / parts, Decimal(0)
    count = _whole(words[:-1])
    if count is None:
        return None
    # "one and a half" is 1.5, "one half" is 0.5
    return (count + 1 / parts if mixed else count / parts), Decimal(0)
