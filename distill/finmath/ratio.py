"""Kinds that divide one line of a statement by another: margins, coverage, turnover, returns.

Level 1 states both lines in a sentence. Level 2 gives a table in which a line must first be added up, or averaged
over its opening and closing balance. Level 3 adds decoy rows and either asks for the change over a year or states
the two lines in different units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distill.finmath.arithmetic import Term, num, total
from distill.finmath.draft import Cell, Draft, Problem
from distill.finmath.mental import easy_share, easy_times
from distill.finmath.wording import BILLIONS, DECREASE, EMPTY, LOSS, SHORT, Form, Scale, Text, percent, points

# Statements of account come in millions in English, in 百万元 (banks) or 万元 (most companies) in Chinese.
COMPANY_ACCOUNTS = Scale(Text("million", "万"), (6, 4))
# Amounts stated in billions and 亿元 must come out even in the smaller unit, and short in the larger.
_GRAIN = 100


# A row of a table and its usual size.
Row = tuple[Text, int]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a statement. From level 2 on it may have to be built: as the sum of `parts`, as the other line minus
    the rows in `less` (each row with its usual share), or as the `average` of two balances."""

    name: Text
    parts: tuple[Row, ...] = ()
    less: tuple[Row, ...] = ()
    average: bool = False


@dataclass(frozen=True, slots=True)
class Ratio:
    """`top` divided by `bottom`.

    `easy` is the range of level-1 results, in percent or in times; `usual` that of the other
    levels, in basis points; `size` the range of the bottom line. Each decoy is a row with its size in percent of
    the bottom line. `stock` says that both lines are balances at the year end,
    `large_top` that the top line, not the bottom, takes the larger unit at level 3.
    """

    name: Text
    top: Line
    bottom: Line
    easy: tuple[int, int] | tuple[int, int, int]
    usual: tuple[int, int]
    decoys: tuple[Row, ...]
    size: tuple[int, int] = (2_000, 60_000)
    form: Callable[[int], Form] = percent
    stock: bool = False
    accounts: Scale = COMPANY_ACCOUNTS
    large_top: bool = False
    definition: Text = EMPTY


def ratio(d: Draft, who: str, spec: Ratio) -> Problem:
    """One problem about `spec` of the company or bank `who`."""
    if d.level == 1:
        return _in_a_sentence(d, who, spec)
    if d.level == 2:
        return _in_a_table(d, who, spec)
    return _mixed_units(d, who, spec) if spec.bottom.average or d.pick(True, False) else _change(d, who, spec)


def _in_a_sentence(d: Draft, who: str, spec: Ratio) -> Problem:
    top, bottom, via = easy_share(d, *spec.easy) if spec.form is percent else easy_times(d, *spec.easy[:2])
    name, over, under = d.says(spec.name), d.says(spec.top.name), d.says(spec.bottom.name)
    amounts = d.money(bottom, SHORT), d.money(top, SHORT)
    question = d.t(
        f"{who} reports {under} of {amounts[0]} and {over} of {amounts[1]}. What is its {name}?",
        f"{who}{under}{amounts[0]}，{over}{amounts[1]}，{name}是多少？",
    )
    return d.answer(question, sentence(name), top / bottom, spec.form(0), via=[via])


def _in_a_table(d: Draft, who: str, spec: Ratio) -> Problem:
    year = d.year()
    [column] = _years(d, spec, 1)
    unit = d.unit_of_money(spec.accounts)
    context = d.table(_title(d, who, unit), head(d, [year]), _rows(d, spec, [column], decoys=1))
    top, bottom = _built(d, spec, column)
    return d.answer(_asked(d, who, spec, year), sentence(d.says(spec.name)), top / bottom, _form(spec), context)


def _mixed_units(d: Draft, who: str, spec: Ratio) -> Problem:
    year = d.year()
    factor = BILLIONS.over(spec.accounts, d.lang)
    columns = _years(d, spec, 2)
    for column in columns:
        column.state_in_large(spec.large_top, factor)
    rows = _rows(d, spec, columns, decoys=2, units=True)
    context = d.table(_title(d, who), head(d, [year, year - 1], d.t("Unit", "单位")), rows)
    top, bottom = _built(d, spec, columns[0], factor)
    return d.answer(_asked(d, who, spec, year), sentence(d.says(spec.name)), top / bottom, _form(spec), context)


def _change(d: Draft, who: str, spec: Ratio) -> Problem:
    year = d.year()
    columns = _years(d, spec, 3)
    order = d.vary(((0, 1, 2), (2, 1, 0)))
    rows = _rows(d, spec, [columns[index] for index in order], decoys=2)
    unit = d.unit_of_money(spec.accounts)
    context = d.table(_title(d, who, unit), head(d, [year - index for index in order]), rows)
    name = d.says(spec.name)
    shares = []
    for index in (0, 1):
        mark = d.t(f"{{}} {year - index}", f"{year - index}年{{}}")
        top, bottom = _built(d, spec, columns[index], mark=mark)
        shares.append(d.step(mark.format(sentence(name)), top / bottom))
    before, after = (d.t(f"{y}", f"{y}年末" if spec.stock else f"{y}年") for y in (year - 1, year))
    end = "the end of " if spec.stock else ""
    question = d.t(
        f"By how much did the {name} of {who} change from {end}{before} to {end}{after}?",
        f"{who}的{name}从{before}到{after}变动了多少？",
    )
    form = points(2) if spec.form is percent else spec.form(2).with_sign(DECREASE)
    return d.answer(_defined(d, spec, question), d.t("Change", "变动"), shares[0] - shares[1], form, context)


@dataclass(slots=True)
class _Column:
    """One year: the rows that make the top line, those that make the bottom line, and the size of the latter."""

    tops: list[Term]
    bottoms: list[Term]
    size: int

    def state_in_large(self, top: bool, factor: int) -> None:
        """Restate one of the lines in a unit `factor` times as large."""
        if top:
            self.tops = [num(term.value / factor) for term in self.tops]
        else:
            self.bottoms = [num(term.value / factor) for term in self.bottoms]


def _years(d: Draft, spec: Ratio, count: int) -> list[_Column]:
    """The columns of `count` years, latest first, each near the one that follows it."""
    low, high = spec.usual
    bottom, share = int(d.whole(*spec.size, _GRAIN).value), int(d.whole(low, high).value)
    swing = (high - low) // 6
    columns = []
    for _ in range(count):
        before = bottom * int(d.whole(80, 120).value) // 100 // _GRAIN * _GRAIN
        tops = _tops(d, spec, bottom, bottom * share // 10_000)
        if spec.bottom.average:
            bottoms = [num(before), num(bottom)]
        else:
            bottoms = d.split(bottom, [weight for _, weight in spec.bottom.parts] or [1], _GRAIN)
        columns.append(_Column(tops, bottoms, bottom))
        bottom, share = before, min(high, max(low, share + int(d.whole(-swing, swing).value)))
    return columns


def _tops(d: Draft, spec: Ratio, bottom: int, top: int) -> list[Term]:
    if spec.large_top:
        return [num(top // _GRAIN * _GRAIN)]
    rows = spec.top.less or spec.top.parts
    return d.split(bottom - top if spec.top.less else top, [weight for _, weight in rows] or [1])


def _built(d: Draft, spec: Ratio, column: _Column, factor: int = 1, mark: str = "{}") -> tuple[Term, Term]:
    """The two lines as numbers, each step that leads to them written down.

    `factor` takes the line that is stated in the larger unit to the smaller; `mark` puts the year to a name.
    """
    over, under = (mark.format(sentence(d.says(line.name))) for line in (spec.top, spec.bottom))
    bottom, top = column.bottoms[-1], total(column.tops)
    if spec.bottom.average:
        under = d.t(f"Average {d.says(spec.bottom.name)}", f"平均{under}")
        bottom = (column.bottoms[0] + column.bottoms[1]) / 2
    elif spec.bottom.parts:
        bottom = total(column.bottoms)
    if factor != 1:
        bottom, top = (bottom, top * factor) if spec.large_top else (bottom * factor, top)
    if bottom is not column.bottoms[-1]:
        bottom = d.step(under, bottom)
    if spec.top.less:
        top = bottom
        for deduction in column.tops:
            top = top - deduction
    return (top if top is column.tops[0] else d.step(over, top)), bottom


def _rows(d: Draft, spec: Ratio, columns: list[_Column], decoys: int, units: bool = False) -> list[list[Cell]]:
    """The rows of the table, with a column for the unit where it is not the same for all."""
    small, large = ([d.unit_of_money(scale)] if units else [] for scale in (spec.accounts, BILLIONS))
    over, under = (large, small) if spec.large_top else (small, large)
    tops: list[list[Cell]] = [
        [sentence(d.says(name)), *over, *(column.tops[index] for column in columns)]
        for index, (name, _) in enumerate(spec.top.parts or spec.top.less or [(spec.top.name, 1)])
    ]
    bottoms: list[list[Cell]]
    name = d.says(spec.bottom.name)
    if spec.bottom.average and len(columns) == 1:
        opening, closing = columns[0].bottoms
        bottoms = [[d.t(f"Opening {name}", f"期初{name}"), opening], [d.t(f"Closing {name}", f"期末{name}"), closing]]
    elif spec.bottom.average:
        label = d.t(f"{sentence(name)}, year end", f"{name}（年末）")
        bottoms = [[label, *under, *(column.bottoms[-1] for column in columns)]]
    else:
        bottoms = [
            [sentence(d.says(part)), *under, *(column.bottoms[index] for column in columns)]
            for index, (part, _) in enumerate(spec.bottom.parts or [(spec.bottom.name, 1)])
        ]
    rows = tops + bottoms if spec.bottom.parts else bottoms + tops
    for decoy, share in d.shuffled(spec.decoys)[:decoys]:
        middle = max(20, columns[0].size * share // 100)
        rows.append([sentence(d.says(decoy)), *small, *(d.noise(middle * 8 // 10, middle * 12 // 10) for _ in columns)])
    return rows


def _title(d: Draft, who: str, unit: str = "") -> str:
    if not unit:
        return d.t(f"{who}, selected figures", f"{who}主要数据")
    return d.t(f"{who}, selected figures ({unit})", f"{who}主要数据（单位：{unit}）")


def head(d: Draft, years: Sequence[int], *between: str) -> list[str]:
    """The head of a table by years; `between` names further columns before them."""
    return [d.t("Item", "项目"), *between, *(d.t(f"{year}", f"{year}年") for year in years)]


def _asked(d: Draft, who: str, spec: Ratio, year: int) -> str:
    name = d.says(spec.name)
    when = d.t(f"at the end of {year}", f"{year}年末") if spec.stock else d.t(f"in {year}", f"{year}年")
    return _defined(d, spec, d.t(f"What was the {name} of {who} {when}?", f"{who}{when}的{name}是多少？"))


def _defined(d: Draft, spec: Ratio, question: str) -> str:
    return question + d.t(" ", "") + d.says(spec.definition) if d.says(spec.definition) else question


def _form(spec: Ratio) -> Form:
    return spec.form(2).with_sign(LOSS) if spec.usual[0] < 0 else spec.form(2)


def sentence(phrase: str) -> str:
    """The phrase with a capital first letter, the rest as it is."""
    return phrase[:1].upper() + phrase[1:]
