"""What is said in both languages: answer forms, the scales of money, and names that belong to nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple

from distill.finmath.arithmetic import fixed, rounded

Lang = Literal["en", "zh"]


class Text(NamedTuple):
    """One phrase in both languages."""

    en: str
    zh: str

    def says(self, lang: Lang) -> str:
        """The phrase in that language."""
        return self.en if lang == "en" else self.zh


EMPTY = Text("", "")


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit in which amounts are stated. The same figures read "million" in English and "亿元" in Chinese, because
    that is how each language would print them; `power` is the power of ten of each."""

    name: Text
    power: tuple[int, int]

    def says(self, lang: Lang) -> str:
        """The unit's name: "million", "亿"; "" for single dollars and yuan."""
        return self.name.says(lang)

    def over(self, smaller: Scale, lang: Lang) -> int:
        """How many of the smaller unit make one of this."""
        index = 0 if lang == "en" else 1
        return int(10 ** (self.power[index] - smaller.power[index]))


ONES = Scale(EMPTY, (0, 0))
THOUSANDS = Scale(Text("thousand", "万"), (3, 4))
MILLIONS = Scale(Text("million", "百万"), (6, 6))
BILLIONS = Scale(Text("billion", "亿"), (9, 8))
# For short texts, where "800 百万元" would be stilted: the same figure in the unit each language prefers.
SHORT = Scale(Text("million", "亿"), (6, 8))


# What a minus sign means, where a result may be negative.
DECREASE = Text("a decrease is negative", "下降为负")
LOSS = Text("a loss is negative", "亏损为负")
OUTFLOW = Text("an outflow is negative", "净流出为负")


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is stated: its type, rounding and unit.

    The stated number is the exact value times `factor` (100 for a percentage). `pattern` sets it in the words of a
    gold, `wants` ends the sentence "Answer in ..." or "答案以...", `sign` says what a minus means.
    """

    answer_type: str
    decimals: int
    factor: int
    unit: Text
    pattern: Text
    wants: Text
    sign: Text | None = None

    def stated(self, value: Fraction) -> Fraction:
        """The number that the gold states."""
        return rounded(value * self.factor, self.decimals)

    def gold(self, value: Fraction, lang: Lang) -> str:
        """The gold as a person writes it: "14.32%", "-$4.20 million", "3.5亿元"."""
        stated = self.stated(value)
        digits = fixed(abs(stated), self.decimals, group=lang == "en")
        return ("-" if stated < 0 else "") + self.pattern.says(lang).format(digits)

    def instruction(self, lang: Lang) -> str:
        """The sentence of the question that fixes unit, rounding and, where it can matter, the sign."""
        if lang == "en":
            places = "the nearest whole number" if self.decimals == 0 else f"{_PLACES[self.decimals].en} decimals"
            places = places.replace("one decimals", "one decimal")
            sign = f"; {self.sign.en}" if self.sign else ""
            wants = f"Answer {self.wants.en}, rounded" if self.wants.en else "Round"
            return f"{wants} to {places}{sign}."
        places = "保留整数" if self.decimals == 0 else f"保留{_PLACES[self.decimals].zh}位小数"
        sign = f"，{self.sign.zh}" if self.sign else ""
        wants = f"答案{self.wants.zh}，" if self.wants.zh else "答案"
        return f"{wants}{places}{sign}。"

    def with_sign(self, sign: Text) -> Form:
        """The same form for a result that may be negative: the question then says what a minus means."""
        return replace(self, sign=sign)


_PLACES = {1: Text("one", "一"), 2: Text("two", "两"), 3: Text("three", "三"), 4: Text("four", "四")}


def percent(decimals: int) -> Form:
    """A share or rate in percent."""
    wants = Text("in percent", "以百分比表示")
    return Form("percent", decimals, 100, Text("%", "%"), Text("{}%", "{}%"), wants)


def points(decimals: int) -> Form:
    """A difference between two percentages."""
    unit = Text("percentage points", "个百分点")
    wants = Text("in percentage points", "以百分点为单位")
    return Form("percent", decimals, 100, unit, Text("{} percentage points", "{}个百分点"), wants, DECREASE)


def basis_points(decimals: int = 0) -> Form:
    """Hundredths of a percent."""
    wants = Text("in basis points (bps)", "以基点（BP）为单位")
    return Form("bps", decimals, 10_000, Text("bps", "个基点"), Text("{} bps", "{}个基点"), wants)


def multiple(decimals: int) -> Form:
    """How many times one amount is another."""
    return Form("multiple", decimals, 1, Text("times", "倍"), Text("{} times", "{}倍"), Text("in times", "以倍为单位"))


def turns(decimals: int) -> Form:
    """How often a balance turns over in a year."""
    return Form("multiple", decimals, 1, Text("times", "次"), Text("{} times", "{}次"), Text("in times", "以次为单位"))


def number(decimals: int, unit: Text | None = None) -> Form:
    """A count with a unit of its own (days, years), or a bare ratio."""
    if unit is None:
        return Form("number", decimals, 1, EMPTY, Text("{}", "{}"), EMPTY)
    wants = Text(f"in {unit.en}", f"以{unit.zh}为单位")
    return Form("number", decimals, 1, unit, Text("{} " + unit.en, "{}" + unit.zh), wants)


def money(decimals: int, scale: Scale = ONES) -> Form:
    """An amount in dollars or yuan, stated in `scale`."""
    en, zh = scale.name.en, scale.name.zh + "元"
    pattern = Text(f"${{}} {en}".rstrip(), "{}" + zh)
    wants = Text(f"in {en} dollars" if en else "in dollars", f"以{zh}为单位")
    return Form("money", decimals, 1, Text(f"{en} dollars".strip(), zh), pattern, wants)


# Invented stems and trades: their products name no company that is meant.
STEMS = tuple(
    Text(*pair)
    for pair in (
        ("Northfield", "北辰"), ("Harbour", "江海"), ("Alder", "恒岳"), ("Kestrel", "云帆"), ("Brightwater", "清源"),
        ("Larkspur", "嘉穗"), ("Summit", "远山"), ("Oakmere", "鼎岳"), ("Calder", "明澜"), ("Fenwick", "启润"),
        ("Silverlake", "泽川"), ("Westbrook", "瑞禾"), ("Marlowe", "安澜"), ("Pinecrest", "松原"), ("Granite", "磐石"),
        ("Lighthouse", "灯塔"), ("Eastgate", "东篱"), ("Meadow", "青禾"), ("Falcon", "凌鹰"), ("Rowan", "博远"),
    )
)  # fmt: skip
TRADES = tuple(
    Text(*pair)
    for pair in (
        ("Foods", "食品"), ("Energy", "能源"), ("Motors", "汽车"), ("Retail", "商贸"), ("Pharma", "医药"),
        ("Logistics", "物流"), ("Textiles", "纺织"), ("Software", "软件"), ("Steel", "钢铁"), ("Chemicals", "化工"),
    )
)  # fmt: skip
BANK = Text("Bank", "银行")
