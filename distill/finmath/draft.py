"""One problem in the making: its random numbers, its language and level, and its worked solution."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from distill.finmath.arithmetic import Term, decimals_of, fixed, num, plain, result_of, shown
from distill.finmath.wording import BANK, ONES, STEMS, TRADES, Form, Lang, Scale, Text

T = TypeVar("T")
Cell = Term | str

# How near to a rounding boundary, in units of the last digit, an exact value may lie. Whoever keeps a digit or two
# more than asked on the way then reaches the same gold, and half-up or half-even makes no difference.
_NEAR_TIE = Fraction(1, 20)


@dataclass(frozen=True, slots=True)
class Problem:
    """A finished problem in one language, before it gets an id.

    `value` is the gold as a plain decimal in `unit`, "" for yes/no and for letters. `sound` is False where rounding
    on the way could change the gold; the generator then draws again.
    """

    question: str
    context: str
    gold: str
    answer_type: str
    unit: str
    value: str
    decimals: int
    solution: str
    choices: dict[str, str] | None = None
    sound: bool = True


class Draft:
    """What a kind draws its numbers from and writes its working on.

    Numbers that make the problem what it is come from `whole`, `amount`, `rate`, `series`, `pick` and `split` and are
    noted in `figures`, by which the generator tells problems apart. `noise`, `vary` and `shuffled` are for what does
    not change the answer: decoy rows, names, the order of columns.
    """

    def __init__(self, key: str, level: int, lang: Lang) -> None:
        # Only `random()` is promised to give the same numbers on every Python version; the hash gives it a seed
        # that does not depend on PYTHONHASHSEED.
        self._random = random.Random(int.from_bytes(hashlib.sha256(key.encode()).digest()))
        self.level = level
        self.lang: Lang = lang
        self.figures: list[int] = []
        self._steps: list[str] = []

    # Numbers and names

    def whole(self, low: int, high: int, step: int = 1) -> Term:
        """A whole number from `low` to `high`, both included, in steps of `step`."""
        index = self._below((high - low) // step + 1)
        self.figures.append(low + index * step)
        return num(low + index * step)

    def amount(self, low: int, high: int, places: int) -> Term:
        """A number from `low` to `high` with at most `places` decimals."""
        return num(self.whole(low * 10**places, high * 10**places).value / 10**places)

    def rate(self, low: int, high: int, step: int = 1) -> Term:
        """A rate as a share of one, drawn in basis points: `rate(250, 250)` is 0.025."""
        return num(self.whole(low, high, step).value / 10_000)

    def series(self, low: int, high: int, years: int, step: int = 1) -> list[Term]:
        """One line over several years, latest first: the figures stay within 15% of their neighbours."""
        line = [self.whole(low, high, step)]
        while len(line) < years:
            line.append(num(line[-1].value * self.whole(85, 115).value // (100 * step) * step))
        return line

    def pick(self, *options: T) -> T:
        """One of the options."""
        index = self._below(len(options))
        self.figures.append(index)
        return options[index]

    def split(self, whole: int, weights: Sequence[int], step: int = 1) -> list[Term]:
        """Positive numbers that add up to `whole`, near the proportions of `weights`; multiples of `step`, as
        `whole` is."""
        # A quarter up or down keeps each part near its usual share.
        loads = [weight * (75 + self._below(51)) for weight in weights]
        units = whole // step
        shares = [max(1, units * load // sum(loads)) for load in loads]
        largest = shares.index(max(shares))
        shares[largest] += units - sum(shares)
        self.figures += shares
        return [num(share * step) for share in shares]

    def noise(self, low: int, high: int, step: int = 1) -> Term:
        """A whole number that the answer does not depend on."""
        return num(low + self._below((high - low) // step + 1) * step)

    def vary(self, options: Sequence[T]) -> T:
        """One of the options, where the choice does not touch the answer."""
        return options[self._below(len(options))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in another order."""
        rest = list(items)
        return [rest.pop(self._below(len(rest))) for _ in items]

    def company(self) -> str:
        """An invented company."""
        return self._named(self.vary(STEMS), self.vary(TRADES))

    def companies(self, count: int) -> list[str]:
        """Invented companies, all with different names."""
        return [self._named(stem, self.vary(TRADES)) for stem in self.shuffled(STEMS)[:count]]

    def bank(self) -> str:
        """An invented bank."""
        return self._named(self.vary(STEMS), BANK)

    def year(self) -> int:
        """A financial year."""
        return 2018 + self._below(7)

    # Text

    def t(self, en: str, zh: str) -> str:
        """The one of two texts that is in the draft's language."""
        return en if self.lang == "en" else zh

    def says(self, text: Text) -> str:
        """A phrase in the draft's language."""
        return text.says(self.lang)

    def money(self, amount: Term, scale: Scale = ONES, places: int | None = None) -> str:
        """An amount as running text has it: "$1,200 million", "1200亿元"."""
        digits = self.digits(amount, places)
        name = scale.says(self.lang)
        return self.t(f"${digits} {name}".rstrip(), f"{digits}{name}元")

    def shares(self, count: Term, scale: Scale) -> str:
        """A number of shares: "80 million shares", "80亿股"."""
        return self.t(f"{self.digits(count)} {scale.name.en} shares", f"{self.digits(count)}{scale.name.zh}股")

    def digits(self, amount: Term, places: int | None = None) -> str:
        """A number as running text has it, with commas between thousands in English."""
        needed = decimals_of(amount.value)
        if places is not None and places < needed:
            raise ValueError(f"{amount} does not fit into {places} decimals")
        return fixed(amount.value, needed if places is None else places, group=self.lang == "en")

    def price(self, amount: Term) -> str:
        """A price or figure per share in running text, with its cents."""
        return self.money(amount, places=2)

    def unit_of_money(self, scale: Scale) -> str:
        """The unit as the head of a table names it: "$ million", "百万元"."""
        return self.t(f"$ {scale.name.en}".rstrip(), f"{scale.name.zh}元")

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
        """A Markdown table under a title. In English a negative number stands in parentheses, as in accounts."""
        lines = [title, "", _row(head), _row(["---", *["---:"] * (len(head) - 1)])]
        return "\n".join(lines + [_row(self._cells(row)) for row in rows])

    def cell(self, amount: Term, places: int | None = None) -> str:
        """One number as a table has it; needed where the numbers of a row are of different sorts."""
        digits = fixed(abs(amount.value), decimals_of(amount.value) if places is None else places, group=True)
        if amount.value >= 0:
            return digits
        return self.t(f"({digits})", f"-{digits}")

    def listing(self, title: str, rows: Sequence[tuple[str, str]]) -> str:
        """A table of single facts, each with its unit in the cell."""
        return self.table(title, [self.t("Item", "项目"), self.t("Value", "数值")], rows)

    # Working and answer

    def step(self, name: str, term: Term, via: Sequence[Term] = (), result: Term | None = None) -> Term:
        """Write one step of the solution and give back its result for the next.

        `via` as in `answer`; `result` where it is to be written in another way than as a plain number.
        """
        result = result or result_of(term)
        sign = "=" if result.seen == term.seen else "≈"
        self._steps.append(f"{name} = {_ways(term, via)} {sign} {result}")
        return result

    def note(self, line: str) -> None:
        """Write a step that is no equation."""
        self._steps.append(line)

    def answer(
        self, question: str, name: str, term: Term, form: Form, context: str = "", via: Sequence[Term] = ()
    ) -> Problem:
        """The problem whose gold is `term`, stated in `form`; its last step is written here.

        `via` are simpler forms of the same value, for a solution that goes from one to the next in the head.
        """
        stated, gold = form.stated(term.value), form.gold(term.value, self.lang)
        line, last = f"{name} = {_ways(term, via)}", term.seen
        if form.factor != 1 and not via:
            printed = shown(last)
            if str(term) != plain(printed):
                line += f" {'=' if printed == last else '≈'} {plain(printed)}"
            last = printed
        if not line.endswith(f" = {gold}"):
            line += f" {'=' if last * form.factor == stated else '≈'} {gold}"
        self._steps.append(line)
        return Problem(
            question=self._joined(question, form.instruction(self.lang)),
            context=context,
            gold=gold,
            answer_type=form.answer_type,
            unit=form.unit.says(self.lang),
            value=fixed(stated, form.decimals),
            decimals=form.decimals,
            solution=self._solution(),
            sound=form.stated(last) == stated and not near_tie(term.value, form),
        )

    def yes_no(self, question: str, holds: bool, because: str, context: str = "") -> Problem:
        """The problem whose answer is yes or no; `because` is the comparison that decides it."""
        gold = self.t("Yes", "是") if holds else self.t("No", "否")
        self.note(self.t(f"{because}, so the answer is {gold}", f"{because}，所以答案是：{gold}"))
        question = self._joined(question, self.t("Answer Yes or No.", "请回答“是”或“否”。"))
        return Problem(question, context, gold, "boolean", "", "", 0, self._solution())

    def choose(self, question: str, options: Sequence[str], right: int, because: str, context: str = "") -> Problem:
        """The problem whose answer is the letter of `options[right]`; `because`, if any, says why it is that one."""
        letters = "ABCDEFGH"[: len(options)]
        so = self.t(f"so the answer is {letters[right]}", f"所以选{letters[right]}")
        self.note(because + self.t(", ", "，") + so if because else so)
        question = self._joined(question, self.t("Answer with the letter.", "请回答选项字母。"))
        choices = dict(zip(letters, options, strict=True))
        return Problem(question, context, letters[right], "choice", "", "", 0, self._solution(), choices)

    def _solution(self) -> str:
        return self.t("; ".join(self._steps) + ".", "；".join(self._steps) + "。")

    def _joined(self, *sentences: str) -> str:
        return self.t(" ", "").join(sentences)

    def _named(self, stem: Text, trade: Text) -> str:
        return self.t(f"{stem.en} {trade.en}", f"{stem.zh}{trade.zh}")

    def _cells(self, row: Sequence[Cell]) -> list[str]:
        # All numbers of a row carry as many decimals as the longest of them.
        places = max((decimals_of(cell.value) for cell in row if isinstance(cell, Term)), default=0)
        return [self.cell(cell, places) if isinstance(cell, Term) else cell for cell in row]

    def _below(self, bound: int) -> int:
        return int(self._random.random() * bound)


def as_percent(term: Term, places: int | None = None) -> str:
    """A share as a percentage, "7.5%"; with exactly `places` decimals in a column of rates, "7.50%"."""
    share = term.value * 100
    needed = decimals_of(share)
    if places is not None and places < needed:
        raise ValueError(f"{term} does not fit into {places} decimals of a percent")
    return fixed(share, needed if places is None else places) + "%"


def near_tie(value: Fraction, form: Form) -> bool:
    """Whether the value lies so near to a rounding boundary that the gold could hang on the way it was reached."""
    beyond: Fraction = value * form.factor * Fraction(10) ** form.decimals % 1
    return abs(beyond - Fraction(1, 2)) <= _NEAR_TIE


def _ways(term: Term, via: Sequence[Term]) -> str:
    """The term and its simpler forms, each once."""
    return " = ".join(dict.fromkeys([str(term), *(str(way) for way in via)]))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
