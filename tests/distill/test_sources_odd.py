"""Rows as they really come: tools in a conversation, half characters, columns named twice, choices in other forms."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_rows import read, write

from distill import prepare
from distill.records import Question, read_records
from reward_plugins.errors import Refused


def test_half_a_character_leaves_one_row_out_and_not_the_run(tmp_path: Path) -> None:
    lines = [
        r'{"question": "Half \ud83d a face?", "answer": "3"}',
        r'{"question": "A whole \ud83d\ude00 face?", "answer": "4"}',
        r'{"question": "Where?", "answer": "5", "solution": "\udc00"}',
        r'{"id": "\uD800", "question": "Who?", "answer": "6"}',
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "own.json").write_text(f"[{', '.join(lines)}]", encoding="utf-8")
    for name in ("own.jsonl", "own.json"):
        good, bad = read("own", tmp_path / name)
        assert [(question.question, question.gold) for question in good] == [("A whole 😀 face?", "4")]
        assert {left.reason for left in bad} == {"a text holds half a character (a lone surrogate)"} and len(bad) == 3
    counts = prepare.run(
        prepare.Settings.model_validate(
            {"out": tmp_path / "out", "sources": [{"name": "own", "path": tmp_path / "own.json"}]}
        )
    )
    assert counts["questions"] == {"train": 1}
    assert [row.gold for row in read_records(tmp_path / "out" / "train.jsonl", Question)] == ["4"]


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("question,answer,answer\nWhat?,3,4\n", encoding="utf-8")
    with pytest.raises(Refused, match="two columns are called 'answer'"):
        read("own", path)


def test_conversations_with_parts_tools_and_a_system_column(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function"}]}
    rows = [
        {"system": "Be brief.", "conversations": [{"from": "human", "value": "P/E?"}, {"from": "gpt", "value": "20"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "EPS?"}]},
                {"role": "assistant", "content": "3", "reasoning_content": "6 / 2 = 3."},
            ]
        },
        {"messages": [{"role": "user", "content": "Price?"}, call, {"role": "tool", "content": "9"}]},
        {
            "conversations": [
                {"from": "human", "value": "Price?"},
                {"from": "function_call", "value": "{}"},
                {"from": "observation", "value": "9"},
                {"from": "gpt", "value": "9"},
            ]
        },
    ]
    good, bad = read("own", write(tmp_path / "own.jsonl", rows))
    assert [(q.context, q.question, q.gold) for q in good] == [("Be brief.", "P/E?", "20"), ("", "What is EPS?", "3")]
    assert good[1].meta["solution"] == "6 / 2 = 3."
    assert {left.reason for left in bad} == {"the conversation has a message of an unknown role"} and len(bad) == 2
    alpaca = {"instruction": "Sum?", "input": "1 and 2", "output": "3", "system": "Add."}
    good, _ = read("own", write(tmp_path / "alpaca.json", [alpaca]))
    assert good[0].context == "Add.\n\n1 and 2"


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_choices_as_objects_and_golds_as_lists(tmp_path: Path, suffix: str) -> None:
    choices = [{"label": "A", "text": "bond"}, {"label": "B", "text": "share"}, {"label": "C", "text": "swap"}]
    rows = [{"question": "Which are securities?", "choices": choices, "answer": ["A", "B"]}]
    good, _ = read("own", write(tmp_path / f"own.{suffix}", rows))
    assert (good[0].choices, good[0].gold) == ({"A": "bond", "B": "share", "C": "swap"}, "AB")
    nameless = [{"question": "Which?", "choices": [{"value": "x"}, {"value": "y"}], "answer": "A"}]
    _, bad = read("own", write(tmp_path / f"nameless.{suffix}", nameless))
    assert [left.reason for left in bad] == ["choices that are objects without label and text"]


def test_dianjin_by_its_files(tmp_path: Path) -> None:
    """The home's files are named after what they are made of; choices stand in the instruction, the box may hold LaTeX."""
    asked = "单选题：下列属于货币政策工具的是？\nA. 税收\nB. 公开市场业务\nC. 国债\nD. 转移支付"
    boxed = "<think>央行买卖债券。</think><answer>选 \\boxed{B}</answer>"
    write(tmp_path / "cflue_mcq.json", [{"instruction": asked, "output": boxed}])
    ratio = {"instruction": "The ratio of 1 to 4?", "output": "<think>1 / 4</think><answer>\\boxed{25.0\\%}</answer>"}
    write(tmp_path / "fin_qa.json", [ratio])
    write(
        tmp_path / "train.json",
        [{"instruction": "什么是久期？", "output": "<think>定义。</think><answer>对利率的敏感度</answer>"}],
    )
    good, bad = read("dianjin", tmp_path)
    assert {q.task: q.gold for q in good} == {
        "cflue_mcq": "B",
        "fin_qa": "25.0\\%",
        "exam": "对利率的敏感度",
    } and not bad


def test_a_set_of_one_split_is_read_from_its_folder(tmp_path: Path) -> None:
    """Its files say nothing of a split: the catalogue must not look for one in their names."""
    exam = {"text": "1、下列属于货币政策工具的是（）。\nA、公开市场业务\nB、国债\n答案：A\n分析解释：央行的工具。"}
    write(tmp_path / "FinCorpus" / "data" / "fin_exam.jsonl.gz", [exam])
    write(tmp_path / "FinCorpus" / "data" / "fin_articles.jsonl.gz", [{"text": "甲公司公告：拟回购股份。"}])
    good, bad = read("fincorpus", tmp_path / "FinCorpus")
    assert [question.gold for question in good] == ["A"] and not bad
    write(tmp_path / "quant.jsonl", [{"context": "averages", "question": "How long a window?", "answer": "20 days"}])
    good, _ = read("financeqt", tmp_path / "quant.jsonl")
    assert good[0].context == "averages"
