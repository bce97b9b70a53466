"""Calendar dates in their usual writings: a day, a month, a quarter."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reward_plugins import hanzi

_MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ],
        1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_Y = r"(?P<{0}>(?:19|20)\d\d)"
_QUARTERS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
_QUARTERS |= dict(zip("一二三四1234", (1, 2, 3, 4, 1, 2, 3, 4), strict=True))

_FORMS = re.compile(
    r"(?P<y1>(?:19|20)\d\d) ?(?:年) ?(?P<m1>\d{1,2}) ?月(?: ?(?P<d1>\d{1,2}) ?[日号])?"
    r"|(?P<y2>(?:19|20)\d\d) ?年?,? ?(?:的)?(?:第)?(?P<q2>[一二三四1-4]) ?季度|(?P<y3>(?:19|20)\d\d) ?年? ?-?q(?P<q3>[1-4])\b"
    r"|(?P<y4>(?:19|20)\d\d)(?P<s4>[-/.])(?P<m4>\d{1,2})(?:(?P=s4)(?P<d4>\d{1,2}))?(?![\d.])"
    r"|\b(?P<m5>\d{1,2})[/.-](?P<d5>\d{1,2})[/.-](?P<y5>(?:19|20)\d\d)\b|\b(?P<m6>0?[1-9]|1[0-2])/(?P<y6>(?:19|20)\d\d)\b"
    rf"|\b(?P<m7>{_MONTH})\b\.? ?(?:the )?(?P<d7>\d{{1,2}})(?:st|nd|rd|th)?\b ?,? ?(?:of )?(?P<y7>(?:19|20)\d\d)"
    rf"|\b(?P<d8>\d{{1,2}})(?:st|nd|rd|th)?[ -]?(?:of )?(?P<m8>{_MONTH})\b\.?[ -]?,? ?(?P<y8>(?:19|20)\d\d)"
    rf"|\b(?P<m9>{_MONTH})\b\.?,? ?(?:of )?(?P<y9>(?:19|20)\d\d)"
    r"|\bq(?P<q10>[1-4]),? ?(?:of )?(?:fy ?|fiscal (?:year )?)?(?P<y10>(?:19|20)\d\d)|\b(?P<q11>[1-4])q ?(?P<y11>(?:20)?\d\d)\b"
    r"|\b(?P<q12>first|second|third|fourth|1st|2nd|3rd|4th) quarter,? ?(?:of )?(?:fiscal )?(?:year )?(?P<y12>(?:19|20)\d\d)"
    r"|(?<!\d)(?P<y13>(?:19|20)\d\d)(?P<m13>[01]\d)(?P<d13>[0-3]\d)(?!\d)",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"([零〇一二三四五六七八九]{4})年(?:([一二三四五六七八九十]{1,2})月)?(?:([一二三四五六七八九十]{1,3})[日号])?"
)
_REST = re.compile(r"[\s.,。，;；:：'\"()]*(?:(?:on|in|the|of|为|是|于|即)[\s.,:：]*)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Date:
    """A date as far as it was written; 0 stands for what was not."""

    year: int
    month: int = 0
    day: int = 0
    quarter: int = 0


def dates(text: str) -> list[tuple[Date, int, int]]:
    """The dates of a (plain) text with a year and at least a month or a quarter, each with its span."""
    text = _CHINESE.sub(_figures, text)
    found: list[tuple[Date, int, int]] = []
    for match in _FORMS.finditer(text):
        groups = {key[0]: value for key, value in match.groupdict().items() if value is not None and key[0] in "ymdq"}
        year = int(groups["y"])
        year += 2000 if year < 100 else 0
        month = _MONTHS.get(groups.get("m", "").lower(), 0) or int(groups.get("m", "0"))
        day, quarter = int(groups.get("d", "0")), _QUARTERS.get(groups.get("q", "").lower(), 0)
        if month > 12 >= day:  # 31/12/2019
            month, day = day, month
        if (month or quarter) and month <= 12 and day <= 31:
            found.append((Date(year, month, day, quarter), match.start(), match.end()))
    return found


def whole_date(text: str) -> Date | None:
    """The date that the whole text is, or None."""
    if not any(character.isdecimal() or character in "〇零" for character in text[:80]) or len(text) > 60:
        return None
    found = dates(text)
    if len(found) != 1:
        return None
    date, start, end = found[0]
    text = _CHINESE.sub(_figures, text)
    return date if _REST.fullmatch(text[:start]) and _REST.fullmatch(text[end:]) else None


def _figures(match: re.Match[str]) -> str:
    parts = [hanzi.parse(group) if group else None for group in match.groups()]
    return "".join(f"{part[0]:f}{mark}" for part, mark in zip(parts, "年月日", strict=True) if part)
