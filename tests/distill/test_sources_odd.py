"""Rows as they really come: tools in a conversation, half characters, columns named twice, choices in other forms."""

from __future__ import annotations

import datetime
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


def test_a_table_without_a_header_does_not_quote_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("What did client Zhang San earn in 2023?,12.5\nWhat did he spend?,13\n", encoding="utf-8")
    with pytest.raises(Refused, match=r"no column 'question'.*looks like a row") as refused:
        prepare.run(_own(tmp_path, path))
    assert "Zhang" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("own.csv", "question;answer\nWhat?;3\n", "parted by ';'"),
        ("own.csv", "question\tanswer\nWhat?\t3\n", "tabs as .tsv"),
        ("own.csv", "题目,答案\n多少？,3\n", "there are 答案, 题目.*; its key `columns` names yours"),
        ("data/train-00000-of-00001.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        ("own.json", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        ("notes.txt", "nothing", "no file with rows in it"),
    ],
)  # fmt: skip
def test_what_is_amiss_with_a_folder_is_told(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / "set" / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=words):
        prepare.run(_own(tmp_path, tmp_path / "set"))


def test_the_folder_above_the_files_is_told_where_they_are(tmp_path: Path) -> None:
    write(tmp_path / "FinQA" / "dataset" / "train.json", [{}])
    with pytest.raises(Refused, match="there are some in dataset: name that folder"):
        read("finqa", tmp_path / "FinQA")


def test_a_clone_of_a_set_is_read_as_it_lies_on_the_hub(tmp_path: Path) -> None:
    """One's own: a split at a time, past what only describes the set. The catalogue's: Parquet, whatever form home has."""
    clone = tmp_path / "clone"
    for part, gold in (("train", "1"), ("test", "2")):
        row = {"question": f"What of {part}?", "answer": gold}
        write(clone / "data" / f"{part}-00000-of-00001.parquet", [row])
    write(clone / "dataset_infos.json", {"default": {}})
    write(clone / ".ipynb_checkpoints" / "train-checkpoint.json", [{"question": "Old?", "answer": "9"}])
    with pytest.raises(Refused, match=r"several splits \(test, train\).*`part: train`"):
        read("own", clone)
    for part, gold in (("train", "1"), ("test", "2")):
        good, bad = read("own", clone, part=part)
        assert [question.gold for question in good] == [gold] and not bad
    exam = {
        "Question": "下列属于货币政策工具的是？",
        "A": "公开市场业务",
        "B": "国债",
        "C": "税收",
        "D": "转移支付",
        "Answer": "A",
    }
    write(tmp_path / "FinanceIQ" / "data" / "test-00000-of-00001.parquet", [exam])
    good, _ = read("financeiq", tmp_path / "FinanceIQ", split="test")
    assert [question.gold for question in good] == ["A"]


def test_forms_as_other_tools_write_them(tmp_path: Path) -> None:
    rows = [
        {"conversations": [{"from": "User", "value": "P/E?"}, {"from": "Assistant", "value": "20"}]},
        {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "EPS?"},
                      {"role": "model", "content": "3"}]},
        {"instruction": "", "input": "What is 1 + 5?", "output": "6", "history": []},
        {"instruction": "And 2 + 5?", "input": "", "output": "7", "history": [{"user": "1 + 5?", "assistant": "6"}]},
    ]  # fmt: skip
    good, bad = read("own", write(tmp_path / "own.jsonl", rows))
    assert [(q.context, q.question, q.gold) for q in good] == [
        ("", "P/E?", "20"),
        ("Be brief.", "EPS?", "3"),
        ("", "What is 1 + 5?", "6"),
    ]
    assert [left.reason for left in bad] == ["the history is no list of pairs of question and answer"]


def test_each_file_of_a_folder_may_count_from_1(tmp_path: Path) -> None:
    for name in ("accounting", "tax"):
        rows = [{"id": number, "question": f"What of {name} {number}?", "answer": "3"} for number in (1, 2)]
        write(tmp_path / "own" / f"{name}.csv", rows)
    whole = prepare.run(_own(tmp_path, tmp_path / "own"))
    assert whole["questions"] == {"train": 4} and not whole["left_out"]
    ids = [row.id for row in read_records(tmp_path / "out" / "train.jsonl", Question)]
    assert ids == ["own/accounting/1", "own/accounting/2", "own/tax/1", "own/tax/2"]
    good, _ = read("own", tmp_path / "own" / "tax.csv")
    assert [question.id for question in good] == ["own/1", "own/2"]


def test_a_file_of_utf8_among_others_is_not_garbled(tmp_path: Path) -> None:
    text = "question,answer\n甲公司二零二三年的毛利率和净利率各是多少？,12%\n"
    for encoding in ("gb18030", "utf-16"):
        (tmp_path / "own.csv").write_text(text, encoding=encoding)
        good, _ = read("own", tmp_path / "own.csv", encoding=encoding)
        assert good[0].question == "甲公司二零二三年的毛利率和净利率各是多少？"
    (tmp_path / "own.csv").write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match="UTF-8, which gb18030 would turn"):
        read("own", tmp_path / "own.csv", encoding="gb18030")


def test_dates_inside_a_parquet_cell_are_text(tmp_path: Path) -> None:
    row = {"question": "When was the last?", "answer": "2020", "context": [{"day": datetime.date(2020, 1, 31)}]}
    good, _ = read("own", write(tmp_path / "own.parquet", [row]))
    assert good[0].context == '[{"day": "2020-01-31"}]'


def test_a_column_that_the_kit_does_not_know_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", [{"question": "What?", "answer": "3", "材料": "a page"}])
    with pytest.raises(ValueError, match=r"contxt.*'context'"):
        read("own", path, columns={"contxt": "材料"})


def _own(tmp_path: Path, path: Path) -> prepare.Settings:
    return prepare.Settings.model_validate({"out": tmp_path / "out", "sources": [{"name": "own", "path": path}]})
