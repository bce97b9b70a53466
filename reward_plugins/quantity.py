"""Numbers with their signs and units, as they stand in a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation

from reward_plugins import hanzi, spelled
from reward_plugins.units import NONE, ONE, Unit, currency_before, unit_after

# Longer numbers are no amounts of money. The bound keeps the arithmetic exact and fast.
_DIGITS = 40
_EXPONENT = 30
_MOST = 200  # numbers in one answer; more are a page of figures
_NEAR = 24  # characters in front of a number in which its sign and bracket stand
_LOOKED_AT = 800  # figures in one answer, those of names (Q3) included
_HALF = Decimal("0.5")
_CONTEXT = Context(prec=60)

_CN = "零〇一二三四五六七八九十两壹贰叁肆伍陆柒捌玖拾廿"
_CN_TAIL = _CN + "百千万亿兆佰仟点"
_FIGURE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?: \d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\d.])\.\d+"
_NUMBER = re.compile(
    r"(?P<share>[百千万])分之(?P<of>[-负]?[\d.]+|[" + _CN_TAIL + r"]+)"
    r"|(?P<tenths>\d|[" + _CN + r"])成(?P<half>[" + _CN + r"]?)"
    r"|(?P<low>\d+|[" + _CN + r"百]+)分之(?P<high>\d+|[" + _CN + r"百]+)"
    rf"|(?P<figure>{_FIGURE})(?P<more>[万亿千百兆]+零?[\d" + _CN + r"][\d,." + _CN_TAIL + r"]*)?"
    r"(?P<power> ?(?:e[+-]?\d{1,9}(?![\da-z]|\.\d)|(?:[×x*·]|times) ?10 ?(?:\^|\*\*) ?[({]?[+-]?\d{1,9}[)}]?))?"
    r"|(?P<chinese>[" + _CN + r"半][" + _CN_TAIL + r"]*)",
    re.IGNORECASE,
)
_EXPONENT_OF = re.compile(r"([+-]?\d+)[)}]?$")
_MIXED = re.compile(r" (\d{1,4})/(\d{1,6})(?![\d/.])")
_DENOMINATOR = re.compile(r" ?/ ?(\d{1,12}(?:\.\d{1,12})?)(?![\d/]|\.\d)")
_TO_ONE = re.compile(r" ?(?::| to (?=1(?!\d|\.\d))) ?(\d{1,9}(?:\.\d{1,9})?)(?![\d:%]|\.\d)")
# A single Chinese digit is often part of a word (一般, 统一, 第三); it counts as a number before a unit or by itself.
_WORD_AROUND = re.compile(r"[\u4e00-\u9fff]")
# What an amount is paid for, or how often, is no other unit: 0.85元/股, $12.47 per share, 2.5次/年.
_PER = r"(?:股|份|吨|人|户|件|平方米|[个]?月|年|天|日|次|share|year|annum|month|quarter|week|day|unit|ton|barrel|ounce|employee|person)"
_PER_BEFORE = re.compile(rf"^ *每 ?{_PER} *", re.IGNORECASE)
_PER_AFTER = re.compile(rf"^ ?次?(?: ?(?:/|每|per\b) ?{_PER}\b)? *", re.IGNORECASE)
# 一年半, 两个半月, 1 year and a half: half of the unit that was said, or is about to be.
_HALF_OF_NEXT = re.compile(r"个半(?=月|小时|季度)")
_HALF_MORE = re.compile(r"半(?![年月日天成])| and a half\b")
# 1年6个月, 八角五分, 1 year and 6 months: what may stand between the parts of one amount.
_COMPOUND = re.compile(r" ?(?:and |, ?|零|又)?")
# "three (3) years", 三（3）年
_SAID_TWICE = re.compile(
    rf"(?P<word>\b[a-z]{{3,9}}(?:-[a-z]{{3,5}})?|[{_CN}]{{1,3}})(?P<gap> ?)\((?P<figure>\d{{1,3}})\)", re.I
)
_DATED = re.compile(r"(?<!个)[月日]$")
_NEGATIVE_WORD = re.compile(r"(?:negative|minus|负的?) ?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in a text.

    `value` is what is written, without the unit and with its written sign; `place` the size of its last written digit
    (0 for an exact fraction). `sign` is -1 or +1 where a sign is written, else 0. `start`, `end`: the span in the text,
    sign and unit included. `fraction`: written as a/b or a:b. `triangle`: the sign is ▲ or △, which is a minus in Japanese accounts and a rise
    elsewhere. `prefixed`: the currency stands in front, so it says nothing about the scale ($1.5 in a table in millions).
    """

    value: Decimal
    place: Decimal
    unit: Unit
    sign: int
    start: int
    end: int
    fraction: bool = False
    triangle: bool = False
    prefixed: bool = False

    @property
    def amount(self) -> Decimal:
        """The value in the base of the unit's kind."""
        return _CONTEXT.multiply(self.value, self.unit.size)

    @property
    def amount_place(self) -> Decimal:
        """The size of the last written digit in the base of the unit's kind."""
        return self.place * self.unit.size

    @property
    def year_like(self) -> bool:
        """Whether it can be a calendar year: four digits, 1900 to 2100, no unit but 年."""
        bare = self.unit is NONE or (self.unit.label == "month" and self.unit.factor == 12)
        return bare and self.place == 1 and not self.sign and 1900 <= self.value <= 2100


def scan(text: str) -> list[Quantity] | None:
    """All numbers of a text, in order; None if one is malformed (a double sign, more digits than money has) or if
    there are more than any answer has.

    Number words count only where the text has no figures.
    """
    if "(" in text:
        text = _SAID_TWICE.sub(_said_once, text)
    found: list[Quantity] = []
    words: list[Quantity] = []
    last = 0
    for looked_at, match in enumerate(_NUMBER.finditer(text)):
        if match.start() < last:
            continue
        if looked_at > _LOOKED_AT:
            return None
        quantity = _read(text, match, last)
        if quantity is None:
            if match.group("chinese") is None and match.group("of") is None:
                return None
            continue
        if match.group("chinese") is not None:
            if not _stands_alone(text, match, quantity):
                continue
            words.append(quantity)
        elif match.start() > 0 and (_glued(text, match.start()) or text[match.start() - 1] == "第"):
            continue
        else:
            found.append(quantity)
        last = quantity.end
        if len(found) + len(words) > _MOST:
            return None
    found, words = _compounds(text, found), _compounds(text, words)
    if found:
        return sorted([*found, *(word for word in words if word.end - word.start > 2)], key=lambda each: each.start)
    if not words:
        return _compounds(text, _spelled(text))
    return words


def _said_once(match: re.Match[str]) -> str:
    """ "three (3)" without the brackets, which would be a minus; at the same places."""
    read = spelled.parse(match["word"]) or hanzi.parse(match["word"])
    same = read is not None and read[0] == int(match["figure"])
    return f"{match['word']}{match['gap']} {match['figure']} " if same else match.group()


def _compounds(text: str, found: list[Quantity]) -> list[Quantity]:
    """Amounts that are written in two or three units (3元5角, 1年6个月) as one quantity in the last unit."""
    joined: list[Quantity] = []
    for second in found:
        first = joined[-1] if joined else None
        if first is None or not _goes_on(text, first, second):
            joined.append(second)
            continue
        value = abs(first.amount) / second.unit.factor + second.value
        sign = first.sign or second.sign
        joined[-1] = Quantity(
            -value if sign < 0 else value, second.place, second.unit, sign, first.start, second.end, prefixed=False
        )
    return joined


def _goes_on(text: str, first: Quantity, second: Quantity) -> bool:
    one, other = first.unit, second.unit
    alike = one.kind == other.kind and one.kind in ("money", "time") and one.label == other.label
    if not alike or one.scaled or other.scaled or not other.factor < one.factor or second.sign or first.place != 1:
        return False
    if abs(second.amount) >= one.factor or first.year_like or _DATED.search(text[second.start : second.end]):
        return False
    return _COMPOUND.fullmatch(text[first.end : second.start]) is not None


def whole(text: str) -> Quantity | None:
    """The quantity that the whole text is, or None if there is anything besides it."""
    found = scan(text)
    if found and len(found) == 1:
        rest = _PER_BEFORE.sub("", text[: found[0].start]) + _PER_AFTER.sub("", text[found[0].end :])
        if not rest.strip(" .。;；,，!！\"'"):
            return found[0]
    return None


def _glued(text: str, start: int) -> bool:
    """Whether the figure is part of a name (Q3, FY2019, S&P500, H1): letters touch it in front."""
    before = text[start - 1]
    if not (before.isascii() and (before.isalpha() or before == "_")):
        return False
    return not currency_before(text, start)[0] and text[max(0, start - 2) : start].upper() != "FY"


def _read(text: str, match: re.Match[str], floor: int) -> Quantity | None:
    start, end = match.span()
    fraction = False
    unit_known: Unit | None = None
    if kind := match.group("share"):
        value_place = _number_of(match.group("of"))
        unit_known = Unit("share", "%", {"百": Decimal("0.01"), "千": Decimal("0.001"), "万": Decimal("0.0001")}[kind])
    elif tenths := match.group("tenths"):  # 三成五 is 35%
        upper, lower = _number_of(tenths), _number_of(match.group("half") or "零")
        if upper is None or lower is None:
            return None
        value_place, unit_known = (upper[0] * 10 + lower[0], ONE), Unit("share", "%", Decimal("0.01"))
    elif low := match.group("low"):
        lower, upper = _number_of(low), _number_of(match.group("high"))
        if lower is None or upper is None or lower[0] == 0:
            return None
        value_place, fraction = (_CONTEXT.divide(upper[0], lower[0]), Decimal(0)), True
    elif (figure := match.group("figure")) is not None:
        value_place = hanzi.parse(figure + match.group("more")) if match.group("more") else _figure(figure)
        if value_place is not None and (power := match.group("power")):
            value_place = _raised(value_place, power)
        if value_place is not None and not match.group("more") and not match.group("power"):
            value_place, end, fraction = _with_fraction(text, end, value_place)
    else:
        value_place = hanzi.parse(match.group("chinese"))
    if value_place is None:
        return None
    value, place = value_place
    if not unit_known and (half := _HALF_OF_NEXT.match(text, end)):
        value, place, end = value + _HALF, Decimal(0), half.end()
    unit, end = (unit_known, end) if unit_known else unit_after(text, end)
    value, place, end = _with_half(text, end, unit, value, place)
    return _signed(text, start, end, floor, value, place, unit, fraction)


def _with_half(text: str, end: int, unit: Unit, value: Decimal, place: Decimal) -> tuple[Decimal, Decimal, int]:
    """Read on where a length of time goes on with a half of its unit (一年半)."""
    if unit.kind == "time" and place == 1 and (half := _HALF_MORE.match(text, end)):
        return value + _HALF, Decimal(0), half.end()
    return value, place, end


def _number_of(text: str) -> tuple[Decimal, Decimal] | None:
    if text[0] in "-负":
        inner = _number_of(text[1:]) if len(text) > 1 else None
        return None if inner is None else (-inner[0], inner[1])
    return _figure(text) if text[0].isdecimal() or text[0] == "." else hanzi.parse(text)


def _figure(figure: str) -> tuple[Decimal, Decimal] | None:
    digits = figure.replace(",", "").replace(" ", "")
    if len(digits) > _DIGITS:
        return None
    try:
        value = Decimal(digits)
    except InvalidOperation:
        return None
    decimals = len(digits) - digits.index(".") - 1 if "." in digits else 0
    return value, Decimal(1).scaleb(-decimals)


def _raised(value_place: tuple[Decimal, Decimal], power: str) -> tuple[Decimal, Decimal] | None:
    match = _EXPONENT_OF.search(power)
    exponent = int(match.group(1)) if match else 0
    if abs(exponent) > _EXPONENT:
        return None
    return value_place[0].scaleb(exponent), value_place[1].scaleb(exponent)


def _with_fraction(
    text: str, end: int, value_place: tuple[Decimal, Decimal]
) -> tuple[tuple[Decimal, Decimal] | None, int, bool]:
    """Read on where the number goes on as a mixed number (1 1/2), a fraction (3/8) or a ratio (3:2)."""
    value, place = value_place
    if place == 1 and (mixed := _MIXED.match(text, end)) and int(mixed.group(2)) > int(mixed.group(1)):
        part = _CONTEXT.divide(Decimal(mixed.group(1)), Decimal(mixed.group(2)))
        return (value + part, Decimal(0)), mixed.end(), True
    if ratio := _DENOMINATOR.match(text, end) or _TO_ONE.match(text, end):
        below = Decimal(ratio.group(1))
        if below == 0:
            return None, end, False
        exact = place if below == 1 else Decimal(0)
        return (_CONTEXT.divide(value, below), exact), ratio.end(), True
    return value_place, end, False


def _signed(
    text: str, start: int, end: int, floor: int, value: Decimal, place: Decimal, unit: Unit, fraction: bool
) -> Quantity | None:
    """Look left of the number for its currency, its sign and the bracket that makes it negative."""
    sign, triangle = 0, False
    currency, start = currency_before(text, start)
    floor = max(floor, start - _NEAR)
    before = text[floor:start].rstrip(" ")
    if before.endswith(("-", "+")):
        left = before[:-1].rstrip(" ")
        if left.endswith(("-", "+", "-(")):
            return None
        # After another number it joins the two (10%-15%, 5 - 3), it is no sign.
        if not (floor and not left) and not left.endswith(")"):
            sign = -1 if before[-1] == "-" else 1
            start = floor + len(before) - 1
            before = left
            if not currency:
                currency, start = currency_before(text, start)
    elif before.endswith(("▲", "△", "▼", "↓", "↑")):
        triangle = before[-1] in "▲△"
        sign = -1 if before[-1] in "▼↓" else 1
        start = floor + len(before) - 1
        before = before[:-1]
    elif word := _NEGATIVE_WORD.search(before):
        sign, start = -1, floor + word.start()
        before = before[: word.start()]
        if not currency:
            currency, start = currency_before(text, start)
    if before.endswith("(") and not (floor and not before[:-1].strip()):
        close = end
        while close < len(text) and text[close] == " ":
            close += 1
        if text[close : close + 1] == ")":
            if sign:
                if floor + len(before) - 2 >= 0 and before[:-1].rstrip(" ").endswith("-"):
                    return None
            else:
                sign = -1
            start = floor + len(before) - 1
            end = close + 1
            if not unit.kind and not unit.scaled:
                unit, end = unit_after(text, end)
            elif not unit.kind:
                later, end = unit_after(text, end)
                unit = Unit(later.kind, later.label, later.factor, unit.scale, True) if later.kind else unit
            outer, start = currency_before(text, start)
            currency = currency or outer
    if currency:
        if unit.kind == "":
            unit = Unit("money", currency, ONE, unit.scale, unit.scaled)
        elif unit.kind != "money" or not (
            currency == unit.label or unit.label in currency.split("/") or (currency == "USD" and unit.label[-1] == "D")
        ):
            return Quantity(value, place, Unit("conflict", f"{currency} {unit.label}"), sign, start, end, fraction)
    if sign < 0:
        value = -value
    return Quantity(value, place, unit, sign, start, end, fraction, triangle, bool(currency))


def _stands_alone(text: str, match: re.Match[str], quantity: Quantity) -> bool:
    run = match.group("chinese")
    if text[match.start() - 1 : match.start()] == "第":  # 第三季度, 第一: an ordinal
        return False
    if len(run) > 1 and any(character in "十百千万亿兆拾佰仟点" for character in run[:-1] + run[-1:]):
        return True
    if len(run) > 2:
        return True
    if quantity.unit.kind not in ("", "count") or quantity.unit.scaled:
        return True
    before = text[match.start() - 1 : match.start()]
    after = text[match.end() : match.end() + 1]
    return (not _WORD_AROUND.match(before) and not _WORD_AROUND.match(after)) or quantity.unit.kind == "count"


def _spelled(text: str) -> list[Quantity]:
    found: list[Quantity] = []
    if not any(character.isalpha() for character in text[:200]):
        return found
    for match in spelled.RUN.finditer(text):
        if found and match.start() < found[-1].end:
            continue
        value_place, end = spelled.parse(match.group()), match.end()
        if scale := spelled.lone_scale(match.group()):  # "eighty million" is 80 with a scale, as "80 million" is
            number = spelled.parse(match.group()[:scale])
            value_place, end = (number, match.start() + scale) if number else (value_place, end)
        if value_place is None:
            continue
        unit, end = unit_after(text, end)
        floor = found[-1].end if found else 0
        value, place, end = _with_half(text, end, unit, *value_place)
        quantity = _signed(text, match.start(), end, floor, value, place, unit, fraction=place == 0)
        if quantity is not None:
            found.append(quantity)
    return found
