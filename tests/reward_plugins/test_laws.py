"""What must hold for any text: no exception, no long wait, and the laws of a verdict."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from corpus_cases import cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reward_plugins import explain, verify

# Pieces that completions and attacks on parsers are made of.
PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "\\boxed{",
        "}",
        "{",
        "\\frac{1}{2}",
        "14.32",
        "%",
        "1,234",
        "-",
        "(",
        ")",
        "亿",
        "万元",
        "百分之",
        "三",
        "或",
        "不是",
        "A",
        "B、",
        "是否",
        "yes",
        "not",
        "or",
        "=",
        "≈",
        "~~",
        "$",
        "\\$",
        "。",
        "2019年",
        "1e9",
        "<!--",
        "\u200b",
        "**",
        "\\text{",
        "million}",
        "the",
        "answer",
        "is",
        "答案：",
        "between",
        "to",
        "±",
        "/",
        ":",
        "nan",
        "½",
        "⁸",
        "％",
        "￥",
        "[",
        "]",
        '"',
        ";",
        "\n",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=300), st.lists(PIECES, max_size=60).map(" ".join), st.lists(PIECES, max_size=60).map("".join)
)
GOLDS = st.one_of(
    TEXTS,
    st.sampled_from(
        ["14.32%", "B", "ACD", "是", "yes", "3.5亿元", "(361)", '["a", "b"]', "10%-15%", "2019-12-31", "the Board", "0"]
    ),
)
METAS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(
            ["dataset", "scale", "unit", "labels", "choices", "answer", "exe_ans", "value", "answer_type", "task", "id"]
        ),
        st.one_of(
            TEXTS,
            st.none(),
            st.floats(),
            st.integers(),
            st.lists(TEXTS, max_size=4),
            st.dictionaries(st.text(max_size=3), TEXTS, max_size=4),
        ),
        max_size=5,
    ),
)
COMMON = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@COMMON
@given(TEXTS, GOLDS, TEXTS, METAS)
def test_any_input_gets_a_verdict(response: str, gold: str, question: str, meta: dict[str, object] | None) -> None:
    verdict = verify(response, gold, question, meta)
    assert verdict.status in ("correct", "wrong", "no_answer", "undecided")
    assert verdict == verify(response, gold, question, meta)
    assert explain(response, gold, question, meta).count("decided") >= 1


@COMMON
@given(st.sampled_from(list(cases())), st.text(alphabet="abcdefg 123%\n.,=\\{}$三亿是", max_size=200))
def test_what_is_thought_changes_nothing(case: object, thought: str) -> None:
    start = case.response.find("</think>")  # type: ignore[attr-defined]
    rest = case.response[start + len("</think>") :] if start >= 0 else ""  # type: ignore[attr-defined]
    if start < 0 or "think>" in rest.lower():
        return
    plainly = verify("<think>x</think>" + rest, case.gold, case.question, case.meta)  # type: ignore[attr-defined]
    thinking = verify(f"<think>{thought}</think>" + rest, case.gold, case.question, case.meta)  # type: ignore[attr-defined]
    opened = verify(f"{thought}</think>" + rest, case.gold, case.question, case.meta)  # type: ignore[attr-defined]
    assert plainly == thinking == opened


@COMMON
@given(st.integers(-(10**12), 10**12), st.integers(0, 4))
def test_a_gold_is_its_own_answer_and_its_neighbours_are_not(digits: int, decimals: int) -> None:
    gold = f"{Decimal(digits).scaleb(-decimals):f}"
    assert verify(f"<answer>{gold}</answer>", gold).correct
    assert verify(f"<answer>{float(gold):,.{decimals}f}</answer>", gold).correct == (
        Decimal(f"{float(gold):.{decimals}f}") == Decimal(gold)
    )
    for step in (-2, 2):
        other = f"{Decimal(digits + step).scaleb(-decimals):f}"
        assert not verify(f"<answer>{other}</answer>", gold).correct
    if digits:
        assert not verify(f"<answer>{-Decimal(gold):f}</answer>", gold).correct


@COMMON
@given(
    st.integers(1, 10**9),
    st.sampled_from([("亿元", 8), ("万元", 4), ("元", 0), ("百万元", 6), ("千万元", 7)]),
    st.sampled_from([("亿元", 8), ("万元", 4), ("元", 0)]),
)
def test_equal_amounts_agree_both_ways(amount: int, one: tuple[str, int], other: tuple[str, int]) -> None:
    first = f"{Decimal(amount).scaleb(-one[1]):f}{one[0]}"
    second = f"{Decimal(amount).scaleb(-other[1]):f}{other[0]}"
    assert verify(f"<answer>{first}</answer>", second).correct
    assert verify(f"<answer>{second}</answer>", first).correct
    longer = f"{Decimal(amount * 10).scaleb(-one[1]):f}{one[0]}"
    assert not verify(f"<answer>{longer}</answer>", second).correct


@COMMON
@given(st.decimals("0.01", "9999", places=2), st.sampled_from(["%", " percent", "个百分点", "％"]))
def test_points_and_basis_points_are_one_amount(points: Decimal, sign: str) -> None:
    assert verify(f"<answer>{points * 100:f} bps</answer>", f"{points}{sign}").correct
    assert verify(f"<answer>{points}{sign}</answer>", f"{points * 100:f} bps").correct
    assert not verify(f"<answer>{points} bps</answer>", f"{points}{sign}").correct


@pytest.mark.parametrize("keys", ["A B", "A. B.", "(a) (b)", "选项A 选项B", "option_a option_b"])
def test_the_keys_of_choices_are_letters_however_written(keys: str) -> None:
    meta = {"choices": dict(zip(keys.split(), ["500", "300"], strict=True))}
    for answer, right in (("500万元", True), ("300万元", False), ("A", True), ("B", False), ("500元", False)):
        assert verify(f"<answer>{answer}</answer>", "A", "收益为（）万元。", meta).correct == right


def test_choices_without_letters_are_none() -> None:
    meta = {"choices": {"AX": "500", "BX": "300"}}
    assert verify("<answer>500元</answer>", "A", "收益为（）万元。", meta).status == "wrong"


WRONG = [case for case in cases() if case.label in "-!" and "answer>" in case.response][::7]


@COMMON
@given(
    st.sampled_from(WRONG),
    st.lists(
        st.sampled_from(["14.32%", "B", "3.5亿元", "yes", "是", "-361", "the Board of Directors"]),
        min_size=1,
        max_size=3,
    ),
)
def test_candidates_added_to_a_wrong_answer_never_make_it_right(case: object, added: list[str]) -> None:
    response: str = case.response  # type: ignore[attr-defined]
    more = response.replace("</answer>", " " + " ".join(added) + "</answer>", 1)
    again = response + "".join(f"<answer>{item}</answer>" for item in [*added, case.gold])  # type: ignore[attr-defined]
    for text in (more, again):
        verdict = verify(text, case.gold, case.question, case.meta)  # type: ignore[attr-defined]
        answered = verify(response, case.gold, case.question, case.meta).status != "no_answer"  # type: ignore[attr-defined]
        if answered and text is again:
            assert not verdict.correct


SIZE = 20_000
FLOODS = {
    "open blocks": "<answer>" * SIZE,
    "blocks": "<answer>5</answer>" * SIZE,
    "open thoughts": "<think>" * SIZE,
    "closed thoughts": "</think>" * SIZE,
    "open boxes": "\\boxed{" * SIZE,
    "nested boxes": "\\boxed{" * SIZE + "5" + "}" * SIZE,
    "boxes": "\\boxed{5}" * SIZE,
} | {
    name: f"<think>x</think><answer>{text}</answer>"
    for name, text in {
        "braces": "{" * SIZE, "fractions": "\\frac{" * SIZE, "digits": "1" * SIZE, "groups": "1" + ",111" * SIZE, "hanzi": "三亿五千万" * SIZE,
        "powers": "9**9**9**9", "exponent": "1e" * SIZE, "huge exponent": "1e999999999", "minus": "-" * SIZE + "5", "brackets": "(" * SIZE + "5" + ")" * SIZE,
        "strokes": "~~" * SIZE, "tags": "<s>" * SIZE, "stars": "**a" * SIZE, "letters": "A" * SIZE, "choices": "A, " * SIZE, "or": "A or " * SIZE,
        "announced": "the answer is " * SIZE, "答案": "答案：" * SIZE, "words": "one hundred " * SIZE, "comments": "<!--" * SIZE, "dates": "2019-12-" * SIZE,
        "items": "a, " * SIZE, "json": "[" * SIZE + "]" * SIZE, "ranges": "1 to 2 " * SIZE, "falls": "下降" * SIZE + "5", "zero width": "\u200b" * SIZE,
        "lone surrogates": "\ud800" * SIZE, "growing capitals": "İ" * SIZE + "B", "spaces": " " * SIZE + "5", "equations": "1=" * SIZE,
        "parts": "百分之" * SIZE, "whether": "是否" * SIZE,
    }.items()
}  # fmt: skip
FLOOD_GOLDS = [
    ("14.32%", "What percent?", None),
    ("B", "下列哪项？", {"choices": {"A": "甲公司", "B": "乙公司", "C": "丙公司"}}),
    ("是", "是否违反规定？", None),
    ("the Board of Directors", "Who?", None),
    ('["a", "b"]', "", None),
    ("10%-15%", "", None),
    ("December 31, 2019", "", None),
    ("positive", "", {"labels": ["positive", "negative"]}),
]


@pytest.mark.parametrize("name", FLOODS)
def test_no_flood_takes_long(name: str) -> None:
    for gold, question, meta in FLOOD_GOLDS:
        verify("<answer>1</answer>", gold, question, meta)  # a gold is read once for all its completions
        best = 1.0
        for _ in range(3):  # the machine may be busy with something else
            start = time.process_time()
            verdict = verify(FLOODS[name], gold, question, meta)
            best = min(best, time.process_time() - start)
        assert best < 0.05, (gold, best)
        assert not verdict.correct


def test_time_grows_with_length_and_no_faster() -> None:
    def seconds(copies: int) -> float:
        response = "<think>" + "The table shows 1,234.5 in 2019. " * copies + "</think><answer>14.32%</answer>"
        start = time.process_time()
        for _ in range(20):
            verify(response, "14.32%")
        return time.process_time() - start

    seconds(100)
    short, long = min(seconds(500) for _ in range(3)), min(seconds(5000) for _ in range(3))
    assert long < 20 * short + 0.01
