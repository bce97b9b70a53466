"""Every gold of the real sets is its own answer, and FinQA's disagreements are found."""

from __future__ import annotations

import pytest
from real_golds import DATA, SETS

from reward_plugins import verify
from reward_plugins.errors import Refused
from reward_plugins.golds import check

real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not there (../shared/data)")


@real_data
@pytest.mark.parametrize("name", SETS)
def test_usable_golds_pass(name: str) -> None:
    rows = list(SETS[name]())
    refused = list(check(rows))
    unusable = [reason for _, reason in refused if "differ" in reason or "empty" in reason]
    failed = [(row, reason) for row, reason in refused if reason not in unusable]
    usable = len(rows) - len(unusable)
    # one of DISC's 100 golds is three sums in one line
    assert len(failed) <= max(0.005 * usable, name == "disc"), failed


@real_data
def test_finqa_rows_whose_fields_disagree_are_found() -> None:
    reasons = dict(check(SETS["finqa"]()))
    share = sum("differ" in reason for reason in reasons.values()) / 356
    assert 0.02 < share < 0.12  # 11% of the whole test split, by the data set's own numbers


def test_a_row_in_either_shape_is_read() -> None:
    question = {"id": "q", "question": "?", "gold": "14%", "answer_type": "percent", "unit": "%", "meta": {}}
    grpo = {"id": "g", "question": "?", "solution": "14%", "meta": '{"answer_type": "percent", "unit": "%"}'}
    assert list(check([question, grpo])) == []
    with pytest.raises(Refused, match="neither `gold` nor `solution`"):
        list(check([{"id": "x", "question": "?"}]))
    with pytest.raises(Refused, match="no JSON"):
        list(check([{"id": "x", "solution": "1", "meta": "{"}]))


def test_bad_golds_are_refused_with_their_reason() -> None:
    rows = [
        {"id": "empty", "gold": " "},
        {"id": "sign", "gold": "11.9%", "meta": {"answer": "11.9%", "exe_ans": -0.11825}},
        {"id": "value", "gold": "42.0", "meta": {"answer": "42.0", "exe_ans": -0.38213}},
        {"id": "kind", "gold": "yes", "meta": {"answer": "yes", "exe_ans": 3.0}},
        {"id": "percent", "gold": "14%", "meta": {"answer": "14%", "exe_ans": 0.14464}},
        {"id": "points", "gold": "13.9%", "meta": {"answer": "13.9%", "exe_ans": 13.9}},
        {"id": "truncated", "gold": "81.6", "meta": {"answer": "81.6", "exe_ans": 81.66667}},
    ]
    reasons = dict(check(rows))
    assert set(reasons) == {"empty", "sign", "value", "kind"}
    for gold, reason in (
        ("I don't know", "declines"),
        ("A or B", "open"),
        ("0.1% or 0.2%", "open"),
        ("无法确定", "declines"),
    ):
        assert reason in dict(check([{"id": "g", "gold": gold}]))["g"]
    assert list(check([{"id": "name", "gold": "profit or loss"}])) == []  # an "or" of words may be a name's
    assert verify("<answer>-11.8%</answer>", "-11.8%", "", None).correct
