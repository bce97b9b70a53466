"""How often the type of a question is found, on questions labelled by hand before the rules were written.

`question_types.tsv` holds ids and labels only, of a random sample of the real sets; the questions are read from there.
Every second one was not looked at again while the rules were mended.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from real_sets import SETS, needs_data, questions

from distill.question_type import TYPES, question_type
from distill.records import Question

LABELS = Path(__file__).with_name("question_types.tsv")


def labelled() -> list[tuple[Question, str]]:
    with LABELS.open(encoding="utf-8", newline="") as lines:
        wanted = {row["id"]: row["type"] for row in csv.DictReader(lines, delimiter="\t")}
    found = {question.id: question for name in SETS if "flat" not in name for question in questions(name)}
    return [(found[name], kind) for name, kind in wanted.items()]


@needs_data
def test_types_are_found() -> None:
    sample = labelled()
    assert len(sample) >= 200 and Counter(kind for _, kind in sample).keys() == set(TYPES)
    for lang in ("zh", "en"):
        right = [question.meta["type"] == kind for question, kind in sample if question.lang == lang]
        assert len(right) >= 80 and sum(right) / len(right) >= 0.92, lang
    unseen = sample[1::2]
    assert sum(question.meta["type"] == kind for question, kind in unseen) / len(unseen) >= 0.92
    assert sum(question_type(question) == kind for question, kind in unseen) / len(unseen) >= 0.88


@pytest.mark.parametrize(
    ("text", "gold", "kind", "more"),
    [
        ("某公司2023年营收1000万元，同比增长25%，请计算2022年营收。", "800", "calculation", {"answer_type": "number"}),
        ("什么是流动比率？", "流动资产与流动负债之比", "concept", {}),
        ("央行提高利率对股市有什么影响？", "通常下跌", "analysis", {}),
        ("甲公司与乙公司签订合同后拒绝履行，乙公司能否要求赔偿？", "能", "reasoning", {}),
        ("What is a bond?", "a loan", "concept", {}),
        ("A stock pays 2 dollars and costs 40 dollars. What is its yield?", "5%", "calculation", {"answer_type": "percent"}),
        ("Core tier one capital must be at least", "A", "concept", {"choices": {"A": "4.5%", "B": "4%"}}),
        ("Is it positive or negative?", "positive", "analysis", {"context": "Profit rose.", "answer_type": "label"}),
    ],
)  # fmt: skip
def test_one_of_each(text: str, gold: str, kind: str, more: dict[str, object]) -> None:
    row = {"id": "q", "source": "s", "split": "train", "lang": "zh", "task": "", "question": text, "gold": gold,
           "answer_type": "text", "licence": "MIT", **more}  # fmt: skip
    assert question_type(Question.model_validate(row)) == kind
