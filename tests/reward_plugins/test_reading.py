"""How a question is read: what it asks for, what it only gives, and which labels it lists."""

from __future__ import annotations

import pytest

from reward_plugins.asked import asked
from reward_plugins.labels import labels_in
from reward_plugins.quantity import scan


@pytest.mark.parametrize(
    ("question", "percent", "share"),
    [
        ("What percent of revenue was tax?", True, False),
        ("The discount rate is 5%. What is the present value?", False, False),
        ("If the tax rate is 35 percent, what is the cost of equity? (Unit: decimal)", False, True),
        ("Sales rose 8.1% to $5 million. What was the growth rate?", False, True),
        ("What was the 2010 percentage of goodwill?", True, False),
        ("Rates are flat at 6%.What is the swap spread per annum? Answer in percent.", True, True),
        ("出口1264.7亿美元，同比增长14.5%。出口额增长了多少亿美元？", False, False),
        ("资产负债率为60%。毛利率是多少？请以百分比表示。", True, True),
    ],
)
def test_given_figures_say_nothing_about_the_answer(question: str, percent: bool, share: bool) -> None:
    read = asked(question)
    assert (read.percent, read.share) == (percent, share)


def test_the_direction_is_that_of_the_clause_that_asks() -> None:
    assert asked("收入比上年增长5%。2020年出口额比2019年下降了多少亿美元？").direction == -1
    assert asked("Costs fell. What was the increase in revenue?").direction == 1


def test_labels_of_a_question_are_found_only_where_the_gold_is_one() -> None:
    question = "Label the sentence: 0 = dovish, 1 = hawkish, 2 = neutral."
    assert labels_in(question, "1")["hawkish"] == {"hawkish", "1"}
    assert labels_in(question, "5") == {}
    listed = "分类属于：['业绩下滑','债务违约']。事件：公司未能兑付本息。"
    assert set(labels_in(listed, "债务违约")) == {"业绩下滑", "债务违约"}
    named = labels_in(
        "Is it positive (upgrade) or negative (downgrade)? Answer with one of: positive, negative.", "negative"
    )
    assert named["negative"] == {"negative", "downgrade"}
    signed = labels_in("Answer positive (1) or negative (-1), as: positive, negative.", "positive")
    assert signed == {"positive": {"positive"}, "negative": {"negative"}}  # without its sign, 1 would name both


@pytest.mark.parametrize(
    ("text", "amount", "label"),
    [
        ("一年半", "18", "month"),
        ("1 year and 6 months", "18", "month"),
        ("两个半月", "2.5", "month"),
        ("三元五角二分", "3.52", "CNY"),
        ("three (3) years", "36", "month"),
        ("-3元5角", "-3.5", "CNY"),
    ],
)
def test_amounts_in_two_units_are_one(text: str, amount: str, label: str) -> None:
    found = scan(text)
    assert found is not None and len(found) == 1
    assert f"{found[0].amount.normalize():f}" == amount and found[0].unit.label == label


def test_a_date_is_no_length_of_time() -> None:
    found = scan("2019年12月")
    assert found is not None and len(found) == 2
