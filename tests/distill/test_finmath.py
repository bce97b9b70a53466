"""The generated finance problems: the same bytes, balanced, without repeats, cleanly written, and what is refused.

That the golds are right is shown in `test_finmath_golds.py`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.finmath import KINDS, LEVELS, SPLITS, VERSION, generate, split_of
from distill.finmath.arithmetic import fixed, num, plain, rounded
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
    assert (VERSION, digest(QUESTIONS[:288])[:16]) == (1, "902774e351ab77c3")


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
        assert "≈" not in q.meta["solution"] and q.meta["solution"].count("=") <= 6, q.meta["solution"]


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
        ({"kinds": ["npl_ration"]}, "did you mean 'npl_ratio'"),
        ({"languages": ["de"]}, "there are en, zh"),
        ({"levels": [4]}, "there are 1, 2, 3"),
        ({"levels": []}, "no level"),
        ({"split": "dev"}, "there are test, train, validation"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(arguments: dict[str, Any], hint: str) -> None:
    with pytest.raises(Refused, match=hint):
        generate(1, seed=1, **arguments)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(Refused, match="count is -1"):
        generate(-1, seed=1)


def test_an_exhausted_kind_is_refused() -> None:
    questions = generate(100_000, seed=1, kinds=["scale_change"], levels=[1], split="validation")
    with pytest.raises(Refused, match="no further level-1 problem of kind scale_change for the validation split"):
        for _ in questions:
            pass


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
