"""Chinese numerals, alone (三亿五千万) and mixed with digits (3亿5千万, 1万2345)."""

from __future__ import annotations

import re
from decimal import Decimal

DIGITS = dict(zip("零〇一二三四五六七八九两壹贰叁肆伍陆柒捌玖", (0, 0, *range(1, 10), 2, *range(1, 10)), strict=True))
_SMALL = {"十": 10, "拾": 10, "廿": 20, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "亿": 10**8, "兆": 10**12}
_TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?|.", re.DOTALL)
_LONGEST = 48  # characters; the longest honest numeral (up to 兆, every digit written out) has about 40


def parse(run: str) -> tuple[Decimal, Decimal] | None:
    """The value of a numeral and the size of its last written place, or None if it is no numeral.

    `三点五亿` is (350000000, 10000000); `一万二千三百四十五` is (12345, 1). A last digit without a unit stands for
    the next lower unit, as it is said: 两万五 is 25000, 一百二 is 120.
    """
    if len(run) > _LONGEST:
        return None
    if run == "半":
        return Decimal("0.5"), Decimal(0)
    if all(character in DIGITS for character in run):  # 二〇一九: read digit by digit
        return Decimal("".join(str(DIGITS[character]) for character in run)), Decimal(1)
    total, section = Decimal(0), Decimal(0)
    number: Decimal | None = None
    place = Decimal(1)
    unit_before = 0  # the unit that stands right before the current number, 0 after a zero
    lone_digit = False
    tokens = _TOKEN.findall(run)
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token[0].isdecimal():
            if number is not None:
                return None
            number, lone_digit = Decimal(token.replace(",", "")), len(token) == 1
            place = Decimal(1).scaleb(int(number.as_tuple().exponent))
        elif token in DIGITS:
            digit = DIGITS[token]
            if digit == 0:
                unit_before = 0
                continue
            if number is not None:
                return None
            number, lone_digit, place = Decimal(digit), True, Decimal(1)
        elif token == "点":
            decimals = ""
            while index < len(tokens) and tokens[index] in DIGITS:
                decimals += str(DIGITS[tokens[index]])
                index += 1
            if not decimals:
                return None
            number = section + (number or Decimal(0)) + Decimal(f"0.{decimals}")
            section, lone_digit = Decimal(0), False
            place = Decimal(1).scaleb(-len(decimals))
        elif token in _SMALL:
            unit = _SMALL[token]
            section += (Decimal(1) if number is None else number) * unit
            place = (place if number is not None else Decimal(1)) * unit
            number, unit_before = None, unit
        elif token in _LARGE:
            unit = _LARGE[token]
            current = section + (number or Decimal(0))
            if current == 0 and total == 0:
                return None
            if total and total < unit:  # 三万亿, 三万五千亿: all that was said so far is multiplied
                total = (total + current) * unit
            else:
                total += current * unit
            place = (place if number is not None else Decimal(1)) * unit
            section, number, unit_before = Decimal(0), None, unit
        else:
            return None
    if number is not None:
        if lone_digit and unit_before >= 100 and len(tokens) > 1:
            number *= unit_before // 10
            place = Decimal(unit_before // 10)
        section += number
    return total + section, place
