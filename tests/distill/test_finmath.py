"""The generated finance problems: the same bytes, balanced, without repeats, and right by a second calculation."""

from __future__ import annotations

import ast
import hashlib
import itertools
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.finmath import KINDS, LEVELS, SPLITS, VERSION, generate, split_of
from distill.finmath.arithmetic import Term, fixed, num, plain, rounded
from distill.finmath.draft import Draft
from distill.finmath.wording import money, percent
from distill.questions import check_meta
from distill.records import Question
from reward_plugins import verify
from reward_plugins.errors import Refused

# Every kind in both languages at each level, four times.
COUNT = 4 * 6 * len(KINDS)
QUESTIONS = list(generate(COUNT, seed=7))
ANSWER_TYPES = {"number", "percent", "money", "multiple", "bps", "boolean", "choice"}


def digest(questions: list[Question]) -> str:
    return hashlib.sha256("\n".join(question.model_dump_json() for question in questions).encode()).hexdigest()


def of(*, kind: str | None = None, level: int | None = None, lang: str | None = None) -> list[Question]:
    return [
        question
        for question in QUESTIONS
        if kind in (None, question.meta["kind"])
        and level in (None, question.meta["level"])
        and lang in (None, question.lang)
    ]


# The set as a whole


def test_kinds_cover_the_fields_in_both_languages() -> None:
    assert len(KINDS) >= 24
    assert {kind.field for kind in KINDS.values()} >= {
        "reporting", "banking", "valuation", "bonds", "dupont", "growth", "per_share", "units", "loans", "portfolio",
    }  # fmt: skip
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.title.en.isascii() and re.search(r"[一-鿿]", kind.title.zh), name


def test_same_seed_same_bytes_under_another_hash_seed() -> None:
    code = (
        "import hashlib; from distill.finmath import generate; "
        "text = '\\n'.join(q.model_dump_json() for q in generate(600, seed=7)); "
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == digest(QUESTIONS[:600])


def test_questions_change_only_with_the_version() -> None:
    """Seeds are quoted in recipes and reports: raise VERSION together with this digest."""
    assert (VERSION, digest(QUESTIONS[:288])[:16]) == (1, "fc094ccde3b882e5")


def test_a_smaller_count_is_the_head_of_a_larger_one() -> None:
    assert list(generate(50, seed=7)) == QUESTIONS[:50]


def test_balance_over_kinds_languages_and_levels() -> None:
    cells = Counter((q.meta["kind"], q.lang, q.meta["level"]) for q in QUESTIONS)
    assert len(cells) == len(KINDS) * 6 and set(cells.values()) == {4}
    uneven = list(
        generate(100, seed=3, languages=["zh"], levels=[3, 1], kinds=["npl_ratio", "peg_ratio", "cost_income"])
    )
    for counts in (Counter(q.meta["kind"] for q in uneven), Counter(q.meta["level"] for q in uneven)):
        assert max(counts.values()) - min(counts.values()) <= 1
    assert {q.lang for q in uneven} == {"zh"} and {q.meta["level"] for q in uneven} == {1, 3}


def test_no_problem_twice() -> None:
    for values in ([q.question for q in QUESTIONS], [q.id for q in QUESTIONS], [q.meta["doc"] for q in QUESTIONS]):
        assert len(set(values)) == len(QUESTIONS)


def test_seeds_and_splits_are_disjoint() -> None:
    other = list(generate(COUNT, seed=8))
    texts = {(q.context, q.question) for q in QUESTIONS}
    assert sum((q.context, q.question) in texts for q in other) <= 1
    docs = {"train": {q.meta["doc"] for q in [*QUESTIONS, *other]}}
    for split in ("validation", "test"):
        held_out = list(generate(288, seed=7, split=split))
        assert {q.split for q in held_out} == {split}
        docs[split] = {q.meta["doc"] for q in held_out}
    assert not (docs["train"] & docs["test"]) and not (docs["train"] & docs["validation"])
    for split, names in docs.items():
        assert {split_of(name) for name in names} == {split}
    assert sorted(itertools.chain(*SPLITS.values())) == list(range(100))


def test_records_say_what_they_are() -> None:
    assert {q.answer_type for q in QUESTIONS} == ANSWER_TYPES
    for q in QUESTIONS:
        assert (q.source, q.split, q.licence) == ("finmath", "train", "Apache-2.0")
        assert set(q.meta) == {
            "dataset", "kind", "level", "doc", "value", "unit", "answer_type", "decimals", "solution",
        }  # fmt: skip
        assert q.meta["doc"].startswith(f"finmath/{q.meta['kind']}/")
        assert (q.meta["dataset"], q.meta["unit"], q.meta["answer_type"]) == ("finmath", q.unit, q.answer_type)
        assert bool(q.choices) == (q.answer_type == "choice")
        assert bool(q.context) == (q.meta["level"] > 1), "a table from level 2 on"


@pytest.mark.parametrize("level", LEVELS)
def test_text_is_clean_and_in_one_language(level: int) -> None:
    for q in of(level=level):
        text = f"{q.context}\n{q.question}\n{q.gold}\n{q.meta['solution']}"
        assert not re.search(r"\d\.\d{7,}|\d[eE][-+]\d|\bnan\b|\binf\b|None|Fraction|Term\(|\{|\}", text), text
        assert "  " not in text and q.question == q.question.strip()
        if q.lang == "en":
            assert not re.search(r"[　-〿一-鿿＀-￯]", text), text
        else:
            assert re.search(r"[一-鿿]", q.question) and "?" not in q.question, text
        if q.context:
            rows = [line for line in q.context.splitlines() if line.startswith("|")]
            assert len(rows) >= 3 and len({row.count("|") for row in rows}) == 1, q.context


def test_level_1_is_short_and_exact() -> None:
    for q in of(level=1):
        length = len(q.question.split()) if q.lang == "en" else len(q.question)
        assert length <= (45 if q.lang == "en" else 60), (length, q.question)
        assert "≈" not in q.meta["solution"] and q.meta["solution"].count("=") <= 5, q.meta["solution"]


# The golds, worked out again from the printed solution


def calculate(expression: str) -> float:
    """The value of plain arithmetic, by Python's own parser and floats: nothing of the generator is used."""
    return _evaluate(ast.parse(expression.replace("×", "*").replace("^", "**").strip(), mode="eval").body)


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
    "receivable_days": lambda n: n[0] / n[1] * n[2],
    "free_cash_flow": lambda n: n[0] - n[1],
    "dupont_roe": lambda n: math.prod(n),
    "dividend_discount": lambda n: n[0] / (n[2] - n[1]) * 100,
    "current_yield": lambda n: n[0] / n[1] * 100,
    "zero_coupon_price": lambda n: n[0] / (1 + n[1] / 100),
    "coupon_payment": lambda n: n[0] * n[1] / 100,
    "accrued_interest": lambda n: n[0] * n[1] / n[2],
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
    return abs(result - float(q.meta["value"])) <= 0.5 / 10**places + 1e-9 * max(1.0, abs(result))


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
                assert q.choices and q.choices[q.gold] == f"{n[0] / n[1] * 100:.1f}%", q.question
    for q in of(kind="pick_return", level=2):
        r, before = rows(q), rows(q, 1)
        assert q.choices and len(set(q.choices.values())) == 4
        assert q.choices[q.gold] == f"{r[0] / (r[1] + before[1]) * 200:.2f}%", (q.context, q.choices, q.gold)


def test_no_verdict_or_letter_can_be_guessed() -> None:
    names = ["capital_floor", "debt_covenant", "highest_margin", "pick_return"]
    for name, level in itertools.product(names, LEVELS):
        golds = Counter(q.gold for q in generate(80, seed=5, kinds=[name], levels=[level], languages=["en"]))
        assert len(golds) >= 2 and max(golds.values()) <= 60, (name, level, golds)


# What consumers rely on


def test_the_verifier_accepts_each_gold_and_no_other() -> None:
    for q in QUESTIONS:
        completion = f"<think>{q.meta['solution']}</think><answer>{{}}</answer>"
        verdict = verify(completion.format(q.gold), q.gold, q.question, check_meta(q))
        assert verdict.status == "correct", (q.gold, verdict)
        if q.meta["value"]:
            other = q.gold.replace(q.gold.lstrip("-$")[0], "98", 1)
            verdict = verify(completion.format(other), q.gold, q.question, check_meta(q))
            assert not verdict.correct, (q.gold, other, verdict)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"kinds": ["npl_ration"]}, "did you mean npl_ratio"),
        ({"languages": ["de"]}, "choose from en, zh"),
        ({"levels": [4]}, "choose from 1, 2, 3"),
        ({"levels": []}, "no level"),
        ({"split": "dev"}, "choose from train, validation, test"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(arguments: dict[str, Any], hint: str) -> None:
    with pytest.raises(Refused, match=hint):
        generate(1, seed=1, **arguments)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(Refused, match="count is -1"):
        generate(-1, seed=1)


def test_an_exhausted_kind_is_refused() -> None:
    with pytest.raises(Refused, match="no further level-1 problem of kind dupont_roe for the test split"):
        list(generate(1_000, seed=1, kinds=["dupont_roe"], levels=[1], split="test"))


# Arithmetic and forms


@given(st.fractions(min_value=-(10**9), max_value=10**9), st.integers(0, 6))
def test_rounding_is_half_up_and_fixed_writes_it(value: Fraction, places: int) -> None:
    near = rounded(value, places)
    assert abs(near - value) <= Fraction(1, 2 * 10**places)
    assert Fraction(fixed(value, places)) == near == Fraction(fixed(value, places, group=True).replace(",", ""))


def test_rounding_by_example() -> None:
    half = Fraction(5, 1_000)
    assert [fixed(value, 2) for value in (half, -half, Fraction(-4, 1_000), Fraction(1_234_567))] == [
        "0.01", "-0.01", "0.00", "1234567.00",
    ]  # fmt: skip
    assert fixed(Fraction(1_234_567), 0, group=True) == "1,234,567" and plain(Fraction(5, 2)) == "2.5"
    with pytest.raises(ValueError, match="no short decimal form"):
        num(Fraction(1, 3))


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


def test_roots_are_exact_where_they_can_be() -> None:
    assert (num(144) / 100).root(2).value == Fraction(12, 10) and str(num(2).root(3)) == "2^(1/3)"
    assert abs(num(2).root(3).value ** 3 - 2) < Fraction(1, 10**35)


@pytest.mark.parametrize(
    ("value", "sound"), [(Fraction(1, 8), True), (Fraction(12_345, 100_000), False), (Fraction(12_344, 100_000), True)]
)
def test_a_gold_on_the_edge_of_rounding_is_unsound(value: Fraction, sound: bool) -> None:
    assert Draft("edge", 1, "en").answer("?", "Share", num(value), percent(2)).sound is sound


def test_forms_write_amounts_as_people_do() -> None:
    assert money(2).gold(Fraction(-12_345, 10), "en") == "-$1,234.50"
    assert money(2).gold(Fraction(-12_345, 10), "zh") == "-1234.50元"
    assert percent(1).instruction("en") == "Answer in percent, rounded to one decimal."
    assert percent(0).instruction("zh") == "答案以百分比表示，保留整数。"
