"""The golds of the generated finance problems, worked out a second time: from the printed steps, and from the numbers of
question and table with formulas written here. Nothing of the generator's own arithmetic is used."""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.finmath import KINDS, LEVELS, generate
from distill.finmath.arithmetic import Term, num
from distill.records import Question

# Every kind in both languages at each level, four times.
QUESTIONS = list(generate(4 * 6 * len(KINDS), seed=7))


def of(*, kind: str | None = None, level: int | None = None, lang: str | None = None) -> list[Question]:
    return [
        question
        for question in QUESTIONS
        if kind in (None, question.meta["kind"])
        and level in (None, question.meta["level"])
        and lang in (None, question.lang)
    ]


# The golds, worked out again from the printed solution


def calculate(expression: str) -> float:
    """The value of plain arithmetic, by Python's own parser and floats: nothing of the generator is used."""
    plain = re.sub(r"([\d.]+)%", r"(\1/100)", expression).replace("×", "*").replace("^", "**")
    return _evaluate(ast.parse(plain, mode="eval").body)


def _evaluate(node: ast.expr) -> float:
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand)
    assert isinstance(node, ast.BinOp), ast.dump(node)
    left, right = _evaluate(node.left), _evaluate(node.right)
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.Pow():
            return float(left**right)
    raise AssertionError(ast.dump(node))


def equations(solution: str) -> list[list[str]]:
    """The steps of a solution that are equations, each as [expression, sign, result, sign, result ...]."""
    steps = re.split(r"[;；] ?", solution.rstrip(".。"))
    return [re.split(r" ([=≈]) ", step)[2:] for step in steps if " = " in step and not re.search(r", so |，所以", step)]


def printed(text: str) -> tuple[float, int, float]:
    """A result as printed: its number, its decimals, and what one of its unit is next to a plain number."""
    match = re.fullmatch(r"(-?)\$?([\d,]+)(\.\d+)?(.*)", text)
    assert match, text
    sign, whole, tail, unit = match.groups()
    size = {"%": 0.01, " percentage points": 0.01, "个百分点": 0.01, " bps": 1e-4, "个基点": 1e-4}.get(unit, 1.0)
    return float(f"{sign}{whole.replace(',', '')}{tail or ''}"), len(tail or ".") - 1, size


@pytest.mark.parametrize("kind", KINDS)
def test_every_equation_holds_and_the_last_ends_in_the_gold(kind: str) -> None:
    for q in of(kind=kind):
        solution = q.meta["solution"]
        steps = equations(solution)
        assert steps, solution
        for expression, *results in steps:
            left = calculate(expression)
            for sign, result in zip(results[::2], results[1::2], strict=True):
                if re.search(r" [-+×/] ", result):  # a simpler way to write the same
                    assert sign == "=" and math.isclose(calculate(result), left, rel_tol=1e-12), solution
                    continue
                value, decimals, size = printed(result)
                error = abs(left / size - value)
                # "=" holds up to the noise of floats; "≈" up to half a unit of the last digit printed.
                noise = 1e-9 * max(1.0, abs(value))
                assert error <= (noise if sign == "=" else 0.5 * 10**-decimals + noise), (solution, result, left)
                left = value * size
        if q.answer_type not in ("boolean", "choice"):
            value, decimals, _ = printed(q.gold)
            assert steps[-1][-1] == q.gold, solution
            assert (f"{value:.{decimals}f}", decimals) == (q.meta["value"], q.meta["decimals"])
            assert q.unit in q.gold or q.gold.lstrip("-").startswith("$"), q.gold


# The golds, worked out again from the question's own numbers with formulas written here

N = list[float]
SHARE = lambda n: n[1] / n[0] * 100  # noqa: E731
TIMES = lambda n: n[0] / n[1]  # noqa: E731

# Level 1, English: from the numbers of the question in their order.
ONE_STEP: dict[str, Callable[[N], float]] = {
    **dict.fromkeys(("net_margin", "gross_margin", "debt_ratio", "return_on_equity", "payout_ratio"), SHARE),
    **dict.fromkeys(("dividend_yield", "npl_ratio", "provision_coverage", "net_interest_margin"), SHARE),
    **dict.fromkeys(("capital_adequacy", "cost_income", "loan_to_deposit"), SHARE),
    **dict.fromkeys(("current_ratio", "inventory_turnover", "equity_multiplier"), lambda n: n[1] / n[0]),
    **dict.fromkeys(("interest_cover", "earnings_per_share", "book_value_per_share", "price_earnings"), TIMES),
    **dict.fromkeys(("price_to_book", "peg_ratio", "ev_to_ebitda", "equal_principal"), TIMES),
    "receivable_days": TIMES,
    "free_cash_flow": lambda n: n[0] - n[1],
    "dupont_roe": lambda n: math.prod(n),
    "dividend_discount": lambda n: n[0] / (n[2] - n[1]) * 100,
    "current_yield": lambda n: n[0] / n[1] * 100,
    "zero_coupon_price": lambda n: n[0] / (1 + n[1] / 100),
    "coupon_payment": lambda n: n[0] * n[1] / 100,
    "accrued_interest": lambda n: n[0] / 12 * n[1],
    "credit_spread": lambda n: (n[0] - n[1]) * 100,
    "year_on_year": lambda n: (n[1] / n[0] - 1) * 100,
    "compound_growth_rate": lambda n: (math.sqrt(n[1] / n[0]) - 1) * 100,
    "share_shift": lambda n: n[1] - n[0],
    "rate_in_basis_points": lambda n: (n[1] - n[0]) * 100,
    "currency_conversion": lambda n: n[0] * n[1],
    "simple_interest": lambda n: n[0] * n[1] / 100 * n[2],
    "compound_interest": lambda n: n[0] * (1 + n[1] / 100) ** 2,
    "holding_return": lambda n: (n[1] - n[0]) / n[0] * 100,
    "portfolio_return": lambda n: (n[0] * n[2] + n[1] * n[3]) / 100,
    "sharpe_ratio": lambda n: (n[0] - n[2]) / n[1],
}

# Level 2, both languages: from the first number of each row of the table.
FROM_TABLE: dict[str, Callable[[N], float]] = {
    "net_margin": lambda r: (r[0] - r[1] - r[2] - r[3]) / r[0] * 100,
    "gross_margin": lambda r: (r[0] - r[1] - r[2] - r[3]) / r[0] * 100,
    "current_ratio": lambda r: sum(r[:3]) / sum(r[3:5]),
    "debt_ratio": lambda r: (r[1] + r[2]) / r[0] * 100,
    "inventory_turnover": lambda r: r[2] / (r[0] + r[1]) * 2,
    "interest_cover": lambda r: (r[0] + r[1] + r[2]) / r[2],
    "free_cash_flow": lambda r: r[0] + r[1] - r[2] - r[3],
    "npl_ratio": lambda r: sum(r[1:4]) / r[0] * 100,
    "provision_coverage": lambda r: r[0] / sum(r[1:4]) * 100,
    "net_interest_margin": lambda r: r[2] / (r[0] + r[1]) * 200,
    "capital_adequacy": lambda r: sum(r[1:4]) / r[0] * 100,
    "cost_income": lambda r: (r[0] + r[1]) / sum(r[2:5]) * 100,
    "loan_to_deposit": lambda r: (r[0] + r[1]) / (r[2] + r[3]) * 100,
    "return_on_equity": lambda r: r[2] / (r[0] + r[1]) * 200,
    "dupont_roe": lambda r: r[0] / r[3] * 100,
    "earnings_per_share": lambda r: (r[0] - r[1]) / (r[3] + r[4]) * 2,
    "book_value_per_share": lambda r: (r[0] - r[1]) / r[2],
    "payout_ratio": lambda r: r[1] * r[2] / r[0] * 100,
    "dividend_yield": lambda r: (r[0] + r[1]) / r[2] * 100,
    "price_earnings": lambda r: r[0] * r[2] / r[1],
    "price_to_book": lambda r: r[3] * r[2] / (r[0] - r[1]),
    "ev_to_ebitda": lambda r: (r[0] + r[1] - r[2]) / (r[3] + r[4]),
    "dividend_discount": lambda r: r[0] * (1 + r[1] / 100) / (r[2] - r[1]) * 100,
    "current_yield": lambda r: r[0] * r[1] / r[2],
    "zero_coupon_price": lambda r: r[0] / (1 + r[2] / 100) ** r[1],
    "accrued_interest": lambda r: r[0] * r[1] / 100 * r[3] / 360,
    "duration_change": lambda r: -r[1] * (r[3] - r[2]) / 100 * r[0],
    "simple_interest": lambda r: r[0] * r[1] / 100 * r[2] / 12,
    "compound_interest": lambda r: r[0] * (1 + r[1] / 100) ** r[2],
    "equal_principal": lambda r: r[0] / r[1] + r[0] * r[2] / 1200,
    "holding_return": lambda r: (r[1] + r[2] - r[0]) / r[0] * 100,
}


def numbers(text: str) -> N:
    return [float(digits.replace(",", "")) for digits in re.findall(r"(?<![\w-])\d[\d,]*(?:\.\d+)?", text)]


def rows(q: Question, column: int = 0) -> N:
    """The number in that column of each row of the table, with the columns that hold no numbers left out."""
    lines = [line.strip("| ").split(" | ") for line in q.context.splitlines() if line.startswith("|")][2:]
    found = [[amount for cell in line[1:] if (amount := _amount(cell)) is not None] for line in lines]
    return [line[column] for line in found if line]


def _amount(cell: str) -> float | None:
    match = re.fullmatch(r"(\(|-)?\$?([\d,]+(?:\.\d+)?)\)?(?:%| thousand|万?元)?", cell)
    return None if match is None else (-1 if match[1] else 1) * float(match[2].replace(",", ""))


def agrees(q: Question, result: float) -> bool:
    places: int = q.meta["decimals"]
    value = float(q.meta["value"])
    return math.isclose(result, value, rel_tol=1e-9, abs_tol=0.5 / 10**places + 1e-9)


@pytest.mark.parametrize("kind", ONE_STEP)
def test_level_1_by_a_second_formula(kind: str) -> None:
    for q in of(kind=kind, level=1, lang="en"):
        assert agrees(q, ONE_STEP[kind](numbers(q.question))), (q.question, q.gold)


@pytest.mark.parametrize("kind", FROM_TABLE)
def test_level_2_by_a_second_formula(kind: str) -> None:
    for q in of(kind=kind, level=2):
        assert agrees(q, FROM_TABLE[kind](rows(q))), (q.context, q.question, q.gold)


def test_level_3_by_a_second_formula() -> None:
    for q in of(level=3):
        # 百万元 to 亿元 is 100, 万元 to 亿元 10,000, a million to a billion 1,000.
        large = 1_000 if q.lang == "en" else 100 if "百万元" in q.context else 10_000
        match q.meta["kind"]:
            case "free_cash_flow":
                r = rows(q)
                assert agrees(q, (r[0] + r[1] - r[2] - r[3]) / large), (q.context, q.gold)
            case "return_on_equity" | "net_interest_margin" as kind:
                r, before = rows(q), rows(q, 1)
                assert agrees(q, r[1] / ((r[0] + before[0]) / 2 * large) * 100), (kind, q.context, q.gold)
            case "price_earnings":
                r = rows(q)
                assert agrees(q, r[0] * large / (r[1] - r[2])), (q.context, q.gold)
            case "ev_to_ebitda":
                r = rows(q)
                assert agrees(q, (r[0] * large + r[1] - r[2] + r[3]) / (r[4] + r[5])), (q.context, q.gold)
            case "npl_ratio" | "capital_adequacy" if q.unit != "%":
                years = [int(year) for year in re.findall(r"20\d\d", q.context.split("\n")[2])]
                columns = [rows(q, index) for index in range(3)]
                by_year = {year: sum(r[1:4]) / r[0] * 100 for year, r in zip(years, columns, strict=True)}
                first, last = (int(year) for year in re.findall(r"20\d\d", q.question))
                assert agrees(q, by_year[last] - by_year[first]), (q.context, q.question, q.gold)


def test_rise_and_fall_of_yields() -> None:
    for q in of(kind="duration_change", level=1, lang="en"):
        duration, move = numbers(q.question)
        assert agrees(q, duration * move / 100 * (-1 if "rise" in q.question else 1)), q.question


def test_change_of_scale() -> None:
    powers = {"thousand": 3, "million": 6, "billion": 9, "万": 4, "百万": 6, "亿": 8, "": 0}
    for q in of(kind="scale_change", level=1):
        pattern = r"\$([\d,.]+) ?(\w*) in (\w*) ?dollars\?" if q.lang == "en" else r"([\d.]+)(\D*)元等于多少(\D*)元？"
        given = re.search(pattern, q.question)
        assert given, q.question
        result = float(given[1].replace(",", "")) * 10.0 ** (powers[given[2]] - powers[given[3]])
        assert agrees(q, result), (q.question, q.gold)


def test_verdicts_and_letters() -> None:
    for q in of(level=1, lang="en"):
        n = numbers(q.question)
        match q.meta["kind"]:
            case "capital_floor":
                assert q.gold == ("Yes" if round(n[0] / n[1] * 100, 9) >= n[2] else "No"), q.question
            case "debt_covenant":
                assert q.gold == ("Yes" if round(n[0] / n[1], 9) <= n[2] else "No"), q.question
            case "highest_margin":
                assert q.gold == ("A" if n[0] / n[1] > n[2] / n[3] else "B"), q.question
            case "pick_return":
                assert q.choices and q.choices[q.gold] == f"{n[0] / n[1] * 100:.0f}%", q.question
    for q in of(kind="pick_return", level=2):
        r, before = rows(q), rows(q, 1)
        assert q.choices and len(set(q.choices.values())) == 4
        assert q.choices[q.gold] == f"{r[0] / (r[1] + before[1]) * 200:.2f}%", (q.context, q.choices, q.gold)


def test_no_verdict_or_letter_can_be_guessed() -> None:
    names = ["capital_floor", "debt_covenant", "highest_margin", "pick_return"]
    for name, level in itertools.product(names, LEVELS):
        golds = Counter(q.gold for q in generate(80, seed=5, kinds=[name], levels=[level], languages=["en"]))
        assert len(golds) >= 2 and max(golds.values()) <= 60, (name, level, golds)


# Terms read as what they are worth

TERMS = st.recursive(
    st.integers(-9, 99).map(num),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: _apply(*parts)),
        st.tuples(inner, st.integers(2, 3)).map(lambda parts: parts[0] ** parts[1]),
        inner.map(lambda term: -term),
    ),
    max_leaves=8,
)


def _apply(left: Term, sign: str, right: Term) -> Term:
    if sign == "/" and right.value == 0:
        sign = "+"
    return {"+": Term.__add__, "-": Term.__sub__, "*": Term.__mul__, "/": Term.__truediv__}[sign](left, right)


@given(TERMS)
@settings(max_examples=200)
def test_a_term_reads_as_what_it_is_worth(term: Term) -> None:
    assert math.isclose(calculate(str(term)), float(term.value), rel_tol=1e-9, abs_tol=1e-6), str(term)
